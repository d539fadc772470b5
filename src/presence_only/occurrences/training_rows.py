"""Training rows from records: one per record, or one per h3 cell (and week) with all species recorded there.

Source: H3, https://h3geo.org; lists of species by cell and week as in the BirdNET geomodel,
https://github.com/birdnet-team/geomodel

Shape legend: N records or rows, P records of rows, U distinct cells, S species.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.arrays import Ints
from presence_only.data.sites import WEEKS, sites_of, weeks_of
from presence_only.geography.h3_cells import cells_of, centres_of
from presence_only.occurrences.records import categories, enum_column, group_places, places


def record_rows(table: pl.DataFrame) -> pl.DataFrame:
    """The records, each a training row of its own, in their order."""
    return table.with_columns(pl.Series("row", np.arange(len(table), dtype=np.uint32)))


def checklist_rows(table: pl.DataFrame, *, resolution: int) -> pl.DataFrame:
    """Records of which all in one cell, or in a cell and week, are one training row, each species once.

    A row's site is the centre of its cell. Rows are in the order of the cells' numbers and of the
    weeks, the species of a row in the order of the vocabulary.

    Args:
        table: Records; without weeks a cell is one row, whatever the week.
        resolution: h3 resolution of the cells, 0..15.
    """
    species_N, week_N = places(table["species"]), weeks_of(table)
    cells_U, cell_N = np.unique(cells_of(sites_of(table), resolution), return_inverse=True)
    weeks, species = (WEEKS if week_N is not None else 1), int(species_N.max(initial=0)) + 1
    # One number for cell, week and species, so that sorting once finds what is distinct.
    place_N = cell_N if week_N is None else cell_N * weeks + (week_N - 1)
    place_P, species_P = np.divmod(_distinct_numbers(place_N * species + species_N), species)
    sites_P2 = centres_of(cells_U)[place_P // weeks]
    columns = {
        "longitude": pl.Series(sites_P2[:, 0]),
        "latitude": pl.Series(sites_P2[:, 1]),
        "species": enum_column(categories(table["species"]), species_P),
        "group": enum_column(categories(table["group"]), group_places(table)[species_P]),
    }
    if week_N is not None:
        columns["week"] = pl.Series((place_P % weeks + 1).astype(np.uint8))
    columns["row"] = pl.Series((np.cumsum(_starts(place_P)) - 1).astype(np.uint32))
    return pl.DataFrame(columns)


def rows_of(table: pl.DataFrame) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether a record is the first of its training row, and the place of its row in the table, shapes (P,).

    Places count the rows that have a record here, so that a part of a table has rows 0, 1, 2, ... again.
    """
    first_P = _starts(table["row"].to_numpy())
    return first_P, np.cumsum(first_P) - 1


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


def _starts(values_P: Ints) -> NDArray[np.bool_]:
    """Whether a value differs from the one before it."""
    starts_P = np.ones(len(values_P), dtype=np.bool_)
    starts_P[1:] = values_P[1:] != values_P[:-1]
    return starts_P


def _distinct_numbers(values_N: Ints) -> Ints:
    """The distinct values, ascending; sorts in place, as the array is as long as the records."""
    values_N.sort()
    kept: Ints = values_N[_starts(values_N)]
    return kept
