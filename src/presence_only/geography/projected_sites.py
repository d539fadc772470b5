"""Sites in projected coordinates, such as metres of UTM, as longitude and latitude in degrees WGS84.

Coordinates are x, y, which is easting, northing, in whatever order the authority of the system lists its axes.

Shape legend: N sites.
"""

from __future__ import annotations

import numpy as np
import pyproj
from numpy.typing import NDArray

from presence_only.common.arrays import Floats

# Degrees by which coordinates may lie outside of a system's area of use: neighbouring zones of UTM are often used.
_MARGIN_DEGREES = 10.0


def known_crs(text: str) -> pyproj.CRS:
    """A coordinate reference system on the Earth's surface by its name, such as ``EPSG:3035``.

    Raises:
        ValueError: In the words of a rule of settings.
    """
    try:
        crs = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError:
        raise ValueError("a coordinate reference system that pyproj knows, such as EPSG:32632") from None
    if not (crs.is_geographic or crs.is_projected):
        raise ValueError("a coordinate reference system of longitude and latitude, or of a projection of them")
    return crs


class ToDegrees:
    """Changes x, y of one system to longitude, latitude WGS84.

    Args:
        crs: As :func:`known_crs` takes it.
    """

    def __init__(self, crs: str) -> None:
        self.crs = known_crs(crs)
        self._transformer = pyproj.Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True)

    def __call__(self, sites_N2: Floats) -> Floats:
        """Longitude and latitude of sites x, y, shape (N, 2); NaN where the system has no such place."""
        degrees_N2 = np.stack(self._transformer.transform(sites_N2[:, 0], sites_N2[:, 1]), axis=1)
        degrees_N2[~np.isfinite(degrees_N2).all(axis=1)] = np.nan
        return degrees_N2

    def outside(self, degrees_N2: Floats) -> NDArray[np.bool_]:
        """Whether sites lie far outside of the area that the system is made for, shape (N,); NaN lies outside."""
        outside_N: NDArray[np.bool_] = np.logical_not(np.isfinite(degrees_N2).all(axis=1))
        area = self.crs.area_of_use
        if area is None:
            return outside_N
        east_of_west_N = (degrees_N2[:, 0] - area.west + _MARGIN_DEGREES) % 360
        width = (area.east - area.west) % 360 or 360.0
        outside_N |= east_of_west_N > width + 2 * _MARGIN_DEGREES
        outside_N |= degrees_N2[:, 1] < area.south - _MARGIN_DEGREES
        outside_N |= degrees_N2[:, 1] > area.north + _MARGIN_DEGREES
        return outside_N
