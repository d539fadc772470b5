r"""Missing values in users' tables: blank cells, and the words that programs write in their place.

R writes ``NA``, pandas ``nan`` or ``<NA>``, Python ``None``, databases ``NULL`` or ``\N``, spreadsheets ``#N/A``.
Every reader takes them as no value, whatever the column: a species called ``NA`` is a row of no species.
"""

from __future__ import annotations

import polars as pl

# In the spellings that programs write; a word in another case, such as `nA`, stays a word.
MISSING_WORDS = (
    "NA",
    "na",
    "N/A",
    "n/a",
    "#N/A",
    "<NA>",
    "<na>",
    "nan",
    "NaN",
    "NAN",
    "null",
    "Null",
    "NULL",
    "(null)",
    "None",
    "none",
    "NONE",
    "\\N",
)


def without_missing(table: pl.DataFrame) -> pl.DataFrame:
    """The table with its text trimmed, and null where a cell is blank or has a word for a missing value.

    Trimming takes away all that Unicode calls white space, such as no-break spaces. Other columns stay as they are.
    """
    texts = [name for name, kind in table.schema.items() if kind == pl.String]
    return table.with_columns(text_or_null(pl.col(name)) for name in texts)


def text_or_null(column: pl.Expr) -> pl.Expr:
    """A column of text trimmed, and null where it is blank or a word for a missing value."""
    text = column.str.strip_chars()
    return pl.when(~text.is_in(["", *MISSING_WORDS])).then(text)
