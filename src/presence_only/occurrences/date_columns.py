"""Dates in several columns of a table: year, month and day, or one text."""

from __future__ import annotations

import polars as pl

from presence_only.occurrences.event_dates import month_number, text_number, with_event_dates
from presence_only.occurrences.number_columns import unread_numbers, whole_number


def date_columns(batch: pl.DataFrame, text: str) -> dict[str, pl.Series]:
    """Year, month and day from their columns, or else from a column of texts, of those that a batch has.

    Args:
        batch: Rows with columns ``year``, ``month``, ``day`` or ``text``, or some of them.
        text: Name of the column of texts, such as ``eventDate``.

    Returns:
        The columns of a table of records: ``year``, ``month``, ``day``, ``date_text`` and ``unread_date``.
    """
    names: list[str] = [name for name in ("year", "month", "day") if name in batch.columns]
    found: dict[str, pl.Series] = {}
    if names:
        if batch.schema.get("month") == pl.String:
            batch = batch.with_columns(_months(batch["month"]))
        found = {name: batch.select(whole_number(pl.col(name))).to_series() for name in names}
        unread = unread_numbers(batch, names, "unread_date")
        found["unread_date"] = unread
        found["date_text"] = pl.Series([None], dtype=pl.Int32).new_from_index(0, len(batch))
        if unread.null_count() < len(unread):
            # Of texts that were not read, other ones are other dates.
            texts = batch.select(pl.concat_str(names, separator="-", ignore_nulls=True)).to_series()
            numbers = [None if word is None else text_number(text) for word, text in zip(unread, texts, strict=True)]
            found["date_text"] = pl.Series(numbers, dtype=pl.Int32)
    if text not in batch.columns:
        return found
    words = pl.col(text).cast(pl.String)
    if len(names) == 3:
        # Most texts repeat the three columns and need no reading.
        words = pl.when(pl.any_horizontal(found[name].is_null() for name in names)).then(words)
    dates = with_event_dates(batch.select(words.alias(text)), text)
    read = {name: dates[f"date_{name}"] for name in ("year", "month", "day")}
    read |= {name: dates[name] for name in ("unread_date", "date_text")}
    first = {name: found.get(name, column) for name, column in read.items()}
    return {name: first[name].zip_with(first[name].is_not_null(), column) for name, column in read.items()}


def _months(column: pl.Series) -> pl.Series:
    """A column of months as numbers, as far as their words are known."""
    words = column.filter(column.cast(pl.Float64, strict=False).is_null()).drop_nulls().unique().to_list()
    known = {word: str(number) for word in words if (number := month_number(word)) is not None}
    return column.replace(known) if known else column
