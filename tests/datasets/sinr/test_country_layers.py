"""The pixels of SINR's rasters: where they lie, which of them test, and their values."""

import numpy as np
import pytest

from presence_only.common.errors import DataError
from presence_only.datasets.sinr.country_layers import is_test_pixel, pixel_sites, scaled_layer


def test_pixels_reach_from_edge_to_edge():
    sites = pixel_sites(3, 5)
    assert sites.shape == (3, 5, 2)
    assert sites[0, 0].tolist() == [-180, 90]
    assert sites[2, 4].tolist() == [180, -90]
    assert sites[1, 2].tolist() == [0, 0]
    assert sites[0, 1].tolist() == [-90, 90]


@pytest.mark.parametrize(("height", "width", "cell"), [(7, 11, 3), (100, 75, 25), (4, 4, 1), (2, 3, 5)])
def test_the_checkerboard_is_painted_cell_by_cell(height, width, cell):
    expected = np.zeros((height, width), dtype=bool)
    for top in range(0, height, cell):
        # Odd rows of cells begin with a cell that trains.
        begin = 0 if (top // cell) % 2 == 0 else cell
        for left in range(begin, width, 2 * cell):
            for row in range(top, min(top + cell, height)):
                for column in range(left, min(left + cell, width)):
                    expected[row, column] = True
    np.testing.assert_array_equal(is_test_pixel(height, width, cell), expected)


def test_a_layer_is_scaled_to_its_range():
    values = np.array([4.0, np.nan, 2.0, 10.0])
    np.testing.assert_allclose(scaled_layer(values), [0.25, np.nan, 0.0, 1.0])
    expected = np.log1p([2.0, np.nan, 0.0, 8.0]) / np.log1p(8.0)
    np.testing.assert_allclose(scaled_layer(values, logarithm=True), expected, rtol=1e-6)
    assert np.isnan(values[1])
    assert values[3] == 10.0


@pytest.mark.parametrize("values", [[3.0, 3.0, np.nan], [np.nan, np.nan], [1.0, np.inf]])
def test_a_layer_without_two_values_is_refused(values):
    with pytest.raises(DataError, match="no two different finite values"):
        scaled_layer(np.array(values))
