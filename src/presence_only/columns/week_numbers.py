"""Numbers of weeks in users' tables: what they add to dates that have no day.

A number of a week is one of two things, which its column does not say: one of BirdNET's 48 weeks of the year, four a
month (:func:`~presence_only.data.sites.week_of`), or one of the 52 or 53 weeks of ISO 8601.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import polars as pl

from presence_only.columns.numbers import unread_numbers, whole_number
from presence_only.data.sites import WEEKS

WeekNumbers = Literal["four_a_month", "iso"]

_PARTS = ("year", "month", "day")
# A year with 53 weeks, for those of an unknown year.
_LONG_YEAR = 2015


def with_week_numbers(
    dates: Mapping[str, pl.Series], week: pl.Series, numbers: WeekNumbers | None
) -> dict[str, pl.Series]:
    """Dates, of which those without a day have one that lies in their week.

    Args:
        dates: What is known of ``year``, ``month``, ``day``, ``date_text`` and ``unread_date``.
        week: The number of every row's week, as text or numbers.
        numbers: What the numbers are. None: nobody said; they tell visits apart by their ``date_text``.

    Returns:
        All five; ``unread_date`` has the numbers that are none of a week.
    """
    kinds = dict.fromkeys((*_PARTS, "date_text"), pl.Int32) | {"unread_date": pl.String}
    empty = pl.Series([None]).new_from_index(0, len(week))
    table = pl.DataFrame([dates.get(name, empty).cast(kind).alias(name) for name, kind in kinds.items()])
    table = table.with_columns(week.alias("said")).with_columns(week=whole_number(pl.col("said")))
    year, number = pl.col("year"), pl.col("week")
    open_ended = pl.col("month").is_null() | pl.col("day").is_null()
    unread = unread_numbers(table, ("said",), "unread")
    if numbers is None:
        visit = pl.when(open_ended & number.is_not_null()).then(-1 - 100 * year.fill_null(0) - number)
        table = table.with_columns(pl.coalesce("date_text", visit.cast(pl.Int32)))
    else:
        table = table.with_columns(day_in=_day_in_week(year, number, numbers))
        unread = table.select(
            pl.when(open_ended & pl.col("day_in").is_null()).then(pl.format("week {}", "said")).alias("unread")
        ).to_series()
        known = open_ended & pl.col("day_in").is_not_null()
        table = table.with_columns(
            pl.when(known).then(pl.col("day_in").dt.month()).otherwise("month").cast(pl.Int32).alias("month"),
            pl.when(known).then(pl.col("day_in").dt.day()).otherwise("day").cast(pl.Int32).alias("day"),
        )
    table = table.with_columns(pl.coalesce("unread_date", unread).alias("unread_date"))
    return {name: table[name] for name in kinds}


def _day_in_week(year: pl.Expr, number: pl.Expr, numbers: WeekNumbers) -> pl.Expr:
    """A day that lies in a week, whose month and day count; null where there is no such week."""
    if numbers == "four_a_month":
        within = number.is_between(1, WEEKS)
        a_month = WEEKS // 12
        return pl.when(within).then(pl.date(_LONG_YEAR, (number - 1) // a_month + 1, (number - 1) % a_month * 7 + 1))
    # A week's Thursday lies in the week's year.
    text = pl.format(
        "{}-W{}-4", *(of.cast(pl.String).str.zfill(n) for of, n in ((year.fill_null(_LONG_YEAR), 4), (number, 2)))
    )
    return pl.when(number.is_between(1, 53)).then(text).str.to_date("%G-W%V-%u", strict=False)
