"""Sites of a held-out area where all species are assumed absent: random places, as a background is for training.

Records of one species, or of one species a taxon group, say nowhere that a species is absent. Random places of the
held-out area then stand for absences, as is usual for models of single species. Some are occupied: what is
scored is how well presences are told from the area at large.

Source: Phillips, Anderson and Schapire (2006), https://doi.org/10.1016/j.ecolmodel.2005.03.026

Shape legend: H held-out records, K drawn sites.
"""

from __future__ import annotations

import numpy as np

from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.geography.earth import Earth
from presence_only.geography.longitudes import narrowest_arc
from presence_only.occurrences.held_out_area import Absences, Area

# Drawn sites for every site with a held-out record.
SITES_A_SITE = 10
# Degrees by which the drawn sites may lie beyond the outermost held-out records.
_BEYOND_DEGREES = 1.0
_DRAWS_AT_ONCE, _MOST_ROUNDS = 100_000, 500


def assumed_absence_sites(
    kind: Absences, area: Area, held_H2: Floats, generator: np.random.Generator, *, most: int
) -> Floats:
    """Sites drawn uniformly over the held-out area, within the latitudes and longitudes of its records, shape (K, 2).

    There are ten for every site that has a record: enough to score by, and not so many that no precision is possible.

    Args:
        kind: ``groups``: none are drawn; ``land``: on land, by its share of the shipped grid; ``anywhere``.
        area: The held-out area.
        held_H2: Sites of the records within, at least one.
        generator: Source of the draws.
        most: At most so many.

    Raises:
        DataError: If hardly any of the places lies within the area and on land.
    """
    if kind == "groups":
        return np.zeros((0, 2))
    n = min(most, SITES_A_SITE * len(np.unique(held_H2, axis=0)))
    west, east = narrowest_arc(held_H2[:, 0])
    south, north = held_H2[:, 1].min() - _BEYOND_DEGREES, held_H2[:, 1].max() + _BEYOND_DEGREES
    west, width = west - _BEYOND_DEGREES, min(east - west + 2 * _BEYOND_DEGREES, 360.0)
    heights = np.sin(np.radians(np.clip([south, north], -90, 90)))
    earth = Earth.load() if kind == "land" else None
    found, count = [], 0
    for _ in range(_MOST_ROUNDS):
        longitude_K = (west + width * generator.random(_DRAWS_AT_ONCE) + 180) % 360 - 180
        latitude_K = np.degrees(np.arcsin(generator.uniform(heights[0], heights[1], _DRAWS_AT_ONCE)))
        sites_K2 = np.stack([longitude_K, latitude_K], axis=1)
        sites_K2 = sites_K2[area.contains(sites_K2)]
        if earth is not None:
            sites_K2 = sites_K2[generator.random(len(sites_K2)) < earth.land_share(sites_K2)]
        found.append(sites_K2)
        count += len(sites_K2)
        if count >= n:
            return np.concatenate(found)[:n]
    on_land = " and on land" if kind == "land" else ""
    raise DataError(
        f"evaluation.absences = {kind!r}: of {_MOST_ROUNDS * _DRAWS_AT_ONCE:,} random places around the held-out "
        f"records only {count:,} lie in the held-out area{on_land}, and {n:,} are wanted; hold out a larger area"
    )
