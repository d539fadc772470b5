"""The scores of some species put in order, equal ones included: sorted once for every number that looks at ranks.

Shape legend: U species, N surveyed sites of one species, F those of all these species, one species after the other;
T scores that equal another score of their species, R runs of equal scores, P presences. A place is an index into F.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presence_only.data.truth import PRESENT
from presence_only.evaluation.units import Units

Array = NDArray[Any]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SIGN = np.int32(-(2**31))


@dataclass(frozen=True, eq=False)
class Ordered:
    """The surveyed scores of some species, ascending within each.

    Args:
        start_U1: The scores of species u are those from ``start_U1[u]`` to ``start_U1[u + 1]``.
        site_F: Site of every score.
        place_P: Where the species is present, ascending.
        first_R: Place of the first score of every run of two or more equal ones, ascending.
        end_R: Place after its last.
    """

    start_U1: Ints
    site_F: Ints
    place_P: Ints
    first_R: Ints
    end_R: Ints

    @classmethod
    def of(cls, scores_UN: Array, units: Units) -> Ordered:
        """Sort scores, of which those that were surveyed are numbers."""
        start_U1 = np.concatenate(([0], units.n_surveyed_U.cumsum()))
        site_F = np.empty(start_U1[-1], dtype=np.int64)
        tied, present = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
        # Species by species, so that everything about one stays in the cache.
        for u, (start, stop) in enumerate(pairwise(start_U1.tolist())):
            scores_N, truth_N = units.surveyed(u, scores_UN[u]), units.surveyed(u, units.truth_UN[u])
            order_N = order_of(scores_N, out=site_F[start:stop])
            sorted_N = scores_N.take(order_N)
            tied.append((sorted_N[1:] == sorted_N[:-1]).nonzero()[0] + start)
            present.append((truth_N.take(order_N) == PRESENT).nonzero()[0] + start)
            if units.surveyed_UN is not None:
                order_N[:] = units.surveyed_UN[u].nonzero()[0][order_N]
        return cls(start_U1, site_F, np.concatenate(present), *_runs(np.concatenate(tied)))

    def unit_of(self, places: Ints) -> Ints:
        """The species that each place belongs to."""
        return self.start_U1.searchsorted(places, side="right") - 1

    @cached_property
    def bounds(self) -> tuple[Ints, Ints]:
        """Of every presence the place of the first score that is not less, and of the first one that is higher."""
        first_P, end_P = self.place_P.copy(), self.place_P + 1
        tied_P, run_P = members(self.place_P.searchsorted(self.first_R), self.place_P.searchsorted(self.end_R))
        first_P[tied_P], end_P[tied_P] = self.first_R[run_P], self.end_R[run_P]
        return first_P, end_P

    def shifts(self) -> tuple[Ints, Floats]:
        """Of the scores that equal another: their places, and how far from there the mean place of their run lies.

        A rank that equal scores share is a place, shifted so, which few are.
        """
        place_T, run_T = members(self.first_R, self.end_R)
        return place_T, ((self.first_R + self.end_R - 1) / 2)[run_T] - place_T

    def squares(self) -> Floats:
        """Sum over the scores of each species of the square of their rank, counted from the mean of all; shape (U,)."""
        n_U, n_R = (lengths.astype(np.float64) for lengths in (np.diff(self.start_U1), self.end_R - self.first_R))
        lost_U = np.bincount(self.unit_of(self.first_R), weights=n_R**3 - n_R, minlength=len(n_U))
        return (n_U**3 - n_U - lost_U) / 12

    def absences_vary(self) -> NDArray[np.bool_]:
        """Whether a species has unequal scores where it is absent, shape (U,)."""
        n_absent_U = np.diff(self.start_U1 - self.place_P.searchsorted(self.start_U1))
        first_R, end_R = (places - self.place_P.searchsorted(places) for places in (self.first_R, self.end_R))
        vary_U = n_absent_U > 1
        unit_R = self.unit_of(self.first_R)
        vary_U[unit_R[end_R - first_R == n_absent_U[unit_R]]] = False
        return vary_U


def order_of(scores_N: Array, out: Ints | None = None) -> Ints:
    """Indices that sort scores, none NaN; equal ones stay in their order, as with ``argsort(kind="stable")``.

    Args:
        scores_N: float32 or float64.
        out: Where the indices are put; None: into a new array.
    """
    if scores_N.dtype != np.float32:
        return np.positive(scores_N.argsort(kind="stable"), out=out)
    # Whole numbers in the order of the scores, -0 as 0: of a negative float all bits are turned, of others the sign.
    bits_N = (scores_N + np.float32(0)).view(np.int32)
    key_N = bits_N >> 31
    key_N |= _SIGN
    key_N ^= bits_N
    # By the lower half, then by the upper: numpy sorts numbers of 16 bits by their digits, which takes a third of the
    # time of comparing floats.
    by_low_N = key_N.astype(np.uint16).argsort(kind="stable")
    key_N >>= 16
    high_N = key_N.astype(np.uint16).take(by_low_N)
    # All indices are within bounds; to say so spares a buffer.
    return by_low_N.take(high_N.argsort(kind="stable"), out=out, mode="clip")


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


def _runs(tied_T: Ints) -> tuple[Ints, Ints]:
    """First place of every run and place after its last, from the places whose score equals that of the next place."""
    begins_T, ends_T = np.ones((2, len(tied_T)), dtype=bool)
    np.not_equal(tied_T[1:], tied_T[:-1] + 1, out=begins_T[1:])
    ends_T[:-1] = begins_T[1:]
    return tied_T[begins_T], tied_T[ends_T] + 2
