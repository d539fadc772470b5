"""Text tables with quotes or in another encoding than UTF-8, read row by row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import polars as pl

from presence_only.columns.column_names import Columns
from presence_only.common.errors import DataError
from presence_only.tables.batches import rows_a_batch
from presence_only.tables.row_shapes import RowShape, check_places, misplaced_cell, places_by_name, row_shape
from presence_only.tables.text_decoding import LONGEST_LINE_BYTES, decoded_lines
from presence_only.tables.text_dialects import Dialect, check_metafile


def read_rows(
    stream: Any,
    where: str,
    columns: Columns,
    dialect: Dialect,
    further: Mapping[str, int],
    line: bytes,
    lines_before: int,
    known: tuple[tuple[str, ...], RowShape] | None = None,
) -> Generator[pl.DataFrame, None, None]:
    """Rows of a table with quotes or in another encoding, one after the other.

    With ``known``, names of the columns and what rows must have, the stream begins with a row.
    """
    # A polygon in one cell is longer than the 128 KiB that the module allows.
    csv.field_size_limit(LONGEST_LINE_BYTES)
    lines = decoded_lines(_buffered(stream), where, dialect.encoding, lines_before)
    rows = csv.reader(
        _without_blanks(lines, dialect) if dialect.quote and dialect.separator != " " else lines,
        delimiter=dialect.separator,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        # So that a quote behind a comma and a blank is one.
        skipinitialspace=dialect.separator not in " \t",
        # Without it, an unmatched quote swallows the rest of the file as one field.
        strict=True,
    )
    try:
        header: list[str] = []
        for _ in range(dialect.header_lines):
            found = next(rows, None)
            if found is None:
                break
            header = found
        first = next(rows, None)
        while first is not None and not first:
            first = next(rows, None)
        names, shape = known or row_shape(
            header if dialect.header_lines else None, line, first, columns, dialect, where
        )
        places = {**columns.find(names, where), **further}
        if dialect.names is not None and first is not None:
            fields = header if dialect.header_lines else None
            named = places_by_name(places, further)
            check_metafile(dialect.names, fields, first[: shape.blank_from], named, rows.line_num, columns, where)
        check_places(places, shape.n_fields, where)
        picked, most = _picker(list(places.values())), rows_a_batch(len(places))
        batch: list[Sequence[str]] = []
        row = first
        while row is not None:
            if row:
                number = lines_before + rows.line_num
                row = row if len(row) == shape.n_fields else _mended(row, shape, where, number)
                if any(cell.strip() for cell in row[shape.blank_from :]):
                    raise DataError(misplaced_cell(where, f"that ends in line {number}", shape))
                batch.append(picked(row))
            if len(batch) == most:
                yield _strings(batch, places)
                batch = []
            row = next(rows, None)
        if batch:
            yield _strings(batch, places)
    except csv.Error as error:
        number = lines_before + rows.line_num
        raise DataError(f"{where}: line {number} cannot be read ({error}): is a quote unmatched?") from None


def _without_blanks(lines: Iterator[str], dialect: Dialect) -> Iterator[str]:
    """Lines without the blanks between a closing quote and the separator, which ``csv`` refuses.

    Blanks at the beginning of a quoted cell go too, which trimming takes away in any case.
    """
    quote, separator = re.escape(dialect.quote), re.escape(dialect.separator)
    # Two quotes within a cell are one that belongs to its text; alone in a cell they are an empty one.
    closing = rf"((?:(?:^|{separator}) *{quote}|(?<!{quote})){quote}) +(?={separator}|\r?\n?$)"
    behind, before = re.compile(closing), dialect.quote + " "
    for line in lines:
        yield behind.sub(r"\1", line) if before in line else line


def _mended(row: list[str], shape: RowShape, where: str, number: int) -> list[str]:
    """A row of too many or too few fields without its empty further ones, or with the missing ones added.

    Raises:
        DataError: If further fields are not empty, or missing ones may not be added.
    """
    if shape.fewest <= len(row) < shape.n_fields:
        return [*row, *[""] * (shape.n_fields - len(row))]
    beyond = any(cell.strip() for cell in row[shape.n_fields :])
    if shape.mend and len(row) > shape.n_fields and not beyond:
        return row[: shape.n_fields]
    hint = "" if beyond else shape.hint
    raise DataError(
        f"{where}: the row that ends in line {number} has {len(row)} fields, {shape.told}; "
        f"every row must have as many{hint}: is a quote unmatched, or the file cut off?"
    )


def _picker(places: Sequence[int]) -> Callable[[list[str]], Sequence[str]]:
    """A function from the fields of a row to those at some places."""
    if len(places) < 2:
        return lambda row: [row[place] for place in places]
    return itemgetter(*places)


def _strings(batch: Sequence[Sequence[str]], places: dict[str, int]) -> pl.DataFrame:
    """Rows of text as a table."""
    columns = zip(*batch, strict=True)
    return pl.DataFrame(
        [pl.Series(name, column, dtype=pl.String) for name, column in zip(places, columns, strict=True)]
    )


def _buffered(stream: Any) -> Any:
    """``stream`` in a form that text can be decoded from."""
    return io.BufferedReader(stream, 2**20) if isinstance(stream, io.RawIOBase) else stream
