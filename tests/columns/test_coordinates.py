"""Coordinates that cannot be read are shown as one place."""

import polars as pl

from presence_only.columns.coordinates import unread_coordinates


def test_both_coordinates_are_told_where_one_is_no_number():
    table = pl.DataFrame({"a": ["1", "x", None], "b": ["y", "z", None]})
    assert unread_coordinates(table, "a", "b").to_list() == ["longitude 1, latitude y", "longitude x, latitude z", None]
