"""Safe reading of users' tables, in batches, from plain, gz, zip and parquet files.

- Text is unpacked and parsed block by block: neither the file nor its unpacked form is ever held whole,
  and nothing is written to disk. Only parquet inside a zip is unpacked, into a temporary folder that is
  gone when reading ends, under names of our own: a member's name never becomes a path.
- A table with tabs is unquoted, as GBIF and iNaturalist write theirs, so that a stray quote is a
  character like any other; a header in quotes, or one separated by commas or semicolons, is quoted CSV.
- Every line must have the fields of the header: a short line is a damaged file, not a row of blanks, unless the user
  says so. Empty cells behind the last column do not count.
- Cells come trimmed, and without the words for missing values (:mod:`~presence_only.columns.missing_values`).
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from operator import itemgetter
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from presence_only.columns.column_names import Columns
from presence_only.columns.missing_values import without_missing
from presence_only.common.arrays import Ints
from presence_only.common.errors import DataError
from presence_only.tables.text_dialects import Dialect, check_metafile, has_row_names, read_header
from presence_only.tables.unpacking import (
    BLOCK_BYTES,
    LIMITS,
    Archive,
    Limits,
    error_text,
    first_bytes,
    is_zip,
    open_text,
)

LONGEST_LINE_BYTES = 64 * 2**20
ROWS_A_BATCH = 200_000
# Tables of many wanted columns come in batches of fewer rows.
CELLS_A_BATCH = 10_000_000

_NEWLINE, _RETURN = b"\n\r"
_TEXT_ENDINGS = (".csv", ".tsv", ".txt")
# Tables that come with GBIF's downloads beside the records.
_COMPANIONS = ("citations.txt", "citation.txt", "rights.txt", "readme.txt")


def read_table(path: Path, columns: Columns, limits: Limits = LIMITS) -> Generator[pl.DataFrame, None, None]:
    """The rows of one table, in batches, in the order of the file.

    Args:
        path: A text table, plain or as .gz; a zip with one text table or with parquet files; a parquet
            file; a folder of parquet files, such as a snapshot. The content decides, not the name.
        columns: What is wanted.
        limits: How much a packed file may unpack to.

    Returns:
        Batches with the wanted columns that the file has, under the names in ``columns``. Text tables
        give strings, null where a field is empty; parquet files give their own types.

    Raises:
        DataError: If the file is missing, empty, damaged, unsafe, not such a table, or without a column.
    """
    if path.is_dir():
        yield from _some_rows(read_parquet(parquet_files(path), columns), str(path))
        return
    head = first_bytes(path)
    if is_zip(head):
        with Archive(path, limits) as archive:
            yield from read_archive(archive, columns)
    elif head == b"PAR1":
        yield from _some_rows(read_parquet([path], columns), str(path))
    else:
        with open_text(path, limits) as stream:
            yield from read_text(stream, str(path), columns)


def read_archive(archive: Archive, columns: Columns) -> Generator[pl.DataFrame, None, None]:
    """The rows of the one table in a zip, or of all of its parquet files."""
    parquet = _parquet_members(archive)
    if parquet:
        with tempfile.TemporaryDirectory(prefix="presence-only-") as folder:
            files = [archive.unpack(name, Path(folder) / f"{i}.parquet") for i, name in enumerate(parquet)]
            labels = [f"{archive.path}/{name}" for name in parquet]
            yield from _some_rows(read_parquet(files, columns, labels), str(archive.path))
        return
    name = _only_table(archive)
    with archive.open(name) as stream:
        yield from read_text(stream, f"{archive.path}/{name}", columns)


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
            batches = _read_plain_first(header, buffered, where, columns, dialect, lines_before)
        else:
            rest: Any = _Joined(header, buffered) if header else buffered
            batches = _read_quoted(rest, where, columns, dialect, further, header, lines_before)
    else:
        batches = _read_unquoted(header, buffered, where, columns, dialect, further, lines_before)
    tidy = (without_missing(batch, columns.statuses) for batch in batches)
    yield from (tidy if may_be_empty else _some_rows(tidy, where))


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
        except (PolarsError, OSError) as error:
            raise DataError(_damaged_parquet(where, error)) from None
        names = schema.names()
        places = columns.find(names, where)
        wanted = scan.select(
            _cell(names[place], schema[names[place]], name, columns, where).alias(name)
            for name, place in places.items()
        )
        try:
            rows, step = scan.select(pl.len()).collect().item(), _rows_a_batch(len(places))
            for start in range(0, rows, step):
                yield without_missing(wanted.slice(start, step).collect(), columns.statuses)
        except PolarsError as error:
            raise DataError(_damaged_parquet(where, error)) from None


def read_names(path: Path, columns: Columns, limits: Limits = LIMITS) -> tuple[str, ...]:
    """The names of all columns of a table that :func:`read_table` reads, without those that are empty.

    Args:
        path: As of :func:`read_table`.
        columns: Some that the table may have, which tell its separator.
        limits: How much a packed file may unpack to.

    Raises:
        DataError: If the file is missing, empty, damaged, unsafe or no table.
    """
    if path.is_dir():
        return _parquet_names(parquet_files(path)[0], str(path))
    head = first_bytes(path)
    if head == b"PAR1":
        return _parquet_names(path, str(path))
    if not is_zip(head):
        with open_text(path, limits) as stream:
            return _text_names(stream, str(path), columns)
    with Archive(path, limits) as archive:
        parquet = _parquet_members(archive)
        if parquet:
            with tempfile.TemporaryDirectory(prefix="presence-only-") as folder:
                file = archive.unpack(parquet[0], Path(folder) / "0.parquet")
                return _parquet_names(file, f"{path}/{parquet[0]}")
        name = _only_table(archive)
        with archive.open(name) as stream:
            return _text_names(stream, f"{path}/{name}", columns)


def parquet_files(folder: Path) -> list[Path]:
    """The parquet files of a folder, by their first bytes: those of GBIF's snapshots have no ending.

    Raises:
        DataError: If there is none.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    found = [file for file in files if first_bytes(file, empty=True) == b"PAR1"]
    if not found:
        raise DataError(f"{folder}: there is no parquet file in this folder; name a file, or a folder of parquet files")
    return found


class _Joined(io.RawIOBase):
    """A line that was read already, and the stream after it."""

    def __init__(self, first: bytes, stream: io.BufferedIOBase) -> None:
        super().__init__()
        self._first, self._stream = first, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._first[: len(buffer)] or self._stream.read(len(buffer))
        self._first = self._first[len(buffer) :]
        buffer[: len(block)] = block
        return len(block)


class _Blocks(io.RawIOBase):
    """Blocks of bytes, one after the other."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks, self._left = blocks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(next(self._blocks, b""))
        block = self._left[: len(buffer)]
        self._left = self._left[len(block) :]
        buffer[: len(block)] = block
        return len(block)


def _read_unquoted(
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
        fields = _decoded(header.rstrip(b"\r\n"), where, line - 1).split(dialect.separator)
    names, shape = _shape(fields, header, row, columns, dialect, where)
    places = {**columns.find(names, where), **further}
    if dialect.names is not None and row is not None:
        named = places_by_name(places, further)
        check_metafile(dialect.names, fields, row[: shape.blank_from], named, line, columns, where)
    _check_places(places, shape.n_fields, where)
    for lines, ended in _whole_lines(rest, stream, where):
        rows, n_lines = _checked_lines(lines, separator[0], shape, where, line, ended)
        if rows:
            yield _parse_lines(rows, lines, places, shape, dialect.separator, where, line)
        line += n_lines


@dataclass(frozen=True)
class _Shape:
    """How many fields the rows of a table have.

    Args:
        n_fields: Of every row.
        fewest: A row with fewer is an error; those between are filled with empty cells.
        told: What messages compare a row with.
        hint: What the user can do about a row with too few, or with further empty ones.
        mend: Whether further empty fields of single rows are cut.
        blank_from: The fields from here on end every row and must be empty, or cells stand under wrong names.
    """

    n_fields: int
    fewest: int
    told: str
    hint: str = ""
    mend: bool = False
    blank_from: int = 0


def _shape(
    header: Sequence[str] | None,
    line: bytes,
    row: Sequence[str] | None,
    columns: Columns,
    dialect: Dialect,
    where: str,
) -> tuple[tuple[str, ...], _Shape]:
    """Names of the columns, and the fields that every row must have.

    Args:
        header: The fields of the header line; None where the metafile says that there is none.
        line: The header line.
        row: The fields of the first row; None where there is none.
        columns: What is wanted.
        dialect: How the table is written.
        where: What error messages call the table.
    """
    hint = ", or set ragged_rows: mend if only empty cells at the end of rows were cut or added"
    if dialect.names is not None:
        limit = max(len(dialect.names), len(header or ()))
        n_fields = len(row) if row is not None else len(dialect.names)
        told = f"the header {n_fields}" if header and len(header) == n_fields else f"the first row {n_fields}"
        # Without a header, further columns are those that the metafile does not name.
        ended = header is not None and row is not None and not any(cell.strip() for cell in row[limit:])
        return dialect.names, _Shape(n_fields, n_fields, told, blank_from=limit if ended else n_fields)
    assert header is not None
    names, told = tuple(header), f"the header {len(header)}"
    mend, hint = columns.ragged_rows == "mend", hint if columns.ragged_rows == "refuse" else ""
    if row is not None and has_row_names(line, names, row, columns):
        return ("", *names), _Shape(len(row), len(row), f"the first row {len(row)}", blank_from=len(row))
    if row is not None and len(row) == len(names) - 1 and not names[-1].strip():
        # A separator ends the header alone.
        names, told = names[:-1], f"the first row {len(row)}"
    n_fields = len(names)
    if row is not None and len(row) > n_fields and not any(cell.strip() for cell in row[n_fields:]):
        # A separator ends every row.
        names += ("",) * (len(row) - n_fields)
        told = f"the first row {len(row)}"
    return names, _Shape(len(names), 1 if mend else len(names), told, hint, mend, n_fields)


def places_by_name(places: dict[str, int], further: Mapping[str, int]) -> dict[str, int]:
    """The places of columns that have published names."""
    return {name: place for name, place in places.items() if name not in further}


def _whole_lines(rest: bytes, stream: io.BufferedIOBase, where: str) -> Iterator[tuple[bytes, bool]]:
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
    lines: bytes, separator: int, shape: _Shape, where: str, line: int, ended: bool
) -> tuple[bytes, int]:
    """The lines without blank ones, each with its fields; and how many lines there were.

    Empty fields beyond the last are cut, and missing ones added where the shape allows it.

    Raises:
        DataError: If a line has too many or too few.
    """
    data = np.frombuffer(lines, dtype=np.uint8)
    ends_N, separators = np.flatnonzero(data == _NEWLINE), np.flatnonzero(data == separator)
    inner = shape.n_fields - 1
    if _have_fields(ends_N, separators, inner):
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


def _parse_lines(
    rows: bytes, lines: bytes, places: dict[str, int], shape: _Shape, separator: str, where: str, line: int
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
    except PolarsError as error:
        for at, text in enumerate(lines.split(b"\n")):
            _decoded(text, where, line + at)
        raise DataError(f"{where}: the lines from {line} on cannot be read ({error_text(error)})") from None
    # By order, for polars 1 and 2 count nameless columns from different numbers.
    table.columns = [str(place) for place in wanted]
    for place in blank:
        filled = table[str(place)].str.strip_chars().str.len_bytes() > 0
        if filled.any():
            raise DataError(_filled(where, f"near line {line + int(filled.arg_max() or 0)}", shape))
    if b'"' in rows:
        quoted = table.select(pl.all().str.contains(r'^\s*"').any()).row(0)
        table = table.with_columns(
            _unquoted(pl.col(name)) for name, any_of_it in zip(table.columns, quoted, strict=True) if any_of_it
        )
    return table.select(pl.col(str(place)).alias(name) for name, place in places.items())


def _filled(where: str, row: str, shape: _Shape) -> str:
    """The sentence for a row with something behind the separator that ends every row."""
    return (
        f"{where}: the row {row} has something in field {shape.blank_from + 1}, which is empty in the first row and "
        "has no name; cells stand under wrong names"
    )


def _unquoted(column: pl.Expr) -> pl.Expr:
    """Cells without the quotes that enclose them; a quote elsewhere is a character like any other."""
    column = column.str.strip_chars()
    enclosed = column.str.contains(r'^"(?:[^"]|"")*"$')
    inner = column.str.slice(1, column.str.len_chars() - 2).str.replace_all('""', '"', literal=True)
    return pl.when(enclosed).then(inner).otherwise(column)


def _decoded(text: bytes, where: str, line: int) -> str:
    """UTF-8 as text."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: line {line} is not UTF-8 (byte 0x{text[error.start]:02X}); if it is Latin-1, "
            "convert the file: iconv -f latin1 -t utf-8 OLD > NEW"
        ) from None


def _read_plain_first(
    header: bytes, stream: io.BufferedIOBase, where: str, columns: Columns, dialect: Dialect, lines_before: int
) -> Generator[pl.DataFrame, None, None]:
    """Rows of a table that may have quotes: whole blocks of lines while they have none, and the rest row by row.

    Most tables of numbers have no quote at all, and reading rows one by one takes ten times as long.
    """
    separator = dialect.separator.encode()
    line = stream.readline(LONGEST_LINE_BYTES)
    fields = []
    if header.count(b'"') % 2 == 0 and _is_utf8(header):
        text = [header.decode()]
        fields = next(csv.reader(text, delimiter=dialect.separator, quotechar='"', skipinitialspace=True), [])
    if not line.count(separator) + 1 == len(fields) > 1 or b'"' in line:
        yield from _read_quoted(_Joined(header + line, stream), where, columns, dialect, {}, header, lines_before)
        return
    row = line.rstrip(b"\r\n").decode("utf-8", "replace").split(dialect.separator)
    names, shape = _shape(fields, header, row, columns, dialect, where)
    places = columns.find(names, where)
    number = lines_before + header.count(b"\n") + 1
    blocks = _whole_lines(line, stream, where)
    for lines, ended in blocks:
        data = np.frombuffer(lines, dtype=np.uint8)
        ends_N, separators = np.flatnonzero(data == _NEWLINE), np.flatnonzero(data == separator[0])
        plain = ended and b'"' not in lines and b"\0" not in lines and lines.count(b"\r") == lines.count(b"\r\n")
        if not (plain and _have_fields(ends_N, separators, shape.n_fields - 1) and _is_utf8(lines)):
            # What the stream gave and is in no block yet comes with the further blocks.
            rest = _Blocks(lines if ended else lines[:-1] for lines, ended in chain([(lines, ended)], blocks))
            found = replace(dialect, header_lines=0)
            yield from _read_quoted(rest, where, columns, found, {}, header, number - 1, (names, shape))
            return
        yield _parse_lines(lines, lines, places, shape, dialect.separator, where, number)
        number += len(ends_N)


def _is_utf8(text: bytes) -> bool:
    """Whether bytes are text in UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _have_fields(ends_N: Ints, separators: Ints, inner: int) -> bool:
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


def _read_quoted(
    stream: Any,
    where: str,
    columns: Columns,
    dialect: Dialect,
    further: Mapping[str, int],
    line: bytes,
    lines_before: int,
    known: tuple[tuple[str, ...], _Shape] | None = None,
) -> Generator[pl.DataFrame, None, None]:
    """Rows of a table with quotes or in another encoding, one after the other.

    With ``known``, names of the columns and what rows must have, the stream begins with a row.
    """
    # A polygon in one cell is longer than the 128 KiB that the module allows.
    csv.field_size_limit(LONGEST_LINE_BYTES)
    lines = _decoded_lines(_buffered(stream), where, dialect.encoding, lines_before)
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
        names, shape = known or _shape(header if dialect.header_lines else None, line, first, columns, dialect, where)
        places = {**columns.find(names, where), **further}
        if dialect.names is not None and first is not None:
            fields = header if dialect.header_lines else None
            named = places_by_name(places, further)
            check_metafile(dialect.names, fields, first[: shape.blank_from], named, rows.line_num, columns, where)
        _check_places(places, shape.n_fields, where)
        picked, most = _picker(list(places.values())), _rows_a_batch(len(places))
        batch: list[Sequence[str]] = []
        row = first
        while row is not None:
            if row:
                number = lines_before + rows.line_num
                row = row if len(row) == shape.n_fields else _mended(row, shape, where, number)
                if any(cell.strip() for cell in row[shape.blank_from :]):
                    raise DataError(_filled(where, f"that ends in line {number}", shape))
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


def _mended(row: list[str], shape: _Shape, where: str, number: int) -> list[str]:
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


def _decoded_lines(stream: Any, where: str, encoding: str, lines_before: int = 0) -> Iterator[str]:
    """The lines of a table as text."""
    if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        # Whose lines do not end with one byte.
        text = io.TextIOWrapper(stream, encoding, newline="")
        try:
            yield from text
        except UnicodeDecodeError:
            raise DataError(f"{where}: is not {encoding}, as its metafile says") from None
        finally:
            text.detach()
        return
    utf8 = codecs.lookup(encoding).name == "utf-8"
    for number, line in enumerate(iter(partial(stream.readline, LONGEST_LINE_BYTES), b""), 1 + lines_before):
        try:
            text_line = _decoded(line, where, number) if utf8 else line.decode(encoding)
        except UnicodeDecodeError:
            raise DataError(f"{where}: line {number} is not {encoding}, as its metafile says") from None
        yield text_line.removeprefix("\ufeff") if number == 1 + lines_before else text_line


def _check_places(places: dict[str, int], n_fields: int, where: str) -> None:
    """Refuse a metafile that speaks of more fields than the rows have."""
    name = max(places, key=places.__getitem__, default="")
    if name and places[name] >= n_fields:
        raise DataError(f"{where}: {name!r} should be field {places[name] + 1}, but rows have {n_fields}")


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


def _some_rows(batches: Iterator[pl.DataFrame], where: str) -> Generator[pl.DataFrame, None, None]:
    """The batches, of which at least one must have a row."""
    rows = 0
    for batch in batches:
        rows += len(batch)
        yield batch
    if rows == 0:
        raise DataError(f"{where}: has columns but no rows")


def _rows_a_batch(n_columns: int) -> int:
    """How many rows of a table with so many wanted columns are read at a time."""
    return max(1, min(ROWS_A_BATCH, CELLS_A_BATCH // max(n_columns, 1)))


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


def _parquet_names(file: Path, where: str) -> tuple[str, ...]:
    """The columns of a parquet file."""
    try:
        return tuple(pl.scan_parquet(file, glob=False).collect_schema().names())
    except (PolarsError, OSError) as error:
        raise DataError(_damaged_parquet(where, error)) from None


def _text_names(stream: io.BufferedIOBase, where: str, columns: Columns) -> tuple[str, ...]:
    """The columns that the header of a text table names."""
    buffered = io.BufferedReader(stream, BLOCK_BYTES) if isinstance(stream, io.RawIOBase) else stream
    header = read_header(buffered, where, columns, LONGEST_LINE_BYTES)
    dialect = header.dialect
    line = _decoded(header.line.rstrip(b"\r\n"), where, header.before + 1)
    if not dialect.quote:
        names = line.split(dialect.separator)
    else:
        csv.field_size_limit(LONGEST_LINE_BYTES)
        lines = csv.reader([line], delimiter=dialect.separator, skipinitialspace=dialect.separator not in " \t")
        names = next(lines, [])
    return tuple(name.strip() for name in names if name.strip())


def _parquet_members(archive: Archive) -> list[str]:
    """The parquet files of a zip.

    Raises:
        DataError: If it holds text tables too.
    """
    members = [name for name in archive.names if not is_companion(name)]
    parquet = [name for name in members if archive.first_bytes(name) == b"PAR1"]
    others = [name for name in members if name not in parquet and name.lower().endswith(_TEXT_ENDINGS)]
    if parquet and others:
        raise DataError(
            f"{archive.path}: holds parquet files and {min(others)!r}; pack the files of the table alone, or give "
            "the unpacked file"
        )
    return parquet


def _only_table(archive: Archive) -> str:
    """The one text table of a zip.

    Raises:
        DataError: If there are none or several.
    """
    members = [name for name in archive.names if not is_companion(name)]
    tables = [name for name in members if name.lower().endswith(_TEXT_ENDINGS)]
    if len(tables) != 1:
        found = ", ".join(sorted(members)[:5]) or "nothing"
        raise DataError(
            f"{archive.path}: holds {len(tables)} tables ({found}); it must hold one .csv, .tsv or .txt, "
            "parquet files, or a Darwin Core Archive with its meta.xml"
        )
    return tables[0]


def is_companion(name: str) -> bool:
    """Whether a member of a zip is not the table but comes with it."""
    parts = PurePosixPath(name).parts
    return parts[0] == "__MACOSX" or parts[-1].startswith(".") or parts[-1].lower() in _COMPANIONS


def _damaged_parquet(where: str, error: Exception) -> str:
    """The sentence for a parquet file that cannot be read."""
    return f"{where}: is a damaged or incomplete parquet file ({error_text(error)}); download it again"
