"""Reader of large JSON files, one member at a time, so that one value at most is held as Python objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

_BLANK = re.compile(r"[ \t\n\r]*")


class JsonSteps:
    """A JSON text from its start; what is asked for must be what comes next.

    Raises:
        json.JSONDecodeError: By every method, if something else comes next or the text ends.
    """

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._decoder = json.JSONDecoder()

    def members(self) -> Iterator[str]:
        """Keys of the object that comes next; whoever asks reads each one's value before the next."""
        self._take("{")
        if self._take('}"', move=False) == "}":
            self._take("}")
            return
        while True:
            key = self.value()
            self._take(":")
            yield str(key)
            if self._take(",}") == "}":
                return

    def value(self) -> Any:
        """The value that comes next."""
        self._skip()
        found, self._at = self._decoder.raw_decode(self._text, self._at)
        return found

    def _take(self, wanted: str, *, move: bool = True) -> str:
        self._skip()
        if self._at >= len(self._text) or self._text[self._at] not in wanted:
            raise json.JSONDecodeError(f"{' or '.join(wanted)} expected", self._text, self._at)
        self._at += move
        return self._text[self._at - move]

    def _skip(self) -> None:
        found = _BLANK.match(self._text, self._at)
        self._at = found.end() if found else self._at
