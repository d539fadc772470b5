"""Names and tables in Markdown: what comes from data stays text, whatever characters it has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Of links, emphasis, code, tables, mathematics and addresses that readers make links of; and what begins a heading or
# a list.
_SPECIAL = re.compile(r"[\\`*_{}\[\]|~$^:@]|(?<=www)\.|^[#+=!-]|(?<=^\d)[.)](?=\s)|(?<=^\d\d)[.)](?=\s)", re.IGNORECASE)
# What no reader shows, or shows in another order than it stands.
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufffe\uffff]")


def text(words: object) -> str:
    """Words from data as plain text inside of a line of Markdown."""
    line = " ".join(str(words).split())
    line = _SPECIAL.sub(lambda found: "\\" + found[0], _HIDDEN.sub("\N{REPLACEMENT CHARACTER}", line))
    return re.sub("[&<>]", lambda found: _ENTITIES[found[0]], line)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
