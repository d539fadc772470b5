"""Dates in columns of years, months and days, or in one column of texts."""

import polars as pl
import pytest

from presence_only.columns.date_parts import date_columns
from presence_only.datasets import gbif, table


def dates(**columns):
    found = date_columns(pl.DataFrame(columns, strict=False), "date")
    return list(zip(*(found[name] for name in ("year", "month", "day")), strict=True)), found


def test_numbers_may_be_floats_and_months_words():
    read, found = dates(year=["2019.0", "2019", None], month=["5.0", "May", "13"], day=["3.0", "4", "1"])
    assert read == [(2019, 5, 3), (2019, 5, 4), (None, 13, 1)]
    assert found["unread_date"].null_count() == 3


def test_texts_count_where_a_column_says_nothing():
    read, _ = dates(
        year=[2019, 2020, None], month=[5, None, None], day=[3, None, None], date=["x", "2020-06-07", "2021"]
    )
    assert read == [(2019, 5, 3), (2020, 6, 7), (2021, None, None)]


def test_texts_alone():
    read, found = dates(date=["2019-05-03", "2019-123", "soon", None])
    assert read == [(2019, 5, 3), (2019, 5, 3), (None, None, None), (None, None, None)]
    assert found["unread_date"].to_list() == [None, None, "soon", None]


def test_words_that_are_no_numbers_are_dates_of_their_own():
    _, found = dates(year=["2019", "2019"], month=["5", "5"], day=["early", "late"])
    assert found["unread_date"].to_list() == ["early", "late"]
    assert found["date_text"].n_unique() == 2


def test_without_any_column_there_is_no_date():
    assert date_columns(pl.DataFrame({"a": [1]}), "date") == {}


def test_years_that_are_no_years_of_records_are_no_dates():
    read, found = dates(year=[9999, 2099, -5, 0, 2019], month=[12] * 5, day=[31] * 5)
    assert read == [(None, None, None)] * 3 + [(0, 12, 31), (2019, 12, 31)]
    assert found["unread_date"].to_list() == ["9999-12-31", "2099-12-31", "-5-12-31", None, None]


@pytest.mark.parametrize(
    ("columns", "expected", "words"),
    [
        ({"date": "2020-05-03", "day": 20}, (2020, 5, 3), "2020-05-03 beside day 20"),
        ({"date": "3 May 2020", "month": 11}, (2020, 5, 3), "3 May 2020 beside month 11"),
        ({"date": "2020-05-03", "year": 1850}, (2020, 5, 3), "2020-05-03 beside year 1850"),
        (
            {"date": "2020-05-03", "year": 2020, "month": 11, "day": 3},
            (2020, 5, 3),
            "2020-05-03 beside year 2020, month 11, day 3",
        ),
        ({"date": "2020-05", "month": 11}, (2020, 5, None), "2020-05 beside month 11"),
        # The columns say more.
        (
            {"date": "2020-05", "year": 2020, "month": 11, "day": 3},
            (2020, 11, 3),
            "2020-05 beside year 2020, month 11, day 3",
        ),
        ({"date": "2020-05-03T12:00", "year": 2020, "month": 5, "day": 3}, (2020, 5, 3), None),
        ({"date": "2020-05-03/2020-05-09", "year": 2020, "month": 5, "day": 3}, (2020, 5, 3), None),
        ({"date": "3.5.2020", "year": 2020, "month": 5, "day": 3}, (2020, 5, 3), None),
        ({"date": "soon", "year": 2020, "month": 5, "day": 3}, (2020, 5, 3), None),
        ({"date": "2020", "month": 5}, (2020, 5, None), None),
        ({"date": "03/05/2020", "year": 2019}, (2019, None, None), "03/05/2020"),
        ({"date": None, "year": 2019}, (2019, None, None), None),
    ],
)
def test_columns_and_texts_that_contradict_each_other(columns, expected, words):
    found = date_columns(pl.DataFrame({name: [value] for name, value in columns.items()}), "date")
    assert tuple(found[name][0] for name in ("year", "month", "day")) == expected
    assert found["unread_date"].to_list() == [words]


def records(folder, kind, header, *rows, **settings):
    """The records of a table or of a download of GBIF, and the funnel as one text."""
    names = {"lon": "decimalLongitude", "lat": "decimalLatitude", "date": "eventDate"} if kind is gbif else {}
    path = folder / "t.csv"
    path.write_text("\n".join([",".join(names.get(name, name) for name in header.split(",")), *rows]) + "\n")
    name = kind.__name__.rsplit(".", 1)[-1]
    settings = {"kind": name, "path": str(path), "min_records": 1} | settings
    found = kind.read_records(kind.DatasetSettings.parse(settings, "datasets.mine"))
    return found.table, "; ".join(rule for rule, _ in found.filters)


@pytest.mark.parametrize("kind", [table, gbif])
@pytest.mark.parametrize("year", ["2020?", "ca. 2020", "1999/2000", '"2,020"', "MMXX"])
def test_weeks_of_years_that_are_no_numbers(kind, year, tmp_path):
    days = [f"Parus major,9,{lat},{year},{month},3" for lat, month in enumerate(range(1, 13), 10)]
    found, funnel = records(tmp_path, kind, "species,lon,lat,year,month,day", *days, weeks=True)
    assert found["week"].to_list() == list(range(1, 48, 4))
    assert f"date known to the day - not understood: {year.strip(chr(34))!r} (12)" in funnel


@pytest.mark.parametrize("kind", [table, gbif])
@pytest.mark.parametrize("weeks", [True, False])
def test_the_funnel_tells_of_contradictions(kind, weeks, tmp_path):
    found, funnel = records(
        tmp_path, kind, "species,lon,lat,date,month", "Parus major,9,10,2020-05-03,11", weeks=weeks, min_year=None
    )
    assert "not understood: '2020-05-03 beside month 11' (1)" in funnel
    assert not weeks or found["week"].to_list() == [17]


@pytest.mark.parametrize("kind", [table, gbif])
def test_spans_of_days_are_other_visits_than_their_first_day(kind, tmp_path):
    texts = ["2020-05-03", "2020-05-03 to 2020-10-08", "2020-05-03 - 2020-06-10", "9999-12-31", "2020-05-03"]
    rows = [f"Parus major,9,10,{text}" for text in texts]
    found, funnel = records(tmp_path, kind, "species,lon,lat,date", *rows)
    assert len(found) == 4
    assert "'2020-05-03 to 2020-10-08' (1)" in funnel
    assert "'9999-12-31' (1)" in funnel
    assert len(records(tmp_path, kind, "species,lon,lat,date", *rows, weeks=True)[0]) == 1
