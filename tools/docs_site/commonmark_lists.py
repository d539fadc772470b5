"""Lists of CommonMark as Python-Markdown reads them: content four columns in, and a blank line before the list.

Texts of the repository are written for code hosts, where the content of an item begins right of its marker and a list
may follow a line of its paragraph. Python-Markdown, which MkDocs builds on, wants four columns and a blank line.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

MARKER = re.compile(r"(\s*)([-*+]|\d+[.)])( +|$)")
COLUMNS = 4


def with_wide_lists(text: str) -> str:
    """The same text with every list in the form of Python-Markdown; what stands outside of lists is unchanged."""
    lines = text.split("\n")
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    # Columns that a line moves to the right, and lines that need a blank one before: a list that begins in the middle
    # of a paragraph, and an item after one of several paragraphs.
    shift_L = [0] * len(lines)
    begins = set()
    for token in tokens:
        if token.map is None:
            continue
        first, end = token.map
        if token.type in ("bullet_list_open", "ordered_list_open") and first > 0 and token.level == 0:
            begins.add(first)
        elif token.type == "list_item_open":
            marker = MARKER.match(lines[first])
            if marker is None:
                raise ValueError(f"line {first + 1} = {lines[first]!r}: must begin with the marker of a list")
            wider = COLUMNS - len(marker[2] + (marker[3] or " "))
            for line in range(first + 1, end):
                shift_L[line] += wider
            if any(not line.strip() for line in lines[first:end]) and end < len(lines):
                begins.add(end)
    wide = []
    for number, line in enumerate(lines):
        if number in begins and lines[number - 1].strip():
            wide.append("")
        shift = shift_L[number]
        indent = len(line) - len(line.lstrip(" "))
        wide.append(" " * (indent + shift) + line.lstrip(" ") if line.strip() and indent + shift >= 0 else line)
    return "\n".join(wide)
