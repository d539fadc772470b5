"""Scores and truth of all sites and species, as arrays or as matrices that are made a part at a time.

Shape legend: M survey sites, m some of them, S species, s some of them. Scores and truth are (M, S); truth is 1
present, 0 absent, -1 not surveyed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Counts = NDArray[np.int64]

# Pairs of site and species that are counted at once.
_PART = 2**24


class Matrix(Protocol):
    """Scores or truth (M, S) that are made a part at a time."""

    @property
    def shape(self) -> tuple[int, int]:
        """(M, S)."""
        ...

    def columns(self, species: slice, /) -> Array:
        """The part (M, s) of some species at all sites."""
        ...

    def rows(self, sites: slice, /) -> Array:
        """The part (m, S) of all species at some sites."""
        ...


class Truth(Matrix, Protocol):
    """A truth that also knows how often each species was found."""

    def presences_per_species(self) -> Counts:
        """Number of sites where each species is present, shape (S,)."""
        ...

    def surveyed_per_species(self) -> Counts:
        """Number of sites where each species was surveyed, shape (S,)."""
        ...


def matrices(scores_MS: Array | Matrix, truth_MS: Array | Truth) -> tuple[Matrix, Truth]:
    """Scores and truth as matrices that give parts.

    Raises:
        ValueError: If the shapes disagree, or truth is an array of other numbers than integers.
    """
    if len(scores_MS.shape) != 2 or scores_MS.shape != truth_MS.shape:
        raise ValueError(
            f"scores have shape {scores_MS.shape} and truth {truth_MS.shape}: both must be (sites, species)"
        )
    if not isinstance(truth_MS, np.ndarray):
        return as_matrix(scores_MS), truth_MS
    if truth_MS.dtype != np.bool_ and not np.issubdtype(truth_MS.dtype, np.integer):
        raise ValueError(f"truth has dtype {truth_MS.dtype}: it must hold the integers 1, 0 and -1")
    return as_matrix(scores_MS), Dense(truth_MS)


def as_matrix(values_MS: Array | Matrix) -> Matrix:
    """An array or a matrix as a matrix that gives parts."""
    return Dense(values_MS) if isinstance(values_MS, np.ndarray) else values_MS


class Dense:
    """A matrix that is an array."""

    def __init__(self, whole_MS: Array) -> None:
        self._whole_MS = whole_MS

    @property
    def shape(self) -> tuple[int, int]:
        """(M, S)."""
        n_sites, n_species = self._whole_MS.shape
        return n_sites, n_species

    def columns(self, species: slice) -> Array:
        """The part (M, s) of some species at all sites."""
        return self._whole_MS[:, species]

    def rows(self, sites: slice) -> Array:
        """The part (m, S) of all species at some sites."""
        return self._whole_MS[sites]

    def presences_per_species(self) -> Counts:
        """Number of sites where each species is present, shape (S,)."""
        return self._count(lambda truth_mS: truth_mS == 1)

    def surveyed_per_species(self) -> Counts:
        """Number of sites where each species was surveyed, shape (S,)."""
        return self._count(lambda truth_mS: truth_mS >= 0)

    def _count(self, counts: Callable[[Array], Array]) -> Counts:
        """Number of rows that count, of every column; in parts, for a whole array of comparisons is large."""
        n_rows, n_columns = self.shape
        count_S = np.zeros(n_columns, dtype=np.int64)
        step = max(1, _PART // max(1, n_columns))
        for start in range(0, n_rows, step):
            count_S += np.count_nonzero(counts(self._whole_MS[start : start + step]), axis=0)
        return count_S
