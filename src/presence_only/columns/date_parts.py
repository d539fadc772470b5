"""Dates in several columns of a table: year, month and day, or one text.

Where the columns and the text contradict each other, the one that says more parts of the date counts, and the text if
both say as many: of 2020-05-03 beside the month 11 remains 2020-05-03. The row's ``unread_date`` tells of it.
"""

from __future__ import annotations

import polars as pl

from presence_only.columns.event_dates import LAST_YEAR, month_number, text_number, with_event_dates
from presence_only.columns.numbers import unread_numbers, whole_number

_PARTS = ("year", "month", "day")


def date_columns(batch: pl.DataFrame, text: str) -> dict[str, pl.Series]:
    """Year, month and day from their columns, or else from a column of texts, of those that a batch has.

    Args:
        batch: Rows with columns ``year``, ``month``, ``day`` or ``text``, or some of them.
        text: Name of the column of texts, such as ``eventDate``.

    Returns:
        The columns of a table of records: ``year``, ``month``, ``day``, ``date_text`` and ``unread_date``.
    """
    names: list[str] = [name for name in _PARTS if name in batch.columns]
    columns = _of_columns(batch, names) if names else {}
    if text not in batch.columns:
        return columns
    words = pl.col(text).cast(pl.String)
    if len(names) == 3:
        # Most texts repeat the three columns and need no reading.
        batch = batch.with_columns(columns[name].alias(name) for name in names)
        day = words.str.head(10).str.to_date("%Y-%m-%d", strict=False)
        said = (day.dt.year(), day.dt.month(), day.dt.day())
        same = pl.all_horizontal(pl.col(name) == part for name, part in zip(_PARTS, said, strict=True))
        words = pl.when(~same.fill_null(False)).then(words)
    texts = batch.select(words.alias(text))
    if len(names) == 3 and texts[text].null_count() == len(texts):
        return columns
    dates = with_event_dates(texts, text)
    read = {name: dates[f"date_{name}"] for name in _PARTS} | {
        name: dates[name] for name in ("unread_date", "date_text")
    }
    return read if not names else _combined(columns, read, dates[text])


def _of_columns(batch: pl.DataFrame, names: list[str]) -> dict[str, pl.Series]:
    """What the columns of year, month and day say."""
    if batch.schema.get("month") == pl.String:
        batch = batch.with_columns(_months(batch["month"]))
    numbers = batch.select(whole_number(pl.col(name)) for name in names)
    unread = unread_numbers(batch, names, "unread_date")
    if "year" in names:
        # Such years stand for an unknown date, as in 9999-12-31; its month and day do so too.
        beyond = numbers.select(~pl.col("year").is_between(0, LAST_YEAR).fill_null(True)).to_series()
        if beyond.any():
            numbers = numbers.with_columns(pl.when(~beyond).then(pl.col(name)).alias(name) for name in names)
            unread = unread.zip_with(~beyond, _texts(batch, names))
    found = {name: numbers[name] for name in names} | {"unread_date": unread.alias("unread_date")}
    found["date_text"] = pl.Series([None], dtype=pl.Int32).new_from_index(0, len(batch))
    if unread.null_count() < len(unread):
        # Of texts that were not read, other ones are other dates.
        told = zip(unread, _texts(batch, names), strict=True)
        found["date_text"] = pl.Series(
            [None if word is None else text_number(text) for word, text in told], dtype=pl.Int32
        )
    return found


def _texts(batch: pl.DataFrame, names: list[str]) -> pl.Series:
    """Year, month and day of every row as they are written."""
    parts = pl.concat_str(pl.col(names).cast(pl.String), separator="-", ignore_nulls=True)
    return batch.select(parts.alias("text")).to_series()


def _combined(columns: dict[str, pl.Series], read: dict[str, pl.Series], text: pl.Series) -> dict[str, pl.Series]:
    """The date of columns and of a text; what one of them does not say the other does, unless they contradict."""
    parts = [name for name in _PARTS if name in columns]
    table = pl.DataFrame(
        {f"column_{name}": column for name, column in columns.items()}
        | {f"text_{name}": column for name, column in read.items()}
        | {"text": text}
    )
    differ = pl.any_horizontal(pl.col(f"column_{name}") != pl.col(f"text_{name}") for name in parts).fill_null(False)
    # A text that was not understood only fills what is empty.
    differ &= pl.col("text_unread_date").is_null()
    n_text, n_columns = (
        pl.sum_horizontal(pl.col(f"{source}_{name}").is_not_null().cast(pl.Int32) for name in names)
        for source, names in (("text", _PARTS), ("column", parts))
    )
    found = {}
    for name in (*parts, "date_text"):
        first, second = pl.col(f"column_{name}"), pl.col(f"text_{name}")
        winner = pl.when(n_text >= n_columns).then(second).otherwise(first)
        found[name] = pl.when(differ).then(winner).otherwise(pl.coalesce(first, second))
    for name in (name for name in _PARTS if name not in parts):
        found[name] = pl.when(~differ | (n_text >= n_columns)).then(f"text_{name}")
    columns_say = pl.concat_str(
        (pl.format(f"{name} {{}}", f"column_{name}") for name in parts), separator=", ", ignore_nulls=True
    )
    # Beside a full date in columns, nothing is missing of a text that was not understood.
    unread = pl.coalesce("column_unread_date", pl.when(n_columns < len(_PARTS)).then("text_unread_date"))
    conflict = pl.format("{} beside {}", "text", columns_say)
    found["unread_date"] = pl.when(differ).then(conflict).otherwise(unread)
    chosen = table.select(column.alias(name) for name, column in found.items())
    return {column.name: column for column in chosen.iter_columns()}


def _months(column: pl.Series) -> pl.Series:
    """A column of months as numbers, as far as their words are known."""
    words = column.filter(column.cast(pl.Float64, strict=False).is_null()).drop_nulls().unique().to_list()
    known = {word: str(number) for word in words if (number := month_number(word)) is not None}
    return column.replace(known) if known else column
