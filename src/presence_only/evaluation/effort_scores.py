"""How scores follow the observers: their correlation with observer effort, and average precision by class of effort.

Shape legend: U species of a block, S species, N surveyed sites of one species, P presences, T scores that equal
another, C sites of one class of effort, Q classes. A place is a number of the ascending order of scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from presence_only.evaluation.observer_effort import SurveyEffort, spearman
from presence_only.evaluation.ranks_of_presences import Block, mean_of_each, precision_of_presences

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class EffortCorrelation:
    """How much scores follow the observers, each a mean over species of Spearman's correlation over sites.

    Only species count for which score, presence and effort vary, and score and effort also where the species is absent.

    Args:
        score: Of score with effort; NaN if no species counts.
        truth: Of presence with effort: what a perfect model would have.
        n_species: Number of species that count.
    """

    score: float
    truth: float
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
        self._correlations_S2: Floats = np.full((n_species, 2), np.nan)
        self.ap_QS: Floats = np.full((len(classes), n_species), np.nan)

    def read(self, block: Block) -> None:
        """Read some species."""
        ordered, own, level_M = block.ordered, self._effort.species(block.part), self._effort.level_M
        product_U = np.zeros(len(own.square_U))
        classes = [_ClassOfSites(*levels) for levels in self._levels]
        first_P, _ = ordered.bounds
        scores, presences = pairwise(ordered.start_U1.tolist()), pairwise(block.units.start_U1.tolist())
        for u, ((start, stop), (first, last)) in enumerate(zip(scores, presences, strict=True)):
            if u == 0 or block.units.surveyed_UN is not None:
                rank_M = own.rank_UE[u].take(level_M)
            rank_N = rank_M.take(ordered.site_F[start:stop])
            # Ranks of effort add up to 0, so that places serve as ranks. No matrix product: that waits for threads.
            product_U[u] = (self._effort.places_M[: stop - start] * rank_N).sum()
            if first < last:
                rank_P, below_P = rank_N.take(ordered.place_P[first:last] - start), first_P[first:last] - start
                for of_class in classes:
                    of_class.add(u, own.rank_UE[u], rank_N, rank_P, below_P)
        place_T, shift_T = ordered.shifts()
        unit_T = ordered.unit_of(place_T)
        rank_T = own.rank_UE[unit_T, level_M[ordered.site_F[place_T]]]
        product_U += np.bincount(unit_T, weights=shift_T * rank_T, minlength=len(product_U))
        score_U = spearman(product_U, ordered.squares(), own.square_U)
        score_U[~(own.varies_U & ordered.absences_vary())] = np.nan
        self._correlations_S2[block.part] = np.stack([score_U, own.truth_U], axis=1)
        for ap_S, of_class in zip(self.ap_QS, classes, strict=True):
            ap_S[block.part][of_class.species] = of_class.average_precision()

    def correlation(self) -> EffortCorrelation:
        """The mean correlations."""
        found = self._correlations_S2[~np.isnan(self._correlations_S2).any(axis=1)]
        score, truth = found.mean(axis=0) if len(found) else np.full(2, np.nan)
        return EffortCorrelation(float(score), float(truth), len(found))


class _ClassOfSites:
    """The sites of one class of effort, among those of one species after the other.

    Args:
        low: First level of effort of the class.
        high: Level after its last; None: it has all from the first on.

    Attributes:
        species: Species that are present at such a site, by their number in a block.
    """

    def __init__(self, low: int, high: int | None) -> None:
        self._low, self._high = low, high
        self.species: list[int] = []
        # Of each of these species the number of such sites, and for every presence how many of them score less.
        self._n_sites: list[int] = []
        self._below: list[Ints] = []

    def add(self, u: int, rank_E: Floats, rank_N: Floats, rank_P: Floats, below_P: Ints) -> None:
        """Take one species.

        Args:
            u: Its number.
            rank_E: Rank of every level of effort among its surveyed sites, ascending.
            rank_N: Rank of effort of every surveyed site, by ascending score.
            rank_P: Of its presences, by ascending score.
            below_P: Number of all surveyed sites that score less than each presence.
        """
        own_P = self._holds(rank_P, rank_E)
        if own_P.any():
            (place_C,) = self._holds(rank_N, rank_E).nonzero()
            self.species.append(u)
            self._n_sites.append(len(place_C))
            self._below.append(place_C.searchsorted(below_P[own_P]))

    def average_precision(self) -> Floats:
        """Of every species in ``species``, over these sites alone."""
        if not self.species:
            return np.empty(0)
        start_U1 = np.cumsum([0, *map(len, self._below)])
        precision_P = precision_of_presences(np.array(self._n_sites), start_U1, np.concatenate(self._below))
        return mean_of_each(precision_P, start_U1)

    def _holds(self, ranks: Floats, rank_E: Floats) -> Bools:
        """Which ranks of effort are of this class."""
        below: Bools | None = None if self._high is None else ranks < rank_E[self._high]
        if self._low == 0 and below is not None:
            return below
        from_low: Bools = ranks >= rank_E[self._low]
        return from_low if below is None else from_low & below
