"""A piece of work, and what is told of it while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Called by a task with the steps done, the steps in all, and a number that tells how well it goes.
Report = Callable[[int, int, float], None]
# What does the work: from files and folders by name, and an empty folder to fill, to a value.
Work = Callable[[Mapping[str, Path], Path, Report], Any]


def no_words(steps: int, number: float) -> str:
    """Nothing to say of a task's progress."""
    return ""


@dataclass(frozen=True)
class Task:
    """One piece of work, from files to a folder.

    Args:
        key: Tells it from all other tasks.
        work: A function that can be pickled and computes in one thread. It reads its inputs alone, fills the output
            folder, and returns a value that can be pickled. Equal inputs give equal outputs.
        inputs: Files and folders that it reads, by name.
        output: The folder that it makes, whole or not at all; None: it gives nothing but its value.
        identity: All else that its outputs depend on, such as settings and a fingerprint of code, as text.
        after: Keys of the tasks that make what it reads.
        label: What it is called while it runs.
        kind: Tasks of a kind take about as long as each other, by which the time left is estimated.
        words: From steps done and the number that was reported with them to a few words on how well it goes.
        hint: What helps where memory is short; the end of a sentence.
        needs_gpu: Whether it runs on a GPU where there is one, alone.
    """

    key: str
    work: Work
    inputs: Mapping[str, Path] = field(default_factory=dict)
    output: Path | None = None
    identity: str = ""
    after: tuple[str, ...] = ()
    label: str = ""
    kind: str = "task"
    words: Callable[[int, float], str] = no_words
    hint: str = ""
    needs_gpu: bool = False

    @property
    def folder(self) -> Path:
        """The folder that it makes, of a task that makes one."""
        assert self.output is not None
        return self.output


@dataclass(frozen=True)
class Progressed:
    """A task reported its progress."""

    key: str
    done: int
    total: int
    number: float


@dataclass(frozen=True)
class Finished:
    """A task is done, and its output is in place."""

    key: str
    value: Any


@dataclass(frozen=True)
class Failed:
    """A task raised an exception."""

    key: str
    error: BaseException


@dataclass(frozen=True)
class Lost:
    """The process or the machine that ran a task is gone; the task can be run again."""

    key: str
    reason: str


Event = Progressed | Finished | Failed | Lost
