"""Binary ranges against the truth: F1, true skill statistic, omission and area ratio of every species by a threshold.

Shape legend: M survey sites, S species, U species of a block, N surveyed scores. Scores are logits; truth is 1 present,
0 absent, -1 not surveyed, and what was not surveyed has no influence.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from presence_only.common.array_likes import real_numbers
from presence_only.common.matrices import Matrix
from presence_only.data.truth import SurveyTruth
from presence_only.evaluation.passes import read_species
from presence_only.evaluation.ranks_of_presences import Block, matrices
from presence_only.evaluation.units import TruthUnits

Array = NDArray[Any]
Floats = NDArray[np.float64]

# What a binary range is judged by, and what each number means.
RANGE_MEASURES: Mapping[str, str] = MappingProxyType(
    {
        "f1": "F1 of the species' range; higher is better",
        "tss": "true skill statistic of the species' range (-1 to 1); higher is better",
        "omission": "share of the survey's presences outside of the species' range; lower is better",
        "area_ratio": "number of sites in the species' range over that where it is present; best at 1",
    }
)


class RangeReader:
    """Reads how many sites the range of every species has, and how many presences lie in it.

    Args:
        logit_S: Threshold of every species: a site lies in its range where it scores at least as high; NaN: it has
            none.
    """

    def __init__(self, logit_S: ArrayLike) -> None:
        self._logit_S = real_numbers("thresholds", logit_S)
        self._predicted_S, self._present_S, self._hit_S, self._surveyed_S = np.zeros((4, len(self._logit_S)))

    def read(self, block: Block) -> None:
        """Count the sites of some species."""
        units, logit_U = block.units, self._logit_S[block.part]
        in_range_UN = block.scores_UN >= logit_U[:, None]
        if units.surveyed_UN is not None:
            in_range_UN &= units.surveyed_UN
        hit_P1 = np.concatenate([[0], np.cumsum(in_range_UN.ravel()[units.place_P])])
        self._predicted_S[block.part] = np.count_nonzero(in_range_UN, axis=1)
        self._present_S[block.part] = np.diff(units.start_U1)
        self._hit_S[block.part] = np.diff(hit_P1[units.start_U1])
        self._surveyed_S[block.part] = units.n_surveyed_U

    def measures(self) -> dict[str, Floats]:
        """Every measure of ``RANGE_MEASURES``, each (S,); NaN without presences or without a threshold.

        The true skill statistic is NaN without absences too. The area ratio counts sites, so that it is one of areas
        where every site stands for the same area, as on an equal-area grid.
        """
        unknown_S = np.isnan(self._logit_S) | (self._present_S == 0)
        predicted_S, hit_S, present_S = self._predicted_S, self._hit_S, np.where(unknown_S, np.nan, self._present_S)
        absent_S = self._surveyed_S - self._present_S
        absent_S = np.where(absent_S == 0, np.nan, absent_S)
        found_S = hit_S / present_S
        return {
            "f1": 2 * hit_S / (predicted_S + present_S),
            "tss": found_S - (predicted_S - hit_S) / absent_S,
            "omission": 1 - found_S,
            "area_ratio": predicted_S / present_S,
        }


def range_measures(
    scores_MS: ArrayLike | Matrix, truth_MS: ArrayLike | SurveyTruth, logit_S: ArrayLike
) -> dict[str, Floats]:
    """Binary ranges against a survey: the measures of :class:`RangeReader`.

    Args:
        scores_MS: Scores on the scale of the thresholds.
        truth_MS: 1 present, 0 absent, -1 not surveyed.
        logit_S: Threshold of every species.

    Raises:
        ValueError: If the shapes disagree, or a surveyed score is NaN.
    """
    scores, truth = matrices(scores_MS, truth_MS)
    reader = RangeReader(logit_S)
    if real_numbers("thresholds", logit_S).shape != (truth.shape[1],):
        raise ValueError(f"thresholds have shape {np.shape(logit_S)}; {(truth.shape[1],)} expected")
    read_species(scores, TruthUnits(truth), [reader])
    return reader.measures()
