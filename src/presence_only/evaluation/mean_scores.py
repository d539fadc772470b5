"""Mean score of every species over a survey's sites.

Shape legend: M survey sites, m some of them, S species, s some of them. Scores are logits.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from presence_only.evaluation.passes import SpeciesPart, slices

# Scores that go through the cache together.
_IN_CACHE = 2**16


class MeanReader:
    """Reads the mean sigmoid of every species' logits.

    Args:
        n_species: S.

    Attributes:
        mean_S: The means, within 0..1.
    """

    def __init__(self, n_species: int) -> None:
        self.mean_S = np.empty(n_species)

    def read_part(self, part: SpeciesPart) -> None:
        """Read some species."""
        n_sites, n_species = part.scores_Ms.shape
        total_s = np.zeros(n_species)
        for sites in slices(0, n_sites, max(1, _IN_CACHE // max(1, n_species))):
            score_ms = expit(part.scores_Ms[sites]).astype(np.float64)
            # The sums go on where they stand, as if all sites were added one after the other.
            score_ms[0] += total_s
            total_s = score_ms.sum(axis=0)
        self.mean_S[part.species] = total_s / n_sites
