"""Progress of a search: a line per trial with the best so far, bars on a terminal, and the time left."""

from __future__ import annotations

from collections.abc import Sequence

from presence_only.execution.task import Task
from presence_only.pipeline.progress import Display
from presence_only.search.objective import DIVERGED, PRUNED, Outcome
from presence_only.search.run import Search, task_key
from presence_only.search.trials import Trial, best_of


class SearchDisplay(Display):
    """Shows the trials of a search while they run.

    Args:
        search: What is searched for.
        trials: All that have ended; the list is the caller's, who adds to it before the display hears of a trial.
    """

    def __init__(self, search: Search, trials: list[Trial]) -> None:
        ended = {trial.number for trial in trials}
        left = [number for number in range(search.settings.trials) if number not in ended]
        # What counts is how many there are.
        super().__init__([Task(task_key(search, number), _nothing, kind="trial") for number in left], search.name)
        self.search, self.trials = search, trials

    def line_of(self, task: Task, value: Outcome) -> str:
        """One line on a trial that has ended."""
        return (
            f"{task.label}: {self._ending(value)}, {value.cpu_seconds:.0f} s of CPU time; {best_in_words(self.trials)}"
        )

    def _ending(self, outcome: Outcome) -> str:
        if outcome.state == DIVERGED:
            return "training diverged"
        criterion = self.search.settings.criterion
        after = f", ended early after {outcome.share:.0%} of its epochs" if outcome.state == PRUNED else ""
        return f"{criterion} {outcome.criteria[criterion]:.4f}{after}"


def best_in_words(trials: Sequence[Trial]) -> str:
    """The best value so far, and of how many trials."""
    best = best_of(trials)
    if best is None:
        return f"none of {len(trials)} trials has finished"
    return f"best of {len(trials)}: {best.value:.4f} (trial {best.number})"


def _nothing(*_: object) -> None:
    """The work of a task that only stands for another."""
