"""Coordinates and weeks of sites as numbers that know no border: sines, circles, and degrees of a small region.

Shape legend: B sites.
"""

from __future__ import annotations

import numpy as np

from presence_only.common.arrays import Floats, Ints
from presence_only.data.sites import WEEKS

WEEK_FEATURES = 4


def coordinate_features(sites_B2: Floats) -> Floats:
    """Sines and cosines of longitude and latitude, which make the date line vanish.

    Source: Mac Aodha et al. (2019), https://arxiv.org/abs/1906.05272, as used by SINR.

    Args:
        sites_B2: Longitude, latitude in degrees.

    Returns:
        (B, 4): sin, cos of pi * longitude / 180; sin, cos of pi * latitude / 90.
    """
    angles_B2 = np.pi * sites_B2 / np.array([180.0, 90.0])
    return np.stack(
        [
            np.sin(angles_B2[:, 0]),
            np.cos(angles_B2[:, 0]),
            np.sin(angles_B2[:, 1]),
            np.cos(angles_B2[:, 1]),
        ],
        axis=1,
    )


def week_features(week_B: Ints) -> Floats:
    """First and second circular harmonic of the week, which make the new year vanish.

    Args:
        week_B: 1..48, four weeks a month.

    Returns:
        (B, 4): sin, cos of one turn a year; sin, cos of two turns a year.
    """
    angle_B = 2 * np.pi * week_B / WEEKS
    return np.stack([np.sin(angle_B), np.cos(angle_B), np.sin(2 * angle_B), np.cos(2 * angle_B)], axis=1)


def local_coordinates(sites_B2: Floats, longitude: float) -> Floats:
    """Degrees east of a meridian and north of the equator, of equal length there: a map of a small region.

    Returns:
        (B, 2); the date line is no border.
    """
    east_B = (sites_B2[:, 0] - longitude + 180.0) % 360.0 - 180.0
    return np.stack([east_B, sites_B2[:, 1]], axis=1)
