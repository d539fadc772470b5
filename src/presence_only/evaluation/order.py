"""The scores of some species put in order, equal ones included: sorted once for every number that looks at ranks.

Shape legend: U species, N sites, F surveyed scores of all these species, one species after the other; T those of them
that equal another score of their species, R runs of equal scores, P presences. A place is an index into F.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presence_only.evaluation.units import Units

Array = NDArray[Any]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SIGN, _LAST = np.int32(-(2**31)), np.int32(-1)


@dataclass(frozen=True, eq=False)
class Runs:
    """Where equal scores stand among those of some species in ascending order.

    Args:
        start_U1: The scores of species u are those from ``start_U1[u]`` to ``start_U1[u + 1]``.
        first_R: Place of the first score of every run of two or more equal ones, ascending.
        end_R: Place after its last.
    """

    start_U1: Ints
    first_R: Ints
    end_R: Ints

    @classmethod
    def of(cls, sorted_F: Array, start_U1: Ints) -> Runs:
        """The runs of scores that ascend within each species."""
        equal_F = sorted_F[1:] == sorted_F[:-1]
        inner = start_U1[1:-1]
        equal_F[inner[(inner > 0) & (inner < len(sorted_F))] - 1] = False
        (tied_T,) = equal_F.nonzero()
        begins_T, ends_T = np.ones((2, len(tied_T)), dtype=bool)
        np.not_equal(tied_T[1:], tied_T[:-1] + 1, out=begins_T[1:])
        ends_T[:-1] = begins_T[1:]
        return cls(start_U1, tied_T[begins_T], tied_T[ends_T] + 2)

    def without(self, place_P: Ints) -> Runs:
        """What is left when the scores at some ascending places are taken away."""
        start_U1, first_R, end_R = (
            places - place_P.searchsorted(places) for places in (self.start_U1, self.first_R, self.end_R)
        )
        long_R = end_R > first_R + 1
        return Runs(start_U1, first_R[long_R], end_R[long_R])

    def sums_over_ranks(self, values_F: Floats) -> Floats:
        """Sum over the scores of each species of rank times value, where equal scores share their mean rank.

        Args:
            values_F: A value of every score; those of a species add up to 0, so that ranks may be counted from any.

        Returns:
            Shape (U,).
        """
        sum_U = np.zeros(len(self.start_U1) - 1)
        some_U = np.diff(self.start_U1) > 0
        ranked_F = np.arange(len(values_F)) * values_F
        sum_U[some_U] = np.add.reduceat(ranked_F, self.start_U1[:-1][some_U]) if some_U.any() else 0
        place_T, run_T = members(self.first_R, self.end_R)
        shift_T = ((self.first_R + self.end_R - 1) / 2)[run_T] - place_T
        return sum_U + np.bincount(self._unit_R[run_T], weights=shift_T * values_F[place_T], minlength=len(sum_U))

    def squares_of_ranks(self) -> Floats:
        """Sum over the scores of each species of the square of their rank, counted from the mean of all, shape (U,)."""
        n_U, n_R = (lengths.astype(np.float64) for lengths in (np.diff(self.start_U1), self.end_R - self.first_R))
        lost_U = np.bincount(self._unit_R, weights=n_R**3 - n_R, minlength=len(n_U))
        return (n_U**3 - n_U - lost_U) / 12

    @cached_property
    def _unit_R(self) -> Ints:
        """Species of every run."""
        return self.start_U1.searchsorted(self.first_R, side="right") - 1


@dataclass(frozen=True, eq=False)
class Ordered:
    """The surveyed scores of some species, ascending within each.

    Args:
        site_F: Site of every score.
        runs: Which scores are equal.
        present_F: Whether the species is present.
        place_P: Where it is.
    """

    site_F: Ints
    runs: Runs
    present_F: Bools
    place_P: Ints

    @classmethod
    def of(cls, scores_UN: Array, units: Units) -> Ordered:
        """Sort scores, of which those that were surveyed are numbers."""
        n_units, n_sites = scores_UN.shape
        site_UN = order_of(scores_UN, units.surveyed_UN)
        place_UN = site_UN + (np.arange(n_units) * n_sites)[:, None]
        if units.surveyed_UN is None:
            site_F, place_F = site_UN.ravel(), place_UN.ravel()
        else:
            surveyed_UN = np.arange(n_sites) < units.n_surveyed_U[:, None]
            site_F, place_F = site_UN[surveyed_UN], place_UN[surveyed_UN]
        start_U1 = np.concatenate(([0], units.n_surveyed_U.cumsum()))
        present_F = units.truth_UN.ravel().take(place_F) == 1
        return cls(site_F, Runs.of(scores_UN.ravel().take(place_F), start_U1), present_F, present_F.nonzero()[0])

    @cached_property
    def runs_of_absences(self) -> Runs:
        """The runs among the scores where the species is absent, by their places there."""
        return self.runs.without(self.place_P)

    @cached_property
    def bounds(self) -> tuple[Ints, Ints]:
        """Of every presence the place of the first score that is not less, and of the first one that is higher."""
        first_P, end_P = self.place_P.copy(), self.place_P + 1
        runs = self.runs
        tied_P, run_P = members(self.place_P.searchsorted(runs.first_R), self.place_P.searchsorted(runs.end_R))
        first_P[tied_P], end_P[tied_P] = runs.first_R[run_P], runs.end_R[run_P]
        return first_P, end_P


def order_of(scores_UN: Array, surveyed_UN: Bools | None = None) -> Ints:
    """Indices that sort every row, equal scores in their order, as ``argsort(kind="stable")``; none surveyed is NaN.

    Args:
        scores_UN: float32 or float64, contiguous.
        surveyed_UN: What comes first; the rest follows in some order. None: everything.
    """
    if scores_UN.dtype != np.float32:
        known_UN = scores_UN if surveyed_UN is None else np.where(surveyed_UN, scores_UN, np.nan)
        return known_UN.argsort(axis=1, kind="stable")
    # Whole numbers in the order of the scores, -0 as 0: of a negative float all bits are turned, of others the sign.
    bits_UN = (scores_UN + np.float32(0)).view(np.int32)
    key_UN = bits_UN ^ ((bits_UN >> 31) | _SIGN)
    if surveyed_UN is not None:
        key_UN[~surveyed_UN] = _LAST
    # By the lower half, then by the upper: numpy sorts numbers of 16 bits by their digits, which takes a third of the
    # time of comparing floats.
    by_low_UN = key_UN.astype(np.uint16).argsort(axis=1, kind="stable")
    row_U1 = (np.arange(len(key_UN)) * key_UN.shape[1])[:, None]
    high_UN = (key_UN >> 16).astype(np.uint16).ravel().take(by_low_UN + row_U1)
    return by_low_UN.ravel().take(high_UN.argsort(axis=1, kind="stable") + row_U1)


def members(first_R: Ints, end_R: Ints) -> tuple[Ints, Ints]:
    """The numbers of some ranges, one range after the other, and the index of the range that each is from.

    Args:
        first_R: First number of every range.
        end_R: Number after its last, at least as high.
    """
    length_R = end_R - first_R
    run_T = np.arange(len(first_R)).repeat(length_R)
    offset_R = first_R - length_R.cumsum() + length_R
    return offset_R[run_T] + np.arange(len(run_T)), run_T
