"""Tasks of a fair comparison: worlds, searches, scores of what was searched, and scored runs.

Everything that a task makes lies in a folder of its own below :data:`WORK`, and a journal knows what is done. So a
comparison that was killed goes on where it was, and one that has a further variant runs only that.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from presence_only.execution.task import Task
from presence_only.fair_comparison.design import Design, Run, World
from presence_only.fair_comparison.scoring import make_world, score_run, score_trials
from presence_only.fair_comparison.tuning import choose, tune
from presence_only.search.space import Searched, nested
from presence_only.study.inheritance import inherit, merged
from presence_only.training.variant import Variant

WORK = Path("work")


def world_folder(world: World) -> Path:
    """Where a world's records and survey lie."""
    return WORK / "worlds" / world.scenario / str(world.seed)


def tuned_folder(scenario: str, variant: str) -> Path:
    """Where a search leaves its trials."""
    return WORK / "tuned" / scenario / variant


def truth_folder(scenario: str, variant: str) -> Path:
    """Where the scores of a search's trials by the truth lie."""
    return WORK / "truth" / scenario / variant


def run_folder(run: Run) -> Path:
    """Where the scores of a run lie."""
    return WORK / "runs" / run.name


def world_task(world: World) -> Task:
    """The task that makes a world."""
    return Task(
        key=f"world {world.name}",
        work=partial(make_world, world),
        output=world_folder(world),
        identity=json.dumps(world.settings.model_dump(mode="json"), sort_keys=True),
        label=f"world {world.name}",
        kind="world",
    )


def search_tasks(design: Design) -> list[Task]:
    """Tasks that make the worlds that tune, search in each for the settings of every variant, and score the trials."""
    settings = design.search
    how = settings.model_dump(mode="json", exclude={"spaces", "parallel"})
    tasks: dict[str, Task] = {}
    for scenario, variant in design.searches:
        world = design.world(scenario, design.fair.tuning_seed)
        made = world_task(world)
        searched = Searched.of(design.tree, settings, variant)
        space = {name: repr(dimension) for name, dimension in searched.dimensions.items()}
        tuned = Task(
            key=f"tune {scenario} {variant}",
            work=partial(tune, searched, settings),
            inputs={"training": world_folder(world) / "training"},
            output=tuned_folder(scenario, variant),
            identity=json.dumps([how, space, searched.variant.resolved()], sort_keys=True),
            after=(made.key,),
            label=f"search {scenario} / {variant}",
            kind="search",
            words=_words_of_search,
            needs_gpu=searched.variant.may_use_gpu,
        )
        truth = Task(
            key=f"truth {scenario} {variant}",
            work=partial(score_trials, settings.held_out),
            inputs={"world": world_folder(world), "tuned": tuned.folder},
            output=truth_folder(scenario, variant),
            after=(tuned.key,),
            label=f"truth of the trials of {scenario} / {variant}",
            kind="truth",
        )
        tasks |= {task.key: task for task in (made, tuned, truth)}
    return list(tasks.values())


def read_best(design: Design) -> dict[tuple[str, str], dict[str, Any]]:
    """Scenario that was searched and variant to the settings that the search chose."""
    return {
        (scenario, variant): choose(tuned_folder(scenario, variant), design.criterion)
        for scenario in design.searched_scenarios
        for variant in design.tree.study.variants
    }


def run_tasks_of(design: Design, best: Mapping[tuple[str, str], Mapping[str, Any]]) -> tuple[list[Run], list[Task]]:
    """All runs that are scored, and their tasks with those of their worlds."""
    written = inherit(design.tree.variants, "variants")
    seed = design.fair.training_seed
    runs = list(design.runs(best))
    tasks: dict[str, Task] = {}
    for run in runs:
        made = world_task(run.world)
        tasks.setdefault(made.key, made)
        variant = Variant.parse(
            merged(written[run.variant], nested(run.changes)),
            f"variants.{run.variant}",
            design.tree.encoder,
            design.tree.training,
        )
        tasks[f"run {run.name}"] = Task(
            key=f"run {run.name}",
            work=partial(score_run, variant, seed),
            inputs={"world": world_folder(run.world)},
            output=run_folder(run),
            identity=json.dumps([variant.resolved(), seed], sort_keys=True),
            after=(made.key,),
            label=run.name,
            kind="run",
            needs_gpu=variant.may_use_gpu,
        )
    return runs, list(tasks.values())


def _words_of_search(trials: int, value: float) -> str:
    """What is said of a search."""
    return f"best of {trials} trials: {value:.4f}"
