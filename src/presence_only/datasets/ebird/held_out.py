"""What is held out of training in an EBD and in its sampling file alike: years, an area, or both.

Shape legend: N rows of a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.arrays import Floats
from presence_only.data.sites import sites_of


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What is held out of training.

    Args:
        years: Years; empty: none by itself.
        within: From sites (N, 2) to whether they lie in the held-out area, shape (N,); None: no area is.
        words: What it is, to be told to the reader of the results.
    """

    years: tuple[int, ...]
    within: Callable[[Floats], NDArray[np.bool_]] | None
    words: str

    def columns(self, rows: pl.DataFrame) -> list[pl.Series]:
        """``in_area`` and ``in_years`` of every row; true for all where no area or no year is held out."""
        in_area_N = np.ones(len(rows), dtype=bool)
        if self.within is not None:
            sites_N2 = sites_of(rows)
            possible_N = (np.abs(sites_N2) <= (180, 90)).all(axis=1)
            in_area_N[~possible_N] = False
            in_area_N[possible_N] = self.within(sites_N2[possible_N])
        in_years = pl.col("year").is_in(list(self.years)).fill_null(False) if self.years else pl.lit(True)
        return [
            pl.Series("in_area", in_area_N),
            rows.select(in_years=pl.repeat(True, len(rows)) & in_years)["in_years"],
        ]

    def of_training(self) -> pl.Expr:
        """Whether training may see a row, from the columns of :meth:`columns`."""
        outside = [~pl.col("in_area")] if self.within is not None else []
        outside += [~pl.col("in_years")] if self.years else []
        return pl.all_horizontal(outside)
