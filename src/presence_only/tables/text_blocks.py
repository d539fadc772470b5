"""Text tables without quotes, read in whole blocks of lines: the usual and fast case.

Shape legend: N lines of a block.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator, Mapping

import numpy as np
import polars as pl
from polars.exceptions import PanicException, PolarsError

from presence_only.columns.column_names import Columns
from presence_only.common.arrays import Ints
from presence_only.common.errors import DataError
from presence_only.tables.row_shapes import RowShape, check_places, misplaced_cell, places_by_name, row_shape
from presence_only.tables.text_decoding import LONGEST_LINE_BYTES, decoded
from presence_only.tables.text_dialects import Dialect, check_metafile
from presence_only.tables.unpacking import BLOCK_BYTES, error_text

NEWLINE, _RETURN = b"\n\r"


def read_blocks(
    first: bytes,
    stream: io.BufferedIOBase,
    where: str,
    columns: Columns,
    dialect: Dialect,
    further: Mapping[str, int],
    lines_before: int,
) -> Generator[pl.DataFrame, None, None]:
    """Rows of a UTF-8 table without quotes, the usual and fast case: whole blocks of lines at a time."""
    separator = dialect.separator.encode()
    header, rest = b"", first
    for _ in range(dialect.header_lines):
        header, rest = rest, stream.readline(LONGEST_LINE_BYTES)
        if not rest:
            break
    line = lines_before + dialect.header_lines + 1
    while rest and not rest.strip(b"\r\n"):
        rest, line = stream.readline(LONGEST_LINE_BYTES), line + 1
    row = rest.rstrip(b"\r\n").decode("utf-8", "replace").split(dialect.separator) if rest else None
    fields = None
    if dialect.header_lines:
        fields = decoded(header.rstrip(b"\r\n"), where, line - 1).split(dialect.separator)
    names, shape = row_shape(fields, header, row, columns, dialect, where)
    places = {**columns.find(names, where), **further}
    if dialect.names is not None and row is not None:
        named = places_by_name(places, further)
        check_metafile(dialect.names, fields, row[: shape.blank_from], named, line, columns, where)
    check_places(places, shape.n_fields, where)
    for lines, ended in whole_lines(rest, stream, where):
        rows, n_lines = _checked_lines(lines, separator[0], shape, where, line, ended)
        if rows:
            yield parse_lines(rows, lines, places, shape, dialect.separator, where, line)
        line += n_lines


def whole_lines(rest: bytes, stream: io.BufferedIOBase, where: str) -> Iterator[tuple[bytes, bool]]:
    """``rest`` and the stream as blocks of whole lines; the last line may have lacked its end: then False."""
    while block := stream.read(BLOCK_BYTES):
        cut = block.rfind(b"\n") + 1
        if cut:
            yield rest + block[:cut], True
            rest = block[cut:]
        else:
            rest += block
        if len(rest) > LONGEST_LINE_BYTES:
            raise DataError(f"{where}: has a line of more than {LONGEST_LINE_BYTES:,} bytes; is this a table?")
    if rest:
        ended = rest.endswith(b"\n")
        yield rest if ended else rest + b"\n", ended


def _checked_lines(
    lines: bytes, separator: int, shape: RowShape, where: str, line: int, ended: bool
) -> tuple[bytes, int]:
    """The lines without blank ones, each with its fields; and how many lines there were.

    Empty fields beyond the last are cut, and missing ones added where the shape allows it.

    Raises:
        DataError: If a line has too many or too few.
    """
    data = np.frombuffer(lines, dtype=np.uint8)
    ends_N, separators = np.flatnonzero(data == NEWLINE), np.flatnonzero(data == separator)
    inner = shape.n_fields - 1
    if have_fields(ends_N, separators, inner):
        return lines, len(ends_N)
    starts_N = np.concatenate([[0], ends_N[:-1] + 1])
    counts_N = np.diff(np.searchsorted(separators, ends_N), prepend=0)
    lengths_N = ends_N - starts_N
    blank_N = (lengths_N == 0) | ((lengths_N == 1) & (data[starts_N] == _RETURN))
    wrong_N = (counts_N != inner) & ~blank_N
    if not wrong_N.any() and not blank_N.any():
        return lines, len(ends_N)
    parts: list[bytes] = []
    kept_from = 0
    for at in np.flatnonzero(wrong_N | blank_N).tolist():
        parts.append(lines[kept_from : starts_N[at]])
        kept_from = int(ends_N[at]) + 1
        if blank_N[at]:
            continue
        text = lines[starts_N[at] : ends_N[at]].rstrip(b"\r")
        fields = text.split(bytes([separator]))
        if shape.fewest <= len(fields) < shape.n_fields:
            parts.append(text + bytes([separator]) * (shape.n_fields - len(fields)) + b"\n")
        elif shape.mend and len(fields) > shape.n_fields and not any(map(bytes.strip, fields[shape.n_fields :])):
            parts.append(bytes([separator]).join(fields[: shape.n_fields]) + b"\n")
        else:
            found = f"line {line + at} has {len(fields)} fields, {shape.told}"
            if not ended and at == len(ends_N) - 1 and len(fields) < shape.n_fields:
                raise DataError(f"{where}: ends in the middle of a line ({found}); it is cut off: download it again")
            hint = "" if any(map(bytes.strip, fields[shape.n_fields :])) else shape.hint
            if b'"' in text and separator == ord("\t"):
                hint = (
                    ": does a cell in quotes hold a tab or a line break? In a table with tabs whose header is not in "
                    "quotes they are none of the cell; take them out, or write the table with commas"
                )
            raise DataError(f"{where}: {found}; every line must have as many{hint}")
    return b"".join([*parts, lines[kept_from:]]), len(ends_N)


def parse_lines(
    rows: bytes, lines: bytes, places: dict[str, int], shape: RowShape, separator: str, where: str, line: int
) -> pl.DataFrame:
    """The wanted columns of whole lines, each with the same number of fields."""
    blank = range(shape.blank_from, shape.n_fields)
    wanted = sorted({*places.values(), *blank})
    try:
        table = pl.read_csv(
            rows,
            has_header=False,
            separator=separator,
            quote_char=None,
            infer_schema=False,
            columns=wanted,
        )
    except (PolarsError, PanicException) as error:
        for at, text in enumerate(lines.split(b"\n")):
            decoded(text, where, line + at)
        raise DataError(f"{where}: the lines from {line} on cannot be read ({error_text(error)})") from None
    # By order, for polars 1 and 2 count nameless columns from different numbers.
    table.columns = [str(place) for place in wanted]
    for place in blank:
        filled = table[str(place)].str.strip_chars().str.len_bytes() > 0
        if filled.any():
            raise DataError(misplaced_cell(where, f"near line {line + int(filled.arg_max() or 0)}", shape))
    if b'"' in rows:
        quoted = table.select(pl.all().str.contains(r'^\s*"').any()).row(0)
        table = table.with_columns(
            _unquoted(pl.col(name)) for name, any_of_it in zip(table.columns, quoted, strict=True) if any_of_it
        )
    return table.select(pl.col(str(place)).alias(name) for name, place in places.items())


def have_fields(ends_N: Ints, separators: Ints, inner: int) -> bool:
    """Whether every line has as many separators.

    Args:
        ends_N: Where the lines end.
        separators: Where the separators stand.
        inner: How many a line should have.
    """
    # Where every line is right, its last separator lies before its end, and the next after it.
    return bool(
        inner
        and len(separators) == inner * len(ends_N)
        and np.all(separators[inner - 1 :: inner] < ends_N)
        and np.all(separators[inner::inner] > ends_N[:-1])
    )


def _unquoted(column: pl.Expr) -> pl.Expr:
    """Cells without the quotes that enclose them; a quote elsewhere is a character like any other."""
    column = column.str.strip_chars()
    enclosed = column.str.contains(r'^"(?:[^"]|"")*"$')
    inner = column.str.slice(1, column.str.len_chars() - 2).str.replace_all('""', '"', literal=True)
    return pl.when(enclosed).then(inner).otherwise(column)
