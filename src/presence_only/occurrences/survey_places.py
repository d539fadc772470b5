"""Places and weeks of the surveys in users' tables: coordinates in degrees, dates as weeks of the year.

Shape legend: V surveys.
"""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from presence_only.common.errors import DataError
from presence_only.data.sites import WEEKS
from presence_only.occurrences.cleaning import MANY_LONGITUDES
from presence_only.occurrences.event_dates import day_exists, month_number, with_event_dates
from presence_only.occurrences.number_columns import number, unread_coordinates, unread_numbers, whole_number


def with_places(batch: pl.DataFrame, weeks: bool) -> pl.DataFrame:
    """The longitude and latitude of every row, and with ``weeks`` its week; null, and the text, where not understood.

    Args:
        batch: Rows with columns longitude and latitude, and with ``weeks`` of what says the week (:func:`has_weeks`).
        weeks: Whether weeks are wanted.

    Returns:
        Columns longitude, latitude, unread_coordinates and, with weeks, week and unread_week.
    """
    degrees = (number(pl.col(name)).fill_nan(None) for name in ("longitude", "latitude"))
    unread = unread_coordinates(batch, "longitude", "latitude")
    return batch.select(*degrees, unread, *(_weeks(batch) if weeks else ()))


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


def check_weeks_of_surveys(surveys: pl.DataFrame, where: str) -> None:
    """Refuse weeks of another calendar.

    Raises:
        DataError: If a week is above 48.
    """
    largest = surveys["week"].max()
    if isinstance(largest, int) and largest > WEEKS:
        raise DataError(
            f"{where}: has week {largest}; weeks must be 1..{WEEKS}, four a month, the last one longer. Give dates "
            "(a column date) if they are those of a calendar"
        )


def _weeks(batch: pl.DataFrame) -> list[pl.Series]:
    """Columns week and unread_week: of a column of dates, of months and days, or of weeks."""
    names = batch.columns
    if "date" in names:
        dates = with_event_dates(batch.select("date"), "date")
        dates = dates.select(pl.col("date_month").alias("month"), pl.col("date_day").alias("day"), text="date")
    elif {"month", "day"} <= {*names}:
        months = batch["month"].cast(pl.String)
        words = {word: str(month_number(word)) for word in months.drop_nulls().unique() if month_number(word)}
        months = months.replace(words) if words else months
        dates = batch.with_columns(months).select(
            whole_number(pl.col("month")), whole_number(pl.col("day")), text=pl.format("{}-{}", months, "day")
        )
    else:
        week = batch.select(whole_number(pl.col("week"))).to_series()
        unread = unread_numbers(batch, ("week",), "unread_week")
        # A number that is no whole one.
        texts = batch.select(pl.when(week.is_null()).then(pl.col("week").cast(pl.String))).to_series()
        return [week, unread.zip_with(unread.is_not_null(), texts).alias("unread_week")]
    known = day_exists(pl.lit(None, dtype=pl.Int32), pl.col("month"), pl.col("day")).fill_null(False)
    week_of_year = (pl.col("month") - 1) * (WEEKS // 12) + ((pl.col("day") - 1) // 7).clip(0, WEEKS // 12 - 1) + 1
    found = dates.select(
        week=pl.when(known).then(week_of_year).cast(pl.Int32), unread_week=pl.when(~known).then(pl.col("text"))
    )
    return [found["week"], found["unread_week"].cast(pl.String)]
