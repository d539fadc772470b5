"""Points of the map page: where each species was recorded, and where the truth says that it is.

Shape legend: P records, M survey sites, m of them that are drawn, S species, s species of a pack.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats, Ints
from presence_only.common.random_streams import numpy_stream
from presence_only.data.records import PresenceRecords
from presence_only.data.survey import Survey
from presence_only.data.truth import ABSENT, PRESENT
from presence_only.reporting.map_page.packs import write_pack

# Species of a pack of points.
SPECIES_PER_PACK = 64
# More points of a species than these are drawn at random: nobody sees more on a screen.
MOST_RECORDS, MOST_SITES = 2_000, 20_000
# Steps of a degree that a point is rounded to: 11 m at the equator.
STEPS_PER_DEGREE = 10_000

Progress = Callable[[int, int], None]


def write_records(folder: Path, records: PresenceRecords, seed: int = 0) -> NDArray[np.int64]:
    """Write packs ``records_<i>``: counts of s species in int32, then longitude, latitude of every point in int32.

    Args:
        folder: Of the packs.
        records: What was recorded, without added presences.
        seed: Of the choice among many records.

    Returns:
        How many points every species has, at most ``MOST_RECORDS``, shape (S,); several at one place count once.
    """
    order_P = np.argsort(records.species_P, kind="stable")
    ends_S = np.cumsum(records.records_per_species())
    drawn_S = np.zeros(records.n_species, dtype=np.int64)
    generator = numpy_stream(seed, "map page records")
    for pack, first in enumerate(range(0, records.n_species, SPECIES_PER_PACK)):
        points = []
        for species in range(first, min(first + SPECIES_PER_PACK, records.n_species)):
            start = ends_S[species - 1] if species else 0
            sites_P2 = records.sites_N2[records.row_P[order_P[start : ends_S[species]]]]
            points_P2 = np.unique(fixed_point(sites_P2), axis=0)
            if len(points_P2) > MOST_RECORDS:
                points_P2 = points_P2[np.sort(generator.choice(len(points_P2), MOST_RECORDS, replace=False))]
            points.append(points_P2)
            drawn_S[species] = len(points_P2)
        counts_s = np.array([len(points_P2) for points_P2 in points], dtype="<i4")
        write_pack(folder, f"records_{pack}", counts_s.tobytes() + np.concatenate(points).tobytes())
    return drawn_S


def write_truth(folder: Path, survey: Survey, seed: int = 0) -> Ints:
    """Write ``truth_sites`` and packs ``truth_<i>``: of each species, one bit a site for present, then for absent.

    Args:
        folder: Of the packs.
        survey: The truth, its species in the order of the page.
        seed: Of the choice among more than ``MOST_SITES`` sites.

    Returns:
        Indices of the sites that are drawn, ascending, shape (m,).
    """
    site_m = np.arange(len(survey.sites_M2))
    if len(site_m) > MOST_SITES:
        chosen = numpy_stream(seed, "map page sites").choice(len(site_m), MOST_SITES, replace=False)
        site_m = np.sort(chosen)
    write_pack(folder, "truth_sites", fixed_point(survey.sites_M2[site_m]).tobytes())
    for pack, first in enumerate(range(0, len(survey.species), SPECIES_PER_PACK)):
        truth_ms = survey.truth.columns(slice(first, first + SPECIES_PER_PACK))[site_m]
        bits_s2 = np.stack([truth_ms.T == PRESENT, truth_ms.T == ABSENT], axis=1)
        write_pack(folder, f"truth_{pack}", np.packbits(bits_s2, axis=-1).tobytes())
    return site_m


def fixed_point(sites_P2: Floats) -> NDArray[np.int32]:
    """Longitude, latitude as whole steps of a degree, little-endian as browsers on all usual machines read them."""
    points_P2: NDArray[np.int32] = np.rint(np.asarray(sites_P2) * STEPS_PER_DEGREE).astype("<i4")
    return points_P2
