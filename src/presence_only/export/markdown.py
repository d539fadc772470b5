"""Names and tables in Markdown: what comes from data stays text, whatever characters it has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from presence_only.common.shown_names import in_a_line

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Of links, emphasis, code, tables, mathematics and addresses that readers make links of; and what begins a heading or
# a list.
_SPECIAL = re.compile(r"[\\`*_{}\[\]|~$^:@]|(?<=www)\.|^[#+=!-]|(?<=^\d)[.)](?=\s)|(?<=^\d\d)[.)](?=\s)", re.IGNORECASE)


def text(words: object) -> str:
    """Words from data as plain text inside of a line of Markdown."""
    line = " ".join(str(words).split())
    line = _SPECIAL.sub(lambda found: "\\" + found[0], in_a_line(line))
    return re.sub("[&<>]", lambda found: _ENTITIES[found[0]], line)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
