"""Tables in the archives that publishers deliver them in: a zip or tar with documents beside them, .gz inside of .tar.

A member is a wanted table if its first line names all required columns, whatever the member is called. All such
members are read, one after the other, as one table.

Source: https://support.ebird.org/en/support/solutions/articles/48000838205-download-ebird-data-products
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import polars as pl

from presence_only.columns.column_names import Columns
from presence_only.common.errors import DataError
from presence_only.tables.reading import read_table
from presence_only.tables.text_decoding import LONGEST_LINE_BYTES
from presence_only.tables.text_dialects import is_header
from presence_only.tables.text_tables import read_text
from presence_only.tables.unpacking import (
    LIMITS,
    Archive,
    Limits,
    first_bytes,
    is_zip,
    open_text,
    tar_members,
    unpacked_gz,
)

_GZIP = b"\x1f\x8b"
_LISTED = 5


def read_tables(
    path: Path, columns: Columns, limits: Limits = LIMITS, without: tuple[str, ...] = ()
) -> Generator[pl.DataFrame, None, None]:
    """The rows of all wanted tables in a file or folder, in batches, in the order of the members.

    Args:
        path: A text table, plain or .gz; a parquet file; a zip or a tar (.tar, .tar.gz) of tables, .gz or not, and of
            other documents; a folder of such files.
        columns: What is wanted.
        limits: How much a packed file may unpack to.
        without: Columns that another table of the same archive has, by which that table is told from the wanted one.

    Returns:
        Batches as of :func:`~presence_only.tables.reading.read_table`.

    Raises:
        DataError: As of ``read_table``, or if no member is a wanted table.
    """
    if path.is_dir():
        yield from _of_folder(path, columns, limits, without)
    elif is_zip(first_bytes(path)) or tarfile.is_tarfile(path):
        with closing(_members(path, limits)) as members:
            yield from _of_members(members, str(path), columns, limits, without)
    else:
        if without and _is_table(path, Columns((*columns.required, *without)), limits):
            raise DataError(f"{path}: has a column {without[0]!r}, and is another table than the one asked for")
        yield from read_table(path, columns, limits)


def _of_folder(
    folder: Path, columns: Columns, limits: Limits, without: tuple[str, ...]
) -> Generator[pl.DataFrame, None, None]:
    """The rows of all wanted tables in the files of a folder."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    read = 0
    for file in files:
        head = first_bytes(file, empty=True)
        packed = is_zip(head) or (bool(head) and tarfile.is_tarfile(file))
        if head == b"PAR1" or (head and not packed and _is_table(file, columns, limits, without)):
            read += 1
            yield from read_table(file, columns, limits)
        elif packed and _has_wanted(file, columns, limits, without):
            read += 1
            with closing(_members(file, limits)) as members:
                yield from _of_members(members, str(file), columns, limits, without)
    if not read:
        raise DataError(_no_table(str(folder), [file.name for file in files], columns))


def _of_members(
    members: Iterator[tuple[str, io.BufferedReader]],
    where: str,
    columns: Columns,
    limits: Limits,
    without: tuple[str, ...],
) -> Generator[pl.DataFrame, None, None]:
    """The rows of all wanted tables in an archive."""
    names: list[str] = []
    read = 0

    def noted() -> Iterator[tuple[str, io.BufferedReader]]:
        for name, stream in members:
            names.append(name)
            yield name, stream

    for name, stream in _wanted(noted(), columns, limits, without):
        read += 1
        yield from read_text(stream, f"{where}/{name}", columns)
    if not read:
        raise DataError(_no_table(where, names, columns))


def _has_wanted(file: Path, columns: Columns, limits: Limits, without: tuple[str, ...]) -> bool:
    """Whether an archive has a wanted table."""
    with closing(_members(file, limits)) as members:
        return any(True for _ in _wanted(members, columns, limits, without))


def _wanted(
    members: Iterator[tuple[str, io.BufferedReader]], columns: Columns, limits: Limits, without: tuple[str, ...]
) -> Iterator[tuple[str, io.BufferedReader]]:
    """The members that are wanted tables, from their beginning."""
    for name, packed in members:
        stream = packed
        if stream.peek(2)[:2] == _GZIP:
            # How large the member is does not matter to a limit that the archive has set already.
            stream = unpacked_gz(stream, name, limits.total_bytes // limits.ratio, limits)
        if is_header(_first_line(stream), columns, without):
            yield name, stream


def _members(path: Path, limits: Limits) -> Generator[tuple[str, io.BufferedReader], None, None]:
    """Name and bytes of the members of a zip or tar, without folders and hidden files."""
    if not is_zip(first_bytes(path)):
        with closing(tar_members(path, limits)) as found:
            for name, stream in found:
                if not _is_hidden(name):
                    yield name, stream
        return
    with Archive(path, limits) as archive:
        for name in archive.names:
            if not _is_hidden(name):
                with archive.open(name) as stream:
                    yield name, stream


def _is_table(path: Path, columns: Columns, limits: Limits, without: tuple[str, ...] = ()) -> bool:
    """Whether the first line of a text file names all required columns."""
    if first_bytes(path) == b"PAR1":
        return False
    with open_text(path, limits) as stream:
        return is_header(stream.readline(LONGEST_LINE_BYTES), columns, without)


def _first_line(stream: io.BufferedReader) -> bytes:
    """The first line of a stream, which stays at its beginning."""
    return stream.peek(1).split(b"\n", 1)[0]


def _is_hidden(name: str) -> bool:
    """Whether a member is one that an operating system added."""
    parts = name.split("/")
    return parts[0] == "__MACOSX" or parts[-1].startswith(".")


def _no_table(where: str, names: list[str], columns: Columns) -> str:
    """The sentence for an archive without a wanted table."""
    found = ", ".join(sorted(names)[:_LISTED]) or "nothing"
    wanted = ", ".join(repr(name) for name in columns.required)
    return f"{where}: holds no table with the columns {wanted}; it holds {found}"
