"""Batches of rows: how large they are, and that a table has at least one."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import polars as pl

from presence_only.common.errors import DataError

ROWS_A_BATCH = 200_000
# Tables of many wanted columns come in batches of fewer rows.
CELLS_A_BATCH = 10_000_000


def some_rows(batches: Iterator[pl.DataFrame], where: str) -> Generator[pl.DataFrame, None, None]:
    """The batches, of which at least one must have a row."""
    rows = 0
    for batch in batches:
        rows += len(batch)
        yield batch
    if rows == 0:
        raise DataError(f"{where}: has columns but no rows")


def rows_a_batch(n_columns: int) -> int:
    """How many rows of a table with so many wanted columns are read at a time."""
    return max(1, min(ROWS_A_BATCH, CELLS_A_BATCH // max(n_columns, 1)))
