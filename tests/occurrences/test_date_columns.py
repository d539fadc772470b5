"""Dates in columns of years, months and days, or in one column of texts."""

import polars as pl

from presence_only.occurrences.date_columns import date_columns


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
