"""The narrowest arc of longitudes against trying all of them."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from presence_only.geography.longitudes import counted_on, narrowest_arc, within_180


@pytest.mark.parametrize("seed", range(20))
def test_the_narrowest_arc_is_that_of_trying_all(seed):
    rng = np.random.default_rng(seed)
    longitude = rng.uniform(-180, 180, rng.integers(1, 12)).round(1)
    west, east = narrowest_arc(longitude)
    widths = [((longitude - start) % 360).max() for start in longitude]
    assert east - west == pytest.approx(min(widths))
    sites = np.column_stack([longitude, np.zeros(len(longitude))])
    counted = counted_on(sites, west, east)[:, 0]
    assert counted.min() == pytest.approx(west)
    assert counted.max() == pytest.approx(east)
    assert_array_equal(within_180(counted).round(1), longitude)


def test_of_equal_arcs_the_one_that_does_not_cross_180_degrees_is_taken():
    assert narrowest_arc(np.array([-90.0, 90.0])) == (-90.0, 90.0)
    assert narrowest_arc(np.array([-120.0, 0.0, 120.0])) == (-120.0, 120.0)
    assert narrowest_arc(np.array([5.0, 5.0])) == (5.0, 5.0)
