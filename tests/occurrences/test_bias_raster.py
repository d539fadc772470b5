"""Background sites of a raster of weights, against the shares of its cells."""

import re
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import stats

from presence_only.common.errors import DataError
from presence_only.data.records import PresenceRecords
from presence_only.geography import rasters
from presence_only.geography.earth import Earth
from presence_only.geography.sphere import uniform_sphere_sites
from presence_only.occurrences.background import background_notes, make_background
from presence_only.occurrences.bias_raster import bias_raster_sites

EUROPE = (2_500_000.0, 1_500_000.0, 6_500_000.0, 5_500_000.0)


def save(path, layer, bounds, **more):
    np.savez(path, names=["effort"], layers=np.asarray(layer)[None], bounds=bounds, **more)
    return path


def counts(sites, bounds, shape):
    """Sites in every cell of a grid in degrees, by looking for them."""
    west, south, east, north = bounds
    longitude = np.where(sites[:, 0] < west, sites[:, 0] + 360, sites[:, 0])
    found, *_ = np.histogram2d(
        north - sites[:, 1],
        longitude - west,
        bins=(np.linspace(0, north - south, shape[0] + 1), np.linspace(0, east - west, shape[1] + 1)),
    )
    assert found.sum() == len(sites)
    return found


@pytest.mark.parametrize("bounds", [(0.0, -60.0, 40.0, 60.0), (170.0, -60.0, 210.0, 60.0)], ids=["", "across 180"])
@pytest.mark.parametrize("cells_at_once", [1, 2**22])
def test_sites_are_drawn_in_proportion_to_value_and_area(tmp_path, bounds, cells_at_once, monkeypatch):
    monkeypatch.setattr(rasters, "CELLS_AT_ONCE", cells_at_once)
    layer = np.array([[1.0, 2.0, np.nan, 0.0], [5.0, 0.0, 1.0, 3.0], [0.0, np.nan, 4.0, 1.0]])
    path = save(tmp_path / "effort.npz", layer, bounds)
    sites = bias_raster_sites(path, 20_000, np.random.default_rng(0))
    edges = np.sin(np.radians([60.0, 20.0, -20.0, -60.0]))
    expected = np.nan_to_num(layer) * (edges[:-1] - edges[1:])[:, None]
    found = counts(sites, bounds, layer.shape)
    assert_array_equal(found > 0, expected > 0)
    some = expected > 0
    assert stats.chisquare(found[some], expected[some] / expected.sum() * 20_000).pvalue > 0.001
    # Within the large cells of a row the sine of latitude is uniform.
    cell = sites[counts_row(sites) == 0]
    assert stats.kstest(np.sin(np.radians(cell[:, 1])), stats.uniform(edges[1], edges[0] - edges[1]).cdf).pvalue > 0.001


def counts_row(sites):
    return np.floor((60 - sites[:, 1]) / 40).astype(int)


def test_strips_change_no_site_and_the_seed_does(tmp_path, monkeypatch):
    layer = np.random.default_rng(0).random((40, 30))
    path = save(tmp_path / "effort.npz", layer, (0.0, 0.0, 30.0, 40.0))
    whole = bias_raster_sites(path, 500, np.random.default_rng(1))
    assert_array_equal(whole, bias_raster_sites(path, 500, np.random.default_rng(1)))
    assert not np.array_equal(whole, bias_raster_sites(path, 500, np.random.default_rng(2)))
    monkeypatch.setattr(rasters, "CELLS_AT_ONCE", 90)
    assert_array_equal(whole, bias_raster_sites(path, 500, np.random.default_rng(1)))


@pytest.mark.parametrize("crs", ["EPSG:3035", "EPSG:3857"])
def test_equal_values_are_uniform_on_the_sphere_in_any_projection(tmp_path, crs):
    bounds = EUROPE if crs == "EPSG:3035" else (-1_000_000.0, 3_000_000.0, 5_000_000.0, 11_000_000.0)
    path = save(tmp_path / "effort.npz", np.full((80, 60), 7.0), bounds, crs=crs)
    sites = bias_raster_sites(path, 4000, np.random.default_rng(0))
    everywhere = uniform_sphere_sites(400_000, np.random.default_rng(1))
    inside = np.isfinite(rasters.open_environment(str(path)).sample(everywhere)[:, 0])
    for axis in (0, 1):
        assert stats.ks_2samp(sites[:, axis], everywhere[inside, axis]).pvalue > 0.001
    assert np.isfinite(rasters.open_environment(str(path)).sample(sites)).all()


def test_the_oval_of_a_map_of_the_world_is_no_obstacle(tmp_path):
    layer = np.ones((18, 36))
    # Corners of the oval lie nowhere on Earth.
    path = save(tmp_path / "effort.npz", layer, (-18e6, -9e6, 18e6, 9e6), crs="ESRI:54009")
    with pytest.raises(DataError, match="has values above 0 outside of its coordinate reference system"):
        bias_raster_sites(path, 1000, np.random.default_rng(0))
    y, x = np.mgrid[-8.5e6:8.5e6:18j, -17.5e6:17.5e6:36j]
    layer[(x / 18e6) ** 2 + (y / 9e6) ** 2 > 0.99] = np.nan
    sites = bias_raster_sites(
        save(path, layer, (-18e6, -9e6, 18e6, 9e6), crs="ESRI:54009"), 2000, np.random.default_rng(0)
    )
    assert (np.abs(sites) <= (180, 90)).all()


def test_a_geotiff_with_undeclared_nodata(tmp_path):
    rasterio = pytest.importorskip("rasterio", reason="GeoTIFFs need rasterio: pip install presence-only[rasters]")
    layer = np.array([[-9999, 3, 0], [1, -9999, 2]], dtype="float32")
    transform = rasterio.transform.from_bounds(0, 0, 3, 2, 3, 2)
    shape = {"height": 2, "width": 3, "count": 1, "dtype": "float32", "crs": "EPSG:4326", "transform": transform}
    with rasterio.open(tmp_path / "effort.tif", "w", driver="GTiff", **shape) as file:
        file.write(layer, 1)
    sites = bias_raster_sites(tmp_path / "effort.tif", 3000, np.random.default_rng(0))
    found = counts(sites, (0.0, 0.0, 3.0, 2.0), (2, 3))
    assert_array_equal(found > 0, layer > 0)
    assert stats.chisquare(found[layer > 0], np.array([3, 1, 2]) * 500).pvalue > 0.001
    assert "cells of -9999" in background_notes(str(tmp_path / "effort.tif"))[0]
    assert background_notes("land") == ()


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        ([[1.0, -0.5], [0.0, 2.0]], "has the value -0.5 at longitude 7.5, latitude 7.5; sites are drawn in proportion"),
        ([[0.0, np.nan]], "has no value above 0; sites are drawn in proportion to its values"),
    ],
)
def test_wrong_values_are_one_sentence(tmp_path, layer, sentence):
    path = save(tmp_path / "effort.npz", layer, (0.0, 0.0, 10.0, 10.0))
    with pytest.raises(DataError, match=re.escape(f"background {str(path)!r}: {sentence}")):
        bias_raster_sites(path, 10, np.random.default_rng(0))


def test_a_missing_raster_and_one_of_several_layers_are_one_sentence(tmp_path):
    with pytest.raises(DataError, match=r"none.tif': there is no such file; give a GeoTIFF or an .npz of one layer"):
        bias_raster_sites(tmp_path / "none.tif", 10, np.random.default_rng(0))
    np.savez(tmp_path / "two.npz", names=["a", "b"], layers=np.ones((2, 3, 3)), bounds=(0, 0, 1, 1))
    with pytest.raises(DataError, match="has 2 layers, such as 'a' and 'b'; a raster of weights has one"):
        bias_raster_sites(tmp_path / "two.npz", 10, np.random.default_rng(0))


def test_it_is_a_background_with_covariates_and_weeks(tmp_path):
    path, earth = save(tmp_path / "effort.npz", np.ones((3, 3)), (0.0, 40.0, 3.0, 43.0)), Earth.load()
    sites = np.array([[1.0, 41.0], [2.0, 42.0]])
    records = PresenceRecords(
        sites, earth.sample(sites), np.array([0, 1]), np.array([0, 0]), ("a",), ("g",), earth.names
    )
    background = make_background(str(path), 300, np.random.default_rng(0), records=records, earth=earth)
    assert background.kind == "raster"
    assert background.groups_K is None
    assert_array_equal(background.covariates_KC, earth.sample(background.sites_K2))
    assert (np.abs(background.sites_K2 - [1.5, 41.5]) <= 1.5).all()
    dated = replace(records, week_N=np.array([3, 9]))
    weeks = make_background(str(path), 300, np.random.default_rng(0), records=dated, earth=earth).week_K
    assert set(weeks) == {3, 9}
    with pytest.raises(ValueError, match="n = 0: a background needs at least 1 site"):
        make_background(str(path), 0, np.random.default_rng(0), records=records, earth=earth)
