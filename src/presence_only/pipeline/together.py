"""Tasks one after the other, each by all processes that ``torchrun`` started together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from hashlib import sha256
from typing import Any

from presence_only.common.atomic_files import content_hash
from presence_only.execution.heap import keep_pages
from presence_only.execution.task import Finished, Progressed, Task
from presence_only.execution.work import run_work
from presence_only.pipeline.progress import Display
from presence_only.training.data_parallel import join


def run_together(tasks: Sequence[Task], title: str) -> dict[str, Any]:
    """Run tasks that train, all processes on one at a time.

    Args:
        tasks: What to run: their work takes the keyword ``world``, and its first process alone fills the output folder.
        title: What all of them together are called.

    Returns:
        The value of every task by its key, in the first process; nothing in the others, which have nothing to put
        anywhere.

    Raises:
        UserError: The first that a task raised, in the first process; the others end without a word.
    """
    keep_pages()
    paths = sorted({path for task in tasks for path in task.inputs.values()})
    identities = " ".join(task.identity for task in tasks)
    facts = {"data": content_hash(*paths), "settings": sha256(identities.encode()).hexdigest()[:16]}
    with join(facts, gpus=any(task.needs_gpu for task in tasks)) as world:
        values: dict[str, Any] = {}
        with Display(tasks, title) if world.first else nullcontext() as display:
            for task in tasks:

                def report(done: int, total: int, number: float, task: Task = task) -> None:
                    if display is not None:
                        display.hears(task, Progressed(task.key, done, total, number))

                if display is not None:
                    display.starts(task)
                work: Callable[..., Any] = task.work
                output = task.output if world.first else None
                values[task.key] = run_work(partial(work, world=world), task.inputs, output, report)
                if display is not None:
                    display.hears(task, Finished(task.key, values[task.key]))
        return values if world.first else {}
