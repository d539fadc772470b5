"""Points on the sphere, drawn uniformly and there and back, and the h3 cells where longitudes or latitudes end."""

import h3
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from presence_only.geography.h3_cells import cells_of, centres_of
from presence_only.geography.sphere import sites_of_vectors, uniform_sphere_sites, unit_vectors


def test_uniform_sites_cover_the_sphere_evenly():
    sites = uniform_sphere_sites(20_000, np.random.default_rng(0))
    assert sites.shape == (20_000, 2)
    assert np.abs(sites[:, 0]).max() <= 180
    assert np.abs(sites[:, 1]).max() <= 90
    assert stats.kstest(np.sin(np.radians(sites[:, 1])), "uniform", (-1, 2)).pvalue > 0.01
    assert stats.kstest(sites[:, 0], "uniform", (-180, 360)).pvalue > 0.01
    # Uniform in latitude, the common mistake, would fail.
    assert stats.kstest(sites[:, 1], "uniform", (-90, 180)).pvalue < 1e-10


def test_points_on_the_sphere_go_there_and_back():
    sites = np.array([[-180.0, 10.0], [179.0, -89.0], [0.0, 0.0], [30.0, 90.0]])
    vectors = unit_vectors(sites)
    assert_allclose(np.linalg.norm(vectors, axis=1), 1)
    assert_allclose(unit_vectors(sites_of_vectors(3 * vectors)), vectors, atol=1e-12)
    assert_allclose(vectors[2:], [[1, 0, 0], [0, 0, 1]], atol=1e-12)


def test_poles_and_the_date_line_have_cells():
    sites = np.array([[180.0, 0.0], [-180.0, 0.0], [0.0, 90.0], [120.0, 90.0], [0.0, -90.0]])
    cells = cells_of(sites, 5)
    assert_array_equal(cells, [h3.str_to_int(h3.latlng_to_cell(lat, lon, 5)) for lon, lat in sites])
    assert cells[0] == cells[1]
    assert cells[2] == cells[3] != cells[4]
    centres = centres_of(cells)
    assert np.abs(centres).max(axis=0)[0] <= 180
    assert_array_equal(centres[:, ::-1], [h3.cell_to_latlng(h3.int_to_str(int(cell))) for cell in cells])
