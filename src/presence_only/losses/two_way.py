"""Two-way loss: records above all unobserved pairs, among the species of a row and among the rows of a species.

Shape legend: B rows of a batch, S species, P positives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from presence_only.losses.argument_checks import check_number
from presence_only.losses.base import BatchLoss, LossBatch, LossSettings, TrainingCounts, empty_loss, open_batch
from presence_only.losses.negatives import open_targets, zero
from presence_only.losses.numerics import finite_logits, softplus, widen


def two_way(
    logits_BS: Tensor, targets_BS: Tensor, *, pos_temperature: float = 4.0, neg_temperature: float = 1.0
) -> Tensor:
    """How far the highest unobserved pairs lie above the lowest records, row by row and species by species.

    Of a group of pairs, softplus(T_n log sum over its unobserved pairs of exp(x / T_n) + T_p log sum over its records
    of exp(-x / T_p)): a smooth form of max(0, highest unobserved - lowest record), wider for larger temperatures. The
    loss is the mean over the rows that have a record, whose group are all species, and the mean over the species that
    have one, whose group are all rows. A group without unobserved pairs costs nothing, and counts in its mean.

    Source: Kobayashi (2023), Two-way multi-label loss, CVPR, https://github.com/tk1980/TwoWayMultiLabelLoss

    Args:
        logits_BS: Logits; an infinite one counts as +-1e30, so that it can be compared with others.
        targets_BS: Exactly 0 or 1, the same shape; integers and bools are cast.
        pos_temperature: T_p, finite and > 0.
        neg_temperature: T_n, finite and > 0.

    Returns:
        Scalar loss in nats. A batch without records gives a 0 that back-propagates.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes disagree, a target is neither 0 nor 1, or a temperature is out of range.
    """
    open_targets(logits_BS, targets_BS)
    pos_temperature = check_number("pos_temperature", pos_temperature, 0.0, open_ends="low")
    neg_temperature = check_number("neg_temperature", neg_temperature, 0.0, open_ends="low")
    if logits_BS.numel() == 0:
        return zero(logits_BS)
    return both_ways(finite_logits(logits_BS), targets_BS != 0, pos_temperature, neg_temperature)


def both_ways(logits_BS: Tensor, present_BS: Tensor, pos_temperature: float, neg_temperature: float) -> Tensor:
    """The mean over rows and that over species, on checked inputs."""
    x_BS = widen(logits_BS)
    return one_way(x_BS, present_BS, pos_temperature, neg_temperature, 1) + one_way(
        x_BS, present_BS, pos_temperature, neg_temperature, 0
    )


def one_way(x_BS: Tensor, present_BS: Tensor, pos_temperature: float, neg_temperature: float, dim: int) -> Tensor:
    """The mean over the groups along a dimension: 1, the species of a row; 0, the rows of a species."""
    recorded_G = present_BS.any(dim=dim)
    usable_G = recorded_G & ~present_BS.all(dim=dim)
    usable_BS, fixed_BS = usable_G.unsqueeze(dim), x_BS.detach()
    # Differences from the highest unobserved pair and from the lowest record are exact where they matter, and so is
    # the difference of these two, however large the logits are.
    highest_G = fixed_BS.masked_fill(present_BS, -torch.inf).amax(dim=dim)
    lowest_G = fixed_BS.masked_fill(~present_BS, torch.inf).amin(dim=dim)
    highest_G, lowest_G = (torch.where(usable_G, end_G, 0.0) for end_G in (highest_G, lowest_G))

    def log_sum(difference_BS: Tensor, member_BS: Tensor, temperature: float) -> Tensor:
        """T log sum over the members of exp(difference / T), 0 where a group is not used."""
        member_BS = member_BS | ~usable_BS
        inside_BS = torch.where(usable_BS, difference_BS / temperature, 0.0)
        return temperature * torch.logsumexp(torch.where(member_BS, inside_BS, -torch.inf), dim=dim)

    above_G = log_sum(x_BS - highest_G.unsqueeze(dim), ~present_BS, neg_temperature)
    below_G = log_sum(lowest_G.unsqueeze(dim) - x_BS, present_BS, pos_temperature)
    terms_G = softplus((highest_G - lowest_G) + above_G + below_G)
    return torch.where(usable_G, terms_G, 0.0).sum() / recorded_G.sum().clamp(min=1)


@dataclass(frozen=True)
class TwoWayLoss:
    """:func:`two_way` on the pairs of a batch."""

    pos_temperature: float
    neg_temperature: float
    needs_background: bool = False

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats."""
        positives = open_batch(batch, self.needs_background)
        if batch.logits_BS.numel() == 0:
            return empty_loss(batch)
        present_BS = torch.zeros_like(batch.logits_BS, dtype=torch.bool)
        present_BS = present_BS.index_put((positives.row_P, positives.species_P), present_BS.new_ones(()))
        return both_ways(batch.logits_BS, present_BS, self.pos_temperature, self.neg_temperature)


class TwoWaySettings(LossSettings):
    """Two-way loss: records above unobserved pairs, among the species of a row and the rows of a species.

    Args:
        pos_temperature: Of the lowest records, > 0: the larger, the more of them count.
        neg_temperature: Of the highest unobserved pairs, > 0.
    """

    loss: Literal["two_way"]
    pos_temperature: float = Field(default=4.0, gt=0)
    neg_temperature: float = Field(default=1.0, gt=0)

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The loss, which needs to know nothing of the training set."""
        return TwoWayLoss(self.pos_temperature, self.neg_temperature)
