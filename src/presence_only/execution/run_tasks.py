"""Run tasks that wait for each other on an executor, until all are done or one has failed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from presence_only.common.errors import DivergenceError, ExecutionError, UserError
from presence_only.execution.executor import Executor
from presence_only.execution.journal import Journal
from presence_only.execution.task import Event, Failed, Finished, Lost, Task

# A task whose worker was lost so often is given up: most likely it is too large for the machine.
MOST_LOSSES = 3


class Watcher:
    """Is told what happens, to show it; this one shows nothing."""

    def starts(self, task: Task) -> None:
        """A task was handed to the executor."""

    def hears(self, task: Task, event: Event) -> None:
        """Something happened to a task."""

    def found(self, task: Task) -> None:
        """The outputs of a task were there from an earlier run."""

    def waits(self) -> None:
        """Nothing happened for a second."""


NOBODY = Watcher()


def run_tasks(
    tasks: Iterable[Task], executor: Executor, *, watcher: Watcher = NOBODY, journal: Journal | None = None
) -> dict[str, Any]:
    """Run tasks side by side, each after those that it waits for, in their order where there is a choice.

    Args:
        tasks: Each named once; what one waits for is among them.
        executor: Runs them.
        watcher: Is told of all that happens.
        journal: Remembers what is done; a task that it knows is not run again.

    Returns:
        The value of every task by its key.

    Raises:
        UserError: The first that a task raised, after the task's label; what still runs is ended with the executor.
        DivergenceError: If training diverged in some tasks: at once without a journal, else after all tasks that do not
            wait for these, for the journal keeps what they made.
        ExecutionError: If a task lost its worker again and again.
    """
    waiting = {task.key: task for task in tasks}
    running: dict[str, Task] = {}
    values: dict[str, Any] = {}
    losses: dict[str, int] = {}
    diverged: dict[str, DivergenceError] = {}
    while waiting or running:
        for task in [task for task in waiting.values() if all(key in values for key in task.after)]:
            if not executor.has_room(task):
                continue
            del waiting[task.key]
            if journal is not None and (kept := journal.find(task)) is not None:
                values[task.key] = kept.value
                watcher.found(task)
                continue
            running[task.key] = task
            executor.submit(task)
            watcher.starts(task)
        if not running:
            # Whatever was found in the journal may have freed others.
            continue
        event = executor.next_event(timeout=1.0)
        if event is None:
            watcher.waits()
            continue
        event_task = running.get(event.key)
        if event_task is None:
            continue
        if isinstance(event, Finished) and journal is not None:
            journal.add(event_task, event.value)
        watcher.hears(event_task, event)
        if isinstance(event, Finished):
            values[event.key] = event.value
            del running[event.key]
        elif isinstance(event, Failed):
            error = _named(event.error, event_task)
            if journal is None or not isinstance(error, DivergenceError):
                raise error
            diverged[event.key] = error
            del running[event.key]
            waiting = _without(waiting, event.key)
        elif isinstance(event, Lost):
            losses[event.key] = losses.get(event.key, 0) + 1
            if losses[event.key] >= MOST_LOSSES:
                raise ExecutionError(
                    f"{event_task.label}: given up after {MOST_LOSSES} attempts, as {event.reason}, most likely for "
                    f"memory; run fewer tasks at a time{event_task.hint}"
                )
            waiting = {event.key: running.pop(event.key), **waiting}
    if diverged:
        first, *others = diverged.values()
        more = f"; {len(others)} further trainings diverged too" if others else ""
        raise DivergenceError(
            f"{first}{more}; what else ran is kept: mend the setting, or take the variant out of study.variants, and "
            "run again"
        )
    return values


def _without(waiting: dict[str, Task], key: str) -> dict[str, Task]:
    """The tasks that do not wait for one, nor for one that does."""
    left = {key}
    while found := {task.key for task in waiting.values() if left.intersection(task.after)} - left:
        left |= found
    return {task.key: task for task in waiting.values() if task.key not in left}


def _named(error: BaseException, task: Task) -> BaseException:
    """An error that a user can mend, with the label of its task; any other as it is."""
    return type(error)(f"{task.label}: {error}") if task.label and isinstance(error, UserError) else error
