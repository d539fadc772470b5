"""The logits of models at the sites of a survey, made once per model where they are few enough to be held.

Shape legend: M survey sites, m some of them, S species, V models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from presence_only.common.matrices import Matrix, as_matrix
from presence_only.data.survey import Survey
from presence_only.evaluation.passes import slices
from presence_only.evaluation.units import WHOLE
from presence_only.model.blend import Blend
from presence_only.model.interface import Scores, SpeciesModel

# Logits of all models that are averaged together: 4 MB of float32.
_AVERAGED = 2**20


@dataclass(frozen=True, eq=False)
class SurveyLogits:
    """Logits of one model at the sites of a survey.

    Args:
        model: The model.
        survey: The survey, its species in the order of the logits.
        scores: The logits (M, S), made when asked for.
        whole_MS: All of them, if they are held.
    """

    model: SpeciesModel
    survey: Survey
    scores: Scores
    whole_MS: NDArray[np.float32] | None

    @classmethod
    def of(cls, model: SpeciesModel, survey: Survey) -> SurveyLogits:
        """The logits of a model, held if they are few."""
        scores = model.scores(survey.sites_M2, survey.covariates_MC, survey.week_M)
        few = scores.shape[0] * scores.shape[1] <= WHOLE
        return cls(model, survey, scores, scores.columns(slice(None)) if few else None)

    @property
    def matrix(self) -> Matrix:
        """The logits, a part at a time."""
        return self.scores if self.whole_MS is None else as_matrix(self.whole_MS)


def mean_logits(logits: Sequence[SurveyLogits]) -> Matrix:
    """The logits of the blend of some models at one survey, as :class:`~presence_only.model.blend.Blend` makes them.

    Where every model's logits are held, they are averaged and not made again.
    """
    held = [own.whole_MS for own in logits if own.whole_MS is not None]
    # Over the weeks of a year it is not the logits that are averaged last.
    by_week = logits[0].model.weeks and logits[0].survey.week_M is None
    if by_week or len(held) < len(logits):
        return SurveyLogits.of(Blend([own.model for own in logits]), logits[0].survey).matrix
    n_sites, n_species = held[0].shape
    mean_MS = np.empty((n_sites, n_species), dtype=np.float32)
    for part in slices(0, n_sites, max(1, _AVERAGED // max(1, len(held) * n_species))):
        mean_MS[part] = torch.stack([torch.from_numpy(own_MS[part]) for own_MS in held]).mean(dim=0).numpy()
    return as_matrix(mean_MS)
