"""The tasks of one cell side by side, in processes of this machine, with their progress shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from presence_only.execution.processes import Processes, gpu_count
from presence_only.execution.run_tasks import run_tasks
from presence_only.execution.task import Task
from presence_only.pipeline.progress import Display


def run_side_by_side(tasks: Sequence[Task], title: str) -> dict[str, Any]:
    """Run tasks, as many at a time as the machine has cores, or as ``PRESENCE_ONLY_WORKERS`` says.

    Args:
        tasks: What to run.
        title: What all of them together are called.

    Returns:
        The value of every task by its key.

    Raises:
        UserError: The first that a task raised; the other tasks are ended.
    """
    gpus = gpu_count() if any(task.needs_gpu for task in tasks) else 0
    with Processes(gpus=gpus) as executor, Display(tasks, title) as display:
        return run_tasks(tasks, executor, watcher=display)
