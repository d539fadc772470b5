"""The work of a cell of a study, a data set under a variant, as tasks: train and score each seed, join the scores.

The stages `train` and `evaluate` run the tasks of one cell, and the command `run` those of all cells that are out of
date; both put the same files into the same places.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from presence_only.common.atomic_files import content_hash, write_folder, write_json, write_whole
from presence_only.evaluation.seed_scores import join_seeds, score_seed
from presence_only.execution.task import Task
from presence_only.pipeline.progress import words_of_evaluation, words_of_training
from presence_only.study.paths import CellFiles, DatasetFiles, seed_folder
from presence_only.training.seed_run import train_seed
from presence_only.training.variant import Variant


def training_tasks(cell: CellFiles, variant: Variant, seeds: Sequence[int], folder: Path, code: str = "") -> list[Task]:
    """A task per seed that trains an encoder.

    Args:
        cell: Data set and variant.
        variant: Loss, encoder and training.
        seeds: What to train.
        folder: Where the tasks' folders go, one per seed.
        code: Fingerprint of the code, for a journal.

    Returns:
        Tasks whose values are the seconds of the fit.
    """
    return [
        Task(
            key=f"train {cell.dataset} {cell.variant} {seed}",
            work=partial(train_seed, variant, seed),
            inputs={"training": DatasetFiles(cell.dataset).training},
            output=folder / seed_folder(seed),
            identity=json.dumps([variant.resolved(), code], sort_keys=True),
            label=f"{cell.dataset} / {cell.variant} / seed {seed}",
            kind="train",
            words=words_of_training,
            hint=", or lower training.batch_size",
            needs_gpu=variant.may_use_gpu,
        )
        for seed in seeds
    ]


def put_training(cell: CellFiles, tasks: Sequence[Task], seeds: Sequence[int], values: Mapping[str, Any]) -> None:
    """Put the encoders of a cell where the study has them, and aside the time they took.

    Args:
        cell: Data set and variant.
        tasks: Of :func:`training_tasks`, all done, in the order of the seeds.
        seeds: The seeds.
        values: Of the tasks, by key.
    """
    if tasks[0].output != cell.runs / seed_folder(seeds[0]):
        with write_folder(cell.runs) as runs:
            for task, seed in zip(tasks, seeds, strict=True):
                shutil.copytree(_output(task), runs / seed_folder(seed))
    # The hash tells these seconds from those of other results that DVC may restore later.
    seconds = {str(seed): round(values[task.key], 3) for task, seed in zip(tasks, seeds, strict=True)}
    write_json(cell.timing, {"runs": content_hash(cell.runs), "seconds": seconds})


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
    runs = {seed: cell.seed(seed) if trained is None else _output(trained[seed]) for seed in seeds}
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
        | {f"scores_{seed}": _output(task) for seed, task in zip(seeds, scored, strict=True)},
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
    joined = _output(tasks[-1])
    for path in (cell.per_species, cell.per_site, cell.curves, cell.maps, cell.metrics):
        with write_whole(path) as temporary:
            # Named by the first folder of results/: per_species/virtual/bce.parquet comes of per_species.parquet.
            shutil.copy(joined / f"{path.parts[1]}{path.suffix}", temporary)


def _output(task: Task) -> Path:
    """The folder that a task of a cell makes."""
    assert task.output is not None
    return task.output
