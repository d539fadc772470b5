"""Numbers and keys in the forms that spreadsheets and data frames write."""

import polars as pl
import pytest

from presence_only.columns.numbers import amount, identifier, number, numeric_key, unread_numbers, whole_number


def values(expression, cells):
    return pl.DataFrame({"a": cells}).select(expression(pl.col("a"))).to_series().to_list()


def test_numbers():
    assert values(number, ["1", "-1.5", "1e2", "1,5", "8.5°", None]) == [1.0, -1.5, 100.0, None, None, None]
    assert values(whole_number, ["2019", "2019.0", "2019.5", "x"]) == [2019, 2019, None, None]
    assert values(whole_number, [2019, None]) == [2019, None]


@pytest.mark.parametrize(
    ("cells", "keys"),
    [
        (["12", "12.0", " 12. ", "1.2e1", "1.2E+01", "", None], ["12", "12", "12", "12", "12", None, None]),
        (["9705453", "9705453.0", "9.705453e6"], ["9705453"] * 3),
        (["4DXYZ", "12.5", "0012", "1e400"], ["4DXYZ", "12.5", "0012", "1e400"]),
        (["1E1", "1e1", "10", "2E05", "1e+05", "1.0E5"], ["1E1", "1e1", "10", "2E05", "100000", "100000"]),
        ([12.0, None, 9705453.0], ["12", None, "9705453"]),
        ([12, 13], ["12", "13"]),
    ],
)
def test_keys(cells, keys):
    assert values(identifier, cells) == keys


def test_keys_that_are_numbers():
    cells = ["12", "12.0", " 1.2e1", "1e2", "1E+05", "9007199254740993", "4DXYZ", "12.5", "", None]
    keys = [12, 12, 12, 100, 100_000, 9007199254740993, None, None, None, None]
    assert values(numeric_key, cells) == keys


def test_texts_that_are_no_numbers():
    table = pl.DataFrame({"a": ["1", "x", None], "b": ["y", "z", None], "c": [1, 2, 3]})
    assert unread_numbers(table, ("a", "b", "c", "d"), "u").to_list() == ["y", "x", None]
    assert unread_numbers(table, ("c",), "u").to_list() == [None] * 3
    counts = pl.DataFrame({"a": ["0", "-9999", "x", None], "b": [-1, 2, 3, None]})
    assert values(amount, counts["a"]) == [0.0, None, None, None]
    assert unread_numbers(counts, ("a",), "u", amount).to_list() == [None, "-9999", "x", None]
    assert unread_numbers(counts, ("b",), "u", amount).to_list() == ["-1", None, None, None]
