"""Maxent as a neural loss: for every species a softmax over sites.

Shape legend: B rows of a batch, S species, K background sites, P positives (records).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from presence_only.losses.argument_checks import check_background, check_flag, check_floating
from presence_only.losses.base import BatchLoss, LossBatch, LossSettings, TrainingCounts, empty_loss, open_batch
from presence_only.losses.host_reads import keep
from presence_only.losses.negatives import Positives, at_pairs, open_targets, zero
from presence_only.losses.numerics import finite_logits, softplus, widen
from presence_only.losses.species_weights import Weighting, check_species_weights, weights_by_records


def maxent(
    logits_BS: Tensor,
    targets_BS: Tensor,
    background_KS: Tensor,
    *,
    background_mask_KS: Tensor | None = None,
    include_presences: bool = True,
    species_weights_S: Tensor | None = None,
) -> Tensor:
    """How surely each species' records are picked out among the sites of its sum.

    For every species s: log sum over sites of exp(x'_ks) - sum_i y_is x_is / n_s, where the sites are
    the background and the species' own n_s records in the batch; then the weighted mean over the species
    present in the batch. It is the negative log-likelihood of Maxent, with logits in place of linear
    features; only differences of a species' logits between sites matter, so it says nothing about how
    common a species is.

    Lower bound: the sum over sites is at least the sum over the records of exp(x_is), which by the
    convexity of exp is at least n_s exp(sum_i y_is x_is / n_s). So the term of a species is at least
    log n_s, and the loss at least the weighted mean of log n_s, which is >= 0. Both are reached in the
    limit of equal records far above the background. With ``include_presences=False`` there is no bound:
    raising all records by c lowers the loss by c, and a flexible network does so as long as it trains.

    Which presences: Maxent adds to the background of a species its own records (its option
    ``addsamplestobackground``, which is on by default). Records of other species are a choice of background,
    the target group. DeepMaxent sums over all rows of a batch, whichever species they hold, which is
    both at once.

    Target groups: pass sites that observers of the group visited as background, and where there are
    several groups ``background_mask_KS`` tells which species a site counts for. A species that no
    background site counts for has no term.

    Source: Phillips et al. (2006), https://doi.org/10.1016/j.ecolmodel.2005.03.026; as a neural loss
    DeepMaxent, Ryckewaert et al. (2024), https://arxiv.org/abs/2412.19217; target groups Phillips et al.
    (2009), https://doi.org/10.1890/07-2153.1

    Args:
        logits_BS: Logits at the recorded sites; an infinite one counts as +-1e30, to be compared with others.
        targets_BS: Exactly 0 or 1, the same shape; integers and bools are cast.
        background_KS: Logits at background sites, at least one.
        background_mask_KS: Which species a background site counts for, bool; None: all.
        include_presences: Whether a species' own records join its sum over sites, as in Maxent. False
            leaves the loss without a lower bound.
        species_weights_S: Weights of the mean over species, >= 0; None: all alike.

    Returns:
        Scalar loss in nats. A batch without records gives a 0 that back-propagates.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes disagree, there is no background site, a target is neither 0 nor 1, or a
            weight is negative, NaN or infinite.
    """
    positives = open_targets(logits_BS, targets_BS, as_pairs=True)
    check_floating("background_KS", background_KS, 2)
    check_background(background_KS, background_mask_KS, logits_BS)
    check_flag("include_presences", include_presences)
    weights_S = torch.ones(logits_BS.shape[1], device=logits_BS.device, dtype=widen(logits_BS[:0]).dtype)
    given_S = check_species_weights(species_weights_S, logits_BS.shape[1])
    if given_S is not None:
        weights_S = given_S.to(weights_S)
    if logits_BS.numel() == 0:
        return zero(logits_BS, background_KS)
    logits_BS, background_KS = finite_logits(logits_BS), finite_logits(background_KS)
    if logits_BS.dtype != background_KS.dtype:
        common = torch.promote_types(logits_BS.dtype, background_KS.dtype)
        logits_BS, background_KS = logits_BS.to(common), background_KS.to(common)
    surprise_P, species_P, counted_P = record_surprise(
        logits_BS, positives, background_KS, background_mask_KS, include_presences=include_presences
    )
    records_S = torch.bincount(species_P[counted_P], minlength=len(weights_S))
    total_weight = weights_S[records_S > 0].sum()
    weight_P = (weights_S / records_S.clamp(min=1))[species_P]
    return (weight_P * surprise_P).sum() / torch.where(total_weight > 0, total_weight, 1.0)


def record_surprise(
    logits_BS: Tensor,
    positives: Positives,
    background_KS: Tensor,
    mask_KS: Tensor | None,
    *,
    include_presences: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Log sum over sites of exp(x'_ks) - x_is for every record (i, s) whose species has a site.

    Returns:
        The values in nats, the species of each, and whether its species has a site. On the CPU, records of a species
        without a site are left out; on a GPU, where their number would be waited for, their value is 0.

    Raises:
        ValueError: If there is no background site.
    """
    if len(background_KS) == 0:
        raise ValueError(f"background_KS has shape {tuple(background_KS.shape)}: must have at least one row")
    x_KS = widen(background_KS)
    if mask_KS is not None:
        x_KS = x_KS.masked_fill(~mask_KS, -torch.inf)
    top_S, leader_S = x_KS.detach().max(dim=0)
    usable_S = top_S != -torch.inf  # NaN is usable: it has to reach the result
    counted_P, row_P, species_P = keep(usable_S[positives.species_P], positives.row_P, positives.species_P)
    x_P = at_pairs(logits_BS, row_P, species_P)
    top_S = torch.where(usable_S, top_S, 0.0)
    if include_presences:
        surprise_P = _among_both(x_P, species_P, x_KS, top_S)
        return torch.where(counted_P, surprise_P, 0.0), species_P, counted_P
    # Differences from the largest logit are exact where they matter, and log1p keeps the digits of
    # the rest of the sum; expm1 of the largest one adds nothing but its slope.
    d_KS = x_KS - top_S
    d_top_S = torch.where(usable_S, d_KS.gather(0, leader_S[None])[0], 0.0)
    rest_S = torch.exp(d_KS).scatter(0, leader_S[None], 0.0).sum(dim=0) + torch.expm1(d_top_S)
    surprise_P = torch.log1p(rest_S)[species_P] - (x_P - top_S[species_P])
    return torch.where(counted_P, surprise_P, 0.0), species_P, counted_P


def _among_both(x_P: Tensor, species_P: Tensor, x_KS: Tensor, top_background_S: Tensor) -> Tensor:
    """The surprise of every record among the background and all records of its species.

    log(Z) - x_i = softplus(log(Z - exp(x_i)) - x_i): written with the sum over all *other* sites it is
    exact also where the record outweighs them all.
    """
    n_species = len(top_background_S)
    top_S = top_background_S.scatter_reduce(0, species_P, x_P.detach(), "amax")
    others_S = torch.exp(x_KS - top_S).sum(dim=0)
    d_P = x_P - top_S[species_P]
    e_P = torch.exp(d_P)
    # One record per species may hold the largest logit; the sum of the others must not be a difference.
    index_P = torch.arange(len(x_P), device=x_P.device)
    at_top_P = torch.where(d_P.detach() == 0, index_P, len(x_P))
    leader_S = index_P.new_full((n_species,), len(x_P)).scatter_reduce(0, species_P, at_top_P, "amin")
    leads_P = leader_S[species_P] == index_P
    led_S = others_S.index_add(0, species_P, torch.where(leads_P, 0.0, e_P))
    lead_S = torch.zeros_like(others_S).index_add(0, species_P, torch.where(leads_P, e_P, 0.0))
    others_P = torch.where(leads_P, led_S[species_P], led_S[species_P] - e_P + lead_S[species_P])
    alone_P = others_P <= 0  # all others underflow: nothing is left to be surprised by
    return torch.where(alone_P, 0.0, softplus(torch.log(torch.where(alone_P, 1.0, others_P)) - d_P))


@dataclass(frozen=True)
class MaxentLoss:
    """:func:`maxent` on the pairs of a batch, with weights of the whole training set.

    (N / B) * sum over the batch's records of (w_s / n_s) * surprise / sum of w, with n_s and N of the
    training set, so that a species weighs w_s however often it meets a batch.

    The sum over sites is the batch's: its background and, with ``include_presences``, the b_s records of the
    species in it. Without these, the mean over equal batches with the same background is the loss of the
    whole set. With them, the loss of a batch is at least (N / B) * sum over s of (w_s / n_s) * b_s log b_s
    / sum of w, which is >= 0; see :func:`maxent`.
    """

    record_weight_S: Tensor
    include_presences: bool
    needs_background: bool = True

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats."""
        positives = open_batch(batch, self.needs_background)
        assert batch.background_KS is not None  # open_batch saw to it
        if batch.logits_BS.numel() == 0:
            return empty_loss(batch)
        surprise_P, species_P, _ = record_surprise(
            batch.logits_BS,
            positives,
            batch.background_KS,
            batch.background_mask_KS,
            include_presences=self.include_presences,
        )
        weight_P = self.record_weight_S.to(surprise_P)[species_P]
        return (weight_P * surprise_P).sum() / len(batch.logits_BS)


class MaxentSettings(LossSettings):
    """Maxent as a neural loss: for every species a softmax over sites.

    Args:
        include_presences: Whether a species' own records join its sum over sites, as in Maxent; without
            them the loss has no lower bound.
        weighting: Weight of a species with n records: ``uniform`` 1, ``sqrt`` sqrt(n), ``records`` n
            (every record alike, so that abundant species rule).
    """

    loss: Literal["maxent"]
    include_presences: bool = True
    weighting: Weighting = "uniform"

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The loss with the weights of the training set."""
        n_S = counts.records_per_species_S
        weight_S = weights_by_records(n_S, self.weighting)
        record_weight_S = counts.n_rows * weight_S / n_S.clamp(min=1) / weight_S.sum()
        return MaxentLoss(record_weight_S, self.include_presences)
