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
        ordered, own = block.ordered, self._effort.species(block.part)
        level_F = self._effort.level_M.take(ordered.site_F)
        # Of every score the place of its level in tables of all species.
        cell_F = level_F + (np.arange(len(own.square_U)) * self._effort.n_levels).repeat(block.units.n_surveyed_U)
        product_U = ordered.runs.sums_over_ranks(own.rank_UE.ravel().take(cell_F))
        absent_rank_A = own.absent_rank_UE.ravel().take(cell_F[~ordered.present_F])
        absent_product_U = ordered.runs_of_absences.sums_over_ranks(absent_rank_A)
        self._correlations_S3[block.part] = np.stack(
            [
                spearman(product_U, ordered.runs.squares_of_ranks(), own.square_U),
                own.truth_U,
                spearman(absent_product_U, ordered.runs_of_absences.squares_of_ranks(), own.absent_square_U),
            ],
            axis=1,
        )
        for ap_S, levels in zip(self.ap_QS, self._levels, strict=True):
            ap_S[block.part] = _average_precision(ordered, level_F, levels)

    def correlation(self) -> EffortCorrelation:
        """Means over the species for which scores, truth and effort vary; NaN if there is none."""
        found = self._correlations_S3[~np.isnan(self._correlations_S3).any(axis=1)]
        score, truth, absent = found.mean(axis=0) if len(found) else np.full(3, np.nan)
        return EffortCorrelation(float(score), float(truth), float(absent), len(found))


def _average_precision(ordered: Ordered, level_F: Ints, levels: tuple[int, int]) -> Floats:
    """Average precision of every species over the sites of one class of effort alone, shape (U,).

    Args:
        ordered: Scores of some species in order.
        level_F: Level of effort of every score's site.
        levels: The levels of the class: from the first number up to the second.
    """
    start_U1 = ordered.runs.start_U1
    ap_U = np.full(len(start_U1) - 1, np.nan)
    level_P = level_F.take(ordered.place_P)
    own_P = (level_P >= levels[0]) & (level_P < levels[1])
    if not own_P.any():
        return ap_U
    (place_C,) = ((level_F >= levels[0]) & (level_F < levels[1])).nonzero()
    # Numbers of the class's scores, and of its presences, before each species.
    start_of_sites_U1, start_of_present_U1 = (
        places.searchsorted(start_U1) for places in (place_C, ordered.place_P[own_P])
    )
    n_present_U = np.diff(start_of_present_U1)
    some_U = n_present_U > 0
    first_P = ordered.bounds[0][own_P]
    below_P = place_C.searchsorted(first_P) - start_of_sites_U1[:-1].repeat(n_present_U)
    starts = np.append(start_of_present_U1[:-1][some_U], len(below_P))
    precision_P = precision_of_presences(np.diff(start_of_sites_U1)[some_U], starts, below_P)
    ap_U[some_U] = mean_of_each(precision_P, starts)
    return ap_U
