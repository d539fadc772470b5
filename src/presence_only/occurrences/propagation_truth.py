"""How many of the presences that label propagation added are true, in a world whose truth is known everywhere.

The truth comes in after the training rows are made, and goes into the data set's facts and beside its survey, never
into the training rows.

Shape legend: N training rows, P positives, A added presences, G rows that received some and are asked about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from presence_only.data.added_presences import AddedPresences
from presence_only.data.records import PresenceRecords
from presence_only.geography.sphere import unit_vectors
from presence_only.occurrences.label_propagation import chord

# Every row that is asked about is compared with the records of every species.
MOST_ROWS = 10_000


def compare_with_truth(
    records: PresenceRecords, added: AddedPresences, present: Callable[[int], NDArray[np.bool_]], cap_km: float
) -> tuple[AddedPresences, dict[str, float]]:
    """Mark the added presences that are true, and say what share of them is.

    Two shares stand beside it. That of the recorded presences: below 1 where a row's site is not the place of the
    record, as with a checklist at the centre of its cell. And that of chance: the expected share if every row had
    received as many species, drawn alike from those that it did not have and that have a record within ``cap_km``. Of
    more than ``MOST_ROWS`` rows that received, chance is that of so many, taken at equal steps.

    Args:
        records: The training rows as they were recorded.
        added: What they received.
        present: Where a species is in truth, of its index: one value per training row.
        cap_km: Of the propagation.

    Returns:
        The added presences with ``true_A``, and the three shares; no share where nothing was added.
    """
    if not len(added):
        return replace(added, true_A=np.empty(0, dtype=bool)), {}
    received_G, weight_G = np.unique(added.row_A, return_counts=True)
    if len(received_G) > MOST_ROWS:
        taken = np.linspace(0, len(received_G) - 1, MOST_ROWS).astype(np.int64)
        received_G, weight_G = received_G[taken], weight_G[taken]
    vectors_N3 = unit_vectors(records.sites_N2)
    farthest = np.nextafter(float(chord(cap_km)), np.inf)
    true_A = np.zeros(len(added), dtype=bool)
    n_candidates_G, n_true_G = np.zeros(len(received_G)), np.zeros(len(received_G))
    n_true_recorded = 0
    added_S, recorded_S = _by_species(added.species_A, records), _by_species(records.species_P, records)
    for species, (a_A, p_P) in enumerate(zip(added_S, recorded_S, strict=True)):
        present_N, rows_P = present(species), records.row_P[p_P]
        true_A[a_A] = present_N[added.row_A[a_A]]
        n_true_recorded += int(present_N[rows_P].sum())
        distance_G, _ = cKDTree(vectors_N3[rows_P]).query(vectors_N3[received_G], distance_upper_bound=farthest)
        candidate_G = np.isfinite(distance_G) & ~np.isin(received_G, rows_P)
        n_candidates_G += candidate_G
        n_true_G += candidate_G & present_N[received_G]
    by_chance = float((weight_G * n_true_G / n_candidates_G).sum() / weight_G.sum())
    shares = {
        "propagation_added_true_share": float(true_A.mean()),
        "propagation_chance_true_share": by_chance,
        "propagation_recorded_true_share": n_true_recorded / len(records.row_P),
    }
    return replace(added, true_A=true_A), {name: round(share, 4) for name, share in shares.items()}


def _by_species(species_A: NDArray[np.integer], records: PresenceRecords) -> list[NDArray[np.int64]]:
    """The places of every species among all."""
    order_A = np.argsort(species_A, kind="stable")
    counts_S = np.bincount(species_A, minlength=records.n_species)
    return np.split(order_A, np.cumsum(counts_S)[:-1])
