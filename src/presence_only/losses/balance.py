"""Balanced logits: the score of every species, the same at all sites, at which a loss is least.

A model that could not tell sites apart would learn these logits. For cross-entropy they are the log odds of the weights
of presences against those of absences; focusing and margins move them.

Shape legend: S species.
"""

from __future__ import annotations

import torch
from torch import Tensor

from presence_only.losses.pair_weights import PairWeights, Weight

# Logits looked at, and halvings of their interval: to 1e-13.
FARTHEST, HALVINGS = 25.0, 48


def balanced_logits(weights: PairWeights, share_S: Tensor, sites_per_row_S: Tensor) -> Tensor:
    """The logits at which presences and absences of a species pull alike, float64 (S,), within -25..25.

    They solve a pos'(x) + b neg'(x) + c far'(x) = 0, where a, b and c are the expected weights of the species'
    recorded, unobserved and background pairs, by halving an interval: the left side is negative below its only root, as
    -pos' / neg' falls in x for every penalty of this package.

    Args:
        weights: The loss.
        share_S: Share of training rows that hold a species, within 0..1, both excluded.
        sites_per_row_S: Background sites of a batch that count for a species, per training row.
    """

    def per_species(weight: Weight) -> Tensor:
        return torch.as_tensor(weight, dtype=torch.float64).to(share_S.device).expand_as(share_S)

    present_S = per_species(weights.positive) * share_S
    absent_S = per_species(weights.unobserved) * (1 - share_S)
    # As rows they count one by one; else their mean does, if there are any.
    sites_S = sites_per_row_S if weights.background_as_rows else (sites_per_row_S > 0).double()
    far_S = weights.background * sites_S
    low_S = torch.full_like(share_S, -FARTHEST)
    high_S = -low_S
    for _ in range(HALVINGS):
        x_S = ((low_S + high_S) / 2).requires_grad_()
        with torch.enable_grad():
            near_S = present_S * weights.penalty.positive(x_S) + absent_S * weights.penalty.negative(x_S)
            value = (near_S + far_S * weights.far_penalty.negative(x_S)).sum()
            (slope_S,) = torch.autograd.grad(value, x_S)
        x_S = x_S.detach()
        low_S, high_S = torch.where(slope_S < 0, x_S, low_S), torch.where(slope_S < 0, high_S, x_S)
    balance_S = (low_S + high_S) / 2
    return balance_S if weights.shift_S is None else balance_S - weights.shift_S.to(balance_S)
