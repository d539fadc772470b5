"""The continuous Boyce index: whether presences become more frequent as suitability rises.

Shape legend: P presences, K sites that they are compared with, N scores, W windows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

# Windows are a tenth of the range of suitability wide, and move in a hundred steps.
WINDOW_SHARE, WINDOWS = 0.1, 101


def boyce_index(recorded_P: Floats, background_K: Floats) -> float:
    """Rank correlation of suitability with presences per background site, within -1..1.

    A window moves over the range of suitability. In each window, the share of presences in it is divided by the share
    of background sites in it; windows without background sites are left out. The index is Spearman's correlation of
    this ratio with the window's place.

    Source: Hirzel et al. (2006), https://doi.org/10.1016/j.ecolmodel.2006.05.017, with the window of a tenth of the
    range and the 101 windows of R's ``ecospat.boyce``.

    Args:
        recorded_P: Suitability at presences, one at least, on any bounded scale.
        background_K: Suitability at the sites that presences are compared with.

    Returns:
        NaN without background, and where all suitabilities, or all ratios, are equal.
    """
    return boyce_of_sorted(np.sort(recorded_P), np.sort(background_K))


def boyce_of_sorted(recorded_P: Floats, background_K: Floats) -> float:
    """The same of suitabilities that ascend."""
    if not len(background_K):
        return float("nan")
    low, high = min(recorded_P[0], background_K[0]), max(recorded_P[-1], background_K[-1])
    width = WINDOW_SHARE * (high - low)
    starts_W, ends_W = np.linspace(low, high - width, WINDOWS), np.linspace(low + width, high, WINDOWS)

    def share_W(sorted_N: Floats) -> Floats:
        inside_W = np.searchsorted(sorted_N, ends_W, side="right") - np.searchsorted(sorted_N, starts_W, side="left")
        shares: Floats = inside_W / len(sorted_N)
        return shares

    expected_W = share_W(background_K)
    defined_W = expected_W > 0
    ratio_W = share_W(recorded_P)[defined_W] / expected_W[defined_W]
    if high == low or len(ratio_W) < 2 or np.ptp(ratio_W) == 0:
        return float("nan")
    return float(np.corrcoef(_ranks(ratio_W), np.arange(len(ratio_W)))[0, 1])


def _ranks(values_W: Floats) -> NDArray[np.float64]:
    """Ranks from 1, equal values sharing their mean rank."""
    _, place_W, count_U = np.unique(values_W, return_inverse=True, return_counts=True)
    ranks_W: NDArray[np.float64] = (np.cumsum(count_U) - (count_U - 1) / 2)[place_W]
    return ranks_W
