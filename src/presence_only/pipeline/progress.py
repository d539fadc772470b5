"""Progress of seeds that run side by side: bars on a terminal, lines in a log file, and the words in both."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress


@dataclass(frozen=True)
class Wording:
    """What is said of a cell while its seeds run.

    Args:
        label: Data set and variant.
        note: From the steps done and the number that was reported with them to a few words on where things stand.
        hint: What else helps where memory is short; the end of a sentence.
    """

    label: str
    note: Callable[[int, float], str]
    hint: str = ""


def of_training(dataset: str, variant: str) -> Wording:
    """What is said of a cell that is trained."""
    return Wording(
        f"{dataset} / {variant}",
        lambda epochs, loss: f"loss {loss:.5f} after {epochs} epochs",
        ", or lower training.batch_size",
    )


def of_evaluation(dataset: str, variant: str) -> Wording:
    """What is said of a cell that is evaluated."""
    return Wording(f"{dataset} / {variant}", lambda _, species_map: f"species mAP {species_map:.3f}")


class Display:
    """Shows what the seeds report, while a block runs.

    Args:
        wording: What to say of them.
        seeds: Which seeds run.
        updates: A queue of ``(seed, steps done, steps in all, number)``.
    """

    def __init__(self, wording: Wording, seeds: Sequence[int], updates: Any) -> None:
        self.wording = wording
        self.updates = updates
        self.bars = _Bars(wording, seeds) if sys.stdout.isatty() else None
        self.thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> None:
        if self.bars is not None:
            self.bars.progress.start()
        self.thread.start()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.updates.put(None)
            self.thread.join()
        # After an error a dead worker may hold the queue's lock; the daemon thread is left to itself.
        if self.bars is not None:
            self.bars.progress.stop()

    def _follow(self) -> None:
        """Show updates until the closing None."""
        while (update := self.updates.get()) is not None:
            seed, done, total, number = update
            note = self.wording.note(done, number)
            if self.bars is not None:
                self.bars.progress.update(self.bars.tasks[seed], completed=done, total=total, note=note)
            elif done == total:
                print(f"{self.wording.label} / seed {seed}: {note}", flush=True)


class _Bars:
    """One progress bar per seed."""

    def __init__(self, wording: Wording, seeds: Sequence[int]) -> None:
        # Not at the top: a log file has no bars, and most runs write to one.
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.progress: Progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self.tasks = {
            seed: self.progress.add_task(f"{wording.label} / seed {seed}", total=None, note="") for seed in seeds
        }
