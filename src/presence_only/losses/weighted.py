"""The full weighted loss: presences, absences at recorded sites and background absences, each balanced by species.

Shape legend: B rows of a batch, S species, K background sites, P positives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from presence_only.losses.batch import LossBatch, TrainingCounts
from presence_only.losses.checks import (
    check_background,
    check_count,
    check_floating,
    check_number,
    check_presences,
    check_same_shape,
    check_shape,
)
from presence_only.losses.elementwise import CrossEntropy, Penalty, widen
from presence_only.losses.fused import PairWeights, background_pair_weight
from presence_only.losses.negatives import Positives, at_pairs, background_mean, unobserved_terms, zero
from presence_only.losses.variant import BatchLoss, PenaltySettings, empty_loss, open_batch


def full_weighted(
    logits_BS: Tensor,
    targets_BS: Tensor,
    background_KS: Tensor | None = None,
    *,
    lambda1: float = 1.0,
    lambda2: float = 0.5,
    records_S: Tensor | None = None,
    n_sites: int | None = None,
    background_mask_KS: Tensor | None = None,
) -> Tensor:
    """Balance presences, target-group absences and background absences within every species.

    Mean over rows of (1/S) sum_s [lambda1 y w_s softplus(-x) + lambda2 (1 - y) v_s softplus(x)], plus
    (1 - lambda2) times the background mean of (1/S) sum_s softplus(x'). w_s = n / n_s and
    v_s = n / (n - n_s) make the presences of a species weigh as much as its absences, however few.

    Source: Zbinden et al. (2024), https://arxiv.org/abs/2401.02989

    Args:
        logits_BS: Logits at the recorded sites.
        targets_BS: Exactly 0 or 1, the same shape; integers and bools are cast.
        background_KS: Logits at background sites; None only if ``lambda2`` is 1.
        lambda1: Weight of presences, finite and > 0.
        lambda2: Share of absences at recorded sites against background ones, in [0, 1]. The authors
            choose it by spatial-block cross-validation; 0.5 treats both alike.
        records_S: n_s, the number of sites where each species was recorded, in the training set that
            the batch comes from; None: counted in ``targets_BS``.
        n_sites: n, the number of sites of that training set; given if and only if ``records_S`` is.
        background_mask_KS: Which species a background site counts for; None: all.

    Returns:
        Scalar loss in nats. An empty batch gives a 0 that back-propagates.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes disagree, a target is neither 0 nor 1, a weight is out of range, the
            background is missing, or a species present in the batch has no record.
    """
    check_floating("logits_BS", logits_BS, 2)
    check_same_shape("targets_BS", targets_BS, "logits_BS", logits_BS)
    check_number("lambda1", lambda1, 0.0, open_ends="low")
    check_number("lambda2", lambda2, 0.0, 1.0)
    if (records_S is None) != (n_sites is None):
        missing = "records_S" if records_S is None else "n_sites"
        raise ValueError(f"{missing} = None: records_S and n_sites must be given together")
    check_background(background_KS, background_mask_KS, logits_BS.shape[1])
    if lambda2 < 1 and (background_KS is None or len(background_KS) == 0):
        raise ValueError(f"background_KS has no rows: lambda2 = {lambda2!r} < 1 needs at least one")
    positives = Positives.from_targets(targets_BS)
    check_presences("targets_BS", targets_BS[positives.row_P, positives.species_P])
    if logits_BS.numel() == 0:
        return zero(*(logits for logits in (logits_BS, background_KS) if logits is not None))
    if records_S is None or n_sites is None:
        records_S = torch.bincount(positives.species_P, minlength=logits_BS.shape[1])
        n_sites = len(logits_BS)
    else:
        n_sites = check_count("n_sites", n_sites)
        check_shape("records_S", records_S, (logits_BS.shape[1],))
        if bool((records_S[positives.species_P.to(records_S.device)] <= 0).any()):
            raise ValueError("records_S is 0 for a species present in targets_BS: must count all of its sites")
        if bool((records_S > n_sites).any()):
            raise ValueError(f"records_S reach {records_S.max().item():g}: must not exceed n_sites = {n_sites}")
    presence_S, absence_S = balance(records_S.to(logits_BS.device, widen(logits_BS).dtype), n_sites)
    loss = _near(CrossEntropy(), logits_BS, positives, lambda1 * presence_S, lambda2 * absence_S)
    if background_KS is not None and lambda2 < 1:
        loss = loss + (1 - lambda2) * background_mean(CrossEntropy(), background_KS, background_mask_KS)
    return loss


def balance(records_S: Tensor, n_sites: int) -> tuple[Tensor, Tensor]:
    """W = n / n_s and v = n / (n - n_s); 0 where there is nothing to weigh."""
    absent_S = n_sites - records_S
    presence_S = torch.where(records_S > 0, n_sites / records_S.clamp(min=1), 0.0)
    return presence_S, torch.where(absent_S > 0, n_sites / absent_S.clamp(min=1), 0.0)


def _near(penalty: Penalty, logits_BS: Tensor, positives: Positives, presence_S: Tensor, absence_S: Tensor) -> Tensor:
    """Mean over rows of (1/S) times the weighted penalties at recorded sites."""
    present_P = penalty.positive(at_pairs(logits_BS, positives.row_P, positives.species_P))
    absent_S = unobserved_terms(penalty, logits_BS, positives).sum(dim=0)
    total = (presence_S[positives.species_P] * present_P).sum() + (absence_S * absent_S).sum()
    return total / logits_BS.numel()


@dataclass(frozen=True)
class FullWeightedLoss:
    """:func:`full_weighted` on the pairs of a batch, with n and n_s of the whole training set.

    Weights of the training set make the mean over equal batches the loss of the whole set; weights
    counted in a batch would depend on which rows met in it.
    """

    penalty: Penalty
    presence_S: Tensor
    absence_S: Tensor
    background_weight: float

    @property
    def needs_background(self) -> bool:
        """Whether background sites are assumed empty."""
        return self.background_weight > 0

    @property
    def is_dense(self) -> bool:
        """Always: the loss is a sum over all pairs."""
        return True

    def pair_weights(self, n_rows: int, n_species: int, n_sites: int, mask_KS: Tensor | None) -> PairWeights:
        """The means as a sum over pairs; see :class:`~presence_only.losses.fused.PairWeights`."""
        share = 1 / (n_rows * n_species)
        far = background_pair_weight(n_sites, n_species, mask_KS, self.background_weight)
        return PairWeights(self.penalty, self.penalty, share * self.presence_S, share * self.absence_S, far)

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats."""
        positives = open_batch(batch, self.needs_background)
        if batch.logits_BS.numel() == 0:
            return empty_loss(batch)
        like = widen(batch.logits_BS[:0])
        loss = _near(self.penalty, batch.logits_BS, positives, self.presence_S.to(like), self.absence_S.to(like))
        if batch.background_KS is not None:
            absent = background_mean(self.penalty, batch.background_KS, batch.background_mask_KS)
            loss = loss + self.background_weight * absent
        return loss


class FullWeightedSettings(PenaltySettings):
    """:func:`full_weighted` with any penalty."""

    loss: Literal["full_weighted"]
    lambda1: float = Field(default=1.0, gt=0)
    lambda2: float = Field(default=0.5, ge=0, le=1)

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The loss with the weights of the training set."""
        presence_S, absence_S = balance(counts.records_per_species_S, counts.n_rows)
        return FullWeightedLoss(
            self.build_penalty(), self.lambda1 * presence_S, self.lambda2 * absence_S, 1 - self.lambda2
        )
