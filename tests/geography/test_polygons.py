"""Sites within polygons: a plain ray, unions, holes, and rings across 180 degrees and around the poles."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from presence_only.geography.polygons import Polygon, RingError, on_the_globe, within_polygons


def box(west, south, east, north):
    """A closed ring, anticlockwise where west < east."""
    return np.array([[west, south], [east, south], [east, north], [west, north], [west, south]], dtype=float)


def within(ring, sites):
    return within_polygons(np.array(sites, dtype=float), [Polygon(on_the_globe(np.array(ring, dtype=float)))]).tolist()


def ray(site, ring):
    """Whether an odd number of edges lies to the east of a site."""
    crossings = 0
    for (x1, y1), (x2, y2) in pairwise(ring):
        if (y1 > site[1]) != (y2 > site[1]) and site[0] < x1 + (site[1] - y1) / (y2 - y1) * (x2 - x1):
            crossings += 1
    return crossings % 2 == 1


def test_polygons_with_holes_are_those_of_a_plain_ray():
    angle = np.linspace(0, 2 * np.pi, 24)
    radius = 10 * (1 + 0.5 * np.cos(5 * angle))
    star = np.column_stack([20 + radius * np.cos(angle), 40 + radius * np.sin(angle)])
    star[-1] = star[0]
    holes = box(18, 38, 22, 42), box(21, 41, 24, 43)
    other = np.array([[15.0, 30.0], [35.0, 38.0], [20.0, 50.0], [15.0, 30.0]])
    rng = np.random.default_rng(0)
    sites = np.column_stack([rng.uniform(0, 40, 3000), rng.uniform(20, 60, 3000)])
    before = sites.copy()
    inside = within_polygons(sites, [Polygon(star, holes), Polygon(other)])
    expected = [(ray(p, star) and not any(ray(p, hole) for hole in holes)) or ray(p, other) for p in sites]
    assert_array_equal(inside, expected)
    assert_array_equal(sites, before)
    few = [within_polygons(sites[[i]], [Polygon(star, holes), Polygon(other)])[0] for i in range(500)]
    assert_array_equal(few, expected[:500])
    assert 0.1 < inside.mean() < 0.6


@pytest.mark.parametrize(
    "second", [box(4, 4, 8, 8), box(4, 4, 12, 12), box(0, 0, 10, 10)], ids=["inside", "crossing", "twice"]
)
def test_polygons_that_overlap_are_a_union(second):
    sites = np.array([[2.0, 2.0], [6.0, 6.0], [20.0, 20.0]])
    assert_array_equal(within_polygons(sites, [Polygon(box(0, 0, 10, 10)), Polygon(second)]), [True, True, False])


def test_no_polygon_holds_nothing_and_no_site_is_no_error():
    assert_array_equal(within_polygons(np.zeros((2, 2)), []), [False, False])
    assert within_polygons(np.zeros((0, 2)), [Polygon(box(0, 0, 1, 1))]).shape == (0,)


FIJI = [[175, -18], [-175, -18], [180, -18], [-180, -18], [170.5, -18], [169, -18], [-169, -18], [0, -18], [175, -25]]
FIRST = [170, -20]
IN_FIJI = [True, True, True, True, True, False, False, False, False]


@pytest.mark.parametrize(
    "ring",
    [
        box(170, -20, 190, -15),
        box(-190, -20, -170, -15),
        box(170, -20, -170, -15),
        [
            [170, -20],
            [180, -20],
            [-180, -20],
            [-170, -20],
            [-170, -15],
            [-180, -15],
            [180, -15],
            [170, -15],
            [170, -20],
        ],
        [[170, -20], [175, -20], [-175, -20], [-170, -20], [-170, -15], [170, -15], [170, -20]],
        # Clockwise, but not a box of two long edges.
        [
            [170, -20],
            [170, -15],
            [175, -15],
            [-175, -15],
            [-170, -15],
            [-170, -20],
            [-175, -20],
            [175, -20],
            [170, -20],
        ],
    ],
)
def test_a_ring_may_cross_180_degrees(ring):
    assert within(ring, FIJI) == IN_FIJI


def test_two_halves_that_touch_180_degrees_are_one_area():
    halves = [Polygon(box(170, -20, 180, -15)), Polygon(box(-180, -20, -170, -15))]
    assert within_polygons(np.array(FIJI, dtype=float), halves).tolist() == IN_FIJI


def test_a_hole_may_cross_180_degrees():
    hole = on_the_globe(box(-178, -18, 178, -16), hole=True)
    polygon = Polygon(on_the_globe(box(170, -20, -170, -15)), (hole,))
    sites = np.array([[179.0, -17.0], [-179.0, -17.0], [175.0, -17.0], [-175.0, -17.0], [180.0, -17.0]])
    assert within_polygons(sites, [polygon]).tolist() == [False, False, True, True, False]


@pytest.mark.parametrize(
    "ring",
    [
        box(-180, 60, 180, 90),
        [[-180, 60], [0, 60], [180, 60], [180, 90], [-180, 90], [-180, 60]],
        [[0, 60], [90, 60], [180, 60], [-90, 60], [0, 60]],
        [[0, 60], [-90, 60], [180, 60], [90, 60], [0, 60]],
        [[0, 60], [120, 60], [240, 60], [350, 60], [0, 60]],
    ],
)
def test_a_ring_around_a_pole_encloses_it(ring):
    sites = [[10, 70], [-170, 61], [180, 70], [-180, 70], [0, 90], [123, 90], [10, 50], [-170, 59], [0, -90]]
    assert within(ring, sites) == [True] * 6 + [False] * 3
    south = [[x, -y] for x, y in ring]
    assert within(south, [[x, -y] for x, y in sites if abs(y) < 90]) == [True] * 4 + [False] * 2


def test_a_band_around_the_earth_stays_one():
    sites = [[0, 0], [180, 0], [-180, 10], [100, 30], [0, -30]]
    for ring in (box(-180, -23, 180, 23), [[-180, -23], [0, -23], [180, -23], [180, 23], [-180, 23], [-180, -23]]):
        assert within(ring, sites) == [True, True, True, False, False]
    assert within(box(-180, -90, 180, 90), [*sites, [0, 90], [0, -90]]) == [True] * 7


@pytest.mark.parametrize(
    ("ring", "sentence"),
    [
        (box(-170, -20, 170, 20), "an edge from longitude -170 to 170, and whether it crosses 180 degrees or 0 is not"),
        (
            [[0, 60], [90, -5], [180, 60], [-90, 60], [0, 60]],
            "a ring around the Earth, between the latitudes -5 and",
        ),
    ],
)
def test_a_ring_that_may_be_read_in_two_ways_is_refused(ring, sentence):
    with pytest.raises(RingError, match=sentence):
        on_the_globe(np.array(ring, dtype=float))


def test_a_wide_ring_with_points_between_is_wide():
    ring = [[-170, -20], [0, -20], [170, -20], [170, 20], [0, 20], [-170, 20], [-170, -20]]
    assert within(ring, [[0, 0], [169, 0], [175, 0], [-175, 0]]) == [True, True, False, False]
