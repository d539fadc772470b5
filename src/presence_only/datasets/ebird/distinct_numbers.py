"""Distinct numbers out of many batches, such as those of all checklists: 8 bytes each.

Shape legend: N numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray


class Numbers:
    """Distinct numbers out of many batches."""

    def __init__(self) -> None:
        self._parts: list[NDArray[Any]] = []
        self._waiting = self._known = 0

    def add(self, numbers: pl.Series) -> None:
        """Further numbers, of which none is null."""
        self._parts.append(numbers.unique().to_numpy())
        self._waiting += len(self._parts[-1])
        # Each time as many wait as are known, so that the work grows no faster than their number.
        if self._waiting > self._known + 1_000_000:
            self.all()

    def all(self) -> NDArray[Any]:
        """All numbers so far, each once, ascending."""
        if self._waiting:
            self._parts = [np.unique(np.concatenate(self._parts))]
        self._waiting, self._known = 0, sum(map(len, self._parts))
        return self._parts[0] if self._parts else np.empty(0, dtype=np.int64)


def are_in(number_N: NDArray[np.int64], sorted_numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether numbers are among sorted ones, shape (N,)."""
    if len(sorted_numbers) == 0:
        return np.zeros(len(number_N), dtype=bool)
    place_N = np.minimum(np.searchsorted(sorted_numbers, number_N), len(sorted_numbers) - 1)
    found_N: NDArray[np.bool_] = sorted_numbers[place_N] == number_N
    return found_N
