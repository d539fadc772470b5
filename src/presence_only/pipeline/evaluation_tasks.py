"""Scoring the seeds of a cell, a data set under a variant, and joining their scores, as tasks.

The stage `evaluate` runs those of one cell, and the command `run` those of all cells that are out of date; both put the
same files into the same places.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from presence_only.common.atomic_files import write_whole
from presence_only.evaluation.seed_scores import join_seeds, score_seed
from presence_only.execution.task import Task
from presence_only.pipeline.progress import words_of_evaluation
from presence_only.study.paths import CellFiles, DatasetFiles


def evaluation_tasks(
    cell: CellFiles,
    seeds: Sequence[int],
    folder: Path,
    trained: Mapping[int, Task] | None = None,
    code: str = "",
) -> list[Task]:
    """A task per seed that scores its encoder, and one that joins the scores of all.

    Args:
        cell: Data set and variant.
        seeds: The study's seeds.
        folder: Where the tasks' folders go.
        trained: Tasks that train the seeds; None: the encoders are in their places.
        code: Fingerprint of the code, for a journal.

    Returns:
        The tasks; the last one joins what the others made.
    """
    data = DatasetFiles(cell.dataset)
    runs = {seed: cell.seed(seed) if trained is None else trained[seed].folder for seed in seeds}
    wait_for = () if trained is None else tuple(task.key for task in trained.values())
    label, identity = f"{cell.dataset} / {cell.variant}", json.dumps([list(seeds), code])
    scored = [
        Task(
            key=f"evaluate {cell.dataset} {cell.variant} {seed}",
            work=partial(score_seed, seed, seed == seeds[0]),
            # The records tell where observers were; nothing is fitted here.
            inputs={"training": data.training, "survey": data.survey, "encoder": runs[seed]},
            output=folder / f"scores_{seed}",
            identity=identity,
            after=() if trained is None else (trained[seed].key,),
            label=f"{label} / seed {seed}",
            kind="evaluate",
            words=words_of_evaluation,
        )
        for seed in seeds
    ]
    joined = Task(
        key=f"join {cell.dataset} {cell.variant}",
        work=partial(join_seeds, tuple(seeds)),
        inputs={"survey": data.survey}
        | {f"encoder_{seed}": runs[seed] for seed in seeds}
        | {f"scores_{seed}": task.folder for seed, task in zip(seeds, scored, strict=True)},
        output=folder / "scores",
        identity=identity,
        after=(*wait_for, *(task.key for task in scored)),
        label=label,
        kind="join",
    )
    return [*scored, joined]


def put_evaluation(cell: CellFiles, tasks: Sequence[Task]) -> None:
    """Put the tables of a cell where the study has them.

    Args:
        cell: Data set and variant.
        tasks: Of :func:`evaluation_tasks`, all done.
    """
    joined = tasks[-1].folder
    for path in (cell.per_species, cell.per_site, cell.curves, cell.maps, cell.metrics):
        with write_whole(path) as temporary:
            # Named by the first folder of results/: per_species/virtual/bce.parquet comes of per_species.parquet.
            shutil.copy(joined / f"{path.parts[1]}{path.suffix}", temporary)
