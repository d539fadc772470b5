"""Progress of tasks that run side by side: bars on a terminal, lines in a log file, and the words in both."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from presence_only.execution.run_tasks import Watcher
from presence_only.execution.task import Event, Finished, Lost, Progressed, Task

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# Seconds between two lines of a log that say how far everything is.
SUMMARY_EVERY = 30.0
# Seconds between two pictures of the bars.
DRAW_EVERY = 0.1


def words_of_training(epochs: int, loss: float) -> str:
    """What is said of a seed that is trained."""
    return f"loss {loss:.5f} after {epochs} epochs"


def words_of_evaluation(_: int, species_map: float) -> str:
    """What is said of a seed that is scored."""
    return f"species mAP {species_map:.3f}"


class TimeLeft:
    """Estimates the time left from how long tasks of each kind took, and how far those that run are.

    Args:
        tasks: All tasks.
    """

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._left = Counter(task.kind for task in tasks)
        self._begun: dict[str, tuple[str, float]] = {}
        self._share: dict[str, float] = {}
        self._seconds: dict[str, list[float]] = defaultdict(list)

    def starts(self, task: Task, now: float) -> None:
        """A task began."""
        self._begun[task.key] = (task.kind, now)
        self._share[task.key] = 0.0

    def progresses(self, task: Task, share: float) -> None:
        """A task that runs has done a share of its work, within 0..1."""
        self._share[task.key] = share

    def ends(self, task: Task, now: float, *, done: bool) -> None:
        """A task ended; one that is not done will run again."""
        kind, began = self._begun.pop(task.key)
        self._share.pop(task.key)
        if done:
            self._left[kind] -= 1
            self._seconds[kind].append(now - began)

    def found(self, task: Task) -> None:
        """A task need not be run."""
        self._left[task.kind] -= 1

    def seconds(self, now: float) -> float | None:
        """Seconds left, as many tasks at a time as run now; None before anything can be known."""
        running: dict[str, float] = defaultdict(float)
        for key, (kind, began) in self._begun.items():
            running[kind] += self._share[key]
            if self._share[key] > 0 and kind not in self._seconds:
                self._seconds[kind] = [(now - began) / self._share[key]]
        means = {kind: sum(seconds) / len(seconds) for kind, seconds in self._seconds.items() if seconds}
        if not means or not self._begun:
            return None
        # Of a kind that never ran nothing is known: as long as the shortest of the others, most likely.
        shortest = min(means.values())
        work = sum((left - running[kind]) * means.get(kind, shortest) for kind, left in self._left.items())
        return work / len(self._begun)


class Display(Watcher):
    """Shows tasks while they run; a context manager.

    Args:
        tasks: All tasks.
        title: Heads the line of all tasks.
    """

    def __init__(self, tasks: Iterable[Task], title: str) -> None:
        self.tasks = list(tasks)
        self.title = title
        self.time_left = TimeLeft(self.tasks)
        self.n_done = 0
        self._said = time.monotonic()
        self._numbers: dict[str, tuple[int, float]] = {}
        self._bars = _Bars(title, len(self.tasks)) if sys.stdout.isatty() and self.tasks else None

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.progress.stop()

    def starts(self, task: Task) -> None:
        """A task began."""
        self.time_left.starts(task, time.monotonic())
        if self._bars is not None:
            self._bars.add(task)

    def hears(self, task: Task, event: Event) -> None:
        """Something happened to a task."""
        now = time.monotonic()
        if isinstance(event, Progressed):
            self._numbers[task.key] = (event.done, event.number)
            self.time_left.progresses(task, event.done / max(event.total, 1))
            if self._bars is not None:
                words = task.words(event.done, event.number)
                self._bars.progress.update(
                    self._bars.tasks[task.key], completed=event.done, total=event.total, note=words
                )
        else:
            self.time_left.ends(task, now, done=isinstance(event, Finished))
            if self._bars is not None:
                self._bars.remove(task)
            if isinstance(event, Finished):
                self.n_done += 1
                if line := self.line_of(task, event.value):
                    self._say(line)
            if isinstance(event, Lost):
                self._say(f"{task.label}: {event.reason}; it is run again")
        self._update(now)

    def line_of(self, task: Task, value: Any) -> str:
        """What is said of a task that is done, with the value that it returned; nothing is said if it is empty."""
        words = task.words(*self._numbers[task.key]) if task.key in self._numbers else ""
        return f"{task.label}: {words}" if words else ""

    def found(self, task: Task) -> None:
        """A task was done by an earlier run."""
        self.time_left.found(task)
        self.n_done += 1
        self._update(time.monotonic())

    def waits(self) -> None:
        """Nothing happened for a second."""
        self._update(time.monotonic())

    def _update(self, now: float) -> None:
        """Show how far everything is."""
        left = self.time_left.seconds(now)
        if self._bars is not None:
            self._bars.all_tasks(self.n_done, left)
        elif len(self.tasks) > 1 and now - self._said >= SUMMARY_EVERY:
            when = "" if left is None else f", about {in_words(left)} left"
            print(f"{self.title}: {self.n_done} of {len(self.tasks)} tasks done{when}", flush=True)
            self._said = now

    def _say(self, line: str) -> None:
        if self._bars is not None:
            self._bars.progress.print(line)
        else:
            print(line, flush=True)


def in_words(seconds: float) -> str:
    """A time such as ``40 s``, ``12 min`` or ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class _Bars:
    """A bar for all tasks, and one per task that runs."""

    def __init__(self, title: str, n_tasks: int) -> None:
        # Not at the top: a log file has no bars, and most runs write to one.
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        # Drawn when there is news: with a thread to draw it, no further worker could be forked.
        self.progress: Progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            auto_refresh=False,
        )
        self._drawn = 0.0
        self.all: TaskID = self.progress.add_task(title, total=n_tasks, note="")
        self.tasks: dict[str, TaskID] = {}

    def add(self, task: Task) -> None:
        """A bar for a task."""
        name = task.label if task.kind != "evaluate" else f"{task.label}, scores"
        self.tasks[task.key] = self.progress.add_task(name, total=None, note="")

    def remove(self, task: Task) -> None:
        """The task ended."""
        self.progress.remove_task(self.tasks.pop(task.key))

    def all_tasks(self, n_done: int, left: float | None) -> None:
        """How many tasks are done, and the seconds left."""
        note = "" if left is None else f"about {in_words(left)} left"
        self.progress.update(self.all, completed=n_done, note=note)
        if time.monotonic() - self._drawn >= DRAW_EVERY:
            self._drawn = time.monotonic()
            self.progress.refresh()
