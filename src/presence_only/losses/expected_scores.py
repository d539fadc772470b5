"""Scores that a loss asks for in theory, of a species recorded on a known share of the training rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from presence_only.losses.assume_negative import DrawnAbsences
from presence_only.losses.base import LossSettings, TrainingCounts
from presence_only.losses.pair_weights import DenseSettings, PairWeights
from presence_only.losses.penalties import CrossEntropy


def expected_score(share: NDArray[np.float64] | float, pos_lambda: float, background: float = 0.0) -> Any:
    """The score that minimises the weighted cross-entropy where a share of the rows has a record.

    lambda f softplus(-x) + (1 - f + b) softplus(x) is least where sigmoid(x) = lambda f / (lambda f + 1 - f + b).

    Args:
        share: Share f of the training rows with a record of the species, within 0..1.
        pos_lambda: Weight of a record.
        background: Weight b of the background sites, on which the species is assumed absent.
    """
    return pos_lambda * share / (pos_lambda * share + 1 - share + background)


def level_weights(loss: LossSettings, sites_per_row: float) -> tuple[float, float] | None:
    """Weights of a record and of the background in :func:`expected_score`; None for a loss of which it is not true.

    It holds for cross-entropy whose weights are the same for all species and whose absences are estimated without bias.

    Args:
        loss: Settings of the loss.
        sites_per_row: Background sites per training row of a batch: where a loss counts each as a row, more of them
            weigh more.
    """
    if not isinstance(loss, DenseSettings):
        return None
    built = loss.build(TrainingCounts(1, torch.ones(1, dtype=torch.float64)))
    if isinstance(built, DrawnAbsences) and built.spatial == "none":
        built = built.weights
    if not isinstance(built, PairWeights) or built.penalty != CrossEntropy():
        return None
    alike = not isinstance(built.positive, torch.Tensor) and not isinstance(built.unobserved, torch.Tensor)
    if not alike:
        return None
    background = built.background * sites_per_row if built.background_as_rows else built.background
    return float(built.positive / built.unobserved), float(background / built.unobserved)
