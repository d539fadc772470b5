"""Hulls on the sphere against planes, and sites drawn within them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from presence_only.common.errors import DataError
from presence_only.geography.sphere import unit_vectors
from presence_only.geography.spherical_hull import sites_within, spherical_hull

BOXES = {
    "Europe": (-10, 40, 35, 70),
    "Fiji, across 180 degrees": (170, 200, -25, -10),
    "Arctic": (-180, 180, 65, 90),
    "half of the Earth": (-85, 85, -80, 80),
    "a village": (10, 10.01, 50, 50.01),
}


def draw(box, n, generator):
    """Sites of a box, its longitudes folded into -180..180."""
    west, east, south, north = box
    sites = np.column_stack([generator.uniform(west, east, n), generator.uniform(south, north, n)])
    sites[:, 0] = (sites[:, 0] + 180) % 360 - 180
    return sites


def inside(sites, vertices):
    """Whether sites are on the inner side of every great circle of a hull, by the middle of its corners."""
    normals = np.cross(vertices, np.roll(vertices, -1, axis=0))
    normals *= np.sign(normals @ vertices.mean(axis=0))[:, None]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return (unit_vectors(sites) @ normals.T >= -1e-12).all(axis=1)


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_the_hull_holds_all_sites_and_has_corners_among_them(box):
    sites = draw(box, 500, np.random.default_rng(0))
    hull = spherical_hull(sites)
    assert inside(sites, hull).all()
    assert {tuple(corner) for corner in hull} <= {tuple(vector) for vector in unit_vectors(sites)}
    # The antipodes of the sites are outside.
    assert not inside(np.column_stack([(sites[:, 0] + 360) % 360 - 180, -sites[:, 1]]), hull).any()


@pytest.mark.parametrize("box", list(BOXES.values())[:4], ids=list(BOXES)[:4])
def test_sites_within_are_those_of_the_sphere_that_lie_inside(box):
    generator = np.random.default_rng(1)
    hull = spherical_hull(draw(box, 300, generator))
    drawn = sites_within(hull, 20_000, generator)
    assert inside(drawn, hull).all()
    sphere = np.column_stack(
        [generator.uniform(-180, 180, 1_000_000), np.degrees(np.arcsin(generator.uniform(-1, 1, 1_000_000)))]
    )
    expected = unit_vectors(sphere[inside(sphere, hull)])
    for axis in range(3):
        assert stats.ks_2samp(unit_vectors(drawn)[:, axis], expected[:, axis]).pvalue > 0.001


def test_a_small_hull_is_covered_evenly():
    corners = np.array([[10.0, 0.0], [10.002, 0.0], [10.002, 0.001], [10.0, 0.001]])
    drawn = sites_within(spherical_hull(corners), 20_000, np.random.default_rng(0))
    assert stats.kstest((drawn[:, 0] - 10) / 0.002, "uniform").pvalue > 0.001
    assert stats.kstest(drawn[:, 1] / 0.001, "uniform").pvalue > 0.001


def test_an_octant_is_an_octant():
    hull = spherical_hull(np.array([[0.0, 0.0], [90.0, 0.0], [0.0, 90.0], [45.0, 35.0]]))
    assert_allclose(sorted(hull.tolist()), np.eye(3)[::-1], atol=1e-12)
    drawn = sites_within(hull, 20_000, np.random.default_rng(3))
    assert drawn.min() >= 0
    assert stats.kstest(np.sin(np.radians(drawn[:, 1])), "uniform").pvalue > 0.001


def test_sites_all_over_the_earth_have_the_whole_sphere_as_hull():
    assert spherical_hull(draw((-180, 180, -60, 60), 50, np.random.default_rng(0))) is None
    # Around the equator: no open hemisphere holds them.
    assert spherical_hull(np.array([[0.0, 0.0], [120.0, 0.0], [-120.0, 0.0]])) is None


@pytest.mark.parametrize(
    "sites",
    [np.array([[10.0, 50.0]] * 4), np.array([[10.0, 50.0], [11.0, 50.0]]), np.array([[0.0, 0.0], [5.0, 0], [9, 0]])],
    ids=["one place", "two places", "one line"],
)
def test_sites_without_area_are_refused(sites):
    with pytest.raises(DataError, match="at one place or on one line span no range"):
        spherical_hull(sites)
