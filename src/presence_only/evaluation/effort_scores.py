"""How scores follow the observers: their correlation with observer effort, and average precision by class of effort.

Shape legend: U species of a block, S species, F surveyed scores of a block's species in order, A those where the
species is absent, P presences, C scores at sites of one class of effort, Q classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presence_only.evaluation.observer_effort import SurveyEffort, spearman
from presence_only.evaluation.order import Ordered
from presence_only.evaluation.ranks_of_presences import Block, mean_of_each, precision_of_presences

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class EffortCorrelation:
    """How much scores follow the observers, each a mean over species of Spearman's correlation over sites.

    Args:
        score: Of score with effort.
        truth: Of presence with effort: what a perfect model would have.
        absent: Of score with effort at sites without the species, where nothing but bias can make it.
        n_species: Number of species that have all three.
    """

    score: float
    truth: float
    absent: float
    n_species: int


class EffortReader:
    """Reads how scores follow the observers, of all species, whose scores must be in order.

    Args:
        effort: Effort at the survey's sites.
        classes: Numbers of the Q classes of effort that count, 0 being the one with the least; None: the first and the
            last, or none where all sites are of one class.

    Attributes:
        ap_QS: Average precision of every species over the sites of each class alone, NaN for a species without
            presences there. Sparse and dense sites differ in more than effort: other species live there, and AP grows
            with prevalence. Compare variants by it, or a variant's classes to those of another.
    """

    def __init__(self, effort: SurveyEffort, classes: Sequence[int] | None = None) -> None:
        if classes is None:
            classes = (0, -1) if len(effort.classes) > 1 else ()
        self._effort = effort
        self._levels = [effort.levels_of_class[q] for q in classes]
        n_species = effort.truth.shape[1]
        self._correlations_S3: Floats = np.full((n_species, 3), np.nan)
        self.ap_QS: Floats = np.full((len(classes), n_species), np.nan)

    def read(self, block: Block) -> None:
        """Read some species."""
        ordered, own, level_M = block.ordered, self._effort.species(block.part), self._effort.level_M
        n_units, start_U1 = len(own.square_U), ordered.start_U1
        product_U, absent_product_U = np.zeros((2, n_units))
        first_P, _ = ordered.bounds
        level_P, below_QP = np.empty_like(first_P), np.empty((len(self._levels), len(first_P)), dtype=np.int64)
        n_sites_QU = np.zeros((len(self._levels), n_units), dtype=np.int64)
        presences_U1 = block.units.start_U1
        for u in range(n_units):
            scores, presences = slice(start_U1[u], start_U1[u + 1]), slice(presences_U1[u], presences_U1[u + 1])
            level_N = level_M.take(ordered.site_F[scores])
            product_U[u] = self._sum_over_places(own.rank_UE[u].take(level_N))
            absent_rank_N = own.absent_rank_UE[u].take(level_N[~ordered.present_F[scores]])
            absent_product_U[u] = self._sum_over_places(absent_rank_N)
            if presences.start < presences.stop:
                level_P[presences] = level_N.take(ordered.place_P[presences] - start_U1[u])
                for q, levels in enumerate(self._levels):
                    (place_C,) = ((level_N >= levels[0]) & (level_N < levels[1])).nonzero()
                    n_sites_QU[q, u] = len(place_C)
                    below_QP[q, presences] = place_C.searchsorted(first_P[presences] - start_U1[u])
        product_U += _of_shifts(ordered, *ordered.shifts(), own.rank_UE, level_M)
        absent_product_U += _of_shifts(ordered, *ordered.shifts_of_absences(), own.absent_rank_UE, level_M)
        self._correlations_S3[block.part] = np.stack(
            [
                spearman(product_U, ordered.squares(), own.square_U),
                own.truth_U,
                spearman(absent_product_U, ordered.squares_of_absences(), own.absent_square_U),
            ],
            axis=1,
        )
        unit_P = ordered.unit_of(ordered.place_P)
        for q, (low, high) in enumerate(self._levels):
            own_P = (level_P >= low) & (level_P < high)
            self.ap_QS[q, block.part] = _average_precision(unit_P[own_P], below_QP[q, own_P], n_sites_QU[q])

    def _sum_over_places(self, values_N: Floats) -> float:
        """Sum of place times value."""
        # A sum, not a matrix product: that waits for threads.
        return float((self._effort.places_M[: len(values_N)] * values_N).sum())

    def correlation(self) -> EffortCorrelation:
        """Means over the species for which scores, truth and effort vary; NaN if there is none."""
        found = self._correlations_S3[~np.isnan(self._correlations_S3).any(axis=1)]
        score, truth, absent = found.mean(axis=0) if len(found) else np.full(3, np.nan)
        return EffortCorrelation(float(score), float(truth), float(absent), len(found))


def _of_shifts(ordered: Ordered, place_T: Ints, shift_T: Floats, rank_UE: Floats, level_M: Ints) -> Floats:
    """What shifts of places add to sums over the products of place and rank of effort, shape (U,)."""
    unit_T = ordered.unit_of(place_T)
    rank_T = rank_UE[unit_T, level_M[ordered.site_F[place_T]]]
    return np.bincount(unit_T, weights=shift_T * rank_T, minlength=len(rank_UE))


def _average_precision(unit_P: Ints, below_P: Ints, n_sites_U: Ints) -> Floats:
    """Average precision of every species over some sites, NaN for a species without presences there, shape (U,).

    Args:
        unit_P: Species of every presence at these sites, ascending.
        below_P: Number of these sites that score less, ascending within a species.
        n_sites_U: Number of these sites, for every species.
    """
    ap_U = np.full(len(n_sites_U), np.nan)
    if len(unit_P):
        units, first = np.unique(unit_P, return_index=True)
        start_U1 = np.append(first, len(unit_P))
        ap_U[units] = mean_of_each(precision_of_presences(n_sites_U[units], start_U1, below_P), start_U1)
    return ap_U
