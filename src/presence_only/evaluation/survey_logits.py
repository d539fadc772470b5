"""The logits of models at the sites of a survey, made once per model where they are few enough to be held.

Shape legend: M survey sites, S species.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presence_only.common.matrices import Matrix, as_matrix
from presence_only.data.survey import Survey
from presence_only.evaluation.units import WHOLE
from presence_only.model.blend import Blend
from presence_only.model.interface import Scores, SpeciesModel

# Sites that go through a network at once: the logits of 500 species at them stay in the cache.
_SITES_AT_ONCE = 1024
# As torch does, the sum of up to so many logits is taken one after the other; more are rounded in another order.
_ONE_AFTER_THE_OTHER = 4


@dataclass(frozen=True, eq=False)
class SurveyLogits:
    """Logits of one model at the sites of a survey.

    Args:
        model: The model.
        scores: The logits (M, S), made when asked for.
        matrix: The same; all of them, if they are few enough to be held.
    """

    model: SpeciesModel
    scores: Scores
    matrix: Matrix

    @classmethod
    def of(cls, model: SpeciesModel, survey: Survey) -> SurveyLogits:
        """The logits of a model, held if they are few."""
        sites = survey.sites_M2, survey.covariates_MC, survey.week_M
        scores = Scores(model.eval(), *sites, chunk=_SITES_AT_ONCE)
        few = scores.shape[0] * scores.shape[1] <= WHOLE
        return cls(model, scores, as_matrix(scores.columns(slice(None))) if few else scores)


class MeanLogits:
    """The mean of the logits of some models at one survey, bit for bit that of their blend.

    Logits that are held are added up as they come, and need not be made again.

    Args:
        survey: The survey.
        n_models: Number of models that will be added.
    """

    def __init__(self, survey: Survey, n_models: int) -> None:
        self._survey, self.n_models = survey, n_models
        self._models: list[SpeciesModel] = []
        self._sum_MS: NDArray[np.float32] | None = None

    def add(self, logits: SurveyLogits) -> None:
        """Add a model, whose logits are not asked for any more: later ones are added to them in place."""
        self._models.append(logits.model)
        # Over the weeks of a year the blend averages the logits first, and then the presence.
        by_week = logits.model.weeks and self._survey.week_M is None
        held = logits.matrix is not logits.scores
        if by_week or not held or not 1 < self.n_models <= _ONE_AFTER_THE_OTHER:
            return
        logits_MS = logits.matrix.columns(slice(None))
        if self._sum_MS is None:
            self._sum_MS = logits_MS
        else:
            self._sum_MS += logits_MS

    def matrix(self) -> Matrix:
        """The mean (M, S), after the last model."""
        if self._sum_MS is None:
            return SurveyLogits.of(Blend(self._models), self._survey).matrix
        self._sum_MS /= self.n_models
        return as_matrix(self._sum_MS)
