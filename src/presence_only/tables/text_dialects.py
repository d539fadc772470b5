"""How a text table is written: what stands before its header, its separator, quotes, and names of rows.

- Before the header may stand blank lines, comments that begin with ``#``, and the line ``sep=;`` of spreadsheets.
- Columns are separated by tabs, commas, semicolons or bars; or by blanks, as R writes them, where the header is in
  quotes or its words are the wanted columns.
- A header that is one field short of every row belongs to a table with names of rows, as R's ``write.table`` makes it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from presence_only.columns.column_names import Columns, plain_name
from presence_only.common.errors import DataError

SEPARATORS = "\t,;|"
_MOST_LINES_BEFORE = 1000
_MOST_LINES_OF_HEADER = 100
_NUMBERS = ("decimalLatitude", "decimalLongitude")
# How a file begins that is no table.
_JSON, _MARKUP = re.compile(rb'^\s*(?:\{\s*(?:"|$)|\[\s*(?:[{\["]|$))'), re.compile(rb"^\s*<[!?A-Za-z]")
# How texts of several bytes a character begin, with a mark or with an ASCII letter; the longer ones first.
_WIDE = {
    "utf-32": re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff"),
    "utf-32le": re.compile(rb"[\t -~]\0\0\0"),
    "utf-32be": re.compile(rb"\0\0\0[\t -~]"),
    "utf-16": re.compile(rb"\xff\xfe|\xfe\xff"),
    "utf-16le": re.compile(rb"[\t -~]\0[\t -~]\0"),
    "utf-16be": re.compile(rb"\0[\t -~]\0[\t -~]"),
}
_SEP_LINE = re.compile(rb'^"?sep=(\\t|.)"?$', re.IGNORECASE)


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


@dataclass(frozen=True)
class Header:
    """The line that names the columns, or the lines if a name in quotes goes over several.

    Args:
        line: Their bytes, without a byte order mark.
        before: Lines before it.
        dialect: How the table is written.
    """

    line: bytes
    before: int
    dialect: Dialect


def read_header(stream: io.BufferedIOBase, where: str, columns: Columns, longest: int) -> Header:
    """The header of a text table, read from its beginning.

    Args:
        stream: The table's bytes; afterwards they go on behind the header.
        where: What error messages call the table.
        columns: What is wanted, which tells a header that begins with ``#`` from a comment.
        longest: The longest line in bytes.

    Raises:
        DataError: If there is no header, or the bytes are no text in UTF-8.
    """
    separator = None
    for before in range(_MOST_LINES_BEFORE):
        line = stream.readline(longest)
        if before == 0:
            for encoding, start in _WIDE.items():
                if start.match(line):
                    name = encoding[:6].upper()
                    raise DataError(
                        f"{where}: is {name}, not UTF-8; convert it: iconv -f {encoding} -t utf-8 OLD > NEW"
                    )
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            break
        if b"\0" in line:
            raise DataError(f"{where}: is not a text table, nor gz, zip or parquet")
        bare = line.rstrip(b"\r\n")
        if b"\r" in bare:
            raise DataError(
                f"{where}: its lines end with a carriage return alone; convert it: tr '\\r' '\\n' < OLD > NEW"
            )
        for pattern, kind in ((_JSON, "JSON"), (_MARKUP, "a web page or XML")):
            if pattern.match(bare):
                raise DataError(f"{where}: is {kind}, not a table; write it as CSV: a header, and one line per row")
        if match := _SEP_LINE.match(bare):
            separator = match[1].decode("latin-1").replace("\\t", "\t")
        elif bare.startswith(b"#") and not _names_columns(bare, columns):
            continue
        elif bare.strip():
            line = line.removeprefix(b"#") if bare.startswith(b"#") else line
            line = _with_all_lines(line, stream, where, columns, separator, longest)
            return Header(line, before, sniff(line, columns, separator))
    raise DataError(f"{where}: the first line is empty; it must name the columns")


def _with_all_lines(
    line: bytes, stream: io.BufferedIOBase, where: str, columns: Columns, separator: str | None, longest: int
) -> bytes:
    """The header with its further lines, where a name in quotes goes over several.

    Raises:
        DataError: If the quote does not end.
    """
    first = line
    for _ in range(_MOST_LINES_OF_HEADER):
        dialect = sniff(line, columns, separator)
        if not dialect.quote or not _ends_in_quotes(line, dialect):
            return line
        further = stream.readline(longest)
        if not further:
            break
        line += further
    shown = first.decode("utf-8", "replace").strip()[:60]
    raise DataError(f"{where}: a quote in the header {shown!r} does not end; close it, or remove it")


def _ends_in_quotes(line: bytes, dialect: Dialect) -> bool:
    """Whether a line ends within a cell in quotes."""
    text = [line.decode("utf-8", "replace")]
    try:
        next(
            csv.reader(text, delimiter=dialect.separator, skipinitialspace=dialect.separator not in " \t", strict=True)
        )
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _names_columns(line: bytes, columns: Columns) -> bool:
    """Whether a line that begins with ``#`` names the wanted columns, and is no comment."""
    line = line.removeprefix(b"#")
    return _has_required(line, sniff(line, columns).separator, columns)


def is_header(line: bytes, columns: Columns, without: Sequence[str] = ()) -> bool:
    """Whether a line is the header of a wanted table.

    Args:
        line: The first line of a text.
        columns: What is wanted; all that is required must be there.
        without: Names of columns that another table has, and this one must not.
    """
    line = line.removeprefix(b"\xef\xbb\xbf")
    separator = sniff(line, columns).separator
    foreign = (Columns((name,)) for name in without)
    return _has_required(line, separator, columns) and not any(_has_required(line, separator, one) for one in foreign)


def _has_required(line: bytes, separator: str, columns: Columns) -> bool:
    """Whether a line names all required columns, where this separates its fields."""
    plain = {plain_name(cell.strip(' "')) for cell in line.decode("utf-8", "replace").strip("\r\n").split(separator)}
    return all(plain & set(columns.names_of(name)) for name in columns.required)


def sniff(header: bytes, columns: Columns, separator: str | None = None) -> Dialect:
    """How a table with this header is written: tabs mean no quotes, unless the header itself has them.

    Of several separators it is the one that tells the wanted columns apart, then the most frequent.
    """
    bare = re.sub(rb'"[^"]*"', b"", header.rstrip(b"\r\n"))
    if separator is None:
        counts = {one: bare.count(one.encode()) for one in SEPARATORS}
        separator = max(
            SEPARATORS, key=lambda one: (bool(counts[one]) and _has_required(header, one, columns), counts[one])
        )
        if not bare.count(separator.encode()) and b" " in bare:
            in_quotes = header.startswith(b'"') and bare.strip(b" ") == b""
            if in_quotes or (columns.required and _has_required(header, " ", columns)):
                separator = " "
    quoted = separator != "\t" or header.startswith(b'"')
    return Dialect(separator, '"' if quoted else "")


def has_row_names(header: bytes, names: Sequence[str], row: Sequence[str], columns: Columns) -> bool:
    """Whether the rows of a table begin with a name of the row, for which the header has no field.

    A header in quotes is one that R wrote. Without quotes, a first row that begins with 1 must stand under a wanted
    column that is no number of a row; otherwise a separator within a cell would look the same.
    """
    if len(row) != len(names) + 1 or not row[-1].strip():
        return False
    wanted = {plain for name in columns.required + columns.optional for plain in columns.names_of(name)}
    return header.startswith(b'"') or (row[0] == "1" and plain_name(names[0]) in wanted)


def check_metafile(
    names: Sequence[str],
    header: Sequence[str] | None,
    row: Sequence[str],
    places: dict[str, int],
    line: int,
    columns: Columns,
    where: str,
) -> None:
    """Refuse a table whose header or rows contradict the metafile that names its columns.

    Args:
        names: The metafile's names, from left to right.
        header: The fields of the header line; None where there is none.
        row: The fields of the first row.
        places: Column of every wanted name by the metafile.
        line: Number of the first row's line.
        columns: What is wanted, with other spellings of its names.
        where: What error messages call the table.

    Raises:
        DataError: If a column has another name in the header, rows have fewer fields than the metafile says, or the
            line that it calls the header is a row.
    """
    n_row = len(row)
    if header is None and sum(bool(cell) and plain_name(cell) in map(plain_name, places) for cell in row) > 1:
        # A header that the metafile forgot; as a row it has no numbers, and is dropped and counted.
        header = row
    if header is not None:
        for name in places:
            if name in _NUMBERS and places[name] < len(header) and _is_number(header[places[name]]):
                raise DataError(
                    f"{where}: line {line - 1} has the {name} {header[places[name]]!r} and is a row, but the metafile "
                    "calls it a header; set ignoreHeaderLines of meta.xml to 0"
                )
    plain = [plain_name(name) for name in header or ()]
    known = {plain_name(name) for name in (*names, *places) if name}
    spelled = {name: set(columns.names_of(name)) for name in places}
    # A line without any known name is a comment, or names columns in words of its own.
    ours = header is not None and bool(known.union(*spelled.values()) & set(plain))
    for name, place in places.items():
        said = plain[place] if place < len(plain) else ""
        others = known.union(*(spelled[other] for other in places if other != name)) - spelled[name]
        elsewhere = plain_name(name) in plain or (said not in spelled[name] and bool(spelled[name] & set(plain)))
        if ours and said not in spelled[name] and (elsewhere or said in others or _is_other_axis(name, said)):
            assert header is not None
            raise DataError(
                f"{where}: the header calls column {place + 1} {(header[place] if said else '')!r}, the metafile "
                f"{name!r}; correct meta.xml, or unpack the archive and give the table itself, which is read by its "
                "header"
            )
    if any(place >= max(n_row, 1) for place in places.values()) and n_row == len(header or row):
        # Every row is as long as the header; the metafile speaks of further fields.
        return
    if n_row == len(names) or (n_row > len(names) and (not ours or n_row == len(plain))):
        return
    if n_row == len(plain) and all(plain[place] == plain_name(name) for name, place in places.items()):
        return
    counts = f"the metafile {len(names)}"
    if header is not None:
        counts = f"the header {len(plain)} and {counts}"
    raise DataError(
        f"{where}: line {line} has {n_row} fields, {counts}; they must agree, or cells stand under wrong names"
    )


def _is_number(text: str) -> bool:
    """Whether a cell holds a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_other_axis(name: str, said: str) -> bool:
    """Whether a header speaks of the other coordinate, as ``verbatimLongitude`` does of a latitude."""
    wanted = plain_name(name)
    return ("latitude" in wanted and "longitude" in said) or ("longitude" in wanted and "latitude" in said)
