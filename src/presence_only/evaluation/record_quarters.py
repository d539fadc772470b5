"""Average precision of the species with the fewest and with the most training records apart.

Shape legend: S species.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]

# Metrics per species of the quarters with the fewest and with the most records, whose means are numbers of a run.
RARE, COMMON = "species_map_rare", "species_map_common"
QUARTERS = (RARE, COMMON)


def ap_of_quarters(ap_S: Floats, n_records_S: Array) -> dict[str, Floats]:
    """Average precision of the quarter of species with the fewest training records, and of that with the most.

    The quarters are of the species that have an average precision, those that the survey found somewhere; a quarter is
    rounded up. Species with equally many records stand in the order of the vocabulary. So every run on a data set has
    the same species in a quarter, and the same number in both.

    Args:
        ap_S: Average precision of every species, NaN where undefined.
        n_records_S: Number of training records per species.

    Returns:
        For each of ``QUARTERS`` the average precision of its species, NaN for the others.

    Raises:
        ValueError: If the shapes disagree.
    """
    if ap_S.shape != n_records_S.shape:
        raise ValueError(f"ap has shape {ap_S.shape} and n_records {n_records_S.shape}: both must be (species,)")
    known_Q = np.flatnonzero(~np.isnan(ap_S))
    by_records_Q = known_Q[np.argsort(n_records_S[known_Q], kind="stable")]
    size = -(-len(by_records_Q) // 4)
    chosen = {RARE: by_records_Q[:size], COMMON: by_records_Q[len(by_records_Q) - size :]}
    found = {}
    for name, index_Q in chosen.items():
        found[name] = np.full(len(ap_S), np.nan)
        found[name][index_Q] = ap_S[index_Q]
    return found
