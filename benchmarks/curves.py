"""Curves of mAP against CPU time, for the benchmarks that compare ways to train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class Check:
    """How a run stands after some CPU seconds and steps.

    Args:
        seconds: CPU time of the steps so far, without checks.
        steps: Taken so far.
        species_map: mAP of the survey.
        held_out: Loss of records that training never saw; NaN where nobody asks.
    """

    seconds: float
    steps: float
    species_map: float
    held_out: float = float("nan")


def moment(checks: Sequence[Check], goal: float) -> float:
    """CPU seconds at which a mAP was first reached, linear between checks; NaN: never."""
    for before, check in pairwise([Check(0.0, 0, 0.0), *checks]):
        if check.species_map >= goal:
            share = (goal - before.species_map) / max(check.species_map - before.species_map, 1e-12)
            return before.seconds + share * (check.seconds - before.seconds)
    return float("nan")


def level(checks: Sequence[Check], seconds: float) -> float:
    """The mAP at some CPU seconds, linear between checks."""
    return float(np.interp(seconds, [check.seconds for check in checks], [check.species_map for check in checks]))
