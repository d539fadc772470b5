r"""Missing values in users' tables: blank cells, and the words that programs write in their place.

R writes ``NA``, pandas ``nan`` or ``<NA>``, Python ``None``, databases ``NULL`` or ``\N``, spreadsheets ``#N/A``.
Every reader takes them as no value, whatever the column: a species called ``NA`` is a row of no species. In a column of
presence words alone, ``none`` is a word: the species was not there.
"""

from __future__ import annotations

from collections.abc import Sequence

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
# In a column of presence words these say that the species was not there.
_ABSENCES = ("None", "none", "NONE")
_MANY = 100


def without_missing(table: pl.DataFrame, statuses: Sequence[str] = ()) -> pl.DataFrame:
    """The table with its text trimmed, and null where a cell is blank or has a word for a missing value.

    Trimming takes away all that Unicode calls white space, such as no-break spaces. Other columns stay as they are.

    Args:
        table: Rows.
        statuses: Columns of presence words that the table may have, in which ``none`` is a word.
    """
    texts = [column for column in table.iter_columns() if column.dtype == pl.String and column.name not in statuses]
    words = [word for word in MISSING_WORDS if word not in _ABSENCES]
    table = table.with_columns(
        _text_or_null(table[name], words) for name in statuses if table.schema.get(name) == pl.String
    )
    if len(texts) > _MANY:
        # One step for all, for a step of its own per column takes longer than what it does.
        text = pl.col([column.name for column in texts]).str.strip_chars()
        return table.with_columns(pl.when(~text.is_in(["", *MISSING_WORDS])).then(text))
    return table.with_columns(_text_or_null(column, MISSING_WORDS) for column in texts)


def _text_or_null(column: pl.Series, words: Sequence[str]) -> pl.Series:
    """A column of text trimmed, and null where it is blank or one of the words for missing values."""
    text = column.str.strip_chars()
    missing = text.is_in(["", *words]).fill_null(False)
    # Most columns have none, and writing texts again takes longer than looking.
    return text.set(missing, None) if missing.any() else text
