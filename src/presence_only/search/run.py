"""A search: batches of trials on an executor, each drawn from what the trials before it scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from presence_only.common.atomic_files import content_hash
from presence_only.common.errors import SettingsError
from presence_only.execution.executor import Executor
from presence_only.execution.run_tasks import NOBODY, Watcher, run_tasks
from presence_only.execution.task import Event, Finished, Task
from presence_only.search.journal import Journal
from presence_only.search.objective import DIVERGED, Outcome, Plan, run_trial
from presence_only.search.sampling import draw_batch
from presence_only.search.settings import SearchSettings
from presence_only.search.space import Range, Searched
from presence_only.search.trials import Trial, bars

# What a search is begun with that is known by a hash alone.
WHOLE = {"code": "other code of a trial", "training data": "other training data"}


@dataclass(frozen=True)
class Search:
    """What is searched for.

    Args:
        dataset: Name of the data set.
        training: Folder of its records and background sites; nothing else of it is read.
        searched: The variant and its space.
        settings: How the search is done.
        code: Fingerprint of the code of a trial.
    """

    dataset: str
    training: Path
    searched: Searched
    settings: SearchSettings
    code: str = ""

    @property
    def name(self) -> str:
        """Data set and variant."""
        return f"{self.dataset}/{self.searched.name}"

    def identity(self) -> dict[str, Any]:
        """All that the trials depend on, as plain values by their keys in params.yaml; their number is not among it."""
        settings = self.settings.model_dump(mode="json", exclude={"trials", "spaces"})
        space = {name: _plain(dimension) for name, dimension in self.searched.dimensions.items()}
        return {
            "search": settings | {"spaces": {self.searched.space: space}},
            "variants": {self.searched.name: self.searched.variant.resolved()},
            "training data": content_hash(self.training),
            "code": self.code,
        }


def _plain(dimension: Any) -> Any:
    """A dimension as JSON has it."""
    if isinstance(dimension, Range):
        return {"low": dimension.low, "high": dimension.high, "log": dimension.log}
    return list(dimension.values)


def check_unchanged(journal: Journal, search: Search) -> None:
    """Note what a search is begun with, or refuse to go on with another.

    Raises:
        SettingsError: If the journal was begun with other settings, other data or other code.
    """
    now, before = search.identity(), journal.identity
    if before is None:
        journal.begin(now)
        return
    difference = _difference(before, now)
    if difference is not None:
        raise SettingsError(
            f"the search {search.name} was begun with {difference}; put that back to go on, "
            "or add --fresh to begin anew"
        )


def _difference(before: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> str | None:
    """What differs first, in words; None if nothing does."""
    for key in [*now, *(key for key in before if key not in now)]:
        old, new = before.get(key), now.get(key)
        name = f"{where}.{key}" if where else str(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found = _difference(old, new, name)
            if found is not None:
                return found
        elif old != new:
            if name in WHOLE:
                return WHOLE[name]
            words = ["nothing" if key not in values else repr(values[key]) for values in (before, now)]
            return f"{name} = {words[0]}, which is {words[1]} now"
    return None


class _Keeper(Watcher):
    """Keeps every trial that ends before anybody else hears of it."""

    def __init__(self, keep: Callable[[Task, Outcome], None], watcher: Watcher) -> None:
        self._keep, self._watcher = keep, watcher

    def starts(self, task: Task) -> None:
        """A trial began."""
        self._watcher.starts(task)

    def hears(self, task: Task, event: Event) -> None:
        """Something happened to a trial."""
        if isinstance(event, Finished):
            self._keep(task, event.value)
        self._watcher.hears(task, event)

    def waits(self) -> None:
        """Nothing happened for a second."""
        self._watcher.waits()


def run_search(
    search: Search,
    journal: Journal,
    executor: Executor,
    *,
    watcher: Watcher = NOBODY,
    kept: Callable[[Sequence[Trial]], None] | None = None,
) -> list[Trial]:
    """Run every trial that the journal does not have.

    Args:
        search: What is searched for.
        journal: What is done; a trial that ends is kept at once.
        executor: Runs the trials of a batch side by side.
        watcher: Is told of all that happens.
        kept: Called with all trials, by their numbers, whenever one was kept.

    Returns:
        All trials of the journal, by their numbers; more than were asked for if it had more.

    Raises:
        UserError: The first that a trial raised; the other trials are ended with the executor.
    """
    settings, searched = search.settings, search.searched
    trials = journal.trials()

    def in_order() -> list[Trial]:
        return [trials[number] for number in sorted(trials)]

    for first in range(0, settings.trials, settings.parallel):
        numbers = range(first, min(first + settings.parallel, settings.trials))
        missing = [number for number in numbers if number not in trials]
        if not missing:
            continue
        earlier = [trials[number] for number in range(first)]
        # The whole batch, so that a search of more trials goes on as if it had had them from the start.
        drawn = draw_batch(searched.dimensions, searched.present, earlier, settings.parallel, settings.seed)
        limits = bars(earlier, settings.pruning)
        tasks = {number: _task(search, number, drawn[number - first], limits) for number in missing}
        by_key = {task.key: number for number, task in tasks.items()}

        def keep(task: Task, outcome: Outcome) -> None:
            number = by_key[task.key]  # noqa: B023 - it is called before the next batch
            value = None if outcome.state == DIVERGED else outcome.criteria[settings.criterion]
            trials[number] = Trial(number, drawn[number - first], outcome, value)  # noqa: B023
            journal.add(trials[number], searched.dimensions)
            if kept is not None:
                kept(in_order())

        run_tasks(tasks.values(), executor, watcher=_Keeper(keep, watcher))
    return in_order()


def _task(search: Search, number: int, tried: Mapping[str, Any], limits: Mapping[int, float]) -> Task:
    """One trial as a task."""
    settings = search.settings
    variant = search.searched.with_settings(tried)
    plan = Plan(variant, settings.held_out, settings.criterion, settings.seed, settings.pruning.checks, limits)
    return Task(
        key=task_key(search, number),
        work=partial(run_trial, plan),
        inputs={"training": search.training},
        label=f"trial {number}",
        kind="trial",
        hint=", or search a smaller training.batch_size",
        words=partial(words_of_trial, settings.criterion),
        needs_gpu=variant.may_use_gpu,
    )


def task_key(search: Search, number: int) -> str:
    """The key of a trial's task."""
    return f"search {search.name} {number}"


def words_of_trial(criterion: str, epochs: int, value: float) -> str:
    """What is said of a trial while it runs."""
    return f"{criterion} {value:.4f} after {epochs} epochs" if value == value else f"{epochs} epochs"
