"""Polygons read from GeoJSON: every way to nest them, coordinate reference systems, and what is refused."""

import json

import numpy as np
import pyproj
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from presence_only.common.errors import DataError
from presence_only.geography.geojson import read_polygons
from presence_only.geography.polygons import within_polygons

SQUARE = [[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]]
HOLE = [[2, 2], [2, 4], [4, 4], [4, 2], [2, 2]]


def feature(geometry, **more):
    return {"type": "Feature", "properties": {}, "geometry": geometry, **more}


def polygon(*rings, **more):
    return {"type": "Polygon", "coordinates": list(rings), **more}


def named(name):
    return {"type": "name", "properties": {"name": name}}


def read(tmp_path, item):
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps(item), encoding="utf-8-sig")
    return read_polygons(path, "evaluation.polygon")


def test_all_polygons_below_an_object_are_found(tmp_path):
    multi = {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [[[20, 0, 7.5], [30, 0, 7.5], [30, 9, 7.5]]]]}
    line = {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}
    collection = {"type": "GeometryCollection", "geometries": [polygon(SQUARE), line, polygon()]}
    found = read(
        tmp_path,
        {"type": "FeatureCollection", "features": [feature(multi), feature(collection), feature(None), feature(line)]},
    )
    assert [len(one.holes) for one in found.polygons] == [1, 0, 0]
    assert found.left_out == 2
    # A ring that is not closed is closed, and a third coordinate is dropped.
    assert_array_equal(found.polygons[1].outer, [[20, 0], [30, 0], [30, 9], [20, 0]])


@pytest.mark.parametrize(
    "name", ["urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326", "urn:ogc:def:crs:EPSG::4326", "OGC:CRS84"]
)
def test_degrees_stay_as_they_are_longitude_first(tmp_path, name):
    ring = [[170, -20], [190, -20], [190, 0], [170, -20]]
    found = read(tmp_path, {"type": "FeatureCollection", "crs": named(name), "features": [feature(polygon(ring))]})
    assert_array_equal(found.polygons[0].outer, ring)


@pytest.mark.parametrize("place", ["collection", "feature", "geometry"])
@pytest.mark.parametrize("crs", [named("urn:ogc:def:crs:EPSG::28992"), {"type": "EPSG", "properties": {"code": 28992}}])
def test_a_projected_polygon_holds_the_sites_that_it_holds_in_its_projection(tmp_path, place, crs):
    west, south, east, north = 57_000.0, 430_000.0, 257_000.0, 580_000.0
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    crs_at = {name: {"crs": crs} if name == place else {} for name in ("collection", "feature", "geometry")}
    one = feature(polygon(ring, **crs_at["geometry"]), **crs_at["feature"])
    found = read(tmp_path, {"type": "FeatureCollection", "features": [one], **crs_at["collection"]})
    rng = np.random.default_rng(0)
    sites = np.column_stack([rng.uniform(3.5, 7.2, 4000), rng.uniform(51.2, 53.5, 4000)])
    x, y = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:28992", always_xy=True).transform(*sites.T)
    # Straight pieces of 10 km are off by a few metres.
    clear = np.min(np.abs([x - west, x - east, y - south, y - north]), axis=0) > 10
    expected = (x > west) & (x < east) & (y > south) & (y < north)
    assert_array_equal(within_polygons(sites, found.polygons)[clear], expected[clear])
    assert 0.2 < expected.mean() < 0.9


def test_a_projected_polygon_around_a_pole(tmp_path):
    side = 2_000_000
    ring = [[-side, -side], [side, -side], [side, side], [-side, side], [-side, -side]]
    found = read(tmp_path, polygon(ring, crs=named("EPSG:3031")))
    rng = np.random.default_rng(0)
    sites = np.column_stack([rng.uniform(-180, 180, 4000), rng.uniform(-90, -60, 4000)])
    x, y = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:3031", always_xy=True).transform(*sites.T)
    clear = np.abs(np.maximum(np.abs(x), np.abs(y)) - side) > 10
    assert_array_equal(within_polygons(sites, found.polygons)[clear], ((np.abs(x) < side) & (np.abs(y) < side))[clear])


def test_other_degrees_keep_their_side_of_180(tmp_path):
    ring = [[170, -20], [190, -20], [190, -10], [170, -20]]
    found = read(tmp_path, polygon(ring, crs=named("EPSG:4258")))
    assert_allclose(found.polygons[0].outer, ring, atol=1e-4)


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        (polygon(SQUARE, crs=named("EPSG:1")), "no way from its coordinate reference system 'EPSG:1' to longitude"),
        (
            polygon([[0, 0], [1e9, 0], [1e9, 1e9]], crs=named("EPSG:3035")),
            "lies outside of its coordinate reference system ETRS89-extended / LAEA Europe",
        ),
        (polygon(SQUARE, crs=named("Local 7")), "no way from its coordinate reference system 'Local 7' to longitude"),
        (polygon(SQUARE, crs=named('LOCAL_CS["site",UNIT["metre",1]]')), "no way from its coordinate reference system"),
        (
            polygon(SQUARE, crs={"type": "link", "properties": {"href": "a.prj"}}),
            "names no coordinate reference system",
        ),
        (
            polygon([[67145, 439344], [57669, 436777], [56195, 430025]]),
            "has the point (67145, 439344); it must be",
        ),
        (polygon([[5, 95], [6, 95], [6, 96]]), "has the point (5, 95); it must be longitude, latitude"),
        (polygon(SQUARE, [[20, 20], [21, 20], [21, 21]]), "a second ring around longitude 20, latitude 20"),
        (polygon([[-170, -20], [170, -20], [170, 20], [-170, 20]]), "an edge from longitude -170 to 170"),
        (polygon([[0, 0], [1, 1]]), "has a ring of less than four points"),
        ({"type": "Point", "coordinates": [0, 0]}, "has no polygon"),
        (polygon(), "has no polygon"),
        ([1], "cannot be read as GeoJSON"),
        ({"type": "Topology"}, "cannot be read as GeoJSON"),
    ],
)
def test_what_is_refused_is_one_sentence(tmp_path, item, sentence):
    with pytest.raises(DataError) as error:
        read(tmp_path, item)
    assert f"evaluation.polygon = {str(tmp_path / 'area.geojson')!r}" in str(error.value)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
