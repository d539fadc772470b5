"""True skill statistic, precision-recall-gain, Boyce index and the best F1: measures per species beside ``METRICS``.

Shape legend: S species, U units, P presences of some units, G groups of presences with one score, N surveyed scores of
one unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from presence_only.common.boyce_index import boyce_of_sorted
from presence_only.common.matrices import Matrix
from presence_only.data.truth import SurveyTruth
from presence_only.evaluation.ranks_of_presences import Formula, OfRanks, Ranks, matrices, per_unit

Array = NDArray[Any]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Thresholds:
    """What thresholds at the presences of some units predict: one per group of presences with equal score.

    Args:
        start_U: First group of every unit.
        unit_G: Unit of every group.
        present_U: Number of presences of every unit.
        absent_U: Number of absences.
        hit_G: Presences that score at least as high as the group.
        false_G: Absences that do.
        size_G: Presences of the group.
        tied_G: Absences with the score of the group.
    """

    start_U: Ints
    unit_G: Ints
    present_U: Ints
    absent_U: Ints
    hit_G: Ints
    false_G: Ints
    size_G: Ints
    tied_G: Ints

    @classmethod
    def of(cls, ranks: Ranks) -> _Thresholds:
        """From the ranks of units that all have a presence."""
        n_present_U = np.diff(ranks.start_U1)
        first_G = np.unique(ranks.first_tie())
        end_G = np.append(first_G[1:], len(ranks.below_P))
        unit_G = np.searchsorted(ranks.start_U1, first_G, side="right") - 1
        size_G = end_G - first_G
        hit_G = ranks.start_U1[1:][unit_G] - first_G
        at_least_G = ranks.n_surveyed_U[unit_G] - ranks.below_P[first_G]
        tied_G = ranks.up_to()[first_G] - ranks.below_P[first_G] - size_G
        return cls(
            start_U=np.searchsorted(first_G, ranks.start_U1[:-1]),
            unit_G=unit_G,
            present_U=n_present_U,
            absent_U=ranks.n_surveyed_U - n_present_U,
            hit_G=hit_G,
            false_G=at_least_G - hit_G,
            size_G=size_G,
            tied_G=tied_G,
        )


def best_tss_of_ranks(ranks: Ranks) -> Floats:
    """True skill statistic at the threshold that is best against the truth: sensitivity + specificity - 1, 0..1.

    It is the largest vertical distance of the ROC curve from its diagonal, Youden's J; NaN without absences.

    Source: Allouche et al. (2006), https://doi.org/10.1111/j.1365-2664.2006.01214.x
    """
    at = _Thresholds.of(ranks)
    absent_G = at.absent_U[at.unit_G]
    false_G = np.divide(at.false_G, absent_G, out=np.full(len(absent_G), np.nan), where=absent_G > 0)
    # A threshold below all scores has 0.
    best_U: Floats = np.maximum(np.maximum.reduceat(at.hit_G / at.present_U[at.unit_G] - false_G, at.start_U), 0.0)
    return best_U


def best_f1_of_ranks(ranks: Ranks) -> Floats:
    """F1 at the threshold that is best against the truth, an upper bound of every threshold's, 0..1."""
    at = _Thresholds.of(ranks)
    f1_G = 2 * at.hit_G / (at.present_U[at.unit_G] + at.hit_G + at.false_G)
    best_U: Floats = np.maximum.reduceat(f1_G, at.start_U)
    return best_U


def auc_prg_of_ranks(ranks: Ranks) -> Floats:
    """Area under the precision-recall-gain curve: 1 is perfect, 0 as good as chance, negative worse.

    Precision gain is 1 - c FP / TP and recall gain 1 - c FN / TP, where c is the number of presences over that of
    absences. The area is over recall gains of 0 and more, where the curve begins in the middle of a step of the
    ranking; between thresholds it is straight. Unlike average precision it does not grow with prevalence by itself.
    NaN without absences.

    Source: Flach and Kull (2015), https://papers.nips.cc/paper/5867-precision-recall-gain-curves-pr-analysis-done-right
    """
    at = _Thresholds.of(ranks)
    area_U = np.full(len(at.present_U), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds_G = (at.present_U / at.absent_U)[at.unit_G]
        present_G = at.present_U[at.unit_G]
        # Recall gain is 0 where the share of presences found is the prevalence.
        least_G = present_G**2 / (at.present_U + at.absent_U)[at.unit_G]
        begin_G = np.maximum(at.hit_G - at.size_G, least_G)
        # Along a group, absences come with its presences; just before it, all absences above it have come.
        share_G = (begin_G - (at.hit_G - at.size_G)) / at.size_G
        false_G = at.false_G - at.tied_G * (1 - share_G)
        width_G = odds_G * present_G * (1 / begin_G - 1 / at.hit_G)
        height_G = 1 - odds_G * (false_G / begin_G + at.false_G / at.hit_G) / 2
        part_G = np.where(at.hit_G > begin_G, width_G * height_G, 0.0)
    known_U = at.absent_U > 0
    area_U[known_U] = np.add.reduceat(part_G, at.start_U)[known_U]
    return area_U


def boyce_of_survey(scores_N: Array, present_N: Bools) -> float:
    """Continuous Boyce index of one species' presences among all of its surveyed sites, within -1..1."""
    # Not at the top: tables of results want the names of the measures alone.
    from scipy.special import expit

    # Sorted as logits, which are of single precision, as a rule.
    recorded_P, surveyed_N = np.sort(scores_N[present_N]), np.sort(scores_N)
    return boyce_of_sorted(expit(recorded_P, dtype=np.float64), expit(surveyed_N, dtype=np.float64))


@dataclass(frozen=True)
class SkillMeasure:
    """A number per species, and its mean over species.

    Args:
        meaning: One line for the report.
        formula: As that of :class:`~presence_only.evaluation.metrics.Metric`; it need not lie within 0..1.
    """

    meaning: str
    formula: Formula


# A measure is one entry here: the evaluation, the comparison and the report read this table.
SKILL_MEASURES: Mapping[str, SkillMeasure] = MappingProxyType(
    {
        "auc_prg": SkillMeasure(
            "mean over species of the area under the precision-recall-gain curve (at most 1, 0 is chance); "
            "higher is better",
            OfRanks(auc_prg_of_ranks),
        ),
        "boyce": SkillMeasure(
            "mean over species of the continuous Boyce index of the survey's presences among its sites (-1 to 1); "
            "higher is better",
            boyce_of_survey,
        ),
        "tss_best": SkillMeasure(
            "mean over species of the true skill statistic at the species' threshold that is best against the "
            "survey, an upper bound; higher is better",
            OfRanks(best_tss_of_ranks),
        ),
        "species_f1_best": SkillMeasure(
            "mean over species of F1 at the species' threshold that is best against the survey, an upper bound; "
            "higher is better",
            OfRanks(best_f1_of_ranks),
        ),
    }
)


def skill_measure(name: str, scores_MS: ArrayLike | Matrix, truth_MS: ArrayLike | SurveyTruth) -> Floats:
    """One measure of every species (S,); NaN where undefined.

    Args:
        name: Of ``SKILL_MEASURES``.
        scores_MS: Score of every species at every site, the higher the more likely; for ``boyce`` logits.
        truth_MS: 1 present, 0 absent, -1 not surveyed.

    Raises:
        ValueError: If the measure is not known, the shapes disagree, or a surveyed score is NaN.
    """
    if name not in SKILL_MEASURES:
        raise ValueError(f"unknown measure {name!r}; known: {', '.join(SKILL_MEASURES)}")
    return per_unit("species", *matrices(scores_MS, truth_MS), [SKILL_MEASURES[name].formula])[0]
