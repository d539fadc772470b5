"""Dates as people write them, read where they can mean one day only.

Read to the day are: ISO 8601 (``2020-05-03``, with or without a time; ``2020-5-3``, ``2020/05/03``, ``20200503`` and
the day of the year ``2020-124`` too), days before months with points (``3.5.1850``), months by their English name or
in Roman numerals (``3 May 2020``, ``May 3, 2020``, ``3.V.1850``), slashes or hyphens where one number is above 12 or
both are equal (``13/05/2020``), and spans that begin and end on one day (``2020-05-03T12:00/2020-05-03T15:00``).
Behind a day there may be a time of day, and nothing else: spans and lists of several days are no day.
``03/05/2020`` may be a day of March or of May: only its year is read. Of spans and of any other text the year is read
where all years that are written agree; a day that the calendar lacks, such as 31 February, is no day. Years above
``LAST_YEAR`` stand for what is unknown, as 9999-12-31 does, or are slips of the pen: they are no dates.

Texts that are no day and no plain year or month keep a number of their own, so that two visits with different
texts are never taken for one.

Source: https://dwc.tdwg.org/terms/#dwc:eventDate
"""

from __future__ import annotations

import re
import zlib
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

import polars as pl

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMES = (
    "january|february|march|april|may|june|july|august|september|october|november|december|"
    "jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec"
)
_ROMANS = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii")
# A fixed bound, so that a file gives the same records on any day: later years are no years of records.
LAST_YEAR = 2050
# A time of day with its zone, such as 12:00:00.5+02:00, 12.30 Uhr, 3 PM or T1200Z.
_HOUR, _SIXTY = r"(?:[01]?\d|2[0-4])", r"[0-5]\d"
_TIME_OF_DAY = (
    rf"(?:{_HOUR}(?::{_SIXTY}(?::(?:{_SIXTY}|60)(?:[.,]\d+)?)?(?: ?[aApP]\.?[mM]\.?)?|h(?:{_SIXTY})?|\.{_SIXTY}"
    rf"| ?[aApP]\.?[mM]\.?)(?: ?Uhr| ?h)?(?: ?(?:Z|[A-Z]{{2,3}}[TC]))?(?: ?[+-]\d{{2}}(?::?\d{{2}})?)?)"
)
_BASIC_TIME = rf"(?:{_HOUR}(?:{_SIXTY}(?:{_SIXTY}(?:[.,]\d+)?)?)?(?:Z|[+-]\d{{2}}(?::?\d{{2}})?)?)"
_TIMES = rf"{_TIME_OF_DAY}(?: ?[-–] ?{_TIME_OF_DAY})?"
_TIME = rf"(?:Z|[T ,]+{_TIMES}|T{_BASIC_TIME})?$"
# What nearly all files have; shorter than all times of day, and so faster.
_ISO_TIME = r"[T ](?:[01]\d|2[0-4]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?"
_ISO = rf"^(\d{{4}})(?:-(\d{{2}})(?:-(\d{{2}})(?:Z|{_ISO_TIME})?)?)?$"
_CLOCK = re.compile(rf"^(?:{_TIMES}|{_BASIC_TIME})$")
_YEAR_FIRST = re.compile(r"^(\d{4})([-/.])(\d{1,2})(?:\2(\d{1,2}))?" + _TIME)
_YEAR_LAST = re.compile(r"^(\d{1,2})([-/.]) ?(\d{1,2})\2 ?(\d{4})" + _TIME)
_COMPACT = re.compile(r"^(\d{4})(\d{2})(\d{2})" + _TIME)
_ORDINAL = re.compile(r"^(\d{4})-(\d{3})$")
_DAY_NAME = re.compile(rf"^(\d{{1,2}})(?:st|nd|rd|th)?[-. /]*({_NAMES})\.?[-, /]*(\d{{4}})" + _TIME, re.IGNORECASE)
_NAME_DAY = re.compile(rf"^({_NAMES})\.?[- ]*(\d{{1,2}})(?:st|nd|rd|th)?,?[- ]+(\d{{4}})" + _TIME, re.IGNORECASE)
_MONTH_YEAR = re.compile(r"^(\d{1,2})[-/.](\d{4})$")
_NAME_YEAR = re.compile(rf"^({_NAMES})\.?[-, /]*(\d{{4}})$", re.IGNORECASE)
_YEAR_NAME = re.compile(rf"^(\d{{4}})[-, /]*({_NAMES})\.?(?:[-, /]*(\d{{1,2}}))?" + _TIME, re.IGNORECASE)
_ROMAN = re.compile(r"^(\d{1,2})[-. /]+(" + "|".join(_ROMANS) + r")[-. /]+(\d{4})" + _TIME, re.IGNORECASE)
_A_YEAR = re.compile(r"(?<!\d)(1[4-9]\d\d|20\d\d)(?!\d)")
_BEFORE_CHRIST = re.compile(r"\b(?:BCE?|BP)\b", re.IGNORECASE)


class EventDate(NamedTuple):
    """What a text says of a date; None where it does not.

    Args:
        year: 1..LAST_YEAR.
        month: 1..12.
        day: 1..31, a day of that month.
        understood: Whether the text was read as far as it goes.
    """

    year: int | None = None
    month: int | None = None
    day: int | None = None
    understood: bool = True


@lru_cache(maxsize=2**16)
def event_date(text: str) -> EventDate:
    """The date that a text says, as far as it can mean one only."""
    text = " ".join(text.split())
    found = _span(text) if "/" in text else None
    found = _whole(text) if found is None else found
    if found is None:
        years = set() if _BEFORE_CHRIST.search(text) else {int(year) for year in _A_YEAR.findall(text)}
        found = EventDate(years.pop() if len(years) == 1 else None, understood=False)
    return found if found.year is None or found.year <= LAST_YEAR else EventDate(understood=False)


def with_event_dates(batch: pl.DataFrame, text: str) -> pl.DataFrame:
    """A batch with the columns of a date, from its column ``text`` of dates.

    Returns:
        Further columns ``date_year``, ``date_month`` and ``date_day``; ``date_text``, a number of the text where it
        is neither a day nor a plain year or month; ``unread_date``, the text where it was not understood.
    """
    found = batch[text].cast(pl.String)
    parts = pl.DataFrame({text: found}).select(iso=pl.col(text).str.extract_groups(_ISO)).unnest("iso")
    parts.columns = ["date_year", "date_month", "date_day"]
    parts = parts.select(pl.all().cast(pl.Int32, strict=False)).with_columns(
        # Zeros stand for what is unknown.
        pl.when(pl.col(name) > 0).then(pl.col(name)).alias(name)
        for name in ("date_month", "date_day")
    )
    year, month, day = (pl.col(f"date_{part}") for part in ("year", "month", "day"))
    whole = (month.is_null() | month.is_between(1, 12)) & (day.is_null() | day_exists(year, month, day))
    simple = parts.select(year.is_between(1, LAST_YEAR) & whole).to_series().fill_null(False)
    batch = batch.with_columns(parts)
    others = found.filter(~simple).drop_nulls().unique()
    if others.is_empty():
        return batch.with_columns(
            pl.lit(None, dtype=pl.Int32).alias("date_text"), pl.lit(None, dtype=pl.String).alias("unread_date")
        )
    read = [event_date(other) for other in others]
    table = pl.DataFrame(
        {
            "_text": others,
            "_year": pl.Series([one.year for one in read], dtype=pl.Int32),
            "_month": pl.Series([one.month for one in read], dtype=pl.Int32),
            "_day": pl.Series([one.day for one in read], dtype=pl.Int32),
            "date_text": pl.Series(
                [None if one.day is not None else text_number(other) for one, other in zip(read, others, strict=True)],
                dtype=pl.Int32,
            ),
            "unread_date": pl.Series(
                [None if one.understood else other for one, other in zip(read, others, strict=True)], dtype=pl.String
            ),
        }
    )
    joined = batch.with_columns(found.alias("_text"), simple.alias("_simple")).join(
        table, on="_text", how="left", maintain_order="left"
    )
    return joined.with_columns(
        pl.when(pl.col("_simple")).then(pl.col(f"date_{part}")).otherwise(pl.col(f"_{part}")).alias(f"date_{part}")
        for part in ("year", "month", "day")
    ).drop("_text", "_simple", "_year", "_month", "_day")


def day_exists(year: pl.Expr, month: pl.Expr, day: pl.Expr) -> pl.Expr:
    """Whether the calendar has a day; in an unknown year February has 29 days. Null where month or day is unknown."""
    leap = ((year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))).fill_null(True)
    last = pl.when(month == 2).then(28 + leap.cast(pl.Int32)).when(month.is_in([4, 6, 9, 11])).then(30).otherwise(31)
    return month.is_between(1, 12) & (day >= 1) & (day <= last)


def _span(text: str) -> EventDate | None:
    """A span of two dates by the day, month or year that both share; None where the text is none."""
    ends = text.split("/")
    if len(ends) != 2:
        return None
    start = _whole(ends[0].strip())
    if start is None or (not _YEAR_FIRST.match(ends[0].strip()) and not re.fullmatch(r"\d{4}", ends[0].strip())):
        return None
    end = _end(start, ends[0].strip(), ends[1].strip())
    if end is None or not start.understood or not end.understood:
        # What does not say a year of its own lies in the year of the start.
        years = {start.year, end.year if end else None, *map(int, _A_YEAR.findall(text))} - {None}
        return EventDate(start.year if len(years) == 1 else None, understood=False)
    if start[:3] == end[:3]:
        return start
    # As before months were read of spans: a span of days is not a date, but it may lie in a year.
    return EventDate(start.year if start.year == end.year else None)


def _end(start: EventDate, begin: str, text: str) -> EventDate | None:
    """The end of a span, which may leave out what it shares with the start: ``2020-05-03/04``, ``.../12:00``."""
    if start.day is not None and ":" in text and _CLOCK.match(text):
        return start
    whole = _whole(text)
    if whole is not None or start.year is None:
        return whole
    shared = begin.split("T")[0].split("-")
    days, _, time = text.partition("T")
    parts = days.split("-")
    if len(parts) < len(shared) and all(part.isdecimal() for part in parts) and (not time or _CLOCK.match(time)):
        return _whole("-".join([*shared[: len(shared) - len(parts)], *parts]))
    return None


def _whole(text: str) -> EventDate | None:
    """A date that is no span, None where the text is none."""
    if re.fullmatch(r"\d{4}", text):
        return EventDate(int(text))
    if match := _YEAR_FIRST.match(text):
        return _checked(int(match[1]), int(match[3]), int(match[4] or 0))
    if (match := _COMPACT.match(text)) and _A_YEAR.match(match[1]):
        return _checked(*map(int, match.groups()))
    if match := _ORDINAL.match(text):
        year, number = int(match[1]), int(match[2])
        day = date(year, 1, 1) + timedelta(number - 1) if year and number else None
        return EventDate(year, day.month, day.day) if day and day.year == year else EventDate(year, understood=False)
    if match := _YEAR_LAST.match(text):
        return _year_last(int(match[1]), int(match[3]), int(match[4]), match[2])
    if match := _MONTH_YEAR.match(text):
        return _checked(int(match[2]), int(match[1]), 0)
    if match := _DAY_NAME.match(text):
        return _checked(int(match[3]), _month(match[2]), int(match[1]))
    if match := _NAME_DAY.match(text):
        return _checked(int(match[3]), _month(match[1]), int(match[2]))
    if match := _NAME_YEAR.match(text):
        return EventDate(int(match[2]), _month(match[1]))
    if match := _YEAR_NAME.match(text):
        return _checked(int(match[1]), _month(match[2]), int(match[3] or 0))
    if match := _ROMAN.match(text):
        return _checked(int(match[3]), _ROMANS.index(match[2].lower()) + 1, int(match[1]))
    return None


def _year_last(first: int, second: int, year: int, separator: str) -> EventDate:
    """Two numbers and a year; with points the first is the day."""
    if second > 12:
        return _checked(year, first, second)
    if separator == "." or first > 12 or first == second:
        return _checked(year, second, first)
    return EventDate(year, understood=False)


def _checked(year: int, month: int, day: int) -> EventDate:
    """A date of numbers, of which month and day may be 0 for unknown; the year alone where the calendar lacks it."""
    try:
        date(year, month or 1, day or 1)
    except ValueError:
        return EventDate(year or None, understood=False)
    return EventDate(year, month or None, (day or None) if month else None)


def month_number(text: str) -> int | None:
    """A month as a number, a Roman numeral or an English word; None where the text is none."""
    text = text.strip().rstrip(".").lower()
    if text in _ROMANS:
        return _ROMANS.index(text) + 1
    return _month(text) if re.fullmatch(_NAMES, text) else None


def text_number(text: str) -> int:
    """A negative number of a text, the same on every machine, for the column ``date_text``."""
    return -1 - (zlib.crc32(text.encode()) >> 1)


def _month(name: str) -> int:
    """The number of a month."""
    return _MONTHS.index(name[:3].lower()) + 1
