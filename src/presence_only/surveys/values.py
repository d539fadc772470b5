"""Values of survey tables: present, absent or not looked for, in the words and counts that people write."""

from __future__ import annotations

import math
from functools import lru_cache

import polars as pl

from presence_only.columns.missing_values import MISSING_WORDS
from presence_only.columns.record_words import is_absence
from presence_only.data.truth import ABSENT, NOT_SURVEYED, PRESENT

# What is neither a presence nor an absence.
UNREAD = 9
# Marks of presence in tables of vegetation and on field sheets.
_MARKS = frozenset({"x", "×", "+", "✓", "✔"})


@lru_cache(maxsize=2**16)
def presence_code(text: str) -> int:
    """What a cell says: 1 present, 0 absent, -1 nothing, 9 neither.

    A count above 0 is a presence, 0 an absence; an empty cell was not looked for. A negative number is neither, as it
    may stand for a missing value.
    """
    text = text.strip()
    if not text or text in MISSING_WORDS:
        return NOT_SURVEYED
    if text.lower() in _MARKS:
        return PRESENT
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        absent = is_absence(text)
        return UNREAD if absent is None else ABSENT if absent else PRESENT
    if not math.isfinite(value) or value < 0:
        return UNREAD
    return PRESENT if value > 0 else ABSENT


def presence_codes(column: pl.Series) -> pl.Series:
    """The code of every cell of a column, in Int8; null is -1. Every different text is looked at once."""
    texts = column.cast(pl.String).fill_null("")
    different = texts.unique()
    codes = pl.Series([presence_code(text) for text in different], dtype=pl.Int8)
    return texts.replace_strict(different, codes, return_dtype=pl.Int8)


def neither(where: str, column: str, words: str) -> str:
    """The sentence for values that are neither presence nor absence."""
    return (
        f"{where}: column {column!r} has {words} (rows in brackets), neither a presence nor an absence; write 1 or 0, "
        "or leave a cell empty where the species was not looked for; if the column says something else, rename it"
    )


def may_say_presence(column: pl.Series) -> bool:
    """Whether all values of a column are 0, 1, or words of presence and absence; empty cells do not count."""
    if column.dtype.is_nested() or column.dtype == pl.Binary:
        return False
    different = column.drop_nulls().unique().cast(pl.String)
    numbers = different.cast(pl.Float64, strict=False)
    if different.filter(numbers.is_not_null() & ~numbers.is_in([0.0, 1.0])).len():
        return False
    return all(presence_code(text) in (PRESENT, ABSENT, NOT_SURVEYED) for text in different)
