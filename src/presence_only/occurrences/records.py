"""Presence records as one table, on the whole way from the reader of a file to the training rows.

A row of the table is one species seen at one site. Every step takes the table and returns it with fewer rows or further
columns. A column means the same everywhere:

| column | type | written by | meaning |
|---|---|---|---|
| longitude, latitude | Float64 | reader | degrees WGS84 |
| species | String | reader | name of the species; null where a row is of no species |
| group | String | reader | taxon group of the species, such as its class: its target group |
| key | String | reader | what tells species of one name apart |
| uncertainty_m | Float64 | reader | coordinate uncertainty in metres |
| year, month, day | Int32 | reader | when it was seen |
| date_text | Int32 | reader | a negative number of the text of a date that is no day, plain month or plain year |
| shared_visit | Int64 | reader | number of a visit that several observers report, each for himself; null for others |
| suspect | Boolean | reader | whether the record is not good enough to train on, though a survey may have it |
| open_name | String | reader | the name of a row that is not identified to a species; null elsewhere |
| unread_coordinates, unread_uncertainty, unread_date | String | reader | a text that was not understood, or null |
| visit | Int64 | reader | number of a row's visit, by which predictors are joined; kept where the file has it |
| code | Int32 | cleaning | place of the species among those met in the file |
| date | Int32 | cleaning | year * 10,000 + month * 100 + day, with 0 for what is unknown; or date_text |
| week | UInt8 | cleaning | week of the year, 1..48, four a month; where weeks are read |
| row | UInt32 | training rows | number of the training row, ascending; records of a row share site and week |

A reader writes the columns that its file has, and further ones for rules of its own. Cleaning makes ``species`` and
``group`` an Enum: the categories of ``species`` are the vocabulary, in its order, and stay when their last record goes.

Shape legend: N records, S species.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError

# What a reader may write, beside columns for rules of its own.
READER_COLUMNS: dict[str, Any] = {
    "longitude": pl.Float64,
    "latitude": pl.Float64,
    "uncertainty_m": pl.Float64,
    "year": pl.Int32,
    "month": pl.Int32,
    "day": pl.Int32,
    "species": pl.String,
    "key": pl.String,
    "group": pl.String,
    "date_text": pl.Int32,
    "shared_visit": pl.Int64,
    "suspect": pl.Boolean,
    "open_name": pl.String,
    "unread_coordinates": pl.String,
    "unread_uncertainty": pl.String,
    "unread_date": pl.String,
}


@dataclass(frozen=True, eq=False)
class RecordTable:
    """Cleaned records in the order of the file, and what the cleaning left.

    Args:
        table: Columns longitude, latitude, species, group and, where weeks are read, week; and visit and suspect, where
            the reader gave them.
        filters: Each rule of the cleaning in the order of use, with the rows that remained after it;
            the first entry is ``("read", rows of the file)``.
        training_rule: What the funnel calls the rule that suspect records break.

    Raises:
        DataError: If no record is left.
    """

    table: pl.DataFrame
    filters: tuple[tuple[str, int], ...] = ()
    training_rule: str = "not suspect"

    def __post_init__(self) -> None:
        if len(self.table) == 0:
            raise DataError(f"no record is left after cleaning{none_left(self.filters)}; loosen a rule")

    @classmethod
    def of(
        cls,
        sites_N2: Floats,
        species_N: Ints,
        species: Sequence[str],
        groups: Sequence[str],
        week_N: Ints | None = None,
        filters: tuple[tuple[str, int], ...] = (),
        visit_N: pl.Series | None = None,
    ) -> Self:
        """A table of arrays.

        Args:
            sites_N2: Longitude, latitude of every record.
            species_N: Species index of every record, 0 <= index < S.
            species: Name of every species, unique.
            groups: Taxon group of every species.
            week_N: Week of every record, 1..48; None where none is read.
            filters: What the cleaning left.
            visit_N: Number of the visit of every record, null where unknown; None where no visits are read.

        Raises:
            DataError: If shapes disagree.
        """
        if len(groups) != len(species):
            raise DataError(f"{len(species)} species names with {len(groups)} groups: each needs one")
        if species_N.shape != (len(sites_N2),):
            raise DataError(f"{len(species_N)} species for {len(sites_N2)} records: must agree")
        names, group_S = np.unique(np.array(groups, dtype=np.str_), return_inverse=True)
        columns = {
            "longitude": pl.Series(sites_N2[:, 0], dtype=pl.Float64),
            "latitude": pl.Series(sites_N2[:, 1], dtype=pl.Float64),
            "species": enum_column(species, species_N),
            "group": enum_column(names.tolist(), group_S[species_N]),
        }
        if week_N is not None:
            columns["week"] = pl.Series(week_N).cast(pl.UInt8)
        if visit_N is not None:
            columns["visit"] = visit_N
        return cls(pl.DataFrame(columns), filters)


def none_left(filters: Sequence[tuple[str, int]]) -> str:
    """Which rule left nothing, and how many rows each rule before it left that dropped some, for a sentence."""
    last = next((i for i, (_, rows) in enumerate(filters) if rows == 0), 0)
    if last == 0:
        return ""
    (rule, _), (_, before) = filters[last], filters[last - 1]
    dropping = [filters[i] for i in range(last) if i == 0 or filters[i][1] < filters[i - 1][1]]
    steps = "; ".join(f"{name}: {rows:,}" for name, rows in dropping)
    return f": the rule {rule!r} left 0 rows of {before:,}" + (f" (rows before - {steps})" if len(dropping) > 1 else "")


def enum_column(names: Sequence[str], index_N: Ints) -> pl.Series:
    """A column of names, given by their places among all that there are."""
    return pl.Series(names, dtype=pl.Enum(names)).gather(index_N)


def categories(column: pl.Series) -> tuple[str, ...]:
    """All names that a column of :func:`enum_column` may hold, in their order."""
    kind = column.dtype
    assert isinstance(kind, pl.Enum)
    return tuple(kind.categories)


def places(column: pl.Series) -> NDArray[np.int64]:
    """Place of every name of a column among its :func:`categories`, shape (N,)."""
    return column.to_physical().to_numpy().astype(np.int64)


def group_places(table: pl.DataFrame) -> NDArray[np.int64]:
    """Place of the group of every species of the vocabulary, shape (S,); -1 for a species without a record."""
    group_S = np.full(len(categories(table["species"])), -1)
    group_S[places(table["species"])] = places(table["group"])
    return group_S
