"""Paired tests for variants that are scored on the same units with the same seeds.

Shape legend: K variants, V seeds, U units (species or sites), P tests.

Arrays come without NaN; :func:`complete` makes them so.

scipy is imported where a test needs it: whoever reads the table of pairs, and computes none, need not wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def complete(values: Mapping[str, NDArray[Any]]) -> tuple[tuple[str, ...], Floats]:
    """Names (K) and values (K, V, U) at the units that every run has a value for.

    Raises:
        ValueError: If there are fewer than two variants, shapes differ, or no unit is left.
    """
    if len(values) < 2:
        raise ValueError(f"{len(values)} variants are given; a comparison needs at least two")
    shapes = {name: array.shape for name, array in values.items()}
    if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 2:
        raise ValueError(f"values have shapes {shapes}: every variant needs the same (seeds, units)")
    values_KVU = np.stack([np.asarray(array, dtype=np.float64) for array in values.values()])
    values_KVU = values_KVU[:, :, ~np.isnan(values_KVU).any(axis=(0, 1))]
    if 0 in values_KVU.shape:
        raise ValueError("no seed, or no unit with a value for every variant and seed, is left to compare")
    return tuple(values), values_KVU


def crossed_test(difference_VU: Floats) -> float:
    """Two-sided p value that the mean difference is 0, if other seeds and other units could have been drawn.

    The variance of the mean is that of two crossed random factors, by mean squares. The statistic is
    held against Student's distributions with V - 1 and U - 1 degrees of freedom, weighted by the share
    of the variance that seeds and units have; with few seeds that keeps the error of the first kind near
    or below its level where a normal interval does not. One seed: over units alone.

    Source: variance of crossed factors as in Owen (2007), https://doi.org/10.1214/07-AOAS122; the weighting
    follows Cochran and Cox (1957) for two variances of unequal degrees of freedom.

    Args:
        difference_VU: Without NaN; U at least 2 for a p value other than NaN.

    Returns:
        Within 0..1; 1 if every value is 0, NaN for one unit.
    """
    n_seeds, n_units = difference_VU.shape
    if not difference_VU.any():
        return 1.0
    if n_units < 2:
        return float("nan")
    variance, share = variance_of_mean(difference_VU)
    if variance == 0:
        return 0.0
    t = abs(float(difference_VU.mean())) / variance**0.5
    return float(tail_probability(t, n_seeds, n_units, share))


def variance_of_mean(difference_VU: Floats) -> tuple[float, float]:
    """Variance of the mean of crossed seeds and units, and the seeds' share of it within 0..1."""
    n_seeds, n_units = difference_VU.shape
    seeds, units, rest = mean_squares(difference_VU)
    if n_seeds == 1:
        return units / n_units, 0.0
    # A negative component is none.
    total = max(seeds, rest) + max(units, rest) - rest
    return total / (n_seeds * n_units), seeds / (seeds + units) if seeds + units > 0 else 0.0


def mean_squares(values_VU: Floats) -> tuple[float, float, float]:
    """Mean squares of seeds, units and what is left of a table with one value a cell; NaN without freedom."""
    n_seeds, n_units = values_VU.shape
    mean = values_VU.mean()
    seed_V, unit_U = values_VU.mean(axis=1) - mean, values_VU.mean(axis=0) - mean
    rest_VU = values_VU - mean - seed_V[:, None] - unit_U
    nan = float("nan")
    return (
        n_units * float((seed_V**2).sum()) / (n_seeds - 1) if n_seeds > 1 else nan,
        n_seeds * float((unit_U**2).sum()) / (n_units - 1) if n_units > 1 else nan,
        float((rest_VU**2).sum()) / ((n_seeds - 1) * (n_units - 1)) if n_seeds > 1 and n_units > 1 else nan,
    )


def tail_probability(t: float, n_seeds: int, n_units: int, seeds_share: float) -> float:
    """Two-sided probability beyond ``t`` of Student's distributions of seeds and units, weighted."""
    from scipy.special import stdtr

    units = 2 * float(stdtr(n_units - 1, -t))
    if n_seeds == 1:
        return units
    return seeds_share * 2 * float(stdtr(n_seeds - 1, -t)) + (1 - seeds_share) * units


def signed_rank_test(difference_U: Floats) -> float:
    """Wilcoxon's two-sided p value; units without a difference are dropped, 1 if none is left."""
    if not difference_U.any():
        return 1.0
    from scipy import stats

    # Without zeros the method is chosen by size and ties, exact for few units.
    return float(stats.wilcoxon(difference_U[difference_U != 0]).pvalue)


def paired_tests(difference_VU: Floats) -> dict[str, float]:
    """The tests and effect sizes of one comparison, by their columns in results/pairs.csv.

    Args:
        difference_VU: First minus second, without NaN.

    Returns:
        ``p_seeds``: :func:`crossed_test`; ``p_units``: :func:`signed_rank_test` over units, each the mean of its seeds;
        ``rank_biserial``, within -1..1; ``share_higher``: share of units where the first is higher, equal ones
        counting one half.
    """
    difference_U = difference_VU.mean(axis=0)
    return {
        "p_seeds": crossed_test(difference_VU),
        "p_units": signed_rank_test(difference_U),
        "rank_biserial": rank_biserial(difference_U),
        "share_higher": float(np.mean((difference_U > 0) + 0.5 * (difference_U == 0))),
    }


def rank_biserial(difference_U: Floats) -> float:
    """Matched-pairs rank-biserial correlation; 0 if no unit has a difference."""
    difference_U = difference_U[difference_U != 0]
    if not len(difference_U):
        return 0.0
    from scipy import stats

    rank_U = stats.rankdata(np.abs(difference_U))
    return float((rank_U * np.sign(difference_U)).sum() / rank_U.sum())


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction; NaN counts as 1, for a test that could not be made shows nothing."""
    p_P = np.nan_to_num(np.asarray(p, dtype=np.float64), nan=1.0)
    order_P = np.argsort(p_P, kind="stable")
    stepped_P = np.minimum(np.maximum.accumulate(p_P[order_P] * np.arange(len(p_P), 0, -1)), 1.0)
    corrected_P = np.empty_like(stepped_P)
    corrected_P[order_P] = stepped_P
    return [float(value) for value in corrected_P]
