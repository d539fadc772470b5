"""The journal of a search: Optuna's own, in which a trial is one line, so that a kill loses no trial that has ended.

Whoever has Optuna can open it: ``optuna.load_study(study_name=..., storage=JournalStorage(JournalFileBackend(path)))``.
The numbers that Optuna counts are those of the order in which trials ended; a trial's own is its attribute ``trial``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from presence_only.execution.lock import alone
from presence_only.search.objective import Outcome
from presence_only.search.sampling import distributions_of, frozen
from presence_only.search.space import Dimensions
from presence_only.search.trials import Trial

# Attributes of the study and of its trials.
IDENTITY, NUMBER, OUTCOME = "presence_only", "trial", "outcome"


class Journal:
    """The trials of one search, on disk; :func:`open_journal` opens it.

    Args:
        path: The file, which is made if there is none.
        name: Of the search, such as ``virtual/bce``.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._open()

    def _open(self) -> None:
        """Read what there is."""
        _drop_half_a_line(self._path)
        # A kill leaves the lock of Optuna, which would wait for half a minute.
        self._path.with_name(f"{self._path.name}.lock").unlink(missing_ok=True)
        storage = JournalStorage(JournalFileBackend(str(self._path)))
        # Asked to make a study if there is none, Optuna would write a line that it tried.
        known = self._name in optuna.get_all_study_names(storage)
        self._study = (
            optuna.load_study(study_name=self._name, storage=storage)
            if known
            else optuna.create_study(storage=storage, study_name=self._name, direction="maximize")
        )

    def forget(self) -> None:
        """Remove everything, to begin anew."""
        self._path.unlink()
        self._open()

    @property
    def identity(self) -> dict[str, Any] | None:
        """What the search was begun with; None if it was not begun."""
        found: dict[str, Any] | None = self._study.user_attrs.get(IDENTITY)
        return found

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Note what the search is begun with, as JSON can hold it."""
        self._study.set_user_attr(IDENTITY, dict(identity))

    def trials(self) -> dict[int, Trial]:
        """Every trial that has ended, by its number, ascending."""
        trials = [_trial(found) for found in self._study.get_trials(deepcopy=False)]
        return {trial.number: trial for trial in sorted(trials, key=lambda trial: trial.number)}

    def add(self, trial: Trial, dimensions: Dimensions) -> None:
        """Keep a trial that has ended."""
        notes = {NUMBER: trial.number, OUTCOME: asdict(trial.outcome), "value": trial.value}
        self._study.add_trial(frozen(trial, distributions_of(dimensions), notes))


@contextmanager
def open_journal(path: Path, name: str) -> Iterator[Journal]:
    """The journal at ``path``, for this process alone while the block runs.

    Args:
        path: The file; its folder is made.
        name: Of the search.

    Raises:
        ExecutionError: If another process has it.
    """
    with alone(path.with_suffix(".in_use"), f"runs the search {name}"):
        yield Journal(path, name)


def _trial(found: FrozenTrial) -> Trial:
    """A trial from its line."""
    outcome = dict(found.user_attrs[OUTCOME])
    # JSON has no whole numbers as keys.
    outcome["looks"] = {int(look): score for look, score in outcome["looks"].items()}
    return Trial(found.user_attrs[NUMBER], found.params, Outcome(**outcome), found.user_attrs["value"])


def _drop_half_a_line(path: Path) -> None:
    """Cut off what a full disk or a power failure left of a line, behind which nothing could be read."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
