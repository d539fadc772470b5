"""Numbers of weeks against Python's calendar and the weeks that dates have."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from presence_only.columns.week_numbers import with_week_numbers
from presence_only.data.sites import week_of


def test_four_weeks_a_month_come_back_as_they_are():
    found = with_week_numbers({}, pl.Series([str(week) for week in range(1, 49)]), "four_a_month")
    months, days = found["month"].to_numpy(), found["day"].to_numpy()
    assert week_of(months, days).tolist() == list(range(1, 49))
    assert found["year"].null_count() == 48
    assert found["unread_date"].null_count() == 48


@pytest.mark.parametrize("year", [2015, 2019, 2020, 2021])
def test_a_day_of_an_iso_week_lies_in_it(year):
    days = [date(year, 1, 4) + timedelta(7 * week) for week in range(52)]
    weeks = [day.isocalendar()[1] for day in days]
    found = with_week_numbers({"year": pl.Series([year] * 52, dtype=pl.Int32)}, pl.Series(weeks), "iso")
    for month, day, week in zip(found["month"], found["day"], weeks, strict=True):
        assert date(year, month, day).isocalendar()[:2] == (year, week)


def test_weeks_that_are_none_are_named():
    week = pl.Series(["0", "49", "x", "3.0", None])
    found = with_week_numbers({}, week, "four_a_month")
    assert found["unread_date"].to_list() == ["week 0", "week 49", "week x", None, None]
    assert found["month"].to_list() == [None, None, None, 1, None]
    # 2020 has 53 weeks of ISO 8601, 2021 has 52.
    years = {"year": pl.Series([2020, 2021, None], dtype=pl.Int32)}
    found = with_week_numbers(years, pl.Series([53, 53, 54]), "iso")
    assert found["unread_date"].to_list() == [None, "week 53", "week 54"]
    assert found["day"].to_list() == [31, None, None]


def test_a_known_day_counts_more_than_a_week():
    dates = {name: pl.Series([value], dtype=pl.Int32) for name, value in (("year", 2020), ("month", 5), ("day", 3))}
    found = with_week_numbers(dates, pl.Series([48]), "four_a_month")
    assert (found["month"][0], found["day"][0]) == (5, 3)


def test_weeks_of_an_unknown_kind_tell_visits_apart():
    years = {"year": pl.Series([2020, 2020, 2020, 2021, None, None], dtype=pl.Int32)}
    found = with_week_numbers(years, pl.Series(["3", "3", "4", "3", "3", "x"]), None)
    text = found["date_text"].to_numpy()
    assert np.array_equal(text[:5] == text[0], [True, True, False, False, False])
    assert (text[:5] < 0).all()
    assert found["date_text"][5] is None
    assert found["unread_date"].to_list() == [None] * 5 + ["x"]
    assert found["month"].null_count() == 6
