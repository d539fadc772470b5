"""Recording of virtual species: how many records each has, where they are, and their positional errors.

Shape legend: N records or sites, Q places that observers may visit, S species.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from presence_only.common.arrays import Floats
from presence_only.datasets.virtual.landscape import Sites
from presence_only.datasets.virtual.niches import EDGE
from presence_only.datasets.virtual.species import World
from presence_only.geography.earth import SITES_PER_SLICE
from presence_only.geography.sphere import EARTH_RADIUS_KM, sites_of_vectors, unit_vectors

DETECTABILITY_SIGMA, REPORTING = 0.5, 0.7


def share_records(found_S: Floats, records: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Number of records of every species: one, and a share of the rest.

    Shares follow what there is to find, though less than in proportion, because observers report the
    tenth sparrow of a walk less readily than the first eagle; and a log-normal detectability.
    """
    share_S = found_S**REPORTING * np.exp(DETECTABILITY_SIGMA * generator.standard_normal(len(found_S)))
    return 1 + generator.multinomial(records - len(found_S), share_S / share_S.sum())


def observe(
    world: World, places: Sites, records_S: NDArray[np.int64], bias: float, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw the records of every species, in random order.

    A record's place is drawn among those where the species is present, with replacement, in
    proportion to suitability times effort to the power ``bias``. A species present at no place is
    seen at its home.

    Returns:
        Sites, shape (N, 2), and species, shape (N,).
    """
    sites_N2 = np.empty((records_S.sum(), 2))
    last_S = np.cumsum(records_S)
    log_effort_Q = (bias * np.log(places.effort_N)).astype(np.float32)
    # The longest part of a large data set; a log file, which is no terminal, has no bar.
    counts_S = track(records_S.tolist(), "species recorded", disable=not sys.stdout.isatty(), transient=True)
    for s, count in enumerate(counts_S):
        log_Q = world.log_suitability(places, s)
        present = np.flatnonzero(log_Q >= -EDGE)
        if len(present) == 0:
            drawn_N2 = np.repeat(world.home_S2[s : s + 1], count, axis=0)
        else:
            log_weight = (log_Q[present] + log_effort_Q[present]).astype(np.float64)
            cumulative = np.cumsum(np.exp(log_weight - log_weight.max()))
            drawn = np.searchsorted(cumulative, generator.random(count) * cumulative[-1], side="right")
            drawn_N2 = places.sites_N2[present[drawn]]
        sites_N2[last_S[s] - count : last_S[s]] = drawn_N2
    order_N = generator.permutation(len(sites_N2))
    return sites_N2[order_N], np.repeat(np.arange(len(records_S)), records_S)[order_N]


def displace(sites_N2: Floats, noise_km: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Move sites by normal steps of standard deviation ``noise_km`` to the east and to the north."""
    moved_N2 = np.array(sites_N2, dtype=np.float64)
    if noise_km == 0:
        return moved_N2
    for start in range(0, len(moved_N2), SITES_PER_SLICE):
        part_N2 = moved_N2[start : start + SITES_PER_SLICE]
        steps_N2 = generator.normal(0.0, noise_km / EARTH_RADIUS_KM, part_N2.shape)
        longitude_N = np.radians(part_N2[:, 0])
        up_N3 = unit_vectors(part_N2)
        east_N3 = np.column_stack([-np.sin(longitude_N), np.cos(longitude_N), np.zeros(len(part_N2))])
        north_N3 = np.cross(up_N3, east_N3)
        part_N2[:] = sites_of_vectors(up_N3 + steps_N2[:, :1] * east_N3 + steps_N2[:, 1:] * north_N3)
    return moved_N2
