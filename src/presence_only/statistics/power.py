"""Statistical power: seeds and species that a study needs to find a difference, from the variance that it measured.

Shape legend: V seeds, U units (species).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import nctdtr, stdtrit

from presence_only.statistics.paired import complete, mean_squares, tail_probability

MOST_SEEDS, MOST_UNITS = 1000, 10_000_000
# Sizes of studies that a plan tells of: seeds, and multiples of the present units.
PLANNED_SEEDS = (4, 8, 16, 32)
DRAWN_SEEDS, DRAWN_FACTORS = (3, 4, 6, 8, 12, 16, 24, 32), (1, 4, 16, 100)
# Standard errors beyond which the noncentral t is not computed: its probability is 1 to all digits.
_FAR = 35.0


@dataclass(frozen=True)
class Components:
    """Where the variance of a paired difference between two variants comes from.

    Args:
        seeds: Variance between seeds, the same for all units.
        units: Variance between units (species), the same for all seeds.
        rest: Variance that belongs to a seed and a unit together.

    Raises:
        ValueError: If one is negative or not finite.
    """

    seeds: float
    units: float
    rest: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} = {value}: a variance must be at least 0 and finite")

    def variance(self, n_seeds: int, n_units: int) -> float:
        """Variance of the mean difference of a study of that size."""
        return self.seeds / n_seeds + self.units / n_units + self.rest / (n_seeds * n_units)


def components(difference_VU: NDArray[Any]) -> Components:
    """Variance components of a paired difference, by the mean squares of two crossed random factors.

    Source: Searle, Casella and McCulloch (1992), Variance Components, chapter 4; a negative estimate is
    taken as 0.

    Args:
        difference_VU: Difference of two variants; units with NaN are left out.

    Raises:
        ValueError: If fewer than two seeds or two units are left.
    """
    difference_VU = np.asarray(difference_VU, dtype=np.float64)
    difference_VU = difference_VU[:, ~np.isnan(difference_VU).any(axis=0)]
    n_seeds, n_units = difference_VU.shape
    if n_seeds < 2 or n_units < 2:
        raise ValueError(f"{n_seeds} seeds x {n_units} units: variance components need at least two of each")
    seeds, units, rest = mean_squares(difference_VU)
    return Components(max((seeds - rest) / n_units, 0.0), max((units - rest) / n_seeds, 0.0), rest)


def power(parts: Components, n_seeds: int, n_units: int, difference: float, *, alpha: float = 0.05) -> float:
    """Probability that the test over seeds and units finds a difference of that size.

    Args:
        parts: Variance components.
        n_seeds: Number of seeds, at least 2.
        n_units: Number of units, at least 2.
        difference: True mean difference, in the metric's unit: 0.005 are 0.5 points.
        alpha: Level of the test; for Holm's first step among n pairs, 0.05 / n.

    Returns:
        Within 0..1; the sign of the difference has to be found as well.

    Raises:
        ValueError: If an argument is out of range.
    """
    _check(n_seeds, n_units, alpha)
    variance = parts.variance(n_seeds, n_units)
    if variance == 0:
        return float(difference != 0)
    # Expected mean squares of seeds and units, which weigh the two Student distributions of the test.
    seeds = n_units * parts.seeds + parts.rest
    units = n_seeds * parts.units + parts.rest
    share = seeds / (seeds + units)
    # Between the quantiles of the two distributions lies that of their mixture.
    low, high = sorted(-float(stdtrit(n - 1, alpha / 2)) for n in (n_seeds, n_units))
    critical = brentq(lambda t: tail_probability(t, n_seeds, n_units, share) - alpha, low * 0.999, high * 1.001)
    shift = abs(difference) / variance**0.5
    # Noncentral t: the chance that the statistic passes the critical value on the side of the difference.
    by_seeds, by_units = (1 - float(nctdtr(n - 1, min(shift, _FAR), critical)) for n in (n_seeds, n_units))
    return float(np.clip(share * by_seeds + (1 - share) * by_units, 0.0, 1.0))


def seeds_needed(
    parts: Components, n_units: int, difference: float, *, wanted: float = 0.8, alpha: float = 0.05
) -> int | None:
    """Fewest seeds that find the difference with probability ``wanted``; None if even 1,000 do not."""
    return _fewest(lambda n: power(parts, n, n_units, difference, alpha=alpha) >= wanted, 2, MOST_SEEDS)


def units_needed(
    parts: Components, n_seeds: int, difference: float, *, wanted: float = 0.8, alpha: float = 0.05
) -> int | None:
    """Fewest units (species) that do, with the seeds given; None if even ten million do not."""
    return _fewest(lambda n: power(parts, n_seeds, n, difference, alpha=alpha) >= wanted, 2, MOST_UNITS)


def detectable(parts: Components, n_seeds: int, n_units: int, *, wanted: float = 0.8, alpha: float = 0.05) -> float:
    """Smallest difference that a study of that size finds with probability ``wanted``.

    Args:
        parts: Variance components.
        n_seeds: Number of seeds, at least 2.
        n_units: Number of units, at least 2.
        wanted: Probability to find it, within 0..1.
        alpha: Level of the test.

    Raises:
        ValueError: If an argument is out of range.
    """
    _check(n_seeds, n_units, alpha)
    if not alpha < wanted < 1:
        raise ValueError(f"wanted = {wanted}: must lie between alpha = {alpha} and 1")
    error = parts.variance(n_seeds, n_units) ** 0.5
    if error == 0:
        return 0.0
    high = error
    while power(parts, n_seeds, n_units, high, alpha=alpha) < wanted:
        high *= 2
    return float(brentq(lambda d: power(parts, n_seeds, n_units, d, alpha=alpha) - wanted, 0.0, high))


@dataclass(frozen=True)
class Plan:
    """What a study can tell apart of two variants, and how large it would have to be for more.

    Args:
        parts: Variance components of their difference.
        n_seeds: Seeds of the study.
        n_units: Its units (species).
        error: Standard error of the mean difference, in the metric's unit.
        shares: Part of the variance of the mean that ``seeds``, ``units`` and ``rest`` make, 0..1 each.
        wanted: The difference that is to be found.
        seeds_needed: Fewest seeds that find it with these units; None if none do.
        units_needed: Number of seeds to the fewest units that find it; None if none do.
        seeds: Numbers of seeds, ascending.
        detectable: Number of units to the smallest difference that is found, with each of these numbers of seeds.
        detectable_here: The smallest difference that the study itself finds.
    """

    parts: Components
    n_seeds: int
    n_units: int
    error: float
    shares: Mapping[str, float]
    wanted: float
    seeds_needed: int | None
    units_needed: Mapping[int, int | None]
    seeds: tuple[int, ...]
    detectable: Mapping[int, tuple[float, ...]]
    detectable_here: float


def plan_study(values: Mapping[str, NDArray[Any]], first: str, second: str, wanted: float) -> Plan | None:
    """What a study can tell apart of two of its variants, over the units that every run has a value for.

    Args:
        values: Variant to values (V, U), NaN where undefined; all variants of the study.
        first: One of the two.
        second: The other.
        wanted: The difference that is to be found, in the metric's unit.

    Returns:
        The plan; None with fewer than two seeds or two units, which tell nothing of a variance.

    Raises:
        ValueError: If there are fewer than two variants, shapes differ, or no unit is left.
    """
    names, values_KVU = complete(values)
    _, n_seeds, n_units = values_KVU.shape
    if n_seeds < 2 or n_units < 2:
        return None
    parts = components(values_KVU[names.index(first)] - values_KVU[names.index(second)])
    variance = parts.variance(n_seeds, n_units)
    of_mean = {
        "seeds": parts.seeds / n_seeds,
        "units": parts.units / n_units,
        "rest": parts.rest / (n_seeds * n_units),
    }
    return Plan(
        parts=parts,
        n_seeds=n_seeds,
        n_units=n_units,
        error=variance**0.5,
        shares={name: part / (variance or 1.0) for name, part in of_mean.items()},
        wanted=wanted,
        seeds_needed=seeds_needed(parts, n_units, wanted),
        units_needed={n: units_needed(parts, n, wanted) for n in sorted({n_seeds, *PLANNED_SEEDS})},
        seeds=DRAWN_SEEDS,
        detectable={
            factor * n_units: tuple(detectable(parts, n, factor * n_units) for n in DRAWN_SEEDS)
            for factor in DRAWN_FACTORS
        },
        detectable_here=detectable(parts, n_seeds, n_units),
    )


def _fewest(enough: Any, low: int, most: int) -> int | None:
    """The smallest number of ``low`` to ``most`` that is enough, by doubling and bisection."""
    high = low
    while not enough(high):
        if high == most:
            return None
        low, high = high + 1, min(2 * high, most)
    while low < high:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle + 1
    return high


def _check(n_seeds: int, n_units: int, alpha: float) -> None:
    if n_seeds < 2 or n_units < 2:
        raise ValueError(f"{n_seeds} seeds x {n_units} units: power needs at least two of each")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha = {alpha}: must lie within 0..1, both excluded")
