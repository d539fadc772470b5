"""Columns found by any spelling of their names."""

import pytest

from presence_only.common.errors import DataError
from presence_only.occurrences.column_names import COORDINATE_SPELLINGS, Columns, plain_name

WANTED = Columns(("decimalLongitude", "decimalLatitude"), ("eventDate",), COORDINATE_SPELLINGS)


@pytest.mark.parametrize(
    "name",
    [
        "decimalLatitude",
        "DECIMAL_LATITUDE",
        "decimal latitude",
        "decimal.latitude",
        "dwc:decimalLatitude",
        "http://rs.tdwg.org/dwc/terms/decimalLatitude",
        " Decimal-Latitude ",
    ],
)
def test_what_does_not_count(name):
    assert plain_name(name) == "decimallatitude"


@pytest.mark.parametrize(
    "pair", [("lon", "lat"), ("Long", "Lat"), ("lng", "lat"), ("x", "y"), ("LONGITUDE", "Latitude")]
)
def test_spellings_of_coordinates(pair):
    assert WANTED.find(["id", pair[1], "event_date", pair[0]], "t") == {
        "decimalLongitude": 3,
        "decimalLatitude": 1,
        "eventDate": 2,
    }


def test_the_own_name_counts_before_a_spelling():
    header = ["x", "y", "lon", "lat", "decimalLongitude", "decimalLatitude"]
    assert WANTED.find(header, "t") == {"decimalLongitude": 4, "decimalLatitude": 5}


def test_two_of_one_name():
    with pytest.raises(DataError, match="t: 2 columns are named 'decimalLongitude'; there must be one"):
        WANTED.find(["lon", "LON", "lat"], "t")
