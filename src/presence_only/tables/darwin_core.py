"""Darwin Core Archives: the records of an archive as its metafile describes them.

Records are the rows of a core of occurrences, or those of an extension of occurrences with what the core says of
them (:mod:`~presence_only.tables.event_core`).

Source: Darwin Core text guide, https://dwc.tdwg.org/text/

Terms are known by the last part of their addresses, such as ``decimalLatitude``. The metafile comes from
a stranger: one with a document type, which alone can define entities, is refused.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from xml.etree import ElementTree

import polars as pl

from presence_only.columns.column_names import Columns, plain_name
from presence_only.common.errors import DataError
from presence_only.tables.event_core import CORE_ID, core_columns, joined, read_core
from presence_only.tables.text_dialects import Dialect
from presence_only.tables.text_tables import read_text
from presence_only.tables.unpacking import Archive, is_unsafe, open_text

METAFILE = "meta.xml"
# Row types of occurrences in small letters: the older ones of Darwin Core, and none.
OCCURRENCES = ("occurrence", "darwincore", "simpledarwinrecord", "simpledarwincore", "")
LARGEST_METAFILE = 4 * 2**20
# Numbers beyond these are slips of the pen, or made to keep a reader busy.
LARGEST_INDEX, MOST_HEADER_LINES = 10_000, 1_000
# What Python calls encodings too, and no program writes a table in.
NO_ENCODINGS = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape")


@dataclass(frozen=True)
class Part:
    """What a metafile says of its core, or of an extension.

    Args:
        row_type: What a row is, such as ``Occurrence``.
        locations: Paths of its files, relative to the metafile.
        dialect: How they are written.
        defaults: Value of a term where a row has none.
        id_index: Column of the id of the core's row; None where the metafile names none.
    """

    row_type: str
    locations: tuple[str, ...]
    dialect: Dialect
    defaults: dict[str, str]
    id_index: int | None = None


def metafile_of(names: Sequence[str]) -> str | None:
    """The name of the metafile among an archive's members: at the top, or in its only folder."""
    found = [name for name in names if PurePosixPath(name).name.lower() == METAFILE and name.count("/") <= 1]
    return min(found, key=lambda name: name.count("/"), default=None)


def read_zip(archive: Archive, metafile: str, columns: Columns) -> Generator[pl.DataFrame, None, None]:
    """The rows of the core of a zipped archive, in batches of strings.

    Raises:
        DataError: If the metafile or a file that it names is missing, damaged or unsafe, if the core's
            rows are not occurrences, or a required term is missing.
    """
    folder = PurePosixPath(metafile).parent

    def open_member(location: str) -> io.BufferedIOBase:
        name = str(folder / location)
        if name not in archive.names:
            raise DataError(f"{archive.path}: {metafile} names {location!r}, which is not in the archive")
        return archive.open(name)

    with archive.open(metafile) as stream:
        text = stream.read(LARGEST_METAFILE + 1)
    yield from _read(read_metafile(text, f"{archive.path}/{metafile}"), open_member, str(archive.path), columns)


def read_folder(folder: Path, columns: Columns) -> Generator[pl.DataFrame, None, None]:
    """The rows of the core of an unpacked archive, as :func:`read_zip`."""

    def open_file(location: str) -> io.BufferedIOBase:
        return open_text(folder / location)

    with (folder / METAFILE).open("rb") as stream:
        text = stream.read(LARGEST_METAFILE + 1)
    yield from _read(read_metafile(text, str(folder / METAFILE)), open_file, str(folder), columns)


def read_metafile(text: bytes, where: str) -> tuple[Part, Part | None]:
    """The core that a metafile describes and, where that is not of occurrences, the extension that is.

    Args:
        text: Its bytes.
        where: What error messages call it.

    Raises:
        DataError: If it is no metafile, has a document type, or describes files that cannot be read.
    """
    if len(text) > LARGEST_METAFILE:
        raise DataError(f"{where}: has more than {LARGEST_METAFILE:,} bytes; a metafile is a page or two")
    try:
        parser = ElementTree.XMLParser(target=_NoDoctype(where))
        parser.feed(text)
        root = parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{where}: is not XML ({error})") from None
    core = next((child for child in root if _last(child.tag) == "core"), None)
    if core is None:
        raise DataError(f"{where}: has no <core>; it is not the metafile of a Darwin Core Archive")
    part = _part(core, "core", where)
    if _is_of_occurrences(part):
        return part, None
    for extension in root:
        row_type = _last(extension.get("rowType", ""))
        if _last(extension.tag) == "extension" and row_type and row_type.lower() in OCCURRENCES:
            return part, _part(extension, "extension of occurrences", where)
    return part, None


def _is_of_occurrences(part: Part) -> bool:
    """Whether the rows of a part are occurrences."""
    return part.row_type.lower() in OCCURRENCES


def _part(element: ElementTree.Element, name: str, where: str) -> Part:
    """A core or an extension."""
    locations = tuple((child.text or "").strip() for files in element if _last(files.tag) == "files" for child in files)
    if not locations:
        raise DataError(f"{where}: its {name} names no file; a <location> is missing")
    for location in locations:
        if "://" in location or not location or is_unsafe(location):
            raise DataError(f"{where}: its {name} lies at {location!r}; it must lie inside the archive")
    names, defaults, id_index = _fields(element, where)
    return Part(_last(element.get("rowType", "")), locations, _dialect(element, names, where), defaults, id_index)


class _NoDoctype(ElementTree.TreeBuilder):
    """Builds a tree, of a document without a document type only."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse what could define entities; the parser says so before it reads the definitions."""
        raise DataError(f"{self._where}: declares a document type (<!DOCTYPE {name}>), which a metafile never needs")


def _read(
    parts: tuple[Part, Part | None], open_location: Callable[[str], io.BufferedIOBase], where: str, columns: Columns
) -> Generator[pl.DataFrame, None, None]:
    """The occurrences of an archive, with default values and what their core rows say."""
    core, occurrences = parts
    if _is_of_occurrences(core):
        yield from _rows(core, open_location, where, columns)
        return
    if occurrences is None:
        raise DataError(
            f"{where}: its core is of {core.row_type} rows; it must be of Occurrence rows, "
            "as in the downloads of gbif.org"
        )
    wanted = core_columns(columns)
    ids = []
    for part in (core, occurrences):
        if part.id_index is None:
            raise DataError(f"{where}: the metafile names no id of its {part.row_type} rows, by which both are joined")
        ids.append({CORE_ID: part.id_index})
    table = read_core(_rows(core, open_location, where, wanted, ids[0]), where)
    yield from joined(_rows(occurrences, open_location, where, wanted, ids[1]), table, columns, where)


def _rows(
    part: Part,
    open_location: Callable[[str], io.BufferedIOBase],
    where: str,
    columns: Columns,
    further: Mapping[str, int] = MappingProxyType({}),
) -> Generator[pl.DataFrame, None, None]:
    """The rows of a core or an extension, with its default values.

    Raises:
        DataError: If none of its files has a row.
    """
    defaults = {
        name: part.defaults[key]
        for name in columns.required + columns.optional
        for key in part.defaults
        if plain_name(key) == plain_name(name)
    }
    indexed = {plain_name(name) for name in part.dialect.names or ()}
    constant = {name: value for name, value in defaults.items() if plain_name(name) not in indexed}
    columns = replace(
        columns,
        required=tuple(name for name in columns.required if name not in constant),
        optional=tuple(name for name in columns.optional if name not in constant),
    )
    n_rows = 0
    for location in part.locations:
        with open_location(location) as stream:
            batches = read_text(stream, f"{where}/{location}", columns, part.dialect, further, may_be_empty=True)
            for batch in batches:
                filled = [
                    pl.col(name).fill_null(value) if name in batch.columns else pl.lit(value).alias(name)
                    for name, value in defaults.items()
                ]
                n_rows += len(batch)
                yield batch.with_columns(filled)
    if n_rows == 0:
        raise DataError(f"{where}/{part.locations[0]}: has columns but no rows")


def _fields(core: ElementTree.Element, where: str) -> tuple[tuple[str, ...], dict[str, str], int | None]:
    """Names of the columns by their indices, default values, and the column of the id."""
    at: dict[int, str] = {}
    defaults, id_index = {}, None
    for child in core:
        tag = _last(child.tag).lower()
        if tag not in ("id", "coreid", "field"):
            continue
        term, index = _last(child.get("term", "")), child.get("index")
        if index is not None:
            place = _whole_number(index, LARGEST_INDEX)
            if place is None:
                raise DataError(
                    f"{where}: field {term or 'id'!r} has the index {index[:40]!r}; it must be 0, 1, 2, ... up to "
                    f"{LARGEST_INDEX:,}"
                )
            id_index = place if tag != "field" else id_index
            # The id's column may have a term too.
            if term or place not in at:
                at[place] = term
        if child.get("default") is not None and term:
            defaults[term] = child.get("default", "")
    return tuple(at.get(i, "") for i in range(max(at, default=-1) + 1)), defaults, id_index


def _dialect(core: ElementTree.Element, names: tuple[str, ...], where: str) -> Dialect:
    """How the files of a core are written; the standard's defaults where the metafile is silent."""
    separator = _unescaped(core.get("fieldsTerminatedBy", ","))
    # XML turns a tab that is written as itself into a blank.
    separator = "\t" if separator == " " else separator
    quote = _unescaped(core.get("fieldsEnclosedBy", '"'))
    encoding = core.get("encoding", "utf-8").strip() or "utf-8"
    header = core.get("ignoreHeaderLines", "0").strip() or "0"
    header_lines = _whole_number(header, MOST_HEADER_LINES)
    if len(separator) != 1 or not separator.isascii() or len(quote) > 1:
        raise DataError(f"{where}: fields end with {separator!r} and are in {quote!r}; both must be one character")
    if header_lines is None:
        raise DataError(
            f"{where}: ignoreHeaderLines is {header[:40]!r}; it must be a number of lines up to {MOST_HEADER_LINES:,}"
        )
    try:
        known = codecs.lookup(encoding).name
        # Some change bytes or text alone, such as hex and rot13.
        "\n".encode(encoding)
    except (LookupError, ValueError):
        known = ""
    if not known or known.replace("_", "-") in NO_ENCODINGS:
        raise DataError(f"{where}: unknown encoding {encoding[:40]!r}")
    return Dialect(separator, quote, known, header_lines, names)


def _whole_number(text: str, most: int) -> int | None:
    """The number that digits write, up to ``most``; None for anything else."""
    digits = text.lstrip("0") or text[:1]
    # Python reads no number of thousands of digits.
    if not text.isdecimal() or len(digits) > len(str(most)) or int(digits) > most:
        return None
    return int(digits)


def _unescaped(text: str) -> str:
    r"""An attribute's characters: ``\t`` and ``\n`` are written as two."""
    for escaped, character in (("\\t", "\t"), ("\\n", "\n"), ("\\r", "\r"), ("\\\\", "\\")):
        text = text.replace(escaped, character)
    return text


def _last(address: str) -> str:
    """The last part of a term's address, or of a tag with its namespace."""
    return address.rstrip("/").replace("#", "/").replace("}", "/").rsplit("/", 1)[-1].strip()
