"""Tables of predictors: covariates that come with the records or the surveys, joined by the number of a visit.

- A table has a column of ids and columns of numbers. Columns without a name, coordinates, ids and species are no
  predictors; a note names those that were left out.
- Records and surveys have tables of their own, with ids of their own. A column counts if both tables have it.
- An id that stands twice counts once if its values are the same, and is an error if they are not.
- Unknown is what is empty, no number, infinite or of 1e19 and more; and a constant such as -9999 or 65535 that lies far
  from all other values of the records, by the rules of :mod:`~presence_only.geography.undeclared_nodata`. The encoder
  reads the mean in its place.

Shape legend: U distinct visits, N rows, C predictors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.columns.column_names import LATITUDES, LONGITUDES, Columns, plain_name
from presence_only.columns.numbers import number, numeric_key
from presence_only.columns.unread_words import listed
from presence_only.common.errors import DataError
from presence_only.geography.undeclared_nodata import HUGE, undeclared_fill
from presence_only.tables.reading import read_names, read_table

Float32s = NDArray[np.float32]
# What the tables call the id of a visit; that of 2023 is a place.
ID_SPELLINGS = ("surveyId", "patchID")
# Columns that are no predictors, whatever their values.
_NO_PREDICTORS = frozenset(
    map(plain_name, (*ID_SPELLINGS, *LONGITUDES, *LATITUDES, "speciesId", "timeSerieID", "glcID", "gbifID", "Id"))
)
# What pandas calls the numbers of its rows, in text and in parquet.
_ROW_NUMBERS = ("Unnamed: ", "__index_level_")
_COLUMNS = Columns((ID_SPELLINGS[0],), spellings={ID_SPELLINGS[0]: ID_SPELLINGS})


@dataclass(frozen=True)
class PredictorTable:
    """The two tables of one theme, such as the elevation.

    Args:
        name: What the settings call it.
        records: The table of the records.
        surveys: That of the surveys.
    """

    name: str
    records: Path
    surveys: Path


@dataclass(frozen=True, eq=False)
class Predictors:
    """Predictors of visits; :class:`~presence_only.occurrences.assemble.RowCovariates` of training rows.

    Args:
        names: Name of every predictor.
        visit_U: Numbers of visits, ascending.
        values_UC: Their predictors, NaN where unknown.
        found_U: Whether all tables have the visit.
        facts: What was counted: see :func:`join_predictors`.
        notes: Sentences that whoever reads the results must know.
    """

    names: tuple[str, ...]
    visit_U: NDArray[np.int64]
    values_UC: Float32s
    found_U: NDArray[np.bool_]
    facts: dict[str, int | float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def of(self, rows: pl.DataFrame) -> Float32s:
        """Predictors (N, C) of rows, by their column ``visit``; NaN where it is unknown."""
        place_N, known_N = _places(rows["visit"], self.visit_U)
        if known_N.all():
            return self.values_UC[place_N]
        values_NC = np.full((len(rows), len(self.names)), np.nan, dtype=np.float32)
        values_NC[known_N] = self.values_UC[place_N[known_N]]
        return values_NC

    def found(self, rows: pl.DataFrame) -> NDArray[np.bool_]:
        """Whether all tables have the visit of a row, shape (N,)."""
        place_N, known_N = _places(rows["visit"], self.visit_U)
        found_N = np.zeros(len(rows), dtype=bool)
        found_N[known_N] = self.found_U[place_N[known_N]]
        return found_N


def visit_numbers(column: pl.Expr) -> pl.Expr:
    """Ids of visits as numbers: ``12``, ``12.0`` and 12 are one; null where a cell has no whole number."""
    return numeric_key(column)


def join_predictors(
    tables: Sequence[PredictorTable], record_visits: pl.Series, survey_visits: pl.Series
) -> tuple[Predictors, Predictors]:
    """The predictors of the visits of records, and of those of surveys, with the same columns.

    Args:
        tables: At least one.
        record_visits: Visits of the records, null where unknown, in any order and number.
        survey_visits: Those of the surveys.

    Returns:
        The facts of the records' predictors count: columns left out, rows whose id is no number, rows with an id that
        stood before, values that are no number, infinite or huge ones, and those equal to a constant for "no value".
        Those of the surveys' begin with ``survey_``.

    Raises:
        DataError: If a table cannot be read, has no such columns, says two things of one id, has none of the ids, or
            two tables have a column of one name.
    """
    columns = _Columns.of(tables)
    records = _Join.of(columns.names, record_visits, "records")
    surveys = _Join.of(columns.names, survey_visits, "surveys")
    for table, names, place in zip(tables, columns.of_table, columns.first, strict=True):
        records.read(table.records, names, place)
        surveys.read(table.surveys, names, place)
    # What stands for "no value" is judged by the records alone, for training must not see the surveys.
    fills = [_fill(records.values_UC[:, column]) for column in range(len(columns.names))]
    for join in (records, surveys):
        join.leave_out(fills)
    kept_C = np.logical_not(np.isnan(records.values_UC).all(axis=0))
    if not kept_C.any():
        raise DataError(f"{tables[0].records}: no column has a number at any of the records; is this the right table?")
    empty = [name for name, kept in zip(columns.names, kept_C, strict=True) if not kept]
    notes = columns.notes
    if empty:
        notes += (f"Predictors without any number at the records are left out: {', '.join(empty)}.",)
    left_out = {"predictor_columns_left_out": columns.left_out + len(empty)}
    made = records.predictors(kept_C)
    made = replace(made, facts=left_out | made.facts, notes=notes + made.notes)
    other = surveys.predictors(kept_C)
    facts = {f"survey_{name}": count for name, count in other.facts.items()}
    return made, replace(other, facts=facts)


@dataclass(frozen=True)
class _Columns:
    """The columns that count, in the order of the tables.

    Args:
        names: All of them.
        of_table: Those of every table.
        first: Place of every table's first column among all.
        left_out: How many do not count.
        notes: Which.
    """

    names: tuple[str, ...]
    of_table: tuple[tuple[str, ...], ...]
    first: tuple[int, ...]
    left_out: int
    notes: tuple[str, ...]

    @classmethod
    def of(cls, tables: Sequence[PredictorTable]) -> Self:
        """The columns that the tables of the records and of the surveys share."""
        of_table: list[tuple[str, ...]] = []
        notes, left_out = [], 0
        owner: dict[str, str] = {}
        for table in tables:
            mine, others = _candidates(table.records), _candidates(table.surveys)
            shared = tuple(name for plain, name in mine.items() if plain in others)
            if not shared:
                raise DataError(
                    f"{table.surveys}: no predictor of it is one of {table.records.name}, which has "
                    f"{', '.join(map(repr, list(mine.values())[:5])) or 'none'}; both tables must have the same columns"
                )
            for path, names, theirs in ((table.records, mine, others), (table.surveys, others, mine)):
                alone = [name for plain, name in names.items() if plain not in theirs]
                if alone:
                    left_out += len(alone)
                    notes.append(f"Predictors that are in {path.name} alone are left out: {', '.join(alone)}.")
            for name in shared:
                other = owner.setdefault(plain_name(name), table.name)
                if other != table.name:
                    raise DataError(
                        f"predictors: the column {name!r} is in {other!r} and in {table.name!r}; give one of them"
                    )
            of_table.append(shared)
        every = tuple(name for of in of_table for name in of)
        first = np.cumsum([0, *map(len, of_table)])[:-1]
        return cls(every, tuple(of_table), tuple(first.tolist()), left_out, tuple(notes))


class _Join:
    """The values of all predictors of one side, filled table after table."""

    def __init__(self, names: tuple[str, ...], visit_U: NDArray[np.int64], whose: str) -> None:
        self.names, self.visit_U, self.whose = names, visit_U, whose
        self.values_UC: Float32s = np.full((len(visit_U), len(names)), np.nan, dtype=np.float32)
        self.found_U = np.ones(len(visit_U), dtype=bool)
        self.facts = dict.fromkeys(
            (
                "predictor_rows_without_id",
                "predictor_rows_repeated",
                "predictor_values_not_numbers",
                "predictor_values_infinite",
                "predictor_values_constant_for_none",
            ),
            0,
        )
        self.notes: list[str] = []

    @classmethod
    def of(cls, names: tuple[str, ...], visits: pl.Series, whose: str) -> Self:
        """Without any value yet."""
        visit_U = visits.drop_nulls().unique().sort().to_numpy()
        if len(visit_U) == 0:
            raise DataError(f"predictors: none of the {whose} has an id that is a number; they are joined by it")
        return cls(names, visit_U, whose)

    def read(self, path: Path, names: tuple[str, ...], place: int) -> None:
        """Take the values of one table."""
        seen_U = np.zeros(len(self.visit_U), dtype=bool)
        words: Counter[str] = Counter()
        first_id: Any = None
        for batch in _batches(path, names):
            ids = batch["visit"]
            first_id = ids.drop_nulls().first() if first_id is None else first_id
            self.facts["predictor_rows_without_id"] += ids.null_count()
            place_N, known_N = _places(ids, self.visit_U)
            batch, place_N = batch.filter(known_N), place_N[known_N]
            if len(batch) == 0:
                continue
            values_NC, unread = _numbers(batch, names)
            words.update(unread)
            self._put(path, names, slice(place, place + len(names)), place_N, values_NC, seen_U)
        if not seen_U.any():
            raise DataError(
                f"{path}: has none of the ids of the {self.whose}, such as {self.visit_U[0]}; its own are such as "
                f"{first_id}. Records and surveys have tables of their own: is this the right one?"
            )
        self.found_U &= seen_U
        self.facts["predictor_values_not_numbers"] += words.total()
        if words:
            self.notes.append(f"Cells of {path.name} that are no numbers count as unknown: {listed(words)}.")

    def _put(
        self,
        path: Path,
        names: tuple[str, ...],
        columns: slice,
        place_N: NDArray[np.int64],
        values_NC: NDArray[np.float64],
        seen_U: NDArray[np.bool_],
    ) -> None:
        """Store the values of visits; those of a visit that has some must be the same."""
        with np.errstate(invalid="ignore"):
            beyond_NC = np.abs(values_NC) >= HUGE
        values_NC = np.where(beyond_NC, np.nan, values_NC).astype(np.float32)
        _, first = np.unique(place_N, return_index=True)
        new_N = np.zeros(len(place_N), dtype=bool)
        new_N[first] = True
        new_N &= ~seen_U[place_N]
        self.values_UC[place_N[new_N], columns] = values_NC[new_N]
        seen_U[place_N] = True
        self.facts["predictor_values_infinite"] += int(beyond_NC[new_N].sum())
        again = np.flatnonzero(~new_N)
        self.facts["predictor_rows_repeated"] += len(again)
        before_NC = self.values_UC[place_N[again], columns]
        differs = ~((before_NC == values_NC[again]) | (np.isnan(before_NC) & np.isnan(values_NC[again])))
        if differs.any():
            row, column = (int(i) for i in np.argwhere(differs)[0])
            raise DataError(
                f"{path}: the id {self.visit_U[place_N[again[row]]]} stands twice, with {names[column]} "
                f"{before_NC[row, column]:g} and {values_NC[again[row], column]:g}; an id must have one row"
            )

    def leave_out(self, fills: Sequence[tuple[float, ...]]) -> None:
        """Make the constants that stand for "no value" unknown, in every column its own."""
        for column, (name, values) in enumerate(zip(self.names, fills, strict=True)):
            for value in values:
                equal_U = self.values_UC[:, column] == np.float32(value)
                n_equal = int(equal_U.sum())
                if n_equal:
                    self.values_UC[equal_U, column] = np.nan
                    self.facts["predictor_values_constant_for_none"] += n_equal
                    self.notes.append(
                        f"The value {value:.0f} of the predictor {name!r} lies far from all others and counts as "
                        f"unknown ({self.whose}: {n_equal:,})."
                    )

    def predictors(self, kept_C: NDArray[np.bool_]) -> Predictors:
        """The result, of the columns that have a number."""
        names = tuple(name for name, kept in zip(self.names, kept_C, strict=True) if kept)
        values_UC = self.values_UC if kept_C.all() else self.values_UC[:, kept_C]
        return Predictors(names, self.visit_U, values_UC, self.found_U, dict(self.facts), tuple(self.notes))


def _candidates(path: Path) -> dict[str, str]:
    """The columns of a table that may be predictors, by their plain names."""
    names = [name.strip() for name in read_names(path, _COLUMNS)]
    return {
        plain_name(name): name
        for name in names
        if name and not name.startswith(_ROW_NUMBERS) and plain_name(name) not in _NO_PREDICTORS
    }


def _batches(path: Path, names: tuple[str, ...]) -> Iterator[pl.DataFrame]:
    """The rows of a table: ``visit``, and the columns by their places."""
    columns = replace(_COLUMNS, required=(*_COLUMNS.required, *names), any_type=names)
    with closing(read_table(path, columns)) as batches:
        for batch in batches:
            yield batch.select(
                visit_numbers(pl.col(_COLUMNS.required[0])).alias("visit"),
                *(pl.col(name).alias(f"predictor {i}") for i, name in enumerate(names)),
            )


def _numbers(batch: pl.DataFrame, names: tuple[str, ...]) -> tuple[NDArray[np.float64], Counter[str]]:
    """The values (N, C), NaN where there is none, and the texts that are no numbers, with their columns."""
    cells = batch.select(f"predictor {i}" for i in range(len(names)))
    lists = [column.name for column in cells.iter_columns() if column.dtype.is_nested()]
    cells = cells.with_columns(pl.when(pl.col(name).is_not_null()).then(pl.lit("a list")).alias(name) for name in lists)
    read = cells.select(number(pl.all()))
    words: Counter[str] = Counter()
    for name, before, after in zip(names, cells.iter_columns(), read.iter_columns(), strict=True):
        if after.null_count() > before.null_count():
            texts = before.filter(after.is_null()).cast(pl.String).drop_nulls()
            words.update({f"{name} {text}": count for text, count in texts.value_counts().iter_rows()})
    return read.to_numpy().astype(np.float64, copy=False), words


def _fill(values_U: Float32s) -> tuple[float, ...]:
    """The constants that stand for "no value" in a column."""
    known_U = values_U[~np.isnan(values_U)]
    kind: Any = np.float32
    if len(known_U) and (known_U == np.rint(known_U)).all():
        # Whole numbers are taken for those of the integer type of the raster that they come from.
        limits = ((np.uint16, 0, 65535), (np.int16, -32768, 32767))
        low, high = float(known_U.min()), float(known_U.max())
        kind = next((of for of, lowest, highest in limits if low >= lowest and high <= highest), np.float32)
    return undeclared_fill("", known_U.astype(kind)).values


def _places(ids: pl.Series, visit_U: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Place of every id among the visits, and whether it is one of them, shapes (N,)."""
    known_N = ids.is_not_null().to_numpy()
    id_N = ids.fill_null(0).to_numpy()
    place_N = np.minimum(np.searchsorted(visit_U, id_N), len(visit_U) - 1)
    known_N = known_N & (visit_U[place_N] == id_N)
    return place_N, known_N
