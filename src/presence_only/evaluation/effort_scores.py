"""How scores follow the observers: their correlation with observer effort, and average precision by class of effort.

Shape legend: U species of a block, S species, F surveyed scores of a block's species in order, A those where the
species is absent, P presences, C scores at sites of one class of effort, Q classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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
        ordered, own = block.ordered, self._effort.species(block.part)
        product_U, absent_product_U = np.zeros((2, len(own.square_U)))
        classes = [_ClassOfSites([], [], [], *levels) for levels in self._levels]
        scores, presences = pairwise(ordered.start_U1.tolist()), pairwise(block.units.start_U1.tolist())
        for u, ((start, stop), (first, last)) in enumerate(zip(scores, presences, strict=True)):
            level_N = self._effort.level_M.take(ordered.site_F[start:stop])
            product_U[u] = self._sum_over_places(own.rank_UE[u].take(level_N))
            absent_level_N = level_N[~ordered.present_F[start:stop]]
            absent_product_U[u] = self._sum_over_places(own.absent_rank_UE[u].take(absent_level_N))
            if first < last:
                level_P = level_N.take(ordered.place_P[first:last] - start)
                below_P = ordered.bounds[0][first:last] - start
                for of_class in classes:
                    of_class.add(u, level_N, level_P, below_P)
        product_U += _of_shifts(ordered, *ordered.shifts(), own.rank_UE, self._effort.level_M)
        absent_product_U += _of_shifts(
            ordered, *ordered.shifts_of_absences(), own.absent_rank_UE, self._effort.level_M
        )
        self._correlations_S3[block.part] = np.stack(
            [
                spearman(product_U, ordered.squares(), own.square_U),
                own.truth_U,
                spearman(absent_product_U, ordered.squares_of_absences(), own.absent_square_U),
            ],
            axis=1,
        )
        for ap_S, of_class in zip(self.ap_QS, classes, strict=True):
            ap_S[block.part][of_class.species] = of_class.average_precision()

    def correlation(self) -> EffortCorrelation:
        """Means over the species for which scores, truth and effort vary; NaN if there is none."""
        found = self._correlations_S3[~np.isnan(self._correlations_S3).any(axis=1)]
        score, truth, absent = found.mean(axis=0) if len(found) else np.full(3, np.nan)
        return EffortCorrelation(float(score), float(truth), float(absent), len(found))

    def _sum_over_places(self, values_N: Floats) -> float:
        """Sum of place times value."""
        # A sum, not a matrix product: that waits for threads.
        return float((self._effort.places_M[: len(values_N)] * values_N).sum())


@dataclass(frozen=True)
class _ClassOfSites:
    """The sites of one class of effort, among those of one species after the other.

    Args:
        species: Species that are present at such a site, by their number in a block.
        n_sites: Number of such sites where each of them was surveyed.
        below: For each of them, the number of these sites that score less than each presence there.
        low: First level of effort of the class.
        high: Level after its last.
    """

    species: list[int]
    n_sites: list[int]
    below: list[Ints]
    low: int
    high: int

    def add(self, u: int, level_N: Ints, level_P: Ints, below_P: Ints) -> None:
        """Take one species.

        Args:
            u: Its number.
            level_N: Level of effort of every surveyed site, by ascending score.
            level_P: Of its presences, by ascending score.
            below_P: Number of all surveyed sites that score less than each presence.
        """
        own_P = self._holds(level_P)
        if own_P.any():
            (place_C,) = self._holds(level_N).nonzero()
            self.species.append(u)
            self.n_sites.append(len(place_C))
            self.below.append(place_C.searchsorted(below_P[own_P]))

    def average_precision(self) -> Floats:
        """Of every species in ``species``, over these sites alone."""
        if not self.species:
            return np.empty(0)
        start_U1 = np.cumsum([0, *map(len, self.below)])
        precision_P = precision_of_presences(np.array(self.n_sites), start_U1, np.concatenate(self.below))
        return mean_of_each(precision_P, start_U1)

    def _holds(self, levels: Ints) -> NDArray[np.bool_]:
        """Which levels are of this class."""
        return levels < self.high if self.low == 0 else (levels >= self.low) & (levels < self.high)


def _of_shifts(ordered: Ordered, place_T: Ints, shift_T: Floats, rank_UE: Floats, level_M: Ints) -> Floats:
    """What shifts of places add to sums over the products of place and rank of effort, shape (U,)."""
    unit_T = ordered.unit_of(place_T)
    rank_T = rank_UE[unit_T, level_M[ordered.site_F[place_T]]]
    return np.bincount(unit_T, weights=shift_T * rank_T, minlength=len(rank_UE))
