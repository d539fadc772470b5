"""Assume-negative loss: weighted positives against all, some or background pseudo-absences.

Shape legend: B rows of a batch, S species, K background sites, P positives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from presence_only.losses.base import (
    BatchLoss,
    LossBatch,
    PenaltySettings,
    TrainingCounts,
    empty_loss,
    open_batch,
)
from presence_only.losses.negatives import Positives, draw_other_rows, sampled_sum
from presence_only.losses.pair_weights import (
    LabelledSettings,
    PairWeights,
    observed_sum,
    one_absence_per_record,
    with_background,
)
from presence_only.losses.penalties import Penalty

SPATIAL = ("none", "batch")


def assume_negative(penalty: Penalty, pos_lambda: float, background_weight: float = 0.0) -> PairWeights:
    """Positives weigh ``pos_lambda``; label smoothing leaves the labels of background sites as they are."""
    return PairWeights(penalty, positive=pos_lambda, background=background_weight, background_penalty=penalty)


@dataclass(frozen=True)
class DrawnAbsences:
    """A loss whose absences are drawn: some of a row's unobserved species, or rows without the species.

    Args:
        weights: The loss over all pairs, of which this is an estimate or to which rows are added.
        neg_samples: Unobserved species drawn per row; 0: all count.
        spatial: ``batch``: for every positive one row of the batch without its species joins; ``none``: none does.
    """

    weights: PairWeights
    neg_samples: int
    spatial: str

    @property
    def needs_background(self) -> bool:
        """Whether background sites are assumed empty."""
        return self.weights.needs_background

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats."""
        positives = open_batch(batch, self.needs_background)
        if batch.logits_BS.numel() == 0:
            return empty_loss(batch)
        return self.on_pairs(batch.logits_BS, positives, batch.generator, batch.background_KS, batch.background_mask_KS)

    def on_pairs(
        self,
        logits_BS: Tensor,
        positives: Positives,
        generator: torch.Generator | None,
        background_KS: Tensor | None = None,
        mask_KS: Tensor | None = None,
    ) -> Tensor:
        """The same on checked inputs."""
        weights = self.weights
        assert not isinstance(weights.unobserved, Tensor)  # species are drawn alike
        logits_BS = weights.shifted(logits_BS)
        absent = sampled_sum(weights.penalty, logits_BS, positives, self.neg_samples, generator)
        near = observed_sum(weights, logits_BS, positives) + weights.unobserved * absent
        if self.spatial == "batch":
            near = near + draw_other_rows(positives, generator).penalty_of(weights.far_penalty, logits_BS)
        return with_background(weights, near, logits_BS, background_KS, mask_KS)


class AssumeNegativeSettings(PenaltySettings, LabelledSettings):
    """Assume-negative loss: positives weigh more; unobserved pairs are absent, all of them or some drawn per row.

    Args:
        pos_lambda: Weight of positives, > 0.
        neg_samples: Unobserved species drawn per row; 0: all.
        spatial: ``batch`` adds one row without the species per positive.
        background_weight: Weight of the mean over background sites; 1 is L_AN-full, 0 does without.
    """

    loss: Literal["assume_negative"]
    pos_lambda: float = Field(default=4.0, gt=0)
    neg_samples: int = Field(default=1024, ge=0, le=10_000_000)
    spatial: Literal["none", "batch"] = "none"
    background_weight: float = Field(default=0.0, ge=0)

    def hard_weights(self, counts: TrainingCounts) -> PairWeights:
        """Positives weigh ``pos_lambda``."""
        return assume_negative(self.build_penalty(), self.pos_lambda, self.background_weight)

    def expected_weights(self, counts: TrainingCounts) -> PairWeights:
        """Drawn species stand for all; ``spatial: batch`` adds an absence per record, whose smoothing is left out."""
        weights = self.pair_weights(counts)
        if self.spatial == "none":
            return weights
        return replace(weights, unobserved=1.0 + one_absence_per_record(counts))

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """A dense loss where nothing is drawn, with ``neg_samples`` 0 and ``spatial`` none."""
        weights = self.pair_weights(counts)
        if self.neg_samples == 0 and self.spatial == "none":
            return weights
        return DrawnAbsences(weights, self.neg_samples, self.spatial)
