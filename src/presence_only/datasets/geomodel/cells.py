"""The BirdNET geomodel's combined parquet file: h3 cells, their environment and their species in every week.

Source: https://github.com/birdnet-team/geomodel, docs/pipeline/combine.md

A row is a cell: ``h3_index``, columns of environment, and ``week_1`` to ``week_48``, each a list of species codes. The
weeks are read one column at a time, so that the lists of all weeks are never held together.

Shape legend: N sites, U cells, C covariates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from h3.api import basic_int as h3
from numpy.typing import NDArray
from polars.exceptions import PanicException, PolarsError

from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.data.sites import WEEKS
from presence_only.geography.h3_cells import cells_of, centres_of
from presence_only.tables.unpacking import error_text, first_bytes

Float32s = NDArray[np.float32]
CELL = "h3_index"
# What is no environment: the shape of a cell, its index by row, and constants of the grid.
NO_LAYERS = (CELL, "geometry", "__index_level_0__", "target_km", "h3_resolution")
# Cells whose lists of one week are taken apart at once.
CELLS_AT_ONCE = 20_000
_WEEK = re.compile(r"^week_0*(\d+)$")


@dataclass(frozen=True, eq=False)
class CellFile:
    """The columns of a combined parquet file.

    Args:
        path: The file.
        weeks: Name of the column of every week, 1..48.
        layers: Names and types of the columns of environment.
        cells_U: The cells in the order of the rows, 0 where ``h3_index`` is no cell.
        bad: What ``h3_index`` says where it is no cell, by row.
        resolution: h3 resolution of the cells.
    """

    path: Path
    weeks: dict[int, str]
    layers: dict[str, Any]
    cells_U: NDArray[np.uint64]
    bad: dict[int, str]
    resolution: int

    @classmethod
    def open(cls, path: Path) -> CellFile:
        """Read the names of the columns, and the cells.

        Raises:
            DataError: If it is no parquet file, lacks a column, or the cells are of several resolutions, or twice.
        """
        if first_bytes(path) != b"PAR1":
            raise DataError(f"{path}: is no parquet file; the geomodel's combined data is one")
        try:
            schema = pl.scan_parquet(path, glob=False).collect_schema()
        except (PolarsError, PanicException, OSError) as error:
            raise DataError(_damaged(path, error)) from None
        weeks = {int(match[1]): name for name in schema.names() if (match := _WEEK.match(name))}
        missing = [f"week_{week}" for week in range(1, WEEKS + 1) if week not in weeks]
        if CELL not in schema.names() or missing:
            lacking = CELL if CELL not in schema.names() else missing[0]
            raise DataError(
                f"{path}: no column {lacking!r}; the geomodel's combined data has {CELL!r}, columns of environment, "
                f"and 'week_1' to 'week_{WEEKS}'"
            )
        others = set(weeks) - set(range(1, WEEKS + 1))
        if others:
            raise DataError(f"{path}: has a column {weeks[min(others)]!r}; weeks run from 1 to {WEEKS}")
        layers = {name: kind for name, kind in schema.items() if name not in NO_LAYERS and name not in weeks.values()}
        cells_U, bad = _cells(_column(path, CELL))
        known_V = cells_U[cells_U > 0]
        if len(known_V) == 0:
            raise DataError(f"{path}: no {CELL} is a cell of h3; the first is {next(iter(bad.values()), None)!r}")
        if len(np.unique(known_V)) < len(known_V):
            twice, counts = np.unique(known_V, return_counts=True)
            raise DataError(
                f"{path}: the cell {h3.int_to_str(int(twice[counts > 1][0]))} has {counts.max()} rows; "
                "every cell must have one"
            )
        resolutions = sorted({h3.get_resolution(cell) for cell in known_V.tolist()})
        if len(resolutions) > 1:
            raise DataError(f"{path}: has cells of the resolutions {resolutions}; all must be of one")
        return cls(path, weeks, layers, cells_U, bad, resolutions[0])

    def species(self) -> Iterator[pl.DataFrame]:
        """Batches of longitude, latitude, week, ``code`` and ``bad_cell``, one row per cell, week and code."""
        known = self.cells_U > 0
        centres_U2 = np.full((len(self.cells_U), 2), np.nan)
        centres_U2[known] = centres_of(self.cells_U[known])
        places = pl.DataFrame(
            {
                "longitude": pl.Series(centres_U2[:, 0], nan_to_null=True),
                "latitude": pl.Series(centres_U2[:, 1], nan_to_null=True),
                "bad_cell": pl.Series([self.bad.get(row) for row in range(len(known))], dtype=pl.String)
                if self.bad
                else pl.Series([None], dtype=pl.String).new_from_index(0, len(known)),
            }
        )
        for week in range(1, WEEKS + 1):
            column = _column(self.path, self.weeks[week])
            if not isinstance(column.dtype, pl.List) or column.dtype.inner.is_nested():
                raise DataError(f"{self.path}: {self.weeks[week]!r} is of {column.dtype}; it must hold lists of codes")
            filled = column.list.len().fill_null(0) > 0
            for start in range(0, len(column), CELLS_AT_ONCE):
                part = slice(start, start + CELLS_AT_ONCE)
                rows = places[part].with_columns(column[part].alias("code")).filter(filled[part])
                if len(rows):
                    code = pl.col("code").cast(pl.String)
                    yield rows.explode("code").with_columns(code, pl.lit(week, dtype=pl.Int32).alias("week"))


@dataclass(frozen=True, eq=False)
class CellLayers:
    """The environment of the cells as layers: a site has the values of its cell, and NaN where there is no such cell.

    Args:
        names: Name of every covariate.
        cells_U: Cells, ascending.
        values_UC: Their covariates.
        resolution: h3 resolution of the cells.
        notes: Sentences that whoever reads the results must know.
    """

    names: tuple[str, ...]
    cells_U: NDArray[np.uint64]
    values_UC: Float32s
    resolution: int
    notes: tuple[str, ...] = ()

    def sample(self, sites_N2: Floats) -> Float32s:
        """Covariates at sites, shape (N, C)."""
        covariates_NC = np.full((len(sites_N2), len(self.names)), np.nan, dtype=np.float32)
        if not self.names:
            return covariates_NC
        cells_N = cells_of(sites_N2, self.resolution)
        place_N = np.minimum(np.searchsorted(self.cells_U, cells_N), len(self.cells_U) - 1)
        found_N = self.cells_U[place_N] == cells_N
        covariates_NC[found_N] = self.values_UC[place_N[found_N]]
        return covariates_NC


def cell_layers(file: CellFile, layers: Sequence[str] | None, categories: Sequence[str]) -> CellLayers:
    """The environment of the cells; a category is a column of 0 and 1 per level.

    Args:
        file: The file.
        layers: Which columns, in this order; None: all that are not constant.
        categories: Columns that hold categories, of those that are read.

    Raises:
        DataError: If a column is missing, is no number and no category, or none is left.
    """
    wanted = list(file.layers if layers is None else layers)
    missing = [name for name in wanted if name not in file.layers]
    if missing:
        raise DataError(
            f"{file.path}: no column of environment {missing[0]!r}; it has {', '.join(file.layers) or 'none'}"
        )
    known = file.cells_U > 0
    order = np.argsort(file.cells_U[known])
    names: list[str] = []
    columns: list[Float32s] = []
    constant = []
    for name in wanted:
        if file.layers[name].is_nested():
            raise DataError(
                f"{file.path}: the column {name!r} is of {file.layers[name]}, which is neither a number nor a "
                "category; name the columns to read in layers"
            )
        column = _column(file.path, name).filter(pl.Series(known))[order]
        if column.drop_nulls().n_unique() < 2 and layers is None:
            constant.append(name)
            continue
        if name in categories:
            levels, values_U = _levels(column)
            names += [f"{name} = {level}" for level in levels]
            columns += values_U
        elif column.dtype.is_numeric() or column.dtype == pl.Boolean:
            names.append(name)
            columns.append(_float32(column))
        else:
            raise DataError(
                f"{file.path}: the column {name!r} is of {column.dtype}, which is no number; name it in categories, "
                "or name the columns to read in layers"
            )
    if not names:
        raise DataError(
            f"{file.path}: has no column of environment that varies; set environment to null, or to other layers"
        )
    notes = (
        (f"Columns of environment that are the same in all cells are left out: {', '.join(constant)}.",)
        if constant
        else ()
    )
    return CellLayers(tuple(names), file.cells_U[known][order], np.stack(columns, axis=1), file.resolution, notes)


def _levels(column: pl.Series) -> tuple[list[str], list[Float32s]]:
    """The levels of a column in their order, and for each whether a cell has it; NaN where the category is unknown."""
    if column.dtype.is_float():
        # Codes with gaps come as floats.
        column = column.fill_nan(None)
        whole = column.drop_nulls()
        column = column.cast(pl.Int64) if (whole == whole.round()).all() else column
    unknown = column.is_null().to_numpy()
    levels = column.drop_nulls().unique().sort().to_list()
    found = []
    for level in levels:
        has = (column == level).fill_null(False).to_numpy().astype(np.float32)
        has[unknown] = np.nan
        found.append(has)
    return [str(level) for level in levels], found


def _float32(column: pl.Series) -> Float32s:
    """Numbers, NaN where unknown or infinite."""
    values: NDArray[np.float64] = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return np.where(np.isfinite(values), values, np.nan).astype(np.float32)


def _cells(column: pl.Series) -> tuple[NDArray[np.uint64], dict[int, str]]:
    """Cells as numbers, 0 where a text or number is no cell, and these texts by row."""
    cells_U = np.zeros(len(column), dtype=np.uint64)
    bad: dict[int, str] = {}
    for row, value in enumerate(column):
        try:
            cell = h3.str_to_int(value.strip()) if isinstance(value, str) else int(value)
            good = h3.is_valid_cell(cell)
        except (ValueError, TypeError, OverflowError):
            good = False
        if good:
            cells_U[row] = cell
        else:
            bad[row] = "none" if value is None else str(value)
    return cells_U, bad


def _column(path: Path, name: str) -> pl.Series:
    """One column of a parquet file."""
    try:
        return pl.scan_parquet(path, glob=False).select(name).collect().to_series()
    except (PolarsError, PanicException, OSError) as error:
        raise DataError(_damaged(path, error)) from None


def _damaged(path: Path, error: Exception) -> str:
    """The sentence for a file that cannot be read."""
    return f"{path}: is a damaged or incomplete parquet file ({error_text(error)}); make it anew"
