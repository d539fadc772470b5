"""Longitudes around the Earth: the narrowest arc that holds all sites, and counting on beyond 180 degrees.

Shape legend: P sites.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats


def narrowest_arc(longitude_P: Floats) -> tuple[float, float]:
    """West and east of the narrowest arc that holds all longitudes; east is more than 180 where it crosses 180 degrees.

    Args:
        longitude_P: At least one, -180..180 degrees.
    """
    sorted_P = np.unique(longitude_P)
    gap_P = np.diff(sorted_P, append=sorted_P[0] + 360.0)
    widest = int(gap_P.argmax())
    # Of equal gaps the one across 180 degrees stays open, so that the map is one that readers know.
    if widest == len(sorted_P) - 1 or gap_P[-1] >= gap_P[widest]:
        return float(sorted_P[0]), float(sorted_P[-1])
    return float(sorted_P[widest + 1]), float(sorted_P[widest]) + 360.0


def counted_on(sites_P2: Floats, west: float, east: float) -> Floats:
    """Sites with longitudes of a map from ``west`` to ``east``: where it crosses 180 degrees, -170 is 190.

    Args:
        sites_P2: Longitude -180..180, latitude.
        west: Western edge of the map, -180..180.
        east: Its eastern edge; more than 180 if it crosses 180 degrees.
    """
    if east <= 180:
        return sites_P2
    longitude_P = sites_P2[:, 0]
    counted_P2: NDArray[np.float64] = np.column_stack(
        [np.where(longitude_P < west, longitude_P + 360.0, longitude_P), sites_P2[:, 1]]
    )
    return counted_P2


def within_180(longitude_P: Floats) -> Floats:
    """Longitudes of up to 540 degrees within -180..180."""
    return np.where(longitude_P > 180.0, longitude_P - 360.0, longitude_P)
