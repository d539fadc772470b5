"""How scores follow the observers: their correlation with observer effort, and average precision by class of effort.

Shape legend: N surveyed sites of one species, P presences, S species, Q classes of effort. A place is a number of the
ascending order of one species' scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
from numpy.typing import NDArray

from presence_only.evaluation.observer_effort import SpeciesEffort, SurveyEffort, spearman
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
        self._correlations: list[tuple[float, float, float]] = []
        self.ap_QS: Floats = np.full((len(classes), effort.truth.shape[1]), np.nan)

    def read(self, block: Block) -> None:
        """Read some species."""
        gathered = [_Gathered([], [], []) for _ in self._levels]
        for u, (ordered, own) in enumerate(zip(block.ordered, self._effort.species(block.part), strict=True)):
            level_N = own.level_N.take(ordered.order_N)
            correlations = _correlations(ordered, level_N, own)
            if not any(map(isnan, correlations)):
                self._correlations.append(correlations)
            if len(ordered.place_P):
                below_P, _ = ordered.runs.bounds(ordered.place_P)
                for of_class, levels in zip(gathered, self._levels, strict=True):
                    of_class.add(u, level_N, levels, ordered.place_P, below_P)
        for ap_S, of_class in zip(self.ap_QS, gathered, strict=True):
            ap_S[block.part][of_class.species] = of_class.average_precision()

    def correlation(self) -> EffortCorrelation:
        """Means over the species for which scores, truth and effort vary; NaN if there is none."""
        found = self._correlations
        score, truth, absent = np.mean(found, axis=0) if found else np.full(3, np.nan)
        return EffortCorrelation(float(score), float(truth), float(absent), len(found))


def _correlations(ordered: Ordered, level_N: Ints, own: SpeciesEffort) -> tuple[float, float, float]:
    """Spearman's correlations with effort of one species: of its scores, of its presence, of its scores elsewhere.

    Args:
        ordered: Its scores in order.
        level_N: Level of effort, in this order.
        own: Its effort.
    """
    n, n_absent = len(level_N), len(level_N) - len(ordered.place_P)
    # Sums, not matrix products: those wait for threads.
    product = (ordered.runs.centred_ranks(n) * own.rank_E.take(level_N)).sum()
    runs, absent_level_N = ordered.runs.without(ordered.place_P), level_N[~ordered.present_N]
    absent_product = (runs.centred_ranks(n_absent) * own.absent_rank_E.take(absent_level_N)).sum()
    return (
        spearman(product, ordered.runs.square_of_ranks(n), own.square),
        own.truth,
        spearman(absent_product, runs.square_of_ranks(n_absent), own.absent_square),
    )


@dataclass(frozen=True)
class _Gathered:
    """The presences at the sites of one class of effort, gathered species by species.

    Args:
        species: Species with such a presence, by their number in a block.
        n_sites: Number of surveyed sites of the class, one per species.
        below: Of each species, the number of these sites that score less than each presence.
    """

    species: list[int]
    n_sites: list[int]
    below: list[Ints]

    def add(self, u: int, level_N: Ints, levels: tuple[int, int], place_P: Ints, below_P: Ints) -> None:
        """Take the presences of one species.

        Args:
            u: Its number.
            level_N: Level of effort at every site, by ascending score.
            levels: The levels of the class: from the first number up to the second.
            place_P: Places of its presences.
            below_P: Number of scores that are less than each presence's.
        """
        within_N = (level_N >= levels[0]) & (level_N < levels[1])
        own_P = within_N.take(place_P)
        if own_P.any():
            place_of_class = np.flatnonzero(within_N)
            self.species.append(u)
            self.n_sites.append(len(place_of_class))
            self.below.append(np.searchsorted(place_of_class, below_P[own_P]))

    def average_precision(self) -> Floats:
        """Of every species."""
        if not self.species:
            return np.empty(0)
        start_U1 = np.cumsum([0, *map(len, self.below)])
        precision_P = precision_of_presences(np.array(self.n_sites), start_U1, np.concatenate(self.below))
        return mean_of_each(precision_P, start_U1)
