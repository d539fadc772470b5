"""Metrics of a species range model: average precision, AUC, and the table of all that an evaluation reports.

Shape legend: M survey sites, S species, U units (species or sites), N surveyed scores of one unit, P presences of
some units. Scores and truth are (M, S): arrays, lists, torch tensors, tables of pandas or polars, or a
:class:`~presence_only.common.matrices.Matrix` that makes a part when asked for it. They come back unmodified. Truth is
1 present, 0 absent, -1 not surveyed, in integers or bool, and what was not surveyed has no influence.

Average precision and AUC see the order of the scores alone, so logits and probabilities serve equally; neither says
whether a score is a calibrated probability. They are exact with ties: sites of equal score form one threshold, as in
scikit-learn. How they are computed fast stands in :mod:`~presence_only.evaluation.ranks_of_presences`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from presence_only.common.arrays import mean_where_defined
from presence_only.common.matrices import Matrix, as_matrix
from presence_only.data.truth import SurveyTruth, as_truth
from presence_only.evaluation.ranks_of_presences import Formula, OfRanks, Ranks, matrices, mean_of_each, per_unit
from presence_only.evaluation.units import WHOLE, TruthUnits, Unit

Array = NDArray[Any]
Floats = NDArray[np.float64]

# More sites than this get no value each; see evaluate.
SITES_LIMIT = 200_000


@dataclass(frozen=True)
class Metric:
    """A number within 0..1 per species or per site, higher is better, and its mean over those where it is defined.

    Args:
        unit: What has one value each.
        column: Name of those values in a table of species or of sites.
        title: How tables for readers call it.
        meaning: One line for figures and the report.
        formula: A plain function ``(scores_N, present_N) -> float`` of one unit's surveyed scores and of which are
            presences, one at least; or :class:`~presence_only.evaluation.ranks_of_presences.OfRanks`, which is faster.
    """

    unit: Unit
    column: str
    title: str
    meaning: str
    formula: Formula

    def function(self, scores_MS: ArrayLike | Matrix, truth_MS: ArrayLike | SurveyTruth) -> Floats:
        """One value per unit, NaN where undefined.

        Args:
            scores_MS: Score of every species at every site, the higher the more likely; infinite is allowed.
            truth_MS: 1 present, 0 absent, -1 not surveyed.

        Raises:
            ValueError: If the shapes disagree, truth holds another value, or a surveyed score is NaN.
        """
        return per_unit(self.unit, *matrices(scores_MS, truth_MS), [self.formula])[0]


def average_precision_of_ranks(ranks: Ranks) -> Floats:
    """Average precision: the mean, over a unit's presences, of the precision among all that score at least as high.

    It is not the trapezoidal area under the precision-recall curve, which is too optimistic.

    Source: scikit-learn's ``average_precision_score``; equal to it, ties included.
    """
    return mean_of_each(ranks.precision(), ranks.start_U1)


def auc_roc_of_ranks(ranks: Ranks) -> Floats:
    """Area under the ROC curve: the probability that a presence scores above an absence, ties counting one half.

    It is NaN without absences.

    Source: the Mann-Whitney U statistic, as in scikit-learn's ``roc_auc_score``; equal to it.
    """
    length_U = np.diff(ranks.start_U1)
    first_P = ranks.first_tie()
    # Presences of equal score have one first place; counting it gives the number of ties.
    n_ties_P = np.bincount(first_P, minlength=len(first_P))[first_P]
    below_first_P = first_P - np.repeat(ranks.start_U1[:-1], length_U)
    # Absences strictly below count twice and equal ones once, so that all sums stay exact integers.
    twice_P = ranks.below_P + ranks.up_to() - 2 * below_first_P - n_ties_P
    twice_u_U = np.add.reduceat(twice_P, ranks.start_U1[:-1])
    n_pairs_U = length_U * (ranks.n_surveyed_U - length_U)
    auc_U: Floats = np.full(len(length_U), np.nan)
    return np.divide(twice_u_U, 2 * n_pairs_U, out=auc_U, where=n_pairs_U > 0)


_AP, _AUC = OfRanks(average_precision_of_ranks), OfRanks(auc_roc_of_ranks)
# A metric is one entry here: evaluation, tables, figures, report, MLflow and the contract test read this table.
METRICS: dict[str, Metric] = {
    "species_map": Metric("species", "ap", "mAP", "mean over species of average precision over sites", _AP),
    "sample_map": Metric("site", "ap", "sample mAP", "mean over sites of average precision over species", _AP),
    "auc_roc": Metric(
        "species", "auc_roc", "AUC-ROC", "mean over species of the area under the ROC curve over sites", _AUC
    ),
}


def in_tables() -> dict[str, Metric]:
    """The metrics in the order in which tables for readers show them: those of species first."""
    return dict(sorted(METRICS.items(), key=lambda item: item[1].unit == "site"))


def average_precision(scores_MS: ArrayLike | Matrix, truth_MS: ArrayLike | SurveyTruth) -> Floats:
    """Average precision over the surveyed sites for every species (S,); NaN for one without presences."""
    return per_unit("species", *matrices(scores_MS, truth_MS), [_AP])[0]


def sample_average_precision(scores_MS: ArrayLike | Matrix, truth_MS: ArrayLike | SurveyTruth) -> Floats:
    """Average precision over the surveyed species for every site (M,); NaN for one without presences.

    It compares the scores of different species, so it also asks whether they share one scale. Where all
    surveyed species are present it is 1 whatever the scores, so that a survey of few species per site
    is lenient: compare models by it, not surveys.
    """
    return per_unit("site", *matrices(scores_MS, truth_MS), [_AP])[0]


def auc_roc(scores_MS: ArrayLike | Matrix, truth_MS: ArrayLike | SurveyTruth) -> Floats:
    """Area under the ROC curve over the surveyed sites for every species (S,).

    It is NaN for a species without presences or without absences.
    """
    return per_unit("species", *matrices(scores_MS, truth_MS), [_AUC])[0]


@dataclass(frozen=True)
class Evaluation:
    """One run's scores against one survey.

    Args:
        summary: Every metric of ``METRICS`` by name, and n_species, n_species_without_presences, n_sites.
        per_species: Columns of length S: every metric's of species, n_presences, n_surveyed and prevalence.
        per_site: Columns of length M: every metric's of sites.
    """

    summary: dict[str, float]
    per_species: dict[str, Array]
    per_site: dict[str, Array]

    def values(self, metric: str) -> Array:
        """The values whose mean is ``summary[metric]``: one per species or one per site, NaN where undefined."""
        if metric not in METRICS:
            raise ValueError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
        table = self.per_species if METRICS[metric].unit == "species" else self.per_site
        return table[METRICS[metric].column]


def evaluate(scores_MS: ArrayLike | Matrix, truth_MS: ArrayLike | SurveyTruth) -> Evaluation:
    """Score every species and every site by every metric.

    Metrics of sites are left undefined where there are more than ``SITES_LIMIT`` sites, as in a grid
    of the world: so many values per run are more than any table or bootstrap is to hold.

    Args:
        scores_MS: Score of every species at every site, the higher the more likely.
        truth_MS: 1 present, 0 absent, -1 not surveyed.

    Returns:
        The metrics' means, NaN where a metric is defined for no unit, and the values behind them.

    Raises:
        ValueError: If the shapes disagree, truth holds another value, or a surveyed score is NaN.
    """
    scores, truth = matrices(scores_MS, truth_MS)
    n_sites, n_species = truth.shape
    units = TruthUnits(truth)
    if n_sites * n_species <= WHOLE:
        scores, truth = as_matrix(scores.columns(slice(None))), as_truth(truth.columns(slice(None)))
    by_species = per_unit("species", scores, truth, formulas("species"))
    by_site = per_unit("site", scores, truth, formulas("site")) if n_sites <= SITES_LIMIT else None
    return evaluation_of(units, by_species, by_site)


def formulas(unit: Unit) -> list[Formula]:
    """The formulas of all metrics of species, or of sites, in the order of ``METRICS``."""
    return [metric.formula for metric in METRICS.values() if metric.unit == unit]


def evaluation_of(truth: TruthUnits, by_species: Sequence[Floats], by_site: Sequence[Floats] | None) -> Evaluation:
    """Tables and means of the values of all metrics.

    Args:
        truth: What the scores were compared with.
        by_species: The values of every metric of species, in the order of :func:`formulas`.
        by_site: Those of every metric of sites; None: they are undefined.
    """
    n_sites, n_species = truth.shape
    if by_site is None:
        by_site = [np.full(n_sites, np.nan) for _ in formulas("site")]
    n_presences, n_surveyed = truth.n_presences_S, truth.n_surveyed_S
    prevalence = np.divide(n_presences, n_surveyed, out=np.full(n_species, np.nan), where=n_surveyed > 0)

    def columns(unit: Unit, values: Sequence[Floats]) -> dict[str, Array]:
        names = [metric.column for metric in METRICS.values() if metric.unit == unit]
        return dict(zip(names, values, strict=True))

    result = Evaluation(
        summary={},
        per_species=columns("species", by_species)
        | {"n_presences": n_presences, "n_surveyed": n_surveyed, "prevalence": prevalence},
        per_site=columns("site", by_site),
    )
    summary = {name: mean_where_defined(result.values(name)) for name in METRICS} | {
        "n_species": float(n_species),
        "n_species_without_presences": float(np.count_nonzero(n_presences == 0)),
        "n_sites": float(n_sites),
    }
    return replace(result, summary=summary)
