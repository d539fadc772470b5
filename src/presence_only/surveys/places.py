"""Places and weeks of the surveys in users' tables: coordinates in degrees, dates as weeks of the year.

Shape legend: V surveys.
"""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from presence_only.columns.coordinates import MANY_LONGITUDES, unread_coordinates
from presence_only.columns.event_dates import day_exists, month_number, with_event_dates
from presence_only.columns.numbers import number, whole_number
from presence_only.columns.week_numbers import WeekNumbers, with_week_numbers
from presence_only.common.errors import DataError
from presence_only.data.sites import WEEKS


def with_places(
    batch: pl.DataFrame, weeks: bool, week_numbers: WeekNumbers | None = None, where: str = "survey"
) -> pl.DataFrame:
    """The longitude and latitude of every row, and with ``weeks`` its week; null, and the text, where not understood.

    Args:
        batch: Rows with columns longitude and latitude, and with ``weeks`` of what says the week (:func:`has_weeks`).
        weeks: Whether weeks are wanted.
        week_numbers: What the numbers of a column of weeks are, which give the week where a row has no date.
        where: What error messages call the file.

    Returns:
        Columns longitude, latitude, unread_coordinates and, with weeks, week and unread_week.

    Raises:
        DataError: If numbers of weeks are needed and nobody said what they are, or one is no week.
    """
    degrees = (number(pl.col(name)).fill_nan(None) for name in ("longitude", "latitude"))
    unread = unread_coordinates(batch, "longitude", "latitude")
    return batch.select(*degrees, unread, *(_weeks(batch, week_numbers, where) if weeks else ()))


def has_weeks(names: Collection[str]) -> bool:
    """Whether columns say the week: themselves, by a date, or by month and day."""
    return bool({"week", "date"} & {*names}) or {"month", "day"} <= {*names}


def in_degrees(surveys: pl.DataFrame, longitudes: str, where: str) -> pl.DataFrame:
    """Surveys whose longitudes run from -180 to 180.

    Args:
        surveys: With columns longitude and latitude.
        longitudes: How the file counts them, ``-180..180`` or ``0..360``.
        where: What error messages call the file.

    Raises:
        DataError: If they run from 0 to 360 and the setting does not say so, or no survey has any coordinates.
    """
    longitude = pl.col("longitude")
    beyond = longitude.is_between(180, 360, closed="right")
    if longitudes == "0..360":
        return surveys.with_columns(pl.when(beyond).then(longitude - 360).otherwise(longitude).alias("longitude"))
    west, past, largest = surveys.select(
        west=(longitude < 0).sum(), past=beyond.sum(), largest=longitude.filter(beyond).max()
    ).row(0)
    if not west and past >= max(MANY_LONGITUDES * len(surveys), 1):
        raise DataError(
            f"{where}: longitudes reach {largest:g} and none is negative, so they run from 0 to 360; "
            "set evaluation.longitudes: 0..360 to have them converted"
        )
    possible = longitude.is_between(-180, 180) & pl.col("latitude").is_between(-90, 90)
    if not surveys.select(possible.fill_null(False).any()).item():
        example = surveys.select(
            pl.coalesce("unread_coordinates", pl.format("longitude {}, latitude {}", "longitude", "latitude"))
        ).to_series()
        words = example.drop_nulls().first()
        raise DataError(
            f"{where}: no survey has a longitude within -180..180 and a latitude within -90..90"
            + (f"; one says {words!r}" if words else "; all are empty")
            + ": write degrees WGS84 with a decimal point"
        )
    return surveys


def _weeks(batch: pl.DataFrame, week_numbers: WeekNumbers | None, where: str) -> list[pl.Series]:
    """Columns week and unread_week: of a date, or else of month and day, or else of the number of a week."""
    names = batch.columns
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(batch))
    table = pl.DataFrame({"month": nothing.cast(pl.Int32), "day": nothing.cast(pl.Int32), "text": nothing})
    if {"month", "day"} <= {*names}:
        months = batch["month"].cast(pl.String)
        words = {word: str(month_number(word)) for word in months.drop_nulls().unique() if month_number(word)}
        months = months.replace(words) if words else months
        table = batch.with_columns(months).select(
            whole_number(pl.col("month")), whole_number(pl.col("day")), text=pl.format("{}-{}", months, "day")
        )
    if "date" in names:
        dates = with_event_dates(batch.select(pl.col("date").alias("said")), "said")
        given = dates["date_day"].is_not_null()
        table = table.select(
            dates["date_month"].zip_with(given, table["month"]).alias("month"),
            dates["date_day"].zip_with(given, table["day"]).alias("day"),
            pl.coalesce(dates["said"].cast(pl.String), "text").alias("text"),
        )
    known = day_exists(pl.lit(None, dtype=pl.Int32), pl.col("month"), pl.col("day")).fill_null(False)
    table = table.with_columns(known=known)
    if "week" in names:
        table = _with_weeks_of_numbers(table, batch, week_numbers, where)
    week_of_year = (pl.col("month") - 1) * (WEEKS // 12) + ((pl.col("day") - 1) // 7).clip(0, WEEKS // 12 - 1) + 1
    found = table.select(
        week=pl.when("known").then(week_of_year).cast(pl.Int32), unread_week=pl.when(~pl.col("known")).then("text")
    )
    return [found["week"], found["unread_week"].cast(pl.String)]


def _with_weeks_of_numbers(
    table: pl.DataFrame, batch: pl.DataFrame, week_numbers: WeekNumbers | None, where: str
) -> pl.DataFrame:
    """Months and days, of which those that are not known are of a day in the row's week.

    Raises:
        DataError: If nobody said what the numbers are, or one is no week.
    """
    number = batch.select(whole_number(pl.col("week"))).to_series()
    largest = number.filter(~table["known"]).max()
    if isinstance(largest, int) and week_numbers is None:
        raise DataError(
            f"{where}: has surveys with the number of a week, such as {largest}, and no date; say what the numbers "
            f"are: evaluation.week_numbers: four_a_month for 1..{WEEKS}, or evaluation.week_numbers: iso for 1..53"
        )
    most = WEEKS if week_numbers == "four_a_month" else 53
    if isinstance(largest, int) and largest > most:
        raise DataError(
            f"{where}: has week {largest}, and evaluation.week_numbers = {week_numbers!r} has the weeks 1..{most}; "
            "correct the number, or the setting"
        )
    years = {"year": batch.select(whole_number(pl.col("year"))).to_series()} if "year" in batch.columns else {}
    found = with_week_numbers(years, batch["week"], week_numbers or "iso")
    within = found["day"].is_not_null()
    return table.select(
        *(pl.when("known").then(name).otherwise(found[name]).alias(name) for name in ("month", "day")),
        pl.coalesce("text", batch["week"].cast(pl.String)).alias("text"),
        (pl.col("known") | within).alias("known"),
    )
