"""Columns found by any spelling of their names."""

import pytest

from presence_only.columns.column_names import (
    COORDINATE_SPELLINGS,
    TABLE_SPELLINGS,
    TABLE_WEAK,
    Columns,
    plain_name,
)
from presence_only.common.errors import DataError

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


def table(given=None):
    optional = tuple(name for name in TABLE_SPELLINGS if name not in {"longitude", "latitude"})
    return Columns(
        ("longitude", "latitude"), optional, TABLE_SPELLINGS, weak=TABLE_WEAK, given=given or {}, setting="columns"
    )


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("species,lon,lat", "species longitude latitude"),
        ("scientificName,decimalLongitude,decimalLatitude,eventDate", "scientificName longitude latitude date"),
        ("Latitude_WGS84,Longitude_WGS84,Taxon,observed_on", "latitude longitude species date"),
        ("binomial,LONG,LAT,year,month,day", "species longitude latitude year month day"),
        ("sp,x,y", "species longitude latitude"),
        ("name,lng,lat,coord_uncertainty,abundance", "species longitude latitude uncertainty count"),
        ("genus,epithet,long_dd,lat_dd", "genus specificEpithet longitude latitude"),
        ("Easting,Northing,species_name,taxon_group,week", "longitude latitude species group week"),
        # A weak name is none where a strong one is there; X alone numbers the rows.
        ("X,species,lon,lat", "- species longitude latitude"),
        ("species,name,lon,lat", "species - longitude latitude"),
        ("species,scientific_name,lon,lat", "species scientificName longitude latitude"),
        ("occurrence,present,lon,lat", "- status longitude latitude"),
        ("seen,lon,lat,species", "status longitude latitude species"),
        ("observed,lon,lat,present", "- longitude latitude status"),
    ],
)
def test_usual_names_of_a_table(header, expected):
    places = {name: place for place, name in enumerate(expected.split()) if name != "-"}
    assert table().find(header.split(","), "t") == places


@pytest.mark.parametrize(
    ("header", "both", "name"),
    [
        ("lon,longitude,lat,species", "'longitude' and 'lon' may both be the longitude", "longitude: longitude"),
        ("decimalLongitude,Long,lat,species", "'decimalLongitude' and 'Long' may both be the longitude", ""),
        ("lon,lat,x,y,species", "'lon' and 'x' may both be the longitude", "longitude: lon"),
        ("lon,LON,lat,species", "'lon' and 'LON' may both be the longitude", "longitude: lon"),
        ("lon,lat,LatDD", "'lat' and 'LatDD' may both be the latitude", ""),
        ("lon,lat,taxon,name", "'taxon' and 'name' may both be the species", "species: taxon"),
        ("lon,lat,sp,date,observed_on", "'date' and 'observed_on' may both be the date", ""),
    ],
)
def test_two_columns_that_may_be_one(header, both, name):
    with pytest.raises(DataError, match=f"^t: the columns {both}; say which it is: columns: {{{name}"):
        table().find(header.split(","), "t")


def test_the_names_that_a_user_gives():
    header = ["lon", "longitude", "lat", "name", "Genus species"]
    given = {"longitude": "lon", "species": "Genus species"}
    assert table(given).find(header, "t") == {"longitude": 0, "latitude": 2, "species": 4}
    # What is given for one thing is no candidate for another; of two spellings the very one counts.
    assert table({"count": "lon", "date": "LON"}).find(["lon", "LON", "Long", "lat"], "t") == {
        "longitude": 2,
        "latitude": 3,
        "count": 0,
        "date": 1,
    }
    assert table({"species": "genus_SPECIES"}).find(["x", "y", "Genus species"], "t")["species"] == 2
    with pytest.raises(DataError, match=r"^t: columns\.species = 'sp': no columns have this name, and one must; "):
        table({"species": "sp"}).find(["lon", "lat", "name"], "t")


def test_a_table_without_a_wanted_column_says_how_to_name_it():
    sentence = r"no column 'latitude'; .*; or say which column it is: columns: {latitude: NAME}"
    with pytest.raises(DataError, match=sentence):
        table().find(["lon", "parallel"], "t")
