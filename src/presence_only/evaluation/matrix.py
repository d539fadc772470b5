"""Scores and truth (M, S) as matrices that give parts of themselves, checked against each other.

Shape legend: M survey sites, S species.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from presence_only.common.matrices import Matrix, as_matrix
from presence_only.data.truth import SurveyTruth, as_truth

Array = NDArray[Any]


def matrices(scores_MS: Array | Matrix, truth_MS: Array | SurveyTruth) -> tuple[Matrix, SurveyTruth]:
    """Scores and truth as matrices that give parts.

    Raises:
        ValueError: If the shapes disagree.
        DataError: If truth is an array of another type, or holds another value.
    """
    if len(scores_MS.shape) != 2 or scores_MS.shape != truth_MS.shape:
        raise ValueError(
            f"scores have shape {scores_MS.shape} and truth {truth_MS.shape}: both must be (sites, species)"
        )
    return as_matrix(scores_MS), as_truth(truth_MS)
