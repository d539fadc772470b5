"""A model against a survey: the main one of a data set, or a further one at other sites or by another truth.

Shape legend: M survey sites, S species, Q some of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from presence_only.common.matrices import Matrix, as_matrix
from presence_only.data.survey import Survey
from presence_only.data.truth import SurveyTruth
from presence_only.evaluation.geoscore import ListReader
from presence_only.evaluation.metrics import METRICS, SITES_LIMIT, Evaluation, evaluation_of, formulas
from presence_only.evaluation.passes import Values, read_sites, read_species
from presence_only.evaluation.score_histogram import ScoreHistogram
from presence_only.evaluation.units import WHOLE, TruthUnits
from presence_only.model.interface import SpeciesModel

Floats = NDArray[np.floating[Any]]

# Numbers of a run that judge the scale of the scores, beside METRICS.
SCALE = ("f1_best", "list_ratio", "calibration_error")


@dataclass(frozen=True)
class FurtherSurvey:
    """Scores a model against a survey of some of its species."""

    survey: Survey

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the survey that a data set saved."""
        return cls(Survey.load(folder))

    def score(self, model: SpeciesModel, species: tuple[str, ...]) -> Mapping[str, float | Floats]:
        """Every metric of ``METRICS``, those of species as one value a species, the counts behind them, and ``SCALE``.

        ``f1_best`` and ``calibration_error`` are those of
        :class:`~presence_only.evaluation.score_histogram.ScoreHistogram`, and ``list_ratio`` that of GeoScore.

        Raises:
            ValueError: If a species of the survey is not in the vocabulary.
        """
        place_Q = _places(self.survey.species, species)
        result, scale = _evaluate(model, self.survey, species)
        numbers: dict[str, float | Floats] = {}
        for name, metric in METRICS.items():
            if metric.unit == "site":
                numbers[name] = result.summary[name]
            else:
                numbers[name] = _spread(result.values(name), place_Q, len(species))
        return numbers | scale | {name: value for name, value in result.summary.items() if name.startswith("n_")}


def evaluate_survey(model: SpeciesModel, survey: Survey, species: tuple[str, ...]) -> Evaluation:
    """Score a model against a survey; logits are made only of species that were surveyed somewhere.

    Args:
        model: A trained model, in evaluation mode.
        survey: Its species in any order.
        species: The model's vocabulary: the S names in the order of its logits.

    Returns:
        Values per species in the order of the survey; see :func:`~presence_only.evaluation.metrics.evaluate`.

    Raises:
        ValueError: If a species of the survey is not in the vocabulary.
    """
    return _evaluate(model, survey, species)[0]


def _evaluate(model: SpeciesModel, survey: Survey, species: tuple[str, ...]) -> tuple[Evaluation, dict[str, float]]:
    """What :func:`evaluate_survey` returns, and the numbers of ``SCALE``."""
    sites = survey.sites_M2, survey.covariates_MC, survey.week_M
    counts = {
        "n_presences": survey.truth.presences_per_species(),
        "n_surveyed": survey.truth.surveyed_per_species(),
    }
    surveyed_Q = np.flatnonzero(counts["n_surveyed"])
    if survey.species == species and len(surveyed_Q) == len(species):
        return _read(model.scores(*sites), survey.truth)
    place_S = _places(survey.species, species)
    scores = model.scores(*sites, species_Q=place_S[surveyed_Q])
    found, scale = _read(scores, survey.truth.of_species(surveyed_Q))
    n_species = len(survey.species)
    per_species = {name: _spread(values_Q, surveyed_Q, n_species) for name, values_Q in found.per_species.items()}
    n_without = float(np.count_nonzero(counts["n_presences"] == 0))
    whole = Evaluation(
        summary=found.summary | {"n_species": float(n_species), "n_species_without_presences": n_without},
        per_species=per_species | counts,
        per_site=found.per_site,
    )
    return whole, scale


def _read(scores: Matrix, truth: SurveyTruth) -> tuple[Evaluation, dict[str, float]]:
    """Metrics and ``SCALE`` of logits, which are made once by species and once by site, or held where they are few."""
    (n_sites, n_species), units = truth.shape, TruthUnits(truth)
    by_species, by_site = Values(n_species, formulas("species")), Values(n_sites, formulas("site"))
    histogram, lists = ScoreHistogram(), ListReader(n_sites)
    few_sites = n_sites <= SITES_LIMIT
    # Without a species there is nothing to ask the model for.
    if n_species:
        if n_sites * n_species <= WHOLE:
            scores = as_matrix(scores.columns(slice(None)))
        read_species(scores, units, [by_species, histogram])
        read_sites(scores, units, [by_site, lists] if few_sites else [lists])
    result = evaluation_of(units, by_species.values, by_site.values if few_sites else None)
    values = (histogram.best_threshold().f1, lists.ratio(), histogram.calibration_error())
    return result, dict(zip(SCALE, values, strict=True))


def _places(names: tuple[str, ...], vocabulary: tuple[str, ...]) -> NDArray[np.int64]:
    """Index of every name in the vocabulary."""
    place = {name: index for index, name in enumerate(vocabulary)}
    if unknown := [name for name in names if name not in place]:
        raise ValueError(f"the survey's species {unknown[0]!r} is not in the model's vocabulary; all must be")
    return np.array([place[name] for name in names], dtype=np.int64)


def _spread(values_Q: NDArray[Any], place_Q: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """Values at their places among ``size``, NaN elsewhere."""
    values = np.full(size, np.nan)
    values[place_Q] = values_Q
    return values
