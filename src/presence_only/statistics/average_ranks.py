"""Average ranks of variants over many species, and groups of variants without a significant difference.

Shape legend: K variants, U units (species or sites).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from presence_only.statistics.paired import complete


@dataclass(frozen=True)
class Ranking:
    """Variants by their average rank over units, best first.

    Args:
        variants: Names, by ascending average rank.
        ranks: Average rank of each, 1 is best.
        p_friedman: That ranks so unequal come about if all variants are alike.
        critical_difference: Difference of two average ranks beyond which Nemenyi's test calls two variants
            different at the level 1 - ``level``.
        n_units: Number of units ranked.
        level: Level of the critical difference.
    """

    variants: tuple[str, ...]
    ranks: tuple[float, ...]
    p_friedman: float
    critical_difference: float
    n_units: int
    level: float


def rank_variants(values: Mapping[str, NDArray[Any]], *, level: float = 0.95) -> Ranking:
    """Rank the variants on every unit by the mean over seeds, and average the ranks.

    The tests take the trained models as they are: they know of units, not of how much other seeds would
    change, and with hundreds of species the critical difference is small.

    Source: Demsar (2006), https://jmlr.org/papers/v7/demsar06a.html: Friedman's test in Iman and
    Davenport's form, and Nemenyi's critical difference.

    Args:
        values: Variant to values (V, U), NaN where undefined; higher is better.
        level: Level of the critical difference, within 0..1.

    Raises:
        ValueError: If there are fewer than two variants, shapes differ, no unit is defined for all, or
            ``level`` is out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level = {level}: must lie within 0..1, both excluded")
    names, values_KVU = complete(values)
    n_variants, _, n_units = values_KVU.shape
    # Rounded, so that means over seeds that differ in their last digit are ties.
    rank_KU = stats.rankdata(-values_KVU.mean(axis=1).round(12), axis=0)
    rank_K = rank_KU.mean(axis=1)
    order = np.argsort(rank_K, kind="stable")
    return Ranking(
        variants=tuple(names[k] for k in order),
        ranks=tuple(float(rank_K[k]) for k in order),
        p_friedman=_friedman(rank_KU),
        critical_difference=nemenyi_difference(n_variants, n_units, level),
        n_units=n_units,
        level=level,
    )


def nemenyi_difference(n_variants: int, n_units: int, level: float = 0.95) -> float:
    """Critical difference of average ranks, two-sided, for all pairs together."""
    quantile = float(stats.studentized_range.ppf(level, n_variants, np.inf)) / 2**0.5
    return float(quantile * (n_variants * (n_variants + 1) / (6 * n_units)) ** 0.5)


def groups(order: Sequence[str], significant: Collection[frozenset[str]]) -> tuple[tuple[str, ...], ...]:
    """The largest runs of neighbours in ``order`` among which no pair differs significantly.

    Args:
        order: Variants, best first.
        significant: Pairs that differ significantly.

    Returns:
        Runs of at least two variants, none inside another; they may overlap.
    """
    found: list[tuple[str, ...]] = []
    reach = 0
    for start, name in enumerate(order):
        end = start + 1
        while end < len(order) and not any(frozenset((order[end], other)) in significant for other in order[start:end]):
            end += 1
        if end - start > 1 and end > reach:
            found.append((name, *order[start + 1 : end]))
        reach = max(reach, end)
    return tuple(found)


def _friedman(rank_KU: NDArray[np.float64]) -> float:
    """Significance by Iman and Davenport's F: a two-way analysis of variance of the ranks."""
    n_variants, n_units = rank_KU.shape
    if n_units < 2:
        return float("nan")
    between = n_units * ((rank_KU.mean(axis=1) - rank_KU.mean()) ** 2).sum()
    within = ((rank_KU - rank_KU.mean(axis=0)) ** 2).sum() - between
    if between <= 0:
        return 1.0
    if within <= 1e-9 * between:
        return 0.0
    f = between / (n_variants - 1) / (within / ((n_variants - 1) * (n_units - 1)))
    return float(stats.f.sf(f, n_variants - 1, (n_variants - 1) * (n_units - 1)))
