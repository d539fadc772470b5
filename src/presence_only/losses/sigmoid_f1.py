"""Sigmoid F1: one minus the F1 score of every species over the rows of a batch, with scores in place of decisions.

Shape legend: B rows of a batch, S species.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from presence_only.losses.argument_checks import check_number
from presence_only.losses.base import BatchLoss, LossBatch, LossSettings, TrainingCounts, empty_loss, open_batch
from presence_only.losses.negatives import open_targets, zero
from presence_only.losses.numerics import finite_logits, sigmoid, widen


def sigmoid_f1(logits_BS: Tensor, targets_BS: Tensor, *, beta: float = 1.0, eta: float = 0.0) -> Tensor:
    """The mean over species of 1 - F1, where a pair is called present to the share sigmoid(beta (x + eta)).

    With the sums over rows of these shares at records (tp) and at unobserved pairs (fp), and of the missing shares at
    records (fn), 1 - F1 = (fn + fp) / (2 tp + fn + fp). A species without a record in the batch has the value 1 and no
    slope, whatever its scores are. It is computed from the logarithms of fn + fp and of 2 tp, so that it keeps its
    digits, and a slope, where all shares of a species round to 0 or 1.

    Source: Benedict et al. (2022), https://arxiv.org/abs/2108.10566

    Args:
        logits_BS: Logits; an infinite one counts as +-1e30, so that it can be compared with others.
        targets_BS: Exactly 0 or 1, the same shape; integers and bools are cast.
        beta: Steepness of the decision, finite and > 0; for a large one the shares are 0 or 1 and it is F1 itself.
        eta: What is added to the logits, finite: a pair is called present above -eta.

    Returns:
        Scalar loss in 0..1.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes disagree, a target is neither 0 nor 1, or a parameter is out of range.
    """
    open_targets(logits_BS, targets_BS)
    beta = check_number("beta", beta, 0.0, open_ends="low")
    eta = check_number("eta", eta, -math.inf, open_ends="low")
    if logits_BS.numel() == 0:
        return zero(logits_BS)
    return mean_error(beta * (finite_logits(logits_BS) + eta), targets_BS != 0)


def mean_error(z_BS: Tensor, present_BS: Tensor) -> Tensor:
    """The mean over species of 1 - F1, given the logits of the shares: sigmoid(log(fn + fp) - log(2 tp))."""
    recorded_S = present_BS.any(dim=0)
    log_wrong_S = torch.logsumexp(logsigmoid(torch.where(present_BS, -z_BS, z_BS)), dim=0)
    # Species without a record take part with all of their rows, so that nothing is infinite, and are then replaced.
    found_BS = torch.where(present_BS | ~recorded_S, logsigmoid(z_BS), -torch.inf)
    log_found_S = math.log(2) + torch.logsumexp(found_BS, dim=0)
    error_S = sigmoid(log_wrong_S - log_found_S)
    return torch.where(recorded_S | error_S.isnan(), error_S, 1.0).mean()


@dataclass(frozen=True)
class SigmoidF1Loss:
    """:func:`sigmoid_f1` on the pairs of a batch."""

    beta: float
    eta: float
    needs_background: bool = False

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in 0..1."""
        positives = open_batch(batch, self.needs_background)
        if batch.logits_BS.numel() == 0:
            return empty_loss(batch)
        present_BS = torch.zeros_like(batch.logits_BS, dtype=torch.bool)
        present_BS = present_BS.index_put((positives.row_P, positives.species_P), present_BS.new_ones(()))
        return mean_error(self.beta * (widen(batch.logits_BS) + self.eta), present_BS)


class SigmoidF1Settings(LossSettings):
    """Sigmoid F1: the mean over species of 1 - F1 over the rows of a batch, with scores for decisions.

    Args:
        beta: Steepness of the decision, > 0.
        eta: What is added to the logits: a pair is called present above -eta.
    """

    loss: Literal["sigmoid_f1"]
    beta: float = Field(default=1.0, gt=0)
    eta: float = 0.0

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The loss, which needs to know nothing of the training set."""
        return SigmoidF1Loss(self.beta, self.eta)
