"""Matrices that are read a part at a time, so that the whole is never held: a model's scores, a survey's truth.

Shape legend: M sites, S species, m and s some of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Matrix(Protocol):
    """A matrix (M, S) that gives parts of itself."""

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


def is_matrix(values_MS: object) -> TypeGuard[Matrix]:
    """Whether it gives parts of itself: tables have columns and rows too, but as names, or not both as methods."""
    return all(callable(getattr(values_MS, part, None)) for part in ("rows", "columns"))


def as_matrix(values_MS: Array | Matrix) -> Matrix:
    """An array (M, S) as a matrix whose parts are views of it; a matrix as it is."""
    return ArrayMatrix(values_MS) if isinstance(values_MS, np.ndarray) else values_MS


@dataclass(frozen=True, eq=False)
class ArrayMatrix:
    """A matrix that is an array, and so held whole."""

    array_MS: Array

    @property
    def shape(self) -> tuple[int, int]:
        """(M, S)."""
        n_sites, n_species = self.array_MS.shape
        return n_sites, n_species

    def columns(self, species: slice) -> Array:
        """A view of some species."""
        return self.array_MS[:, species]

    def rows(self, sites: slice) -> Array:
        """A view of some sites."""
        return self.array_MS[sites]
