"""Safe reading of users' tables, in batches, from plain, gz, zip and parquet files.

- Text is unpacked and parsed block by block: neither the file nor its unpacked form is ever held whole,
  and nothing is written to disk. Only parquet inside a zip is unpacked, into a temporary folder that is
  gone when reading ends, under names of our own: a member's name never becomes a path.
- A table with tabs is unquoted, as GBIF and iNaturalist write theirs, so that a stray quote is a
  character like any other; a header in quotes, or one separated by commas or semicolons, is quoted CSV.
- Every line must have the fields of the header: a short line is a damaged file, not a row of blanks.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from presence_only.common.errors import DataError
from presence_only.occurrences.unpacking import (
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

_NEWLINE, _RETURN = b"\n\r"
_TEXT_ENDINGS = (".csv", ".tsv", ".txt")
# Tables that come with GBIF's downloads beside the records.
_COMPANIONS = ("citations.txt", "citation.txt", "rights.txt", "readme.txt")


@dataclass(frozen=True)
class Columns:
    """The columns that a reader wants, by their published names.

    A column is found whatever its case and its underscores: GBIF's parquet files say ``decimallatitude``.

    Args:
        required: Without one of them the file is the wrong one.
        optional: Read where the file has them.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def find(self, header: Sequence[str], where: str) -> dict[str, int]:
        """Position in ``header`` of every wanted column that is there.

        Raises:
            DataError: If a required column is missing, or a wanted one is there twice.
        """
        places: dict[str, list[int]] = {}
        for place, name in enumerate(header):
            places.setdefault(plain_name(name), []).append(place)
        missing = [name for name in self.required if plain_name(name) not in places]
        if missing:
            raise DataError(f"{where}: no column {', '.join(map(repr, missing))}; {_alike(missing, header)}")
        found = {name: places[plain_name(name)] for name in self.required + self.optional if plain_name(name) in places}
        for name, where_found in found.items():
            if len(where_found) > 1:
                raise DataError(f"{where}: {len(where_found)} columns are named {name!r}; there must be one")
        return {name: where_found[0] for name, where_found in found.items()}


@dataclass(frozen=True)
class Dialect:
    """How a text table is written.

    Args:
        separator: One character between fields.
        quote: One character around fields; empty: none, and quotes are text.
        encoding: Of the bytes, a name that Python knows.
        header_lines: Lines before the first row.
        names: Names of the columns from left to right, empty where a column has none; None: the last of
            the ``header_lines`` has them.
    """

    separator: str = "\t"
    quote: str = ""
    encoding: str = "utf-8"
    header_lines: int = 1
    names: tuple[str, ...] | None = None


def plain_name(name: str) -> str:
    """A column's name without what differs between GBIF's formats: case, underscores and blanks."""
    return name.strip().lower().replace("_", "")


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
    members = [name for name in archive.names if not _is_companion(name)]
    parquet = [name for name in members if archive.first_bytes(name) == b"PAR1"]
    if parquet:
        with tempfile.TemporaryDirectory(prefix="presence-only-") as folder:
            files = [archive.unpack(name, Path(folder) / f"{i}.parquet") for i, name in enumerate(parquet)]
            labels = [f"{archive.path}/{name}" for name in parquet]
            yield from _some_rows(read_parquet(files, columns, labels), str(archive.path))
        return
    tables = [name for name in members if name.lower().endswith(_TEXT_ENDINGS)]
    if len(tables) != 1:
        found = ", ".join(sorted(members)[:5]) or "nothing"
        raise DataError(
            f"{archive.path}: holds {len(tables)} tables ({found}); it must hold one .csv, .tsv or .txt, "
            "parquet files, or a Darwin Core Archive with its meta.xml"
        )
    with archive.open(tables[0]) as stream:
        yield from read_text(stream, f"{archive.path}/{tables[0]}", columns)


def read_text(
    stream: io.BufferedIOBase, where: str, columns: Columns, dialect: Dialect | None = None
) -> Generator[pl.DataFrame, None, None]:
    """The rows of a text table, in batches of strings, null where a field is empty.

    Args:
        stream: The table's bytes, from its beginning.
        where: What error messages call the table.
        columns: What is wanted.
        dialect: How it is written; None: its header says.

    Raises:
        DataError: If it is empty, not text, not in its encoding, lacks a column, or a line has too many
            or too few fields.
    """
    buffered = io.BufferedReader(stream, BLOCK_BYTES) if isinstance(stream, io.RawIOBase) else stream
    if dialect is not None and not (dialect.quote == "" and dialect.encoding in ("utf-8", "utf8", "ascii")):
        yield from _some_rows(_read_quoted(buffered, where, columns, dialect), where)
        return
    first = _first_line(buffered, where)
    if dialect is None:
        dialect = _sniff(first)
        if dialect.quote:
            rest: Any = _Joined(first, buffered)
            yield from _some_rows(_read_quoted(rest, where, columns, dialect), where)
            return
    yield from _some_rows(_read_unquoted(first, buffered, where, columns, dialect), where)


def read_parquet(
    files: Sequence[Path], columns: Columns, labels: Sequence[str] | None = None
) -> Generator[pl.DataFrame, None, None]:
    """The rows of parquet files one after the other, in batches.

    Args:
        files: In this order.
        columns: What is wanted.
        labels: What error messages call the files; None: their paths.
    """
    for file, where in zip(files, labels or [str(file) for file in files], strict=True):
        try:
            scan = pl.scan_parquet(file, glob=False)
            names = scan.collect_schema().names()
        except (PolarsError, OSError) as error:
            raise DataError(_damaged_parquet(where, error)) from None
        places = columns.find(names, where)
        wanted = scan.select(pl.col(names[place]).alias(name) for name, place in places.items())
        try:
            rows = scan.select(pl.len()).collect().item()
            for start in range(0, rows, ROWS_A_BATCH):
                yield wanted.slice(start, ROWS_A_BATCH).collect()
        except PolarsError as error:
            raise DataError(_damaged_parquet(where, error)) from None


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


def _first_line(stream: io.BufferedIOBase, where: str) -> bytes:
    """The first line of a text table, without a byte order mark."""
    line = stream.readline(LONGEST_LINE_BYTES)
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{where}: is UTF-16, not UTF-8; convert it: iconv -f utf-16 -t utf-8 OLD > NEW")
    line = line.removeprefix(b"\xef\xbb\xbf")
    if not line.strip():
        raise DataError(f"{where}: the first line is empty; it must name the columns")
    if b"\0" in line:
        raise DataError(f"{where}: is not a text table, nor gz, zip or parquet")
    if _RETURN in line.rstrip(b"\r\n"):
        raise DataError(f"{where}: its lines end with a carriage return alone; convert it: tr '\\r' '\\n' < OLD > NEW")
    return line


def _sniff(header: bytes) -> Dialect:
    """How a table with this header is written: tabs mean no quotes, unless the header itself has them."""
    separator = max("\t,;", key=lambda character: header.count(character.encode()))
    quoted = separator != "\t" or header.startswith(b'"')
    return Dialect(separator, '"' if quoted else "")


def _read_unquoted(
    first: bytes, stream: io.BufferedIOBase, where: str, columns: Columns, dialect: Dialect
) -> Generator[pl.DataFrame, None, None]:
    """Rows of a UTF-8 table without quotes, the usual and fast case: whole blocks of lines at a time."""
    separator = dialect.separator.encode()
    header, rest = b"", first
    for _ in range(dialect.header_lines):
        header, rest = rest, stream.readline(LONGEST_LINE_BYTES)
    line = dialect.header_lines + 1
    if dialect.names is None:
        names = tuple(_decoded(header.rstrip(b"\r\n"), where, line - 1).split(dialect.separator))
        n_fields = len(names)
    else:
        # The header may be a comment; the metafile has the names.
        names = dialect.names
        n_fields = rest.count(separator) + 1 if rest else len(names)
    places = columns.find(names, where)
    _check_places(places, n_fields, where)
    for lines, ended in _whole_lines(rest, stream, where):
        rows, n_lines = _checked_lines(lines, separator[0], n_fields, where, line, ended)
        if rows:
            yield _parse_lines(rows, lines, places, dialect.separator, where, line)
        line += n_lines


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
    lines: bytes, separator: int, n_fields: int, where: str, line: int, ended: bool
) -> tuple[bytes, int]:
    """The lines without blank ones, each with its fields; and how many lines there were.

    Raises:
        DataError: If a line has too many or too few.
    """
    data = np.frombuffer(lines, dtype=np.uint8)
    ends_N, separators = np.flatnonzero(data == _NEWLINE), np.flatnonzero(data == separator)
    inner = n_fields - 1
    # Where every line is right, its last separator lies before its end, and the next after it.
    if (
        inner
        and len(separators) == inner * len(ends_N)
        and np.all(separators[inner - 1 :: inner] < ends_N)
        and np.all(separators[inner::inner] > ends_N[:-1])
    ):
        return lines, len(ends_N)
    starts_N = np.concatenate([[0], ends_N[:-1] + 1])
    counts_N = np.diff(np.searchsorted(separators, ends_N), prepend=0)
    lengths_N = ends_N - starts_N
    blank_N = (lengths_N == 0) | ((lengths_N == 1) & (data[starts_N] == _RETURN))
    wrong_N = (counts_N != inner) & ~blank_N
    if wrong_N.any():
        at = int(np.flatnonzero(wrong_N)[0])
        found = f"line {line + at} has {counts_N[at] + 1} fields, the header {n_fields}"
        if not ended and at == len(ends_N) - 1 and counts_N[at] < inner:
            raise DataError(f"{where}: ends in the middle of a line ({found}); it is cut off: download it again")
        raise DataError(f"{where}: {found}; every line must have as many")
    if not blank_N.any():
        return lines, len(ends_N)
    kept = zip(starts_N[~blank_N].tolist(), ends_N[~blank_N].tolist(), strict=True)
    return b"".join(lines[start : end + 1] for start, end in kept), len(ends_N)


def _parse_lines(
    rows: bytes, lines: bytes, places: dict[str, int], separator: str, where: str, line: int
) -> pl.DataFrame:
    """The wanted columns of whole lines, each with the same number of fields."""
    try:
        table = pl.read_csv(
            rows,
            has_header=False,
            separator=separator,
            quote_char=None,
            infer_schema=False,
            columns=sorted(places.values()),
            null_values=["\\N"],
        )
    except PolarsError as error:
        for at, text in enumerate(lines.split(b"\n")):
            _decoded(text, where, line + at)
        raise DataError(f"{where}: the lines from {line} on cannot be read ({error_text(error)})") from None
    # By order, for polars 1 and 2 count nameless columns from different numbers.
    table.columns = sorted(places, key=places.__getitem__)
    return table


def _decoded(text: bytes, where: str, line: int) -> str:
    """UTF-8 as text."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: line {line} is not UTF-8 (byte 0x{text[error.start]:02X}); if it is Latin-1, "
            "convert the file: iconv -f latin1 -t utf-8 OLD > NEW"
        ) from None


def _read_quoted(stream: Any, where: str, columns: Columns, dialect: Dialect) -> Generator[pl.DataFrame, None, None]:
    """Rows of a table with quotes or in another encoding, one after the other."""
    rows = csv.reader(
        _decoded_lines(_buffered(stream), where, dialect.encoding),
        delimiter=dialect.separator,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        # Without it, an unmatched quote swallows the rest of the file as one field.
        strict=True,
    )
    try:
        header: list[str] = []
        for _ in range(dialect.header_lines):
            header = next(rows, [])
        first = next(rows, None)
        names = tuple(header) if dialect.names is None else dialect.names
        places = columns.find(names, where)
        n_fields = len(names if dialect.names is None else first or names)
        _check_places(places, n_fields, where)
        wanted = list(places.values())
        batch: list[list[str]] = []
        row = first
        while row is not None:
            if len(row) == n_fields:
                batch.append([row[place] for place in wanted])
            elif row:
                raise DataError(
                    f"{where}: the row that ends in line {rows.line_num} has {len(row)} fields, the header {n_fields}; "
                    "every row must have as many: is a quote unmatched, or the file cut off?"
                )
            if len(batch) == ROWS_A_BATCH:
                yield _strings(batch, places)
                batch = []
            row = next(rows, None)
        if batch:
            yield _strings(batch, places)
    except csv.Error as error:
        raise DataError(f"{where}: line {rows.line_num} cannot be read ({error}): is a quote unmatched?") from None


def _decoded_lines(stream: Any, where: str, encoding: str) -> Iterator[str]:
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
    for number, line in enumerate(iter(partial(stream.readline, LONGEST_LINE_BYTES), b""), 1):
        try:
            text_line = _decoded(line, where, number) if utf8 else line.decode(encoding)
        except UnicodeDecodeError:
            raise DataError(f"{where}: line {number} is not {encoding}, as its metafile says") from None
        yield text_line.removeprefix("\ufeff") if number == 1 else text_line


def _check_places(places: dict[str, int], n_fields: int, where: str) -> None:
    """Refuse a metafile that speaks of more fields than the rows have."""
    name = max(places, key=places.__getitem__)
    if places[name] >= n_fields:
        raise DataError(f"{where}: {name!r} should be field {places[name] + 1}, but rows have {n_fields}")


def _strings(batch: list[list[str]], places: dict[str, int]) -> pl.DataFrame:
    """Rows of text as a table; an empty field is null, as in the fast case."""
    table = pl.DataFrame(batch, schema=dict.fromkeys(places, pl.String), orient="row")
    return table.with_columns(pl.all().replace(["", "\\N"], [None, None]))


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


def _alike(missing: Sequence[str], header: Sequence[str]) -> str:
    """What the header has instead of the missing columns."""
    plain = {plain_name(name): name.strip() for name in header if name.strip()}
    close: list[str] = []
    for name in missing:
        wanted = plain_name(name)
        inside = [key for key in plain if len(key) > 3 and (key in wanted or wanted in key)]
        close += [plain[key] for key in difflib.get_close_matches(wanted, plain, n=2, cutoff=0.6) + inside]
    if close:
        return f"it has {', '.join(repr(name) for name in dict.fromkeys(close))}, which look alike: rename them"
    first = ", ".join(repr(name[:40]) for name in list(plain.values())[:6])
    return f"its first columns are {first}: is this the right file?"


def _is_companion(name: str) -> bool:
    """Whether a member of a zip is not the table but comes with it."""
    parts = PurePosixPath(name).parts
    return parts[0] == "__MACOSX" or parts[-1].startswith(".") or parts[-1].lower() in _COMPANIONS


def _damaged_parquet(where: str, error: Exception) -> str:
    """The sentence for a parquet file that cannot be read."""
    return f"{where}: is a damaged or incomplete parquet file ({error_text(error)}); download it again"
