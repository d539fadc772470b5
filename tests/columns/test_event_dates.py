"""Dates by hand, and calendar days against the calendar of Python."""

from datetime import date, timedelta

import polars as pl
import pytest

from presence_only.columns.event_dates import day_exists, event_date, with_event_dates

DAY = [
    "2020-05-03",
    "2020-05-03T12:00:00-07:00",
    "2020-05-03 12:00:00 UTC",
    "2020-05-03Z",
    "2020-5-3",
    "2020/05/03",
    "2020/5/3 12:00",
    "2020.05.03",
    "20200503",
    "2020-124",
    "3.5.2020",
    "03.05.2020 12:30",
    "3 May 2020",
    "03-MAY-2020",
    "3rd May, 2020",
    "May 3, 2020",
    "May 03 2020 12:00",
    "2020 May 3",
    "3.V.2020",
    "3-v-2020",
    "2020-05-03T12:00/2020-05-03T15:00",
    "2020-05-03/2020-05-03",
    "2020-05-03T12:00/15:00",
    "2020-05-03T12:00/03T15:00",
    "2020-05-03T12",
    "2020-05-03T1200Z",
    "2020-05-03T12:00:00.123+0200",
    "2020-05-03 12:00:00 +0200",
    "2020-05-03 12:00-15:00",
    "2020-05-03, 12.30 Uhr",
    "2020-05-03 ",
    "3.5.2020 12:00:00 AM",
    "3.5.2020 12h30",
    "3 May 2020 3 PM",
]
# Year, month, day, and whether it was understood.
OTHERS = {
    "2020": (2020, None, None, True),
    "2020-05": (2020, 5, None, True),
    "May 2020": (2020, 5, None, True),
    "5/2020": (2020, 5, None, True),
    "13/2020": (2020, None, None, False),
    "2020-05-00": (2020, 5, None, True),
    "13/05/2020": (2020, 5, 13, True),
    "05/13/2020": (2020, 5, 13, True),
    "05/05/2020": (2020, 5, 5, True),
    # A day of March or of May.
    "03/05/2020": (2020, None, None, False),
    "3-5-2020": (2020, None, None, False),
    "1850-01-01/1850-01-09": (1850, None, None, True),
    "2020-05-03/09": (2020, None, None, True),
    "1850/1860": (None, None, None, True),
    "2019-12-30/2020-01-02": (None, None, None, True),
    "2020-05-03/x": (2020, None, None, False),
    "2020-05-03 to 2020-10-08": (2020, None, None, False),
    "2020-05-03 - 2020-06-10": (2020, None, None, False),
    "2020-05-03 12:00 - 2020-06-10 12:00": (2020, None, None, False),
    "2020-05-03 or 2020-05-20": (2020, None, None, False),
    "2020-05-03 & 2020-07-01": (2020, None, None, False),
    "2020-05-03 2021-07-01": (None, None, None, False),
    "2020-05-03T2021-07-01": (None, None, None, False),
    "2020-05-03 04": (2020, None, None, False),
    "2020-05-03 ?": (2020, None, None, False),
    "2020-05-03 99:99": (2020, None, None, False),
    "2020-05-03 BC": (None, None, None, False),
    "3.5.2020 4.6.2020": (2020, None, None, False),
    "3.5.2020, 10.9.2020": (2020, None, None, False),
    "3.5.2020, 10.09.20": (2020, None, None, False),
    "13/05/2020, 14.06.2020": (2020, None, None, False),
    "3 May 2020, 4.6.2020": (2020, None, None, False),
    "May 3, 2020 12.6.2021": (None, None, None, False),
    "20200503T20200610": (None, None, None, False),
    "3.V.2020 10.9.2020": (2020, None, None, False),
    "9999-12-31": (None, None, None, False),
    "2099-01-01": (None, None, None, False),
    "31.12.9999": (None, None, None, False),
    "Dec 2099": (None, None, None, False),
    "2099": (None, None, None, False),
    "2099-124": (None, None, None, False),
    "2020-02-31": (2020, None, None, False),
    "31.2.2020": (2020, None, None, False),
    "2019-02-29": (2019, None, None, False),
    "2020-13-01": (2020, None, None, False),
    "2020-366": (2020, 12, 31, True),
    "2019-366": (2019, None, None, False),
    "ca. 1850": (1850, None, None, False),
    "1850-1860": (None, None, None, False),
    "spring": (None, None, None, False),
    "03/05/20": (None, None, None, False),
    "43954": (None, None, None, False),
}


def columns(texts):
    found = with_event_dates(pl.DataFrame({"t": texts}, schema={"t": pl.String}), "t")
    return found.select("date_year", "date_month", "date_day").rows(), found


@pytest.mark.parametrize("text", DAY)
def test_one_day_in_many_spellings(text):
    assert event_date(text) == (2020, 5, 3, True)
    rows, found = columns([text])
    assert rows == [(2020, 5, 3)]
    assert found["date_text"].to_list() == found["unread_date"].to_list() == [None]


@pytest.mark.parametrize(("text", "expected"), OTHERS.items(), ids=OTHERS)
def test_other_texts(text, expected):
    if text != "2020-05-00":
        assert event_date(text) == expected
    rows, found = columns([text])
    assert rows == [expected[:3]]
    assert (found["unread_date"][0] is None) == expected[3]


def test_every_day_of_some_years():
    days = [date(1999, 12, 1) + timedelta(i) for i in range(500)]
    for form in ("%Y-%m-%d", "%d.%m.%Y", "%d %B %Y", "%b %d, %Y", "%Y%m%d", "%Y-%j"):
        rows, _ = columns([day.strftime(form) for day in days])
        assert rows == [(day.year, day.month, day.day) for day in days]


def test_texts_that_are_no_day_have_numbers_of_their_own():
    texts = ["03/05/2020", "04/05/2020", "03/05/2020", "2020", "2020-05-03", None, "2020-05-03/2020-05-09", "x"]
    numbers = columns(texts)[1]["date_text"].to_list()
    assert numbers[0] == numbers[2]
    assert numbers[3:6] == [None] * 3
    told = [numbers[i] for i in (0, 1, 6, 7)]
    assert len(set(told)) == 4
    assert all(number < 0 for number in told)


def test_days_of_the_calendar():
    rows = [(year, month, day) for year in (1900, 2000, 2019, 2020) for month in range(14) for day in range(33)]
    table = pl.DataFrame(rows, schema=["year", "month", "day"], orient="row")
    found = table.select(day_exists(pl.col("year"), pl.col("month"), pl.col("day"))).to_series().to_list()

    def exists(year, month, day):
        try:
            date(year, month, day)
        except ValueError:
            return False
        return True

    assert found == [exists(*row) for row in rows]
    unknown = pl.DataFrame({"year": [None], "month": [2], "day": [29]}, schema_overrides={"year": pl.Int32})
    assert unknown.select(day_exists(pl.col("year"), pl.col("month"), pl.col("day"))).item() is True
