"""Areas of a raster's cells against areas of polygons on the sphere or ellipsoid."""

import numpy as np
import pyproj
import pytest
from numpy.testing import assert_allclose

from presence_only.common.errors import DataError
from presence_only.geography.cell_areas import cell_areas
from presence_only.geography.rasters import Grid
from presence_only.geography.sphere import EARTH_RADIUS_KM


def grid(affine, shape, crs=None):
    def read(layer, rows, columns):
        return np.ones((rows.stop - rows.start, columns.stop - columns.start), dtype=np.float32)

    return Grid(("a",), shape, affine, None if crs is None else pyproj.CRS(crs).to_wkt(), read)


def polygon_area(own, row, column):
    """Area of a cell's outline, cut into short pieces; on the ellipsoid if it is projected."""
    t = np.linspace(0, 1, 200, endpoint=False)
    x = np.concatenate([t, 1 + 0 * t, 1 - t, 0 * t]) + column - 0.5
    y = np.concatenate([0 * t, t, 1 + 0 * t, 1 - t]) + row - 0.5
    sites = own.sites(x, y)
    sphere, ellipsoid = pyproj.Geod(a=EARTH_RADIUS_KM, b=EARTH_RADIUS_KM), pyproj.Geod(a=6378.137, rf=298.257223563)
    return abs((sphere if own.geographic else ellipsoid).polygon_area_perimeter(*sites.T)[0])


@pytest.mark.parametrize(
    ("affine", "shape", "crs", "rtol"),
    [
        ((0.5, 0, -10.0, 0, -0.5, 70.0), (200, 40), None, 1e-3),
        ((0.5, 0, 350.0, 0, 0.5, -20.0), (60, 40), None, 1e-3),
        ((20_000.0, 0, 2_500_000.0, 0, -20_000.0, 5_500_000.0), (200, 200), "EPSG:3035", 2e-3),
        ((50_000.0, 0, -500_000.0, 0, -50_000.0, 11_000_000.0), (150, 100), "EPSG:3857", 5e-3),
        ((0.3, 0.2, 10.0, -0.1, 0.3, 30.0), (40, 40), None, 2e-3),
    ],
    # The Mercator projection of the web takes degrees of the ellipsoid for those of a sphere.
    ids=["degrees", "southern row first", "equal area", "Mercator", "turned"],
)
def test_areas_are_those_of_polygons(affine, shape, crs, rtol):
    own = grid(affine, shape, crs)
    rows = slice(5, shape[0])
    areas = np.broadcast_to(cell_areas(own, rows), (shape[0] - 5, shape[1]))
    rng = np.random.default_rng(0)
    for row, column in zip(rng.integers(0, shape[0] - 5, 20), rng.integers(0, shape[1], 20), strict=True):
        assert_allclose(areas[row, column], polygon_area(own, row + 5, column), rtol=rtol)


def test_rows_beyond_a_pole_have_no_area_and_the_earth_has_its_own():
    own = grid((1.0, 0, -180.0, 0, -1.0, 92.0), (184, 360))
    areas = cell_areas(own, slice(0, 184))
    assert_allclose(areas[[0, 1, 182, 183]], 0, atol=1e-6)
    assert_allclose(areas.sum() * 360, 4 * np.pi * EARTH_RADIUS_KM**2)


def test_the_corners_of_a_map_of_the_world_take_the_area_of_its_edge():
    # Mollweide's projection has equal areas.
    own = grid((100_000.0, 0, -18_000_000.0, 0, -100_000.0, 9_000_000.0), (180, 360), "ESRI:54009")
    assert_allclose(cell_areas(own, slice(0, 180)), 100.0**2, rtol=0.01)
    with pytest.raises(DataError, match="layer 'a': none of its cells lies within its coordinate reference system"):
        cell_areas(grid((1e9, 0, 1e12, 0, -1e9, 1e12), (3, 3), "ESRI:54009"), slice(0, 3))
