"""Losses that take every unobserved pair as absent: BCE, focal, asymmetric.

Shape legend: B rows of a batch, S species, K background sites, P positives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from presence_only.losses.batch import LossBatch, TrainingCounts
from presence_only.losses.checks import (
    check_choice,
    check_floating,
    check_number,
    check_same_shape,
    check_unit_interval,
)
from presence_only.losses.elementwise import Asymmetric, CrossEntropy, Focal, Penalty, all_hard, choose, widen
from presence_only.losses.fused import PairWeights
from presence_only.losses.negatives import at_pairs, unobserved_terms
from presence_only.losses.variant import BatchLoss, LossSettings, empty_loss, open_batch

REDUCTIONS = ("mean", "sum", "none")


def focal_loss(
    logits: Tensor,
    targets: Tensor,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy that counts easy elements less: a_t (1 - p_t)^gamma BCE(x, y).

    p_t = y p + (1 - y) q with p = sigmoid(x), q = sigmoid(-x); a_t = alpha y + (1 - alpha)(1 - y).
    The default alpha 0.25 is that of the paper, tuned on object detection, where it *lowers* the
    weight of positives because gamma = 2 already silences the many easy negatives. ``MultiTaskLoss``
    has 0.5, which leaves the classes alone: species lists have no such tuning.

    Source: Lin et al. (2017), https://arxiv.org/abs/1708.02002

    Args:
        logits: Floating point, shape (batch, n_species) or any other; half types are computed in float32.
        targets: In [0, 1], the shape of ``logits``; integers and bools are cast.
        alpha: Weight of positives in [0, 1]; None: no weights at all.
        gamma: Focusing exponent, finite and >= 0; 0 is (weighted) cross-entropy.
        reduction: ``mean``, ``sum`` or ``none``.

    Returns:
        The loss in nats: a scalar, or the shape of ``logits`` for ``none``. An empty batch gives 0.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes differ, targets leave [0, 1], or a parameter is out of range.
    """
    return pointwise(Focal(alpha, gamma), logits, targets, reduction)


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_pos: float = 0.0,
    gamma_neg: float = 2.0,
    clip: float = 0.05,
    reduction: str = "mean",
) -> Tensor:
    """Focal loss with an exponent per class and a margin below which a negative costs nothing.

    -[y q^gamma_pos log p + (1 - y) p_m^gamma_neg log(1 - p_m)], p_m = max(p - clip, 0). The gradient
    flows through the focusing weights too.

    Source: Ridnik et al. (2021), https://arxiv.org/abs/2009.14119

    Args:
        logits: Floating point, shape (batch, n_species) or any other; half types are computed in float32.
        targets: In [0, 1], the shape of ``logits``; integers and bools are cast.
        gamma_pos: Focusing exponent of positives, finite and >= 0.
        gamma_neg: Focusing exponent of negatives, finite and >= 0.
        clip: Probability margin in [0, 1); 0 is no margin.
        reduction: ``mean``, ``sum`` or ``none``.

    Returns:
        The loss in nats: a scalar, or the shape of ``logits`` for ``none``. An empty batch gives 0.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes differ, targets leave [0, 1], or a parameter is out of range.
    """
    return pointwise(Asymmetric(gamma_pos, gamma_neg, clip), logits, targets, reduction)


class BinaryFocalLoss(nn.Module):
    """Mean of (1 - p_t)^gamma BCE, without alpha, on probabilities or logits; prediction first.

    The published Keras class of this name, given logits, weights negatives by (1 - p)^gamma as well,
    so that a false positive costs less the surer it is and is pushed *up*. Here p_t is right in both
    modes: p for a positive, 1 - p for a negative.

    Source: Lin et al. (2017), https://arxiv.org/abs/1708.02002

    Args:
        gamma: Focusing exponent, finite and >= 0.
        from_logits: Whether predictions are logits; else probabilities in [0, 1].

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If ``gamma`` is negative, NaN or infinite.
    """

    def __init__(self, gamma: float = 2.0, from_logits: bool = False) -> None:
        super().__init__()
        if not isinstance(from_logits, bool):
            raise TypeError(f"from_logits = {from_logits!r}: must be a bool, not {type(from_logits).__name__}")
        self.gamma = check_number("gamma", gamma, 0.0)
        self.from_logits = from_logits

    def forward(self, pred: Tensor, targets: Tensor) -> Tensor:
        """The mean loss.

        Args:
            pred: Logits, or probabilities in [0, 1]; any shape. A probability of exactly 0 or 1 on
                the wrong side costs infinitely much: log 0 is not rounded away.
            targets: In [0, 1], the shape of ``pred``.

        Returns:
            A scalar in nats.

        Raises:
            TypeError: If an argument is no tensor of the right kind.
            ValueError: If shapes differ or values are out of range.
        """
        if self.from_logits:
            return focal_loss(pred, targets, alpha=None, gamma=self.gamma)
        check_floating("pred", pred)
        y = _targets_like(pred, targets, "pred")
        check_unit_interval("pred", pred.nan_to_num(nan=0.5))  # NaN propagates, it is not refused
        p = widen(pred)
        present, absent = y > 0, y < 1
        # Double where: a class with weight 0 is not evaluated where its logarithm is infinite.
        log_p = torch.log(torch.where(present, p, 0.5))
        log_q = torch.log1p(-torch.where(absent, p, 0.5))
        cost = -torch.where(present, y * log_p, 0.0) - torch.where(absent, (1 - y) * log_q, 0.0)
        if self.gamma != 0:
            miss = y * (1 - p) + (1 - y) * p
            easy = miss <= 0  # a slope of 0^(gamma - 1) would be infinite for gamma < 1
            weight = torch.where(easy, 0.0, torch.where(easy, 1.0, miss) ** self.gamma)
            cost = weight * cost
        return _reduce(torch.where(p.isnan(), p, cost), "mean")

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"gamma": self.gamma, "from_logits": self.from_logits}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The loss that :meth:`get_config` described."""
        return cls(**config)


def compute_pos_weights(species_targets: Tensor, smoothing: float = 1.0) -> Tensor:
    """Negatives per positive of every species: (sum(1 - y) + smoothing) / (sum y + smoothing).

    Args:
        species_targets: In [0, 1], shape (batch, n_species), at least one row.
        smoothing: Added to both counts, finite and >= 0; 0 gives infinity for a species without records.

    Returns:
        Shape (n_species,), float64: counts above 2^24 are exact.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If there is no row, targets leave [0, 1], or ``smoothing`` is negative.
    """
    if not isinstance(species_targets, Tensor):
        raise TypeError(f"species_targets is a {type(species_targets).__name__}: must be a torch.Tensor")
    if species_targets.ndim != 2 or len(species_targets) == 0:
        raise ValueError(
            f"species_targets has shape {tuple(species_targets.shape)}: must be (batch, n_species) with batch >= 1"
        )
    check_unit_interval("species_targets", species_targets)
    positive_S = species_targets.sum(dim=0, dtype=torch.float64)
    return pos_weights_from_counts(positive_S, len(species_targets), smoothing)


def pos_weights_from_counts(positive_S: Tensor, n_rows: int, smoothing: float) -> Tensor:
    """:func:`compute_pos_weights` from the sum of each species' targets."""
    smoothing = check_number("smoothing", smoothing, 0.0)
    return (n_rows - positive_S + smoothing) / (positive_S + smoothing)


def pointwise(penalty: Penalty, logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """Any penalty over all elements, with the checks that every public loss makes."""
    check_choice("reduction", reduction, REDUCTIONS)
    check_floating("logits", logits)
    return _reduce(penalty(logits, _targets_like(logits, targets, "logits")), reduction)


def weighted_cross_entropy(logits: Tensor, targets: Tensor, pos_weight_S: Tensor, reduction: str) -> Tensor:
    """W y softplus(-x) + (1 - y) softplus(x), w of every species, with the checks of every public loss."""
    check_floating("logits", logits)
    y = _targets_like(logits, targets, "logits")
    weight_S, curve, present = pos_weight_S.to(y), CrossEntropy(), y == 1
    if all_hard(y, present):
        return _reduce(choose(curve, logits, present, weight_S.expand_as(logits)), reduction)
    return _reduce(weight_S * y * curve.positive(logits) + (1 - y) * curve.negative(logits), reduction)


def _targets_like(logits: Tensor, targets: Tensor, name: str) -> Tensor:
    """Checked targets in the dtype of the computation."""
    check_same_shape("targets", targets, name, logits)
    check_unit_interval("targets", targets)
    return targets.to(widen(logits.reshape(-1)[:0]).dtype)


def _reduce(terms: Tensor, reduction: str) -> Tensor:
    """Mean, sum or the terms themselves; the mean of nothing is 0."""
    if reduction == "none":
        return terms
    total = terms.sum()
    return total if reduction == "sum" else total / max(terms.numel(), 1)


@dataclass(frozen=True)
class DenseLoss:
    """Mean penalty over all pairs of a batch; unobserved ones are absent, background rows all absent.

    With w = ``background_weight`` the loss is (sum over B x S + w * sum over the background pairs
    that count) / (B S + w * their number): for w = 1 background rows are simply further rows without
    any species.

    Args:
        penalty: How one element is penalised.
        background_weight: w, >= 0.
        pos_weight_S: Weight of every species' positives; None: 1.
    """

    penalty: Penalty
    background_weight: float = 0.0
    pos_weight_S: Tensor | None = None

    @property
    def needs_background(self) -> bool:
        """Whether background rows join."""
        return self.background_weight > 0

    @property
    def is_dense(self) -> bool:
        """Always: the loss is a sum over all pairs."""
        return True

    def pair_weights(self, n_rows: int, n_species: int, n_sites: int, mask_KS: Tensor | None) -> PairWeights:
        """The mean as a sum over pairs; see :class:`~presence_only.losses.fused.PairWeights`."""
        far_pairs = n_sites * n_species if mask_KS is None else int(mask_KS.sum())
        share = 1 / (n_rows * n_species + self.background_weight * far_pairs)
        positive = share if self.pos_weight_S is None else share * self.pos_weight_S
        return PairWeights(self.penalty, self.penalty, positive, share, share * self.background_weight)

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats."""
        positives = open_batch(batch, self.needs_background)
        if batch.logits_BS.numel() == 0:
            return empty_loss(batch)
        present_P = self.penalty.positive(at_pairs(batch.logits_BS, positives.row_P, positives.species_P))
        if self.pos_weight_S is not None:
            weight_S = self.pos_weight_S.to(present_P.device, present_P.dtype)
            present_P = weight_S[positives.species_P] * present_P
        total = unobserved_terms(self.penalty, batch.logits_BS, positives).sum() + present_P.sum()
        weight: Tensor | float = batch.logits_BS.numel()
        if batch.background_KS is not None:
            terms_KS = self.penalty.negative(batch.background_KS)
            n_pairs: Tensor | int = terms_KS.numel()
            if batch.background_mask_KS is not None:
                terms_KS = torch.where(batch.background_mask_KS, terms_KS, 0.0)
                n_pairs = batch.background_mask_KS.sum()
            total = total + self.background_weight * terms_KS.sum()
            weight = weight + self.background_weight * n_pairs
        return total / weight


class DenseSettings(LossSettings):
    """Settings of every loss over all pairs.

    Args:
        background_weight: Weight of background rows as further rows without species; see :class:`DenseLoss`.
    """

    background_weight: float = Field(default=0.0, ge=0)


class BceSettings(DenseSettings):
    """Binary cross-entropy.

    Args:
        pos_weight: Whether to weight positives by :func:`compute_pos_weights` of the training set.
        smoothing: Of those weights.
    """

    loss: Literal["bce"]
    pos_weight: bool = False
    smoothing: float = Field(default=1.0, ge=0)

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """Cross-entropy over all pairs."""
        weight_S = None
        if self.pos_weight:
            weight_S = pos_weights_from_counts(counts.records_per_species_S, counts.n_rows, self.smoothing)
        return DenseLoss(CrossEntropy(), self.background_weight, weight_S)


class FocalSettings(DenseSettings):
    """:func:`focal_loss`."""

    loss: Literal["focal"]
    alpha: float | None = Field(default=0.25, ge=0, le=1)
    gamma: float = Field(default=2.0, ge=0)

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """Focal loss over all pairs."""
        return DenseLoss(Focal(self.alpha, self.gamma), self.background_weight)


class AslSettings(DenseSettings):
    """:func:`asymmetric_loss`."""

    loss: Literal["asl"]
    gamma_pos: float = Field(default=0.0, ge=0)
    gamma_neg: float = Field(default=2.0, ge=0)
    clip: float = Field(default=0.05, ge=0, lt=1)

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """Asymmetric loss over all pairs."""
        return DenseLoss(Asymmetric(self.gamma_pos, self.gamma_neg, self.clip), self.background_weight)
