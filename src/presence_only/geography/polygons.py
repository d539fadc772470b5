"""Sites within polygons on the globe: the union of polygons with holes, rings across 180 degrees and around a pole.

Edges are straight in longitude and latitude, as in GeoJSON (RFC 7946).

Shape legend: N sites, X points of a ring. A point is longitude, latitude in degrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats

Ring = NDArray[np.float64]
# Degrees by which two longitudes that are meant to be equal may differ.
ROUNDING = 1e-9


class RingError(ValueError):
    """A ring has no one meaning; the message is the end of a sentence."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """A ring without what lies within its holes.

    Args:
        outer: Shape (X, 2), the last point equal to the first; longitudes may leave -180..180 to cross 180.
        holes: Rings likewise.
    """

    outer: Ring
    holes: tuple[Ring, ...] = ()


def within_polygons(sites_N2: Floats, polygons: Sequence[Polygon]) -> NDArray[np.bool_]:
    """Whether sites lie within at least one of the polygons, shape (N,).

    Polygons may overlap. A ring that crosses itself is filled by the even-odd rule. Of a site on an edge it is
    certain only that of two polygons that share the edge it lies within one.

    Args:
        sites_N2: Longitude -180..180, latitude -90..90.
        polygons: Their union is meant.
    """
    order_N = np.argsort(sites_N2[:, 1], kind="stable")
    # The upper end of an edge does not belong to it, so that a pole would lie outside of every ring around it.
    latitude_N = np.minimum(sites_N2[order_N, 1], np.nextafter(90.0, 0.0))
    longitude_N = sites_N2[order_N, 0]
    inside_N = np.zeros(len(sites_N2), dtype=bool)
    for polygon in polygons:
        start, stop = np.searchsorted(latitude_N, (polygon.outer[:, 1].min(), polygon.outer[:, 1].max()))
        if start == stop:
            continue
        own_n, x_n, y_n = inside_N[start:stop], longitude_N[start:stop], latitude_N[start:stop]
        inside_n = _within_ring(x_n, y_n, polygon.outer)
        for hole in polygon.holes:
            inside_n &= ~_within_ring(x_n, y_n, hole)
        own_n |= inside_n
    result_N = np.empty_like(inside_N)
    result_N[order_N] = inside_N
    return result_N


def _within_ring(longitude_N: Floats, latitude_N: Floats, ring: Ring) -> NDArray[np.bool_]:
    """Whether sites in the order of their latitudes lie within a ring: an odd number of edges lies to their east."""
    inside_N = np.zeros(len(longitude_N), dtype=bool)
    west, east = ring[:, 0].min(), ring[:, 0].max()
    turns = [turn for turn in (-720.0, -360.0, 0.0, 360.0, 720.0) if west - turn <= 180 and east - turn >= -180]
    if len(longitude_N) < len(ring):
        _look_at_edges(inside_N, longitude_N, latitude_N, ring, turns)
        return inside_N
    for (x_from, y_from), (x_to, y_to) in pairwise(ring.tolist()):
        # Only the sites at the latitudes of an edge can see it to their east.
        start, stop = np.searchsorted(latitude_N, sorted((y_from, y_to)))
        if start == stop:
            continue
        share = (latitude_N[start:stop] - y_from) / (y_to - y_from)
        x_edge = x_from + share * (x_to - x_from)
        for turn in turns:
            inside_N[start:stop] ^= longitude_N[start:stop] + turn < x_edge
    return inside_N


def _look_at_edges(
    inside_N: NDArray[np.bool_], longitude_N: Floats, latitude_N: Floats, ring: Ring, turns: list[float]
) -> None:
    """The same for few sites and a ring of many points: all edges at once, a site after the other."""
    x_from, x_to, y_from, y_to = ring[:-1, 0], ring[1:, 0], ring[:-1, 1], ring[1:, 1]
    lower, upper = np.minimum(y_from, y_to), np.maximum(y_from, y_to)
    for site, (longitude, latitude) in enumerate(zip(longitude_N, latitude_N, strict=True)):
        edges = np.flatnonzero((lower <= latitude) & (latitude < upper))
        share = (latitude - y_from[edges]) / (y_to[edges] - y_from[edges])
        x_edge = x_from[edges] + share * (x_to[edges] - x_from[edges])
        inside_N[site] = sum(int((longitude + turn < x_edge).sum()) for turn in turns) % 2 == 1


def on_the_globe(ring_X2: Ring, *, hole: bool = False) -> Ring:
    """A ring whose edges never jump at 180 degrees, made of one whose longitudes may be written within -180..180.

    Where two neighbouring points differ by more than 180 degrees the edge goes the short way, across 180. Three
    kinds of rings are read otherwise. Edges of 360 degrees, from -180 to 180, that come in pairs and are all there
    is from west to east bound a band around the Earth. A ring that goes once around the Earth encloses the pole of
    its hemisphere. A box of which neither its edges nor the order of its points tell whether it is wide or crosses
    180 is refused: RFC 7946 has outer rings go anticlockwise, and a box that would go clockwise the short way may
    be a wide one.

    Args:
        ring_X2: Closed, longitudes -360..360, latitudes -90..90.
        hole: Whether it is a hole, whose direction is opposite.

    Raises:
        RingError: If it may be read in two ways, or goes around the Earth on both sides of the equator.
    """
    longitude_X, latitude_X = ring_X2.T
    step = np.diff(longitude_X)
    wide = np.abs(step) > 180 + ROUNDING
    if not wide.any():
        return ring_X2
    whole = np.abs(np.abs(step) - 360) < ROUNDING
    short = np.where(wide, step - np.copysign(360.0, step), step)
    short[whole] = 0.0
    unwrapped_X = longitude_X[0] + np.concatenate([[0.0], np.cumsum(short)])
    turns = round(float(unwrapped_X[-1] - unwrapped_X[0]) / 360)
    if turns == 0:
        if np.ptp(unwrapped_X) < ROUNDING:
            return ring_X2
        across_X2 = np.column_stack([unwrapped_X, latitude_X])
        coarse = not whole.any() and 2 * wide.sum() >= (np.abs(step) > ROUNDING).sum()
        if coarse and not hole and _doubled_area(across_X2) < 0:
            first = int(wide.argmax())
            raise RingError(
                f"it has a ring with an edge from longitude {longitude_X[first]:g} to {longitude_X[first + 1]:g}, and "
                "whether it crosses 180 degrees or 0 is not clear; cut the ring at 180, write longitudes beyond 180 "
                "(170 to 190), or add a point on the edge"
            )
        return across_X2
    if whole.sum() == 1 == wide.sum():
        return ring_X2
    return _around_a_pole(np.column_stack([unwrapped_X, latitude_X]), turns)


def _around_a_pole(ring_X2: Ring, turns: int) -> Ring:
    """The ring with edges to the pole that it goes around, and along the pole."""
    south, north = ring_X2[:, 1].min(), ring_X2[:, 1].max()
    if abs(turns) > 1 or south < 0 < north:
        raise RingError(
            f"it has a ring around the Earth, between the latitudes {south:g} and {north:g}, and which pole it "
            "encloses is not clear; cut it at 180 degrees and lead it along the pole"
        )
    pole = 90.0 if north > 0 else -90.0
    corners = [[ring_X2[-1, 0], pole], [ring_X2[0, 0], pole], ring_X2[0]]
    return np.concatenate([ring_X2, corners])


def _doubled_area(ring_X2: Ring) -> float:
    """Twice the area in square degrees; negative for a ring that goes clockwise."""
    x, y = (ring_X2 - ring_X2[0]).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))
