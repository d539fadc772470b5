"""Bytes of a text table as text, or the number of the line that is none."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from functools import partial
from typing import Any

from presence_only.common.errors import DataError

LONGEST_LINE_BYTES = 64 * 2**20


def decoded(text: bytes, where: str, line: int) -> str:
    """UTF-8 as text."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: line {line} is not UTF-8 (byte 0x{text[error.start]:02X}); if it is Latin-1, "
            "convert the file: iconv -f latin1 -t utf-8 OLD > NEW"
        ) from None


def decoded_lines(stream: Any, where: str, encoding: str, lines_before: int = 0) -> Iterator[str]:
    """The lines of a table as text."""
    if "\n".encode(encoding)[-1:] != b"\n" or len("\n".encode(encoding)) > 1:
        # Whose lines do not end with one byte.
        text = io.TextIOWrapper(stream, encoding, newline="")
        try:
            yield from text
        except UnicodeError:
            raise DataError(f"{where}: is not {encoding}, as its metafile says") from None
        finally:
            text.detach()
        return
    utf8 = codecs.lookup(encoding).name == "utf-8"
    for number, line in enumerate(iter(partial(stream.readline, LONGEST_LINE_BYTES), b""), 1 + lines_before):
        try:
            text_line = decoded(line, where, number) if utf8 else line.decode(encoding)
        except UnicodeError:
            raise DataError(f"{where}: line {number} is not {encoding}, as its metafile says") from None
        yield text_line.removeprefix("\ufeff") if number == 1 + lines_before else text_line


def is_utf8(text: bytes) -> bool:
    """Whether bytes are text in UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
