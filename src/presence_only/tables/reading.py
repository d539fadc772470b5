"""Safe reading of users' tables, in batches, from plain, gz, zip and parquet files.

The content of a file decides what it is, not its name. Text is unpacked and parsed block by block: neither the file nor
its unpacked form is ever held whole, and nothing is written to disk. Only parquet inside a zip is unpacked, into a
temporary folder that is gone when reading ends, under names of our own: a member's name never becomes a path.

How text is read says :mod:`~presence_only.tables.text_tables`, and :mod:`~presence_only.tables.parquet` how parquet is.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import polars as pl

from presence_only.columns.column_names import Columns
from presence_only.common.temporary_names import scratch_folder
from presence_only.tables.batches import some_rows
from presence_only.tables.parquet import parquet_files, parquet_names, read_parquet
from presence_only.tables.text_tables import read_text, text_names
from presence_only.tables.unpacking import LIMITS, Archive, Limits, first_bytes, is_zip, open_text
from presence_only.tables.zip_members import only_table, parquet_members


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
        yield from some_rows(read_parquet(parquet_files(path), columns), str(path))
        return
    head = first_bytes(path)
    if is_zip(head):
        with Archive(path, limits) as archive:
            yield from read_archive(archive, columns)
    elif head == b"PAR1":
        yield from some_rows(read_parquet([path], columns), str(path))
    else:
        with open_text(path, limits) as stream:
            yield from read_text(stream, str(path), columns)


def read_archive(archive: Archive, columns: Columns) -> Generator[pl.DataFrame, None, None]:
    """The rows of the one table in a zip, or of all of its parquet files."""
    parquet = parquet_members(archive)
    if parquet:
        with scratch_folder() as folder:
            files = [archive.unpack(name, folder / f"{i}.parquet") for i, name in enumerate(parquet)]
            labels = [f"{archive.path}/{name}" for name in parquet]
            yield from some_rows(read_parquet(files, columns, labels), str(archive.path))
        return
    name = only_table(archive)
    with archive.open(name) as stream:
        yield from read_text(stream, f"{archive.path}/{name}", columns)


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
        return parquet_names(parquet_files(path)[0], str(path))
    head = first_bytes(path)
    if head == b"PAR1":
        return parquet_names(path, str(path))
    if not is_zip(head):
        with open_text(path, limits) as stream:
            return text_names(stream, str(path), columns)
    with Archive(path, limits) as archive:
        parquet = parquet_members(archive)
        if parquet:
            with scratch_folder() as folder:
                file = archive.unpack(parquet[0], folder / "0.parquet")
                return parquet_names(file, f"{path}/{parquet[0]}")
        name = only_table(archive)
        with archive.open(name) as stream:
            return text_names(stream, f"{path}/{name}", columns)
