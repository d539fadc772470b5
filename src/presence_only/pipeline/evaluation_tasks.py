"""Scoring the seeds of a cell, a data set under a variant, as a task.

The stage `evaluate` runs that of one cell, and the command `run` those of all cells that are out of date; both put the
same files into the same places.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from presence_only.common.atomic_files import write_whole
from presence_only.evaluation.seed_scores import score_cell
from presence_only.execution.task import Task
from presence_only.pipeline.progress import words_of_evaluation
from presence_only.study.checksums import check_unaltered, note_made
from presence_only.study.paths import CellFiles, DatasetFiles


def evaluation_task(
    cell: CellFiles,
    seeds: Sequence[int],
    folder: Path,
    trained: Mapping[int, Task] | None = None,
    code: str = "",
) -> Task:
    """The task that scores the encoders of all seeds; one, so that what they share is computed once.

    Args:
        cell: Data set and variant.
        seeds: The study's seeds.
        folder: Where the task's folder goes.
        trained: Tasks that train the seeds; None: the encoders are in their places.
        code: Fingerprint of the code, for a journal.

    Raises:
        DamagedError: If the data or the encoders were altered since they were made.
    """
    data = DatasetFiles(cell.dataset)
    for path in (data.training, data.survey, *([cell.runs] if trained is None else [])):
        check_unaltered(path)
    runs = {seed: cell.seed(seed) if trained is None else trained[seed].folder for seed in seeds}
    return Task(
        key=f"evaluate {cell.dataset} {cell.variant}",
        work=partial(score_cell, tuple(seeds)),
        # The records tell where observers were; nothing is fitted here.
        inputs={"training": data.training, "survey": data.survey}
        | {f"encoder_{seed}": run for seed, run in runs.items()},
        output=folder / "scores",
        identity=json.dumps([list(seeds), code]),
        after=() if trained is None else tuple(task.key for task in trained.values()),
        label=f"{cell.dataset} / {cell.variant}",
        kind="evaluate",
        words=words_of_evaluation,
    )


def put_evaluation(cell: CellFiles, task: Task) -> None:
    """Put the tables of a cell where the study has them.

    Args:
        cell: Data set and variant.
        task: Of :func:`evaluation_task`, done.
    """
    tables = (cell.per_species, cell.per_site, cell.curves, cell.maps, cell.metrics)
    for path in tables:
        with write_whole(path) as temporary:
            # Named by the first folder of results/: per_species/virtual/bce.parquet comes of per_species.parquet.
            shutil.copy(task.folder / f"{path.parts[1]}{path.suffix}", temporary)
    note_made(*tables)
