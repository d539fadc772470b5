"""A search that is small enough for a test: its settings, its data, and an executor in this process."""

import random
from collections import deque

from support import tiny

from presence_only.execution.task import Failed, Finished, Lost, Progressed
from presence_only.execution.work import run_work
from presence_only.search.run import Search
from presence_only.search.settings import SearchSettings
from presence_only.search.space import Searched
from presence_only.study.params import Tree

SPACE = {
    "training.learning_rate": {"low": 0.001, "high": 0.1, "log": True},
    "training.beta2": [0.9, 0.99],
    "training.epochs": {"low": 2, "high": 6},
}
SEARCH = {
    "trials": 12,
    "parallel": 3,
    "held_out": {"resolution": 0, "folds": 3},
    "pruning": {"startup": 3, "checks": 3},
    "spaces": {"bce": SPACE},
}


def tree(search=SEARCH, **changes):
    """The tiny study with a group `search`; ``changes`` are those of ``tiny.params``."""
    return Tree.parse(tiny.params(search=search, **changes), "")


def searched(space=None, name="bce", **changes):
    """A variant of the tiny study with its space."""
    whole = tree(SEARCH | {"spaces": {name: SPACE if space is None else space}}, **changes)
    return Searched.of(whole, SearchSettings.parse(whole.search, "search"), name)


def search_of(folder, search=SEARCH, **changes):
    """A search on a data set that is written into ``folder``, unless it is there."""
    if not folder.exists():
        tiny.dataset(rows=200).training.save(folder)
    whole = tree(search, **changes)
    settings = SearchSettings.parse(whole.search, "search")
    return Search("virtual", folder, Searched.of(whole, settings, "bce"), settings)


class InThisProcess:
    """Runs tasks in this process when the next event is asked for.

    Args:
        slots: How many tasks can be submitted at a time.
        seed: Which of them comes next; None: the first.
        loses: Keys of tasks that lose their worker once.
        stops_after: Raise KeyboardInterrupt after so many finished tasks.
    """

    def __init__(self, slots=4, seed=None, loses=(), stops_after=None):
        self.slots = slots
        self.random = None if seed is None else random.Random(seed)
        self.loses, self.stops_after = set(loses), stops_after
        self.submitted, self.ran, self.events = [], [], deque()

    def has_room(self, _):
        return len(self.submitted) < self.slots

    def submit(self, task):
        self.submitted.append(task)

    def next_event(self, timeout=None):
        if not self.events:
            place = 0 if self.random is None else self.random.randrange(len(self.submitted))
            self.run(self.submitted.pop(place))
        return self.events.popleft()

    def run(self, task):
        if task.key in self.loses:
            self.loses.remove(task.key)
            self.events.append(Lost(task.key, "its process ended with signal 9"))
            return
        if self.stops_after == len(self.ran):
            raise KeyboardInterrupt
        self.ran.append(task.key)

        def report(done, total, number):
            self.events.append(Progressed(task.key, done, total, number))

        try:
            self.events.append(Finished(task.key, run_work(task.work, task.inputs, task.output, report)))
        except Exception as error:
            self.events.append(Failed(task.key, error))

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
