"""Text tables: what their header says decides how they are read.

- A table with tabs is unquoted, as GBIF and iNaturalist write theirs, so that a stray quote is a
  character like any other; a header in quotes, or one separated by commas or semicolons, is quoted CSV.
- Every line must have the fields of the header: a short line is a damaged file, not a row of blanks, unless the user
  says so. Empty cells behind the last column do not count.
- Cells come trimmed, and without the words for missing values (:mod:`~presence_only.columns.missing_values`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Any

import polars as pl

from presence_only.columns.column_names import Columns
from presence_only.columns.missing_values import without_missing
from presence_only.tables.batches import some_rows
from presence_only.tables.text_blocks import read_blocks
from presence_only.tables.text_decoding import LONGEST_LINE_BYTES, decoded
from presence_only.tables.text_dialects import Dialect, read_header
from presence_only.tables.text_rows import read_rows
from presence_only.tables.text_until_quotes import Joined, read_until_quotes
from presence_only.tables.unpacking import BLOCK_BYTES


def read_text(
    stream: io.BufferedIOBase,
    where: str,
    columns: Columns,
    dialect: Dialect | None = None,
    further: Mapping[str, int] = MappingProxyType({}),
    may_be_empty: bool = False,
) -> Generator[pl.DataFrame, None, None]:
    """The rows of a text table, in batches of strings, trimmed, null where a field is empty or says so.

    Args:
        stream: The table's bytes, from its beginning.
        where: What error messages call the table.
        columns: What is wanted.
        dialect: How it is written; None: its header says.
        further: Names of our own for further columns of the dialect's, by their places.
        may_be_empty: Whether a table without rows, or without any line, gives no batch; otherwise it is an error.

    Raises:
        DataError: If it is empty, not text, not in its encoding, lacks a column, or a line has too many
            or too few fields.
    """
    buffered = io.BufferedReader(stream, BLOCK_BYTES) if isinstance(stream, io.RawIOBase) else stream
    if may_be_empty and isinstance(buffered, io.BufferedReader) and not buffered.peek(1):
        return
    lines_before, header = 0, b""
    quoted = dialect is not None and not (dialect.quote == "" and dialect.encoding in ("utf-8", "utf8", "ascii"))
    if not quoted:
        if dialect is None:
            found = read_header(buffered, where, columns, LONGEST_LINE_BYTES)
            header, lines_before, dialect = found.line, found.before, found.dialect
            quoted = bool(dialect.quote)
        else:
            header = buffered.readline(LONGEST_LINE_BYTES).removeprefix(b"\xef\xbb\xbf")
    assert dialect is not None
    if quoted:
        if header and dialect.separator != " " and not further:
            batches = read_until_quotes(header, buffered, where, columns, dialect, lines_before)
        else:
            rest: Any = Joined(header, buffered) if header else buffered
            batches = read_rows(rest, where, columns, dialect, further, header, lines_before)
    else:
        batches = read_blocks(header, buffered, where, columns, dialect, further, lines_before)
    tidy = (without_missing(batch, columns.statuses) for batch in batches)
    yield from (tidy if may_be_empty else some_rows(tidy, where))


def text_names(stream: io.BufferedIOBase, where: str, columns: Columns) -> tuple[str, ...]:
    """The columns that the header of a text table names."""
    buffered = io.BufferedReader(stream, BLOCK_BYTES) if isinstance(stream, io.RawIOBase) else stream
    header = read_header(buffered, where, columns, LONGEST_LINE_BYTES)
    dialect = header.dialect
    line = decoded(header.line.rstrip(b"\r\n"), where, header.before + 1)
    if not dialect.quote:
        names = line.split(dialect.separator)
    else:
        csv.field_size_limit(LONGEST_LINE_BYTES)
        lines = csv.reader([line], delimiter=dialect.separator, skipinitialspace=dialect.separator not in " \t")
        names = next(lines, [])
    return tuple(name.strip() for name in names if name.strip())
