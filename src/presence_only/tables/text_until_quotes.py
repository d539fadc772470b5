"""Text tables that may have quotes: whole blocks of lines while they have none, and the rest row by row.

Shape legend: N lines of a block.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import polars as pl

from presence_only.columns.column_names import Columns
from presence_only.tables.row_shapes import row_shape
from presence_only.tables.text_blocks import NEWLINE, have_fields, parse_lines, whole_lines
from presence_only.tables.text_decoding import LONGEST_LINE_BYTES, is_utf8
from presence_only.tables.text_dialects import Dialect
from presence_only.tables.text_rows import read_rows


def read_until_quotes(
    header: bytes, stream: io.BufferedIOBase, where: str, columns: Columns, dialect: Dialect, lines_before: int
) -> Generator[pl.DataFrame, None, None]:
    """Rows of a table that may have quotes: whole blocks of lines while they have none, and the rest row by row.

    Most tables of numbers have no quote at all, and reading rows one by one takes ten times as long.
    """
    separator = dialect.separator.encode()
    line = stream.readline(LONGEST_LINE_BYTES)
    fields = []
    if header.count(b'"') % 2 == 0 and is_utf8(header):
        text = [header.decode()]
        fields = next(csv.reader(text, delimiter=dialect.separator, quotechar='"', skipinitialspace=True), [])
    if not line.count(separator) + 1 == len(fields) > 1 or b'"' in line:
        yield from read_rows(Joined(header + line, stream), where, columns, dialect, {}, header, lines_before)
        return
    row = line.rstrip(b"\r\n").decode("utf-8", "replace").split(dialect.separator)
    names, shape = row_shape(fields, header, row, columns, dialect, where)
    places = columns.find(names, where)
    number = lines_before + header.count(b"\n") + 1
    blocks = whole_lines(line, stream, where)
    for lines, ended in blocks:
        data = np.frombuffer(lines, dtype=np.uint8)
        ends_N, separators = np.flatnonzero(data == NEWLINE), np.flatnonzero(data == separator[0])
        plain = ended and b'"' not in lines and b"\0" not in lines and lines.count(b"\r") == lines.count(b"\r\n")
        if not (plain and have_fields(ends_N, separators, shape.n_fields - 1) and is_utf8(lines)):
            # What the stream gave and is in no block yet comes with the further blocks.
            rest = Blocks(lines if ended else lines[:-1] for lines, ended in chain([(lines, ended)], blocks))
            found = replace(dialect, header_lines=0)
            yield from read_rows(rest, where, columns, found, {}, header, number - 1, (names, shape))
            return
        yield parse_lines(lines, lines, places, shape, dialect.separator, where, number)
        number += len(ends_N)


class Joined(io.RawIOBase):
    """A line that was read already, and the stream after it."""

    def __init__(self, first: bytes, stream: io.BufferedIOBase) -> None:
        super().__init__()
        self._first, self._stream = first, stream

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the beginning of ``buffer``, and say how many bytes; 0 is the end."""
        block = self._first[: len(buffer)] or self._stream.read(len(buffer))
        self._first = self._first[len(buffer) :]
        buffer[: len(block)] = block
        return len(block)


class Blocks(io.RawIOBase):
    """Blocks of bytes, one after the other."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks, self._left = blocks, memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the beginning of ``buffer``, and say how many bytes; 0 is the end."""
        if not self._left:
            self._left = memoryview(next(self._blocks, b""))
        block = self._left[: len(buffer)]
        self._left = self._left[len(block) :]
        buffer[: len(block)] = block
        return len(block)
