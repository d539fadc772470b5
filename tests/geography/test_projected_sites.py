"""Projected coordinates against values that surveyors publish, and what they refuse."""

import numpy as np
import pytest

from presence_only.geography.projected_sites import ToDegrees, known_crs


@pytest.mark.parametrize(
    ("crs", "xy", "degrees"),
    [
        # The origin of ETRS89-LAEA, whose northing EPSG lists first, and the origins of two zones of UTM.
        ("EPSG:3035", (4_321_000, 3_210_000), (10, 52)),
        ("EPSG:32632", (500_000, 0), (9, 0)),
        ("EPSG:32733", (500_000, 10_000_000), (15, 0)),
        ("EPSG:4326", (8.5, 47.1), (8.5, 47.1)),
        # The Old Observatory of Bern, as swisstopo gives it.
        ("EPSG:2056", (2_600_000, 1_200_000), (7.438637, 46.951083)),
    ],
)
def test_known_places(crs, xy, degrees):
    to_degrees = ToDegrees(crs)
    found = to_degrees(np.array([xy], dtype=float))
    np.testing.assert_allclose(found[0], degrees, atol=2e-3)
    assert not to_degrees.outside(found).any()


def test_places_that_a_system_does_not_have_are_nan_and_lie_outside():
    to_degrees = ToDegrees("EPSG:3035")
    found = to_degrees(np.array([[4_321_000, 3_210_000], [9e9, 0], [np.nan, 1]]))
    assert np.isnan(found).any(axis=1).tolist() == [False, True, True]
    assert to_degrees.outside(found).tolist() == [False, True, True]
    # New Zealand's system goes across 180 degrees.
    new_zealand = ToDegrees("EPSG:2193")
    assert new_zealand.outside(np.array([[175.0, -40.0], [-177.0, -44.0], [10.0, 50.0]])).tolist() == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize("text", ["EPSG:99999", "metres", "", "EPSG:4978", "EPSG:5773"])
def test_what_is_no_system(text):
    with pytest.raises(ValueError, match=r"^a coordinate reference system"):
        known_crs(text)
