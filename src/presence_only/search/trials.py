"""Trials of a search: what was tried, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from presence_only.search.objective import FINISHED, Outcome
from presence_only.search.settings import PruningSettings


@dataclass(frozen=True)
class Trial:
    """One trial that has ended.

    Args:
        number: Counted from 0.
        settings: What was tried, in the order of the space.
        outcome: What became of it.
        value: The value of the search's criterion; None if training diverged. Of a pruned trial it is that at its end.
    """

    number: int
    settings: Mapping[str, Any]
    outcome: Outcome
    value: float | None

    @property
    def finished(self) -> bool:
        """Whether it was trained to the end, and can win."""
        return self.outcome.state == FINISHED


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The finished trial with the highest value, the first of equals; None if none has finished."""
    finished = [trial for trial in trials if trial.finished]
    return max(finished, key=lambda trial: (trial.value, -trial.number)) if finished else None


def bars(trials: Sequence[Trial], settings: PruningSettings) -> dict[int, float]:
    """Look to the score below which a trial is ended early: a quantile of those of the finished trials.

    Source: the rule of Optuna's ``PercentilePruner``, but for the score at the look in place of the best so far.
    """
    finished = [trial.outcome.looks for trial in trials if trial.finished]
    if len(finished) < settings.startup or settings.checks == 1:
        return {}
    looks = sorted({look for scores in finished for look in scores})
    return {
        look: float(np.quantile([scores[look] for scores in finished if look in scores], settings.quantile))
        for look in looks
    }
