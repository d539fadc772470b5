"""Training rows from records: one a record, or one an h3 cell (in a week) with all species recorded there.

Source: H3, https://h3geo.org; lists of species by cell and week as in the BirdNET geomodel,
https://github.com/birdnet-team/geomodel

Shape legend: N records or rows, P positives, U distinct cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.arrays import Floats, Ints
from presence_only.data.sites import WEEKS
from presence_only.geography.h3_cells import cells_of, centres_of


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows before they have covariates and a vocabulary.

    Args:
        sites_N2: Longitude, latitude of every row.
        row_P: Row of every positive, ascending.
        species_P: Species of every positive; a species stands once a row.
        week_N: Week of every row, 1..48, where weeks are read.
    """

    sites_N2: Floats
    row_P: Ints
    species_P: Ints
    week_N: Ints | None = None

    def take(self, kept_N: NDArray[np.bool_]) -> Rows:
        """The rows of a mask, with their positives."""
        kept_P = kept_N[self.row_P]
        row_P = (np.cumsum(kept_N) - 1)[self.row_P[kept_P]]
        week_N = None if self.week_N is None else self.week_N[kept_N]
        return Rows(self.sites_N2[kept_N], row_P, self.species_P[kept_P], week_N)


def record_rows(sites_N2: Floats, species_N: Ints, week_N: Ints | None = None) -> Rows:
    """One row a record, in the order of the records."""
    return Rows(sites_N2, np.arange(len(species_N)), species_N, week_N)


def checklist_rows(sites_N2: Floats, species_N: Ints, week_N: Ints | None = None, *, resolution: int) -> Rows:
    """One row a cell, or a cell in a week, with every species recorded there, each once.

    A row's site is the centre of its cell. Rows are in the order of the cells' numbers and of the
    weeks, the species of a row in ascending order.

    Args:
        sites_N2: Longitude, latitude of every record.
        species_N: Species of every record.
        week_N: Week of every record, 1..48; None: whatever the week, a cell is one row.
        resolution: h3 resolution of the cells, 0..15.
    """
    cells_U, cell_N = np.unique(cells_of(sites_N2, resolution), return_inverse=True)
    weeks, species = (WEEKS if week_N is not None else 1), int(species_N.max(initial=0)) + 1
    # One number for cell, week and species, so that sorting once finds what is distinct.
    place_N = cell_N if week_N is None else cell_N * weeks + (week_N - 1)
    place_P, species_P = np.divmod(_distinct_numbers(place_N * species + species_N), species)
    first_N = np.flatnonzero(np.diff(place_P, prepend=-1))
    row_P = np.repeat(np.arange(len(first_N)), np.diff(first_N, append=len(place_P)))
    place_of_row_N = place_P[first_N]
    return Rows(
        sites_N2=centres_of(cells_U)[place_of_row_N // weeks],
        row_P=row_P,
        species_P=species_P,
        week_N=None if week_N is None else place_of_row_N % weeks + 1,
    )


def distinct(*keys_N: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What is distinct among combinations of keys, such as longitude, latitude and week.

    Returns:
        Index of the first of every distinct combination, in the order of the combinations, shape (U,);
        and the place of every one among these, shape (N,).
    """
    # Polars sorts by several keys in a third of the time of numpy's lexsort, a tenth of its unique by rows.
    names = [f"key {i}" for i in range(len(keys_N))]
    table = pl.DataFrame(dict(zip(names, keys_N, strict=True)))
    order_N = table.select(pl.arg_sort_by(names, maintain_order=True)).to_series().to_numpy()
    new_N = np.zeros(len(order_N), dtype=bool)
    new_N[:1] = True
    for key_N in keys_N:
        ordered_N = key_N[order_N]
        new_N[1:] |= ordered_N[1:] != ordered_N[:-1]
    where_N = np.empty(len(order_N), dtype=np.int64)
    where_N[order_N] = np.cumsum(new_N) - 1
    return order_N[new_N].astype(np.int64), where_N


def _distinct_numbers(values_N: Ints) -> Ints:
    """The distinct values, ascending; sorts in place, as the array is as long as the records."""
    values_N.sort()
    kept: Ints = values_N[np.concatenate([[True], values_N[1:] != values_N[:-1]])]
    return kept
