"""Training the seeds of a cell, a data set under a variant, as tasks.

The stage `train` runs those of one cell, and the command `run` those of all cells that are out of date; both put the
same files into the same places.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from presence_only.common.atomic_files import content_hash, write_folder, write_json
from presence_only.common.system_errors import system_error
from presence_only.execution.task import Task
from presence_only.pipeline.progress import words_of_training
from presence_only.study.checksums import check_unaltered, note_made
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

    Raises:
        DamagedError: If the training data was altered since it was made.
    """
    check_unaltered(DatasetFiles(cell.dataset).training)
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
    with write_folder(cell.runs) as runs:
        for task, seed in zip(tasks, seeds, strict=True):
            shutil.copytree(task.folder, runs / seed_folder(seed))
    note_made(cell.runs)
    # The hash tells these seconds from those of other results that DVC may restore later.
    seconds = {str(seed): round(values[task.key], 3) for task, seed in zip(tasks, seeds, strict=True)}
    try:
        write_json(cell.timing, {"runs": content_hash(cell.runs), "seconds": seconds})
    except OSError as error:
        # Minutes or hours of training are not lost for it: whoever shows seconds does without those of this cell.
        print(f"warning: the seconds of the training are not kept: {system_error(error) or error}", file=sys.stderr)
