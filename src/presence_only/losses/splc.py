"""Self-paced loss correction: an unrecorded species that the model is sure of counts as present.

Shape legend: B rows of a batch, S species.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from presence_only.losses.argument_checks import check_number
from presence_only.losses.base import BatchLoss, LossBatch, PenaltySettings, TrainingCounts
from presence_only.losses.negatives import open_targets, zero
from presence_only.losses.numerics import widen
from presence_only.losses.pair_weights import LabelledSettings, PairWeights, loss_from_all_logits
from presence_only.losses.parameters import check_parameters, parameter
from presence_only.losses.penalties import FocalMargin, Penalty, smoothed


@dataclass(frozen=True)
class Corrected(Penalty):
    """Another penalty in which an absence counts as a presence where the model is surer of one than a threshold.

    Source: Zhang et al. (2021), https://arxiv.org/abs/2112.07368

    Args:
        penalty: What is corrected.
        tau: Threshold of the probability p, in (0, 1): an absence with p > tau counts as a presence.

    Raises:
        TypeError: If ``tau`` is not a number.
        ValueError: If ``tau`` is out of range.
    """

    penalty: Penalty
    tau: float = parameter(0.6, low=0, high=1, open_ends="both")

    def __post_init__(self) -> None:
        check_parameters(self)

    def positive(self, logits: Tensor) -> Tensor:
        """What a presence costs, as without correction."""
        return self.penalty.positive(logits)

    def negative(self, logits: Tensor) -> Tensor:
        """What an absence costs up to the threshold, itself included, and what a presence costs above it."""
        x = widen(logits)
        # In logits: the probability of a sure one rounds to 1. NaN is not above, and stays NaN.
        above = x.detach() > math.log(self.tau / (1 - self.tau))
        return torch.where(above, self.penalty.positive(x), self.penalty.negative(x))


def splc(
    logits_BS: Tensor,
    targets_BS: Tensor,
    *,
    tau: float = 0.6,
    margin: float = 1.0,
    gamma: float = 2.0,
) -> Tensor:
    """Penalise a recorded pair as present, and an unrecorded one as absent unless its p exceeds a threshold.

    Mean over pairs of pos(x) where y = 1 or p > tau, and of neg(x) elsewhere, with the focal margin loss
    pos(x) = (1 - p_m)^gamma * -log p_m, p_m = sigmoid(x - margin), and neg(x) = p^gamma * -log(1 - p).

    Source: Zhang et al. (2021), https://arxiv.org/abs/2112.07368

    Args:
        logits_BS: Logits at the recorded sites.
        targets_BS: Exactly 0 or 1, the same shape; integers and bools are cast.
        tau: Threshold of the probability above which an unrecorded pair counts as present, in (0, 1).
        margin: What a present pair's logit is lowered by, in nats, finite and >= 0.
        gamma: Focusing exponent, finite and >= 0.

    Returns:
        Scalar loss in nats. An empty batch gives a 0 that back-propagates.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes disagree, a target is neither 0 nor 1, or a parameter is out of range.
    """
    positives = open_targets(logits_BS, targets_BS)
    margin, gamma = check_number("margin", margin, 0.0), check_number("gamma", gamma, 0.0)
    penalty = Corrected(FocalMargin(margin, gamma), tau)
    if logits_BS.numel() == 0:
        return zero(logits_BS)
    return loss_from_all_logits(PairWeights(penalty), logits_BS, positives)


@dataclass(frozen=True)
class SelfPaced:
    """A dense loss for the first epochs, and its corrected form afterwards.

    Args:
        before: The loss until then.
        after: The loss from then on.
        start: Epochs that have to be finished before a step is corrected.
    """

    before: PairWeights
    after: PairWeights
    start: int

    @property
    def needs_background(self) -> bool:
        """Whether background sites are assumed empty."""
        return self.after.needs_background

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats."""
        return self.after(batch) if batch.epoch >= self.start else self.before(batch)


class SplcSettings(PenaltySettings, LabelledSettings):
    """Self-paced loss correction: an unobserved pair whose p exceeds a threshold counts as present.

    With ``penalty: focal_margin``, which its authors find best, it is :func:`splc` from ``start`` on.

    Args:
        tau: The threshold, in (0, 1).
        start: Epochs before the first correction; with 0 every step is corrected, and the loss is dense.
        background_weight: Weight of background sites as further rows without species, corrected likewise, >= 0.
    """

    loss: Literal["splc"]
    tau: float = Field(default=0.6, gt=0, lt=1)
    start: int = Field(default=1, ge=0, le=1_000_000)
    background_weight: float = Field(default=0.0, ge=0)

    def build_penalty(self) -> Penalty:
        """The penalty with its absences corrected; smoothed first, so that they cost what recorded pairs do."""
        return Corrected(smoothed(super().build_penalty(), self.label_smoothing), self.tau)

    def hard_weights(self, counts: TrainingCounts) -> PairWeights:
        """Every pair alike."""
        return PairWeights(self.build_penalty(), background=self.background_weight, background_as_rows=True)

    def pair_weights(self, counts: TrainingCounts) -> PairWeights:
        """The corrected loss; its penalty is smoothed already."""
        return replace(super().pair_weights(counts), penalty=self.build_penalty())

    def uncorrected(self, counts: TrainingCounts) -> PairWeights:
        """The loss of the first epochs."""
        penalty = smoothed(super().build_penalty(), self.label_smoothing)
        return replace(self.pair_weights(counts), penalty=penalty)

    def expected_weights(self, counts: TrainingCounts) -> PairWeights:
        """The loss of the first epochs: where all pairs count as present, the corrected one has no least value."""
        return self.uncorrected(counts)

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """A dense loss where every step is corrected."""
        corrected = self.pair_weights(counts)
        return corrected if self.start == 0 else SelfPaced(self.uncorrected(counts), corrected, self.start)
