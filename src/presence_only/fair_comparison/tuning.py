"""Search of a variant's settings in one world, as one task that keeps the model of every trial.

The search sees presence records alone. The models are kept so that the truth can tell later, and to nobody who chooses,
how good each trial was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from presence_only.common.atomic_files import read_json, write_json
from presence_only.common.errors import TrainingError
from presence_only.execution.task import Report
from presence_only.search.objective import FINISHED, Plan, run_trial
from presence_only.search.sampling import draw_batch
from presence_only.search.settings import SearchSettings
from presence_only.search.space import Searched
from presence_only.search.trials import Trial, bars, best_of

TRIALS = "trials.json"


def trial_folder(number: int) -> str:
    """The name of a trial's folder, which has the model of a finished trial."""
    return f"trial_{number:03d}"


def tune(
    searched: Searched, settings: SearchSettings, inputs: Mapping[str, Path], output: Path, report: Report
) -> None:
    """Run every trial of a search one after the other, each drawn from what all before it scored.

    Args:
        searched: The variant and its space.
        settings: How the search is done; ``parallel`` has no effect.
        inputs: ``training``: folder of the records and background sites.
        output: Gets ``trials.json`` and a folder per trial.
        report: Called after every trial with trials done, trials in all, and the best value so far.

    Raises:
        TrainingError: If no trial was trained to its end.
    """
    trials: list[Trial] = []
    for number in range(settings.trials):
        (drawn,) = draw_batch(searched.dimensions, searched.present, trials, 1, settings.seed)
        plan = Plan(
            variant=searched.with_settings(drawn),
            held_out=settings.held_out,
            criterion=settings.criterion,
            seed=settings.seed,
            checks=settings.pruning.checks,
            bars=bars(trials, settings.pruning),
            keep=True,
        )
        folder = output / trial_folder(number)
        folder.mkdir()
        outcome = run_trial(plan, inputs, folder, _silent)
        value = outcome.criteria.get(settings.criterion)
        trials.append(Trial(number, drawn, outcome, value))
        best = best_of(trials)
        report(len(trials), settings.trials, float("nan") if best is None or best.value is None else best.value)
    if best_of(trials) is None:
        raise TrainingError(f"{searched.name}: none of {len(trials)} trials was trained to its end")
    write_json(output / TRIALS, [_row(trial) for trial in trials])


def choose(folder: Path, criterion: str) -> dict[str, Any]:
    """The settings of the finished trial with the highest value of a criterion, the first of equals.

    Args:
        folder: What :func:`tune` filled.
        criterion: What chooses.

    Raises:
        TrainingError: If the criterion is undefined for every finished trial.
    """
    values = {
        trial["trial"]: (trial["criteria"][criterion], trial["settings"])
        for trial in read_json(folder / TRIALS)
        if trial["state"] == FINISHED and math.isfinite(trial["criteria"].get(criterion) or math.nan)
    }
    if not values:
        raise TrainingError(f"{folder}: {criterion} is undefined for every finished trial; choose by another criterion")
    _, settings = max(values.values(), key=lambda value: value[0])
    return dict(settings)


def _row(trial: Trial) -> dict[str, Any]:
    """A trial as JSON has it."""
    outcome = trial.outcome
    return {
        "trial": trial.number,
        "state": outcome.state,
        "cpu_seconds": round(outcome.cpu_seconds, 3),
        "share": outcome.share,
        "criteria": dict(outcome.criteria),
        "settings": dict(trial.settings),
    }


def _silent(done: int, total: int, number: float) -> None:
    """Epochs of a trial are no news; its end is."""
