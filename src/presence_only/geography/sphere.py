"""Points on the sphere: from longitude and latitude to unit vectors and back, and uniform draws.

Shape legend: N sites, longitude and latitude in degrees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats

EARTH_RADIUS_KM = 6371.0088


def uniform_sphere_sites(n: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Sites drawn uniformly over the area of the sphere, sea included, shape (n, 2).

    Longitude and the sine of latitude are uniform. This is the background of SINR.

    Source: Cole et al. (2023), https://arxiv.org/abs/2306.02564

    Args:
        n: Number of sites, at least 0.
        generator: Source of the draws.
    """
    longitude_N = generator.uniform(-180.0, 180.0, n)
    return np.column_stack([longitude_N, np.degrees(np.arcsin(generator.uniform(-1.0, 1.0, n)))])


def unit_vectors(sites_N2: Floats) -> NDArray[np.float64]:
    """Points on the unit sphere, shape (N, 3)."""
    longitude_N, latitude_N = np.radians(np.asarray(sites_N2, dtype=np.float64)).T
    return np.column_stack(
        [np.cos(latitude_N) * np.cos(longitude_N), np.cos(latitude_N) * np.sin(longitude_N), np.sin(latitude_N)]
    )


def sites_of_vectors(vectors_N3: Floats) -> NDArray[np.float64]:
    """Longitude, latitude in degrees of points of any length but 0, shape (N, 2)."""
    x_N, y_N, z_N = np.asarray(vectors_N3, dtype=np.float64).T
    radians_N2 = np.column_stack([np.arctan2(y_N, x_N), np.arctan2(z_N, np.hypot(x_N, y_N))])
    degrees_N2: NDArray[np.float64] = np.degrees(radians_N2)
    return degrees_N2
