"""Parquet files: a wanted column is numbers or text, as a text table has it; a folder of files is one table."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

import polars as pl
from polars.exceptions import PanicException, PolarsError

from presence_only.columns.column_names import Columns
from presence_only.columns.missing_values import without_missing
from presence_only.common.errors import DataError
from presence_only.tables.batches import rows_a_batch
from presence_only.tables.unpacking import error_text, first_bytes


def read_parquet(
    files: Sequence[Path], columns: Columns, labels: Sequence[str] | None = None
) -> Generator[pl.DataFrame, None, None]:
    """The rows of parquet files one after the other, in batches.

    Args:
        files: In this order.
        columns: What is wanted.
        labels: What error messages call the files; None: their paths.

    Raises:
        DataError: If a file is damaged or lacks a column, or a wanted column holds lists or the like.
    """
    for file, where in zip(files, labels or [str(file) for file in files], strict=True):
        try:
            scan = pl.scan_parquet(file, glob=False)
            schema = scan.collect_schema()
        except (PolarsError, PanicException, OSError) as error:
            raise DataError(_damaged_parquet(where, error)) from None
        names = schema.names()
        places = columns.find(names, where)
        wanted = scan.select(
            _cell(names[place], schema[names[place]], name, columns, where).alias(name)
            for name, place in places.items()
        )
        try:
            rows, step = scan.select(pl.len()).collect().item(), rows_a_batch(len(places))
            for start in range(0, rows, step):
                yield without_missing(wanted.slice(start, step).collect(), columns.statuses)
        except (PolarsError, PanicException) as error:
            raise DataError(_damaged_parquet(where, error)) from None


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files of a folder, by their first bytes: those of GBIF's snapshots have no ending.

    Raises:
        DataError: If there is none.
    """
    try:
        files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be looked through ({error.strerror}); name a folder of tables") from None
    found = [file for file in files if first_bytes(file, empty=True) == b"PAR1"]
    if not found:
        raise DataError(f"{folder}: there is no parquet file in this folder; name a file, or a folder of parquet files")
    return found


def parquet_names(file: Path, where: str) -> tuple[str, ...]:
    """The columns of a parquet file."""
    try:
        return tuple(pl.scan_parquet(file, glob=False).collect_schema().names())
    except (PolarsError, PanicException, OSError) as error:
        raise DataError(_damaged_parquet(where, error)) from None


def _cell(column: str, kind: pl.DataType, name: str, columns: Columns, where: str) -> pl.Expr:
    """A wanted column of a parquet file as numbers or text.

    Dates and booleans are text, as a text table has them, lest a number be made of them. Of a date that is called year,
    month or day this part counts.

    Args:
        column: Its name in the file.
        kind: Its type.
        name: What it is wanted as.
        columns: What is wanted.
        where: What error messages call the file.

    Raises:
        DataError: If its type is neither.
    """
    value = pl.col(column)
    if isinstance(kind, pl.Categorical | pl.Enum):
        return value.cast(pl.String)
    if name in columns.any_type:
        return value
    if kind.is_nested() or kind in (pl.Duration, pl.Object):
        raise DataError(
            f"{where}: the column {column!r} is of type {str(kind)[:80]}; it must hold one text or number a row"
        )
    if kind in (pl.Date, pl.Datetime) and name in ("year", "month", "day"):
        return {"year": value.dt.year(), "month": value.dt.month(), "day": value.dt.day()}[name]
    return value.cast(pl.String) if kind.is_temporal() or kind in (pl.Boolean, pl.Binary) else value


def _damaged_parquet(where: str, error: Exception) -> str:
    """The sentence for a parquet file that cannot be read."""
    return f"{where}: is a damaged or incomplete parquet file ({error_text(error)}); download it again"
