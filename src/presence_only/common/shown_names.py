"""Names and words from data, fit for where they are shown: a terminal, a figure, a page, a line of text.

A name is kept as it is in tables and files of results. Where it is shown, no character of it may move the cursor,
colour the screen, turn the order of letters around, begin mathematics or hide. Names of usual letters stay the same.
"""

from __future__ import annotations

import re
import sys
from typing import TextIO

LONGEST_IN_A_FIGURE = 100
# Control characters, with the escapes of terminals; what no reader shows, or shows in another order than it stands;
# halves of characters, which no encoding can write.
_HIDDEN = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\ufffe\uffff\U000e0000-\U000e0fff"
)
_ANYWHERE, _IN_A_LINE = re.compile(f"[{_HIDDEN}]"), re.compile(f"[{_HIDDEN}\t\n\r]")
_INSTEAD = "\N{REPLACEMENT CHARACTER}"


def visible(text: str) -> str:
    """Text of one line or several, in which every character is seen and stands where it is written."""
    return _ANYWHERE.sub(_INSTEAD, text)


def in_a_line(text: str) -> str:
    """The same as one line, as in a terminal or a table: ends of lines and tabs count as hidden too."""
    return _IN_A_LINE.sub(_INSTEAD, text)


def in_a_figure(name: str) -> str:
    """A name as matplotlib draws it: no mathematics, in a line of at most 100 characters."""
    line = in_a_line(name)
    if len(line) > LONGEST_IN_A_FIGURE:
        line = f"{line[: LONGEST_IN_A_FIGURE - 3]}..."
    # A label that begins with an underscore is left out of legends.
    return (" " if line.startswith("_") else "") + line.replace("$", r"\$")


def write_any_text(*streams: TextIO) -> None:
    """Have a terminal or a log that lacks a character, as one of ASCII lacks most, be given its number instead."""
    for stream in streams or (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
