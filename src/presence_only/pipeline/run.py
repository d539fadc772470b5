"""Run a study: all seeds of all cells that are out of date side by side, on this machine or a cluster; then the rest.

DVC says what is out of date, and takes what was made for the outputs of its own stages: afterwards `dvc repro` finds
nothing to do, and `dvc repro` alone, which runs one cell after the other, gives the same bytes. A run that was killed
goes on where it was: finished seeds lie in `.cells/` until DVC has them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presence_only.pipeline.command import importing, run_stage
from presence_only.pipeline.executor_options import add_executor_options, asked_executor

if TYPE_CHECKING:
    from presence_only.execution.executor import Executor
    from presence_only.execution.task import Task
    from presence_only.pipeline.stale_cells import StaleCells

# Outputs of finished tasks that DVC has not recorded yet.
CELLS = Path(".cells")
# Locked while a command uses that folder; beside it, as the folder is removed at the end.
IN_USE = Path(".cells.in_use")


def main() -> None:
    """Run the study in this folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_executor_options(parser)
    parser.add_argument(
        "targets", nargs="*", default=["dvc.yaml"], help="what DVC brings up to date at the end, by default %(default)s"
    )
    parser.add_argument("--cells-only", action="store_true", help="train and evaluate, and stop before the comparison")
    arguments = parser.parse_args()
    with importing():
        from presence_only.execution.lock import alone
        from presence_only.pipeline.stale_cells import find_stale_cells, run_dvc
        from presence_only.study.settings import load_study

    study = load_study()
    # What is wrong with it is told before anything runs.
    start = asked_executor(arguments)
    with alone(IN_USE, "runs the study in this folder"):
        run_dvc("repro", "--quiet", "code", "generate")
        stale = find_stale_cells(study)
        if stale.evaluate:
            make_cells(study.seeds, stale, start)
        if not arguments.cells_only:
            run_dvc("repro", *arguments.targets)


def make_cells(seeds: tuple[int, ...], stale: StaleCells, start: Callable[[], Executor]) -> None:
    """Train and evaluate cells on an executor, and have DVC record them.

    Args:
        seeds: The study's seeds.
        stale: The cells.
        start: Makes the executor.
    """
    with importing():
        from ruamel.yaml import YAML

        from presence_only.execution.journal import Journal
        from presence_only.execution.run_tasks import run_tasks
        from presence_only.pipeline.evaluation_tasks import evaluation_task, put_evaluation
        from presence_only.pipeline.progress import Display
        from presence_only.pipeline.stale_cells import record
        from presence_only.pipeline.training_tasks import put_training, training_tasks
        from presence_only.study.params import load_params
        from presence_only.study.paths import CODE, CellFiles
    code: Mapping[str, Any] = YAML(typ="safe").load(CODE)["code"]
    params, journal = load_params(), Journal(CELLS)
    training: dict[tuple[str, str], list[Task]] = {}
    evaluation: dict[tuple[str, str], Task] = {}
    for names in stale.evaluate:
        cell, folder = CellFiles(*names), CELLS / "-".join(names)
        trained = None
        if names in stale.train:
            training[names] = training_tasks(
                cell, params.variant(cell.variant), seeds, folder, code["train"][cell.variant]
            )
            trained = dict(zip(seeds, training[names], strict=True))
        evaluation[names] = evaluation_task(cell, seeds, folder, trained, code["evaluate"])
    tasks = [task for cell_tasks in training.values() for task in cell_tasks] + list(evaluation.values())
    title = f"{len(training)} cells to train, {len(evaluation)} to evaluate"
    with start() as executor:
        print(f"{title}: {len(tasks)} tasks, {executor.slots} at a time", flush=True)
        with Display(tasks, title) as display:
            values = run_tasks(tasks, executor, watcher=display, journal=journal)
    for names, cell_tasks in training.items():
        put_training(CellFiles(*names), cell_tasks, seeds, values)
    for names, task in evaluation.items():
        put_evaluation(CellFiles(*names), task)
    record(stale.stages)
    journal.forget()


if __name__ == "__main__":
    run_stage(main)
