"""Bootstrap of means over seeds and species: the one by which every interval of a single data set is made.

Shape legend: K variants, V seeds, U units (species or sites), R resamples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Resamples of every table.
RESAMPLES = 2000
# Resamples made at a time, and how often units are drawn for them at once: 16 MB of counts.
_BLOCK, _DRAWN = 100, 2**21


def bootstrap_means(values_KVU: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Means of every variant under resampled seeds and units, shape (R, K).

    Each resample draws seeds with replacement, and of each the same units drawn with replacement; all
    variants by the same draw, so that differences are paired. Seeds are few: their deviations are
    widened by sqrt(V / (V - 1)), without which a resample varies too little. What the interval then
    lacks is the width that not knowing the seeds' variance costs, which
    :func:`~presence_only.statistics.paired.crossed_test` has.

    The mean of a seed is that over the drawn units where it is defined. The same shape and generator give the
    same draws.

    Source: Owen (2007), https://doi.org/10.1214/07-AOAS122, crossed factors; Davison and Hinkley (1997),
    section 3.8, hierarchical data and the widening.

    Args:
        values_KVU: NaN where undefined; every variant and seed has a value.
        resamples: Number of resamples.
        rng: Source of the draws.

    Returns:
        NaN where a resample drew no value.
    """
    n_variants, n_seeds, n_units = values_KVU.shape
    defined_QU = ~np.isnan(values_KVU).reshape(n_variants * n_seeds, n_units)
    flat_QU = np.where(defined_QU, _widened(values_KVU).reshape(defined_QU.shape), 0.0)
    whole = bool(defined_QU.all())
    means = []
    for start in range(0, resamples, _BLOCK):
        size = min(_BLOCK, resamples - start)
        # How often each seed and each unit is drawn is all that a mean needs.
        times_RV = times_drawn(rng, size, n_seeds)
        sums_RQ, counts_RQ = _sums_drawn(rng, size, flat_QU, None if whole else defined_QU)
        means_RKV = _ratio(sums_RQ, counts_RQ).reshape(size, n_variants, n_seeds)
        known_RKV = ~np.isnan(means_RKV)
        sums_RK = np.einsum("rkv,rv->rk", np.where(known_RKV, means_RKV, 0.0), times_RV)
        means.append(_ratio(sums_RK, np.einsum("rkv,rv->rk", known_RKV, times_RV)))
    return np.concatenate(means)


def times_drawn(rng: np.random.Generator, n_resamples: int, n: int) -> Floats:
    """How often each of n things is drawn in n draws with replacement, shape (n_resamples, n)."""
    # Counting drawn indices is ten times faster than the generator's multinomial.
    drawn = rng.integers(n, size=(n_resamples, n)) + n * np.arange(n_resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_resamples * n).reshape(n_resamples, n).astype(np.float64)


def _widened(values_KVU: Floats) -> Floats:
    """The values with the deviations of the seeds' means from their mean times sqrt(V / (V - 1))."""
    n_seeds = values_KVU.shape[1]
    if n_seeds == 1:
        return values_KVU
    seed_means_KV = np.nanmean(values_KVU, axis=2)
    deviation_KV = seed_means_KV - seed_means_KV.mean(axis=1, keepdims=True)
    widened_KVU: Floats = values_KVU + ((n_seeds / (n_seeds - 1)) ** 0.5 - 1) * deviation_KV[:, :, None]
    return widened_KVU


def _sums_drawn(
    rng: np.random.Generator, n_resamples: int, filled_QU: Floats, defined_QU: NDArray[np.bool_] | None
) -> tuple[Floats, Floats]:
    """Sums and counts of the defined values over units drawn with replacement, each (n_resamples, Q).

    Args:
        rng: Source of the draws.
        n_resamples: Number of resamples.
        filled_QU: Values, 0 where undefined.
        defined_QU: Where they are defined; None: everywhere.
    """
    n_units = filled_QU.shape[1]
    rows = max(1, _DRAWN // n_units)
    sums, counts = [], []
    for start in range(0, n_resamples, rows):
        times_RU = times_drawn(rng, min(rows, n_resamples - start), n_units)
        sums.append(times_RU @ filled_QU.T)
        counts.append(np.full(sums[-1].shape, float(n_units)) if defined_QU is None else times_RU @ defined_QU.T)
    return np.concatenate(sums), np.concatenate(counts)


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Floats:
    """Quotient; NaN where the denominator is 0."""
    quotient: Floats = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
