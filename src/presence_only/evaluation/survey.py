"""A model against a survey: the main one of a data set, or a further one at other sites or by another truth.

Shape legend: M survey sites, S species, Q some of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from presence_only.common.arrays import Ints
from presence_only.data.survey import Survey
from presence_only.evaluation.metrics import METRICS, Evaluation, evaluate
from presence_only.model.site_scores import ScoredModel

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class FurtherSurvey:
    """Scores a model against a survey of some of its species."""

    survey: Survey

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the survey that a data set saved."""
        return cls(Survey.load(folder))

    def score(self, model: ScoredModel, species: tuple[str, ...]) -> Mapping[str, float | Floats]:
        """Every metric of ``METRICS``, those of species as one value a species, and the counts behind them.

        Raises:
            ValueError: If a species of the survey is not in the vocabulary.
        """
        place_Q = _places(self.survey.species, species)
        result = evaluate_survey(model, self.survey, species)
        numbers: dict[str, float | Floats] = {}
        for name, metric in METRICS.items():
            if metric.unit == "site":
                numbers[name] = result.summary[name]
            else:
                numbers[name] = _spread(result.values(name), place_Q, len(species))
        return numbers | {name: value for name, value in result.summary.items() if name.startswith("n_")}


def evaluate_survey(model: ScoredModel, survey: Survey, species: tuple[str, ...]) -> Evaluation:
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
    sites = survey.sites_M2, survey.covariates_MC, survey.week_M
    counts = {
        "n_presences": survey.truth.presences_per_species(),
        "n_surveyed": survey.truth.surveyed_per_species(),
    }
    surveyed_Q = np.flatnonzero(counts["n_surveyed"])
    if survey.species == species and len(surveyed_Q) == len(species):
        return evaluate(model.scores(*sites), survey.truth)
    place_S = _places(survey.species, species)
    some = _SomeSpecies(model, place_S[surveyed_Q])
    found = evaluate(some.scores(*sites), survey.truth.of_species(surveyed_Q))
    n_species = len(survey.species)
    per_species = {name: _spread(values_Q, surveyed_Q, n_species) for name, values_Q in found.per_species.items()}
    n_without = float(np.count_nonzero(counts["n_presences"] == 0))
    return Evaluation(
        summary=found.summary | {"n_species": float(n_species), "n_species_without_presences": n_without},
        per_species=per_species | counts,
        per_site=found.per_site,
    )


class _SomeSpecies(ScoredModel):
    """A model of some species of another model, in an order of their own."""

    def __init__(self, whole: ScoredModel, index_Q: NDArray[np.int64]) -> None:
        super().__init__()
        self._whole, self._index_Q = whole, torch.from_numpy(index_Q)
        self.features, self.n_species, self.weeks = whole.features, len(index_Q), whole.weeks

    def hidden(self, sites_B2: Floats, covariates_BC: Floats, week_B: Ints | None = None) -> tuple[Tensor, ...]:
        """Everything about some sites that the species' logits are linear in."""
        return self._whole.hidden(sites_B2, covariates_BC, week_B)

    def species_logits(self, hidden: tuple[Tensor, ...], species: slice) -> Tensor:
        """Logits (B, s) of some species."""
        # A tensor of indices picks rows of the species matrix as a slice does.
        index_s: Any = self._index_Q[species]
        return self._whole.species_logits(hidden, index_s)


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
