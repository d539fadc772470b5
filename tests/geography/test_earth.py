"""The shipped grid of the Earth: its values, and sites drawn on its land."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from presence_only.geography import earth as module
from presence_only.geography.earth import Earth, cell_area_km2, cell_of

ELEVATION = "elevation (m)"
TEMPERATURE = "annual mean temperature (degrees C)"
COLDEST = "coldest month temperature (degrees C)"
SEASONALITY = "temperature seasonality (degrees C)"
RAIN = "annual precipitation (mm)"


@pytest.fixture(scope="module")
def earth() -> Earth:
    return Earth.load()


def at(earth: Earth, layer: str, longitude: float, latitude: float) -> float:
    return float(earth.sample(np.array([[longitude, latitude]]))[0, earth.names.index(layer)])


def test_the_grid_looks_like_the_earth(earth):
    sahara, tibet, amazon, greenland = (10.0, 25.0), (88.0, 33.0), (-62.0, -4.0), (-40.0, 73.0)
    london, yakutsk, singapore, atacama = (-0.1, 51.5), (129.7, 62.0), (103.8, 1.4), (-69.5, -23.5)
    assert at(earth, RAIN, *sahara) < 50
    assert at(earth, TEMPERATURE, *sahara) > 20
    assert at(earth, ELEVATION, *tibet) > 4500
    assert at(earth, RAIN, *amazon) > 2000
    assert at(earth, TEMPERATURE, *amazon) > 25
    assert at(earth, TEMPERATURE, *greenland) < -20
    assert 9 < at(earth, TEMPERATURE, *london) < 12
    assert 500 < at(earth, RAIN, *london) < 900
    assert at(earth, COLDEST, *yakutsk) < -35
    assert at(earth, SEASONALITY, *yakutsk) > 18
    assert at(earth, SEASONALITY, *singapore) < 1
    assert at(earth, RAIN, *atacama) < 50
    assert at(earth, "roughness (m)", 86.9, 28.0) > 5 * at(earth, "roughness (m)", *amazon)
    # Rain falls all year in London and in a few summer months in the Sahel.
    dry_season = "precipitation seasonality (coefficient of variation)"
    assert at(earth, dry_season, 5.0, 15.0) > 1 > 0.3 > at(earth, dry_season, *london)


def test_land_covers_the_area_it_should(earth):
    area = float((earth.land_share_grid * cell_area_km2()[:, None]).sum())
    assert_allclose(cell_area_km2().sum() * 360, 510.07e6, rtol=1e-3)
    assert_allclose(area, 149e6, rtol=0.03)


def test_layers_are_defined_exactly_on_land_and_read_only(earth):
    assert earth.names[0] == module.LAND_SHARE
    assert len(earth.names) == len(set(earth.names)) == len(earth.layers_C) == 8
    for layer in earth.layers_C[1:]:
        assert_array_equal(np.isfinite(layer), earth.land_share_grid > 0)
    with pytest.raises(ValueError, match="read-only"):
        earth.layers_C[0, 0, 0] = 1


def test_sampling_is_exact_at_cell_centres(earth):
    row, column = np.nonzero(earth.land_share_grid > 0)
    centres = np.column_stack([column - 179.5, row - 89.5])
    assert_array_equal(earth.sample(centres), earth.layers_C[:, row, column].T)


def test_sampling_is_bilinear_between_centres(earth):
    # All four centres around (25.5..26.5, 0.5..1.5) are land; the corner weights by hand.
    grid = earth.layer(TEMPERATURE)
    corners = grid[90:92, 205:207]
    expected = 0.3 * 0.8 * corners[0, 0] + 0.7 * 0.8 * corners[0, 1] + 0.3 * 0.2 * corners[1, 0]
    expected += 0.7 * 0.2 * corners[1, 1]
    assert_allclose(at(earth, TEMPERATURE, 25.5 + 0.7, 0.5 + 0.2), expected, rtol=1e-6)


def test_sampling_wraps_at_180_degrees(earth):
    # Chukotka lies on both sides.
    grid = earth.layer(TEMPERATURE)
    middle = (grid[157, 359] + grid[157, 0]) / 2
    assert np.isfinite(middle)
    assert_allclose([at(earth, TEMPERATURE, 180.0, 67.5), at(earth, TEMPERATURE, -180.0, 67.5)], middle, rtol=1e-6)


def test_sea_is_nan_but_for_the_land_share_and_coasts_ignore_it(earth):
    (open_sea,) = earth.sample(np.array([[-35.0, 30.0]]))
    assert open_sea[0] == 0
    assert np.isnan(open_sea[1:]).all()
    # The value of the only land cell of four is that of every site among them.
    island = np.argwhere((earth.land_share_grid > 0) & (np.roll(earth.land_share_grid, -1, axis=1) == 0))
    alone = [(i, j) for i, j in island if not earth.land_share_grid[i : i + 2, j : j + 2].ravel()[1:].any()]
    row, column = alone[0]
    site = (column - 179.5 + 0.4, row - 89.5 + 0.3)
    assert_allclose(at(earth, RAIN, *site), earth.layer(RAIN)[row, column], rtol=1e-6)


def test_sampling_in_slices_changes_nothing(earth, monkeypatch):
    sites = earth.land_sites(1000, np.random.default_rng(0))
    before = sites.copy()
    whole = earth.sample(sites)
    monkeypatch.setattr(module, "SITES_PER_SLICE", 77)
    assert_array_equal(earth.sample(sites), whole)
    assert_array_equal(sites, before)


def test_poles_take_the_last_row(earth):
    assert at(earth, TEMPERATURE, 0.5, -90.0) == earth.layer(TEMPERATURE)[0, 180]


@pytest.mark.parametrize("site", [(181.0, 0.0), (0.0, -90.5), (np.nan, 0.0)])
def test_a_site_off_the_globe_is_refused(earth, site):
    with pytest.raises(ValueError, match="not on the globe"):
        earth.sample(np.array([site]))


def test_bad_shapes_and_names_are_refused(earth):
    with pytest.raises(ValueError, match=r"sites have shape \(3,\)"):
        earth.sample(np.zeros(3))
    with pytest.raises(ValueError, match="unknown layer 'rain'; known: land share"):
        earth.layer("rain")


def test_land_sites_are_uniform_over_the_area_of_land(earth):
    sites = earth.land_sites(40_000, np.random.default_rng(1), south=-60)
    assert sites[:, 1].min() >= -60
    row, column = cell_of(sites)
    weight = earth.land_share_grid * cell_area_km2()[:, None]
    weight[:30] = 0
    # By bands of 10 degrees and quarters of longitude; chi-squared against the area of land.
    band = (np.arange(180) // 10)[:, None] * 4 + np.arange(360)[None, :] // 90
    expected = np.bincount(band.ravel(), weight.ravel())
    observed = np.bincount(band[row, column], minlength=len(expected))
    used = expected > 0
    assert observed[~used].sum() == 0
    share = expected[used] / expected[used].sum()
    assert stats.chisquare(observed[used], share * observed.sum()).pvalue > 0.01
    assert (earth.land_share(sites) > 0).all()


def test_cells_at_the_edges_of_the_map():
    row, column = cell_of(np.array([[-180.0, -90.0], [180.0, 90.0], [179.99, 0.0]]))
    assert row.tolist() == [0, 179, 90]
    assert column.tolist() == [0, 0, 359]
