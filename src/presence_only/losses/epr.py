"""Expected positive regularisation: presences, and a known number of species per site in place of absences.

Shape legend: B rows of a batch, S species, P positives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from presence_only.losses.argument_checks import check_number
from presence_only.losses.balance import FARTHEST, HALVINGS
from presence_only.losses.base import BatchLoss, LossBatch, LossSettings, TrainingCounts, empty_loss, open_batch
from presence_only.losses.negatives import Positives, at_pairs, open_targets, zero
from presence_only.losses.numerics import sigmoid, softplus, widen

# Where a species starts whose expected p is 1: farther up it would have next to no slope to leave by.
HIGHEST_START = 4.0


def epr(logits_BS: Tensor, targets_BS: Tensor, *, expected_species: float) -> Tensor:
    """Raise what was recorded, and hold the number of species per site to a known one.

    (1 / BS) sum over recorded pairs of softplus(-x) + ((mean over rows of sum_s p - k) / S)^2. No pair is assumed
    absent: only the number of species that a batch predicts is penalised.

    Source: L_EPR of Cole et al. (2021), https://arxiv.org/abs/2106.09708

    Args:
        logits_BS: Logits at the recorded sites.
        targets_BS: Exactly 0 or 1, the same shape; integers and bools are cast.
        expected_species: k, the expected number of species at a site, in (0, S].

    Returns:
        Scalar loss in nats. An empty batch gives a 0 that back-propagates.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes disagree, a target is neither 0 nor 1, or k is out of range.
    """
    positives = open_targets(logits_BS, targets_BS)
    expected_species = check_number("expected_species", expected_species, 0.0, open_ends="low")
    if logits_BS.numel() == 0:
        return zero(logits_BS)
    expected_species = check_number("expected_species", expected_species, 0.0, logits_BS.shape[1], open_ends="low")
    expected = torch.full((), expected_species, dtype=torch.float64, device=logits_BS.device)
    return _regularised(logits_BS, positives, expected)


def _regularised(logits_BS: Tensor, positives: Positives, expected: Tensor) -> Tensor:
    """:func:`epr` on checked inputs."""
    n_rows, n_species = logits_BS.shape
    if positives.present_BS is not None:
        surprise = torch.where(positives.present_BS, softplus(-widen(logits_BS)), 0.0).sum()
    else:
        surprise = softplus(-at_pairs(logits_BS, positives.row_P, positives.species_P)).sum()
    predicted = sigmoid(widen(logits_BS)).sum() / n_rows
    excess = (predicted - expected.to(predicted.dtype)) / n_species
    return surprise / (n_rows * n_species) + excess.square()


@dataclass(frozen=True)
class EprLoss:
    """:func:`epr` on the pairs of a batch.

    Args:
        expected: k, a scalar on the loss's device, float64.
        needs_background: The loss uses none.
    """

    expected: Tensor
    needs_background: bool = False

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats."""
        positives = open_batch(batch, self.needs_background)
        if batch.logits_BS.numel() == 0:
            return empty_loss(batch)
        return _regularised(batch.logits_BS, positives, self.expected)


class EprSettings(LossSettings):
    """Expected positive regularisation: presences, and a given number of species per row in place of absences.

    Args:
        expected_species: k, the expected number of species at a training row, recorded or not, > 0; more than there
            are species counts as all of them. Null: the mean number of records per row, which is the least that it can
            be.
    """

    loss: Literal["epr"]
    expected_species: float | None = Field(default=None, gt=0)

    def expected(self, counts: TrainingCounts) -> Tensor:
        """k, a scalar, float64."""
        records_S = counts.records_per_species_S.double()
        if self.expected_species is None:
            return records_S.sum() / counts.n_rows
        return torch.full((), min(self.expected_species, len(records_S)), dtype=torch.float64, device=records_S.device)

    def balance(self, counts: TrainingCounts) -> Tensor:
        """Logits of p_s = min(c pi_s, 1), where sum_s p_s - k = S / (2 c), at most ``HIGHEST_START``.

        The slope of a species' logit is q_s [2 (sum p - k) p_s / S - pi_s] / S: it is 0 where p_s is proportional to
        the species' share pi_s of rows, and negative up to p_s = 1 where that product exceeds 1. The factor c is found
        by halving an interval of its logarithm, in which the left side minus the right side rises.
        """
        share_S, expected = counts.prevalence(), self.expected(counts)
        n_species = len(share_S)
        low, high = torch.full_like(expected, -FARTHEST), torch.full_like(expected, 2 * FARTHEST)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            p_S = (middle.exp() * share_S).clamp(max=1)
            short = p_S.sum() - expected < n_species / (2 * middle.exp())
            low, high = torch.where(short, middle, low), torch.where(short, high, middle)
        p_S = ((low + high) / 2).exp() * share_S
        least, most = torch.sigmoid(torch.tensor([-FARTHEST, FARTHEST], dtype=torch.float64)).tolist()
        return torch.logit(p_S.clamp(least, most)).clamp(max=HIGHEST_START)

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The loss with the number of species of the settings, or of the training set."""
        return EprLoss(self.expected(counts))
