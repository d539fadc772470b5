"""The order of one species' scores, equal ones included: sorted once for every number that looks at ranks.

Shape legend: N surveyed scores of one species, T ties, R runs of equal scores, P presences. A place is a number of
the ascending order, 0 for the lowest score.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SIGN = np.int32(-(2**31))


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of two or more equal scores among sorted ones.

    Args:
        first_R: Place of the first score of every run, ascending.
        end_R: Place after its last.
    """

    first_R: Ints
    end_R: Ints

    @classmethod
    def of(cls, sorted_N: Array) -> Runs:
        """The runs of sorted scores."""
        tied_T = np.flatnonzero(sorted_N[1:] == sorted_N[:-1])
        if not len(tied_T):
            return cls(tied_T, tied_T)
        gap = np.flatnonzero(tied_T[1:] > tied_T[:-1] + 1) + 1
        return cls(tied_T[np.concatenate(([0], gap))], tied_T[np.concatenate((gap - 1, [-1]))] + 2)

    def centred_ranks(self, n: int) -> Floats:
        """Ranks of n sorted scores, equal ones sharing their mean rank, minus the mean of all ranks."""
        rank_N = np.arange(n, dtype=np.float64)
        rank_N -= (n - 1) / 2
        if len(self.first_R):
            length_R = self.end_R - self.first_R
            start_R = np.cumsum(length_R) - length_R
            member_T = np.repeat(self.first_R - start_R, length_R) + np.arange(start_R[-1] + length_R[-1])
            rank_N[member_T] = np.repeat((self.first_R + self.end_R - n) / 2, length_R)
        return rank_N

    def square_of_ranks(self, n: int) -> float:
        """Sum of the squares of :meth:`centred_ranks`."""
        length_R = (self.end_R - self.first_R).astype(np.float64)
        return float(n**3 - n - (length_R**3 - length_R).sum()) / 12

    def without(self, place_P: Ints) -> Runs:
        """The runs of what is left when the scores at some ascending places are taken away."""
        if not len(self.first_R):
            return self
        first_R = self.first_R - np.searchsorted(place_P, self.first_R)
        end_R = self.end_R - np.searchsorted(place_P, self.end_R)
        long_R = end_R > first_R + 1
        return Runs(first_R[long_R], end_R[long_R])

    def bounds(self, place_P: Ints) -> tuple[Ints, Ints]:
        """Of the scores at some places, how many scores are less, and how many are at most as high."""
        if not len(self.first_R):
            return place_P, place_P + 1
        run_P = np.minimum(np.searchsorted(self.end_R, place_P, side="right"), len(self.first_R) - 1)
        first_P, end_P = self.first_R[run_P], self.end_R[run_P]
        within_P = (first_P <= place_P) & (place_P < end_P)
        return np.where(within_P, first_P, place_P), np.where(within_P, end_P, place_P + 1)


@dataclass(frozen=True, eq=False)
class Ordered:
    """The surveyed scores of one species in ascending order.

    Args:
        order_N: Index of every score, the lowest first.
        runs: Which are equal.
        present_N: Whether the species is present, in this order.
        place_P: Where it is.
    """

    order_N: Ints
    runs: Runs
    present_N: Bools
    place_P: Ints

    @classmethod
    def of(cls, scores_N: Array, truth_N: Array) -> Ordered:
        """Sort scores, which are numbers, with their truth: 1 present, 0 absent."""
        order_N = order_of(scores_N)
        present_N = truth_N.take(order_N) == 1
        return cls(order_N, Runs.of(scores_N.take(order_N)), present_N, np.flatnonzero(present_N))


def order_of(scores_N: Array) -> Ints:
    """Indices that sort scores, none NaN; equal ones stay in their order, as with ``argsort(kind="stable")``."""
    if scores_N.dtype != np.float32:
        return np.argsort(scores_N, kind="stable")
    # Whole numbers in the order of the scores, -0 as 0: of a negative float all bits are turned, of others the sign.
    bits_N = (scores_N + np.float32(0)).view(np.int32)
    key_N = bits_N ^ ((bits_N >> 31) | _SIGN)
    # By the lower half, then by the upper: numpy sorts numbers of 16 bits by their digits, which takes a third of the
    # time of comparing floats.
    low_N, high_N = key_N.astype(np.uint16), (key_N >> 16).astype(np.uint16)
    by_low_N = np.argsort(low_N, kind="stable")
    return by_low_N.take(np.argsort(high_N.take(by_low_N), kind="stable"))
