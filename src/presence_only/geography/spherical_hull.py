"""The convex hull of sites on the sphere, and sites drawn evenly within it.

Shape legend: N sites, V vertices of the hull, T triangles. Vectors are points on the unit sphere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.spatial import ConvexHull, QhullError

from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.geography.sphere import sites_of_vectors, unit_vectors

# The least that every site must rise above the plane of a hemisphere, on the unit sphere: 0.2 seconds of arc.
LEAST_RISE = 1e-6

Vectors = NDArray[np.float64]


def spherical_hull(sites_N2: Floats) -> Vectors | None:
    """The smallest convex region of the sphere that holds all sites; neither date line nor pole matters.

    Its sides are great circles. Sites that no hemisphere holds have the whole sphere as their hull.

    Args:
        sites_N2: Longitude, latitude in degrees.

    Returns:
        Vertices in order around the hull, shape (V, 3); None for the whole sphere.

    Raises:
        DataError: If the sites span no area, being at one place or on one great circle.
    """
    vectors_N3 = unit_vectors(sites_N2)
    centre_3 = _hemisphere(vectors_N3)
    if centre_3 is None:
        return None
    # Seen from the centre of the sphere, great circles are straight: the hull in a tangent plane is
    # the hull on the sphere.
    east_3 = np.cross(np.eye(3)[np.argmin(np.abs(centre_3))], centre_3)
    east_3 /= np.linalg.norm(east_3)
    plane_N2 = vectors_N3 @ np.column_stack([east_3, np.cross(centre_3, east_3)])
    plane_N2 /= (vectors_N3 @ centre_3)[:, None]
    try:
        corners_V: NDArray[np.int64] = ConvexHull(plane_N2).vertices
    except (QhullError, ValueError):
        raise DataError(
            f"{len(sites_N2):,} records at one place or on one line span no range to draw background sites from; "
            "choose another background"
        ) from None
    return vectors_N3[corners_V]


def sites_within(vertices_V3: Vectors, n: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Sites drawn uniformly over the area of a convex region, shape (n, 2).

    Source: Arvo (1995), Stratified sampling of spherical triangles, https://doi.org/10.1145/218380.218500

    Args:
        vertices_V3: What :func:`spherical_hull` returned, other than None.
        n: Number of sites.
        generator: Source of the draws.
    """
    middle_3 = vertices_V3.mean(axis=0)
    a_T3 = np.broadcast_to(middle_3 / np.linalg.norm(middle_3), vertices_V3.shape)
    b_T3, c_T3 = vertices_V3, np.roll(vertices_V3, -1, axis=0)
    cumulative_T = np.cumsum(_area(a_T3, b_T3, c_T3))
    drawn_N = np.searchsorted(cumulative_T, generator.random(n) * cumulative_T[-1], side="right")
    drawn_N = np.minimum(drawn_N, len(vertices_V3) - 1)
    return sites_of_vectors(_within_triangles(a_T3[drawn_N], b_T3[drawn_N], c_T3[drawn_N], generator))


def _hemisphere(vectors_N3: Vectors) -> Vectors | None:
    """The pole of an open hemisphere that holds all vectors; None where there is none.

    A linear program over a few vectors; whichever vector its answer leaves out joins them.
    """
    chosen = [*vectors_N3.argmin(axis=0), *vectors_N3.argmax(axis=0)]
    while True:
        few_X3 = vectors_N3[chosen]
        # Maximise the least height above the plane: few @ pole >= rise, each part of pole within -1..1.
        solution = linprog(
            [0.0, 0.0, 0.0, -1.0],
            A_ub=np.column_stack([-few_X3, np.ones(len(few_X3))]),
            b_ub=np.zeros(len(few_X3)),
            bounds=[(-1.0, 1.0)] * 3 + [(None, None)],
        )
        pole_3, rise = solution.x[:3], float(solution.x[3])
        if rise < LEAST_RISE:
            return None
        lowest = int(np.argmin(vectors_N3 @ pole_3))
        if vectors_N3[lowest] @ pole_3 > rise / 2 or lowest in chosen:
            unit_3: Vectors = pole_3 / np.linalg.norm(pole_3)
            return unit_3
        chosen.append(lowest)


def _area(a_T3: Vectors, b_T3: Vectors, c_T3: Vectors) -> NDArray[np.float64]:
    """Area of triangles on the unit sphere, exact for tiny ones too.

    Source: Eriksson (1990), On the measure of solid angles, https://doi.org/10.2307/2691141
    """
    volume_T = np.abs(np.einsum("ti,ti->t", a_T3, np.cross(b_T3, c_T3)))
    cosines_T = sum(np.einsum("ti,ti->t", p, q) for p, q in ((a_T3, b_T3), (b_T3, c_T3), (c_T3, a_T3)))
    area_T: NDArray[np.float64] = 2 * np.arctan2(volume_T, 1 + cosines_T)
    return area_T


def _within_triangles(a_N3: Vectors, b_N3: Vectors, c_N3: Vectors, generator: np.random.Generator) -> Vectors:
    """One vector drawn uniformly over each triangle, shape (N, 3)."""
    to_b_N3, to_c_N3 = np.cross(a_N3, b_N3), np.cross(a_N3, c_N3)
    sine = np.linalg.norm(np.cross(to_b_N3, to_c_N3), axis=1)
    angle = np.arctan2(sine, np.einsum("ni,ni->n", to_b_N3, to_c_N3))
    # The sub-triangle a, b, far has the drawn share of the area; far lies on the side from a to c.
    turn = generator.random(len(a_N3)) * _area(a_N3, b_N3, c_N3) - angle
    u = np.cos(turn) - np.cos(angle)
    v = np.sin(turn) + np.sin(angle) * np.einsum("ni,ni->n", a_N3, b_N3)
    numerator = (v * np.cos(turn) - u * np.sin(turn)) * np.cos(angle) - v
    denominator = (v * np.sin(turn) + u * np.cos(turn)) * np.sin(angle)
    # A triangle without area has only its corner a.
    q = np.clip(np.divide(numerator, denominator, out=np.ones_like(u), where=denominator != 0), -1.0, 1.0)
    far_N3 = _towards(a_N3, c_N3, q)
    z = 1 - generator.random(len(a_N3)) * (1 - np.einsum("ni,ni->n", far_N3, b_N3))
    return _towards(b_N3, far_N3, z)


def _towards(start_N3: Vectors, end_N3: Vectors, cosine_N: NDArray[np.float64]) -> Vectors:
    """The vector at an angle from ``start_N3``, given by its cosine, on the way to ``end_N3``."""
    across_N3 = end_N3 - np.einsum("ni,ni->n", start_N3, end_N3)[:, None] * start_N3
    length_N1 = np.linalg.norm(across_N3, axis=1, keepdims=True)
    across_N3 = np.divide(across_N3, length_N1, out=np.zeros_like(across_N3), where=length_N1 > 0)
    moved_N3: Vectors = cosine_N[:, None] * start_N3 + np.sqrt(1 - cosine_N**2)[:, None] * across_N3
    return moved_N3
