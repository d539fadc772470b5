"""The assume-negative loss: weighted positives against all, some or background pseudo-absences.

Shape legend: B rows of a batch, S species, K background sites, P positives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from presence_only.losses.batch import LossBatch, TrainingCounts
from presence_only.losses.checks import (
    check_background,
    check_choice,
    check_count,
    check_floating,
    check_number,
    check_presences,
    check_same_shape,
)
from presence_only.losses.elementwise import CrossEntropy, Penalty, smoothed
from presence_only.losses.fused import PairWeights, background_pair_weight
from presence_only.losses.negatives import (
    Positives,
    at_pairs,
    background_mean,
    draw_other_rows,
    sampled_sum,
    zero,
)
from presence_only.losses.variant import BatchLoss, PenaltySettings, empty_loss, open_batch

SPATIAL = ("none", "batch")


def assume_negative(
    penalty: Penalty,
    logits_BS: Tensor,
    positives: Positives,
    *,
    pos_lambda: float,
    neg_samples: int,
    spatial: str,
    generator: torch.Generator | None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean over rows of (1/S) [pos_lambda * positives + unobserved (+ one other row per positive)].

    The formula of :class:`AssumeNegativeLoss` on checked inputs, for any penalty.
    """
    soft = smoothed(penalty, label_smoothing)  # the labels of the rows; other sites have none to smooth
    present_P = soft.positive(at_pairs(logits_BS, positives.row_P, positives.species_P))
    total = pos_lambda * present_P.sum() + sampled_sum(soft, logits_BS, positives, neg_samples, generator)
    if spatial == "batch":
        total = total + penalty.negative(at_pairs(logits_BS, *draw_other_rows(positives, generator))).sum()
    return total / logits_BS.numel()


class AssumeNegativeLoss(nn.Module):
    """Weigh what was observed, and assume that what was not observed is absent.

    Mean over rows of (1/S) [pos_lambda * sum over positives of BCE(x, 1) + T]. T is the sum of
    BCE(x, 0) over the row's n unobserved species, or its unbiased estimate from m = ``neg_samples`` of
    them, drawn without replacement, independently for every row and scaled by n / m; the estimate's
    variance is n^2 s^2 / m * (n - m) / (n - 1), with s^2 the population variance of the row's terms.

    These are pseudo-absences at the same location (SLDS). The LAN-full strategy joins them with
    absences of the same species elsewhere (SSDL):

    * ``spatial="batch"``: for every observed (row, species) one row of the batch in which the species
      was not observed is drawn uniformly, and its BCE(x, 0) joins the sum of the observed row. A
      species observed in every row has no such term.
    * ``background_logits`` adds the mean over sites of (1/S) * sum over all species of BCE(x, 0). With
      sites uniform on the sphere, ``pos_lambda=2048`` and ``neg_samples=0`` this is L_AN-full.

    Source: Cole et al. (2023), https://arxiv.org/abs/2306.02564

    Args:
        pos_lambda: Weight of positives, finite and > 0. 4 is for whole species lists; with one record
            a row, one positive faces S - 1 negatives and 2048 is the published value.
        neg_samples: Negatives per row, an int >= 0; 0 or at least n: all of them.
        label_smoothing: e in [0, 0.5): targets of the rows become e and 1 - e. The terms of other
            rows and of the background are not smoothed.
        spatial: ``none`` or ``batch``.
        penalty: What takes the place of BCE, such as ``Asymmetric()``; None: BCE.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        pos_lambda: float = 4.0,
        neg_samples: int = 1024,
        label_smoothing: float = 0.0,
        *,
        spatial: str = "none",
        penalty: Penalty | None = None,
    ) -> None:
        super().__init__()
        self.pos_lambda = check_number("pos_lambda", pos_lambda, 0.0, open_ends="low")
        self.neg_samples = check_count("neg_samples", neg_samples)
        self.label_smoothing = check_number("label_smoothing", label_smoothing, 0.0, 0.5, open_ends="high")
        check_choice("spatial", spatial, SPATIAL)
        self.spatial = spatial
        self.penalty: Penalty = CrossEntropy() if penalty is None else penalty

    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        *,
        background_logits: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The loss of one batch.

        Args:
            logits: Floating point, shape (batch, n_species).
            targets: Exactly 0 or 1, the same shape; integers and bools are cast.
            background_logits: Logits at sites drawn elsewhere, shape (sites, n_species).
            generator: Source of the draws; None: the default generator of the logits' device.

        Returns:
            A scalar in nats. An empty batch gives a 0 that back-propagates.

        Raises:
            TypeError: If an argument is no tensor of the right kind.
            ValueError: If shapes disagree or a target is neither 0 nor 1.
        """
        check_floating("logits", logits, 2)
        check_same_shape("targets", targets, "logits", logits)
        check_background(background_logits, None, logits.shape[1], name="background_logits")
        positives = Positives.from_targets(targets)
        check_presences("targets", targets[positives.row_P, positives.species_P])
        if logits.numel() == 0:
            return zero(logits) if background_logits is None else zero(logits, background_logits)
        loss = assume_negative(
            self.penalty,
            logits,
            positives,
            pos_lambda=self.pos_lambda,
            neg_samples=self.neg_samples,
            spatial=self.spatial,
            generator=generator,
            label_smoothing=self.label_smoothing,
        )
        if background_logits is not None:
            loss = loss + background_mean(self.penalty, background_logits, None)
        return loss

    def extra_repr(self) -> str:
        """The settings, as ``print(module)`` shows them."""
        return (
            f"pos_lambda={self.pos_lambda:g}, neg_samples={self.neg_samples}, "
            f"label_smoothing={self.label_smoothing:g}, spatial={self.spatial!r}"
        )


@dataclass(frozen=True)
class AssumeNegativeBatchLoss:
    """:class:`AssumeNegativeLoss` on the pairs of a batch, plus a weighted background term.

    Args:
        penalty: How one element is penalised.
        pos_lambda: Weight of positives.
        neg_samples: Negatives per row; 0: all.
        spatial: ``none`` or ``batch``.
        background_weight: Weight of the mean over background sites; 1 is L_AN-full.
        label_smoothing: e in [0, 0.5): labels of the rows become e and 1 - e.
    """

    penalty: Penalty
    pos_lambda: float
    neg_samples: int = 0
    spatial: str = "none"
    background_weight: float = 0.0
    label_smoothing: float = 0.0

    @property
    def needs_background(self) -> bool:
        """Whether background sites are assumed empty."""
        return self.background_weight > 0

    @property
    def is_dense(self) -> bool:
        """Whether nothing is drawn: all unobserved pairs of a row are its negatives, and no others."""
        return self.neg_samples == 0 and self.spatial == "none"

    def pair_weights(self, n_rows: int, n_species: int, n_sites: int, mask_KS: Tensor | None) -> PairWeights:
        """The means as a sum over pairs; see :class:`~presence_only.losses.fused.PairWeights`."""
        share = 1 / (n_rows * n_species)
        return PairWeights(
            smoothed(self.penalty, self.label_smoothing),
            self.penalty,
            share * self.pos_lambda,
            share,
            background_pair_weight(n_sites, n_species, mask_KS, self.background_weight),
        )

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats."""
        positives = open_batch(batch, self.needs_background)
        if batch.logits_BS.numel() == 0:
            return empty_loss(batch)
        loss = assume_negative(
            self.penalty,
            batch.logits_BS,
            positives,
            pos_lambda=self.pos_lambda,
            neg_samples=self.neg_samples,
            spatial=self.spatial,
            generator=batch.generator,
            label_smoothing=self.label_smoothing,
        )
        if batch.background_KS is not None:
            absent = background_mean(self.penalty, batch.background_KS, batch.background_mask_KS)
            loss = loss + self.background_weight * absent
        return loss


class AssumeNegativeSettings(PenaltySettings):
    """:class:`AssumeNegativeLoss` with any penalty.

    Args:
        background_weight: Weight of the mean over background sites; 1 is L_AN-full, 0 does without.
    """

    loss: Literal["assume_negative"]
    pos_lambda: float = Field(default=4.0, gt=0)
    neg_samples: int = Field(default=1024, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    spatial: Literal["none", "batch"] = "none"
    background_weight: float = Field(default=0.0, ge=0)

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The loss of these settings; the training counts do not matter."""
        return AssumeNegativeBatchLoss(
            self.build_penalty(),
            self.pos_lambda,
            self.neg_samples,
            self.spatial,
            self.background_weight,
            self.label_smoothing,
        )
