"""Pairwise ranking (BPR, WARP): a record should score higher than a partner without one.

Shape legend: B rows of a batch, S species, K background sites, P positives (records), T pairs per record, N candidates.

A partner of a record is another site for the same species (spatial), or another species at the same site (community).
Only differences of logits matter: spatial ranking says nothing about how common a species is, community ranking nothing
about how many species a site has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from presence_only.common.settings import Need, SettingsError
from presence_only.losses.argument_checks import check_background, check_choice, check_count
from presence_only.losses.base import BatchLoss, LossBatch, LossSettings, TrainingCounts, empty_loss, open_batch
from presence_only.losses.host_reads import count_each
from presence_only.losses.negatives import (
    Absences,
    Positives,
    at_pairs,
    draw_background_sites,
    draw_other_rows,
    draw_other_species,
    open_targets,
    zero,
)
from presence_only.losses.numerics import finite_logits, softplus

PAIRS = ("spatial", "community", "both")
SITES = ("batch", "background", "both")
WEIGHTS = ("uniform", "warp")
# How far above a partner a record has to be, to be no violation of the order for WARP.
MARGIN = 1.0


def pairwise_ranking(
    logits_BS: Tensor,
    targets_BS: Tensor,
    background_KS: Tensor | None = None,
    *,
    background_mask_KS: Tensor | None = None,
    pairs: str = "spatial",
    sites: str = "batch",
    n_pairs: int = 1,
    weights: str = "uniform",
    generator: torch.Generator | None = None,
) -> Tensor:
    """How surely records score higher than partners that are drawn among pairs without a record.

    Mean over the records (i, s) that have a partner of the mean over ``n_pairs`` drawn partners of
    softplus(-(x_is - x_partner)). Partners are drawn uniformly, with replacement and anew for every record, so that
    the mean over draws is exactly that over all partners. Every record counts alike, and so a species by its records.

    Partners: with ``pairs="spatial"`` x_js at a site j without s, which is a row of the batch or a background site that
    counts for s; with ``"community"`` x_ir of a species r that was not recorded in row i. ``"both"`` is the sum of the
    two losses, and ``sites="both"`` the mean of the two spatial ones.

    ``weights="warp"``: the partners are drawn one after the other until one violates the order, x_partner > x_is - 1,
    and at most ``n_pairs`` times. This pair alone costs, L(r) softplus(-(x_is - x_partner)) with L(r) = 1 + 1/2 + ...
    + 1/r, where r = max(1, floor(N / draws)) estimates how many of the record's N partners violate the order. A record
    none of whose draws does costs nothing. This is no unbiased estimate of a sum over all pairs, and is not meant to
    be: its weights favour records that stand low among their partners, and grow slower than the rank.

    Source: Rendle et al. (2009), BPR-Opt without its regularisation, https://arxiv.org/abs/1205.2618; WARP is Weston et
    al. (2011), https://www.ijcai.org/Abstract/11/460, with the softplus of BPR in place of the hinge

    Args:
        logits_BS: Logits at the rows; an infinite one counts as +-1e30, so that it can be compared with others.
        targets_BS: Exactly 0 or 1, the same shape; integers and bools are cast.
        background_KS: Logits at background sites; given if and only if partners are drawn there.
        background_mask_KS: Which species a background site counts for, bool; None: all.
        pairs: ``spatial``, ``community`` or ``both``.
        sites: Where spatial partners are drawn: ``batch``, ``background`` or ``both``.
        n_pairs: T, partners drawn per record and kind of partner, >= 1; for ``warp`` the most that are.
        weights: ``uniform`` or ``warp``.
        generator: Source of the draws; None: the default one.

    Returns:
        Scalar loss in nats per record. Without a record that has a partner it is a 0 that back-propagates.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes disagree, a target is neither 0 nor 1, a name is unknown, ``n_pairs`` is 0, or the
            background is missing or not asked for.
    """
    positives = open_targets(logits_BS, targets_BS, as_pairs=True)
    check_background(background_KS, background_mask_KS, logits_BS.shape[1])
    for name, value, known in (("pairs", pairs, PAIRS), ("sites", sites, SITES), ("weights", weights, WEIGHTS)):
        check_choice(name, value, known)
    if check_count("n_pairs", n_pairs) == 0:
        raise ValueError("n_pairs = 0: must be >= 1")
    loss = RankingLoss(pairs, sites, n_pairs, weights == "warp")
    if loss.needs_background != (background_KS is not None):
        rule = "must be given" if loss.needs_background else "must be None"
        raise ValueError(
            f"background_KS is {'missing' if loss.needs_background else 'given'}: {rule} with pairs = {pairs!r} and "
            f"sites = {sites!r}"
        )
    if logits_BS.numel() == 0:
        return zero(*(logits for logits in (logits_BS, background_KS) if logits is not None))
    far_KS = None if background_KS is None else finite_logits(background_KS)
    return loss.on_pairs(finite_logits(logits_BS), positives, far_KS, background_mask_KS, generator)


@dataclass(frozen=True)
class Partners:
    """One way to find partners: draws of one for every record, and where its logits are.

    Args:
        draws_T: T times one partner for every record, in the same order of records.
        logits_XS: Logits at the rows or sites of the partners.
        candidates_P: Number N of partners that each record could have, for all records of the batch.
        most: The largest that N can be.
    """

    draws_T: tuple[Absences, ...]
    logits_XS: Tensor
    candidates_P: Tensor
    most: int


@dataclass(frozen=True)
class RankingLoss:
    """:func:`pairwise_ranking` on the pairs of a batch.

    Args:
        pairs: ``spatial``, ``community`` or ``both``.
        sites: Where spatial partners are drawn: ``batch``, ``background`` or ``both``.
        n_pairs: Partners drawn per record and kind of partner.
        warp: Whether only the first violation counts, weighed by its rank.
    """

    pairs: str
    sites: str
    n_pairs: int
    warp: bool

    @property
    def needs_background(self) -> bool:
        """Whether partners are drawn from background sites."""
        return self.pairs != "community" and self.sites != "batch"

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats per record."""
        positives = open_batch(batch, self.needs_background)
        if batch.logits_BS.numel() == 0:
            return empty_loss(batch)
        return self.on_pairs(batch.logits_BS, positives, batch.background_KS, batch.background_mask_KS, batch.generator)

    def on_pairs(
        self,
        logits_BS: Tensor,
        positives: Positives,
        background_KS: Tensor | None,
        mask_KS: Tensor | None,
        generator: torch.Generator | None,
    ) -> Tensor:
        """The same on checked inputs."""
        loss = zero(*(logits for logits in (logits_BS, background_KS) if logits is not None))
        for share, partners in self._kinds(logits_BS, positives, background_KS, mask_KS, generator):
            loss = loss + share * self._mean(logits_BS, positives, partners)
        return loss

    def _kinds(
        self,
        logits_BS: Tensor,
        positives: Positives,
        background_KS: Tensor | None,
        mask_KS: Tensor | None,
        generator: torch.Generator | None,
    ) -> Iterator[tuple[float, Partners]]:
        """Every kind of partner, drawn, with the weight of its mean in the loss."""
        row_P, species_P, times = positives.row_P, positives.species_P, range(self.n_pairs)
        share = 0.5 if self.sites == "both" else 1.0
        if self.pairs != "community" and self.sites != "background":
            others_P = positives.n_rows - count_each(species_P, positives.n_species)[species_P]
            draws_T = tuple(draw_other_rows(positives, generator) for _ in times)
            yield share, Partners(draws_T, logits_BS, others_P, positives.n_rows)
        if self.needs_background:
            assert background_KS is not None  # both callers saw to it
            n_sites = len(background_KS)
            sites_P = torch.full_like(species_P, n_sites) if mask_KS is None else mask_KS.sum(dim=0)[species_P]
            draws_T = tuple(draw_background_sites(species_P, background_KS, mask_KS, generator) for _ in times)
            yield share, Partners(draws_T, background_KS, sites_P, n_sites)
        if self.pairs != "spatial":
            others_P = positives.unobserved_per_row_B()[row_P]
            draws_T = tuple(draw_other_species(positives, generator) for _ in times)
            yield 1.0, Partners(draws_T, logits_BS, others_P, positives.n_species)

    def _mean(self, logits_BS: Tensor, positives: Positives, partners: Partners) -> Tensor:
        """Mean over the records that have a partner."""
        first = partners.draws_T[0]
        record_P, counted_P = first.record_P, first.counted_P  # the same in every draw
        x_P = at_pairs(logits_BS, positives.row_P[record_P], positives.species_P[record_P])
        lead_TP = torch.stack([x_P - at_pairs(partners.logits_XS, d.row_P, d.species_P) for d in partners.draws_T])
        if self.warp:
            cost_P = first_violation(lead_TP, partners.candidates_P[record_P], partners.most)
        else:
            cost_P = softplus(-lead_TP).mean(dim=0)
        return torch.where(counted_P, cost_P, 0.0).sum() / counted_P.sum().clamp(min=1)


def first_violation(lead_TP: Tensor, candidates_P: Tensor, most: int) -> Tensor:
    """The cost of every record's first partner that violates the order, weighed by the rank that it tells.

    Args:
        lead_TP: By how much a record is above each of its partners, in the order of drawing.
        candidates_P: Number N of partners that a record could have, at least 1 where it counts.
        most: The largest that N can be.

    Returns:
        Costs (P,), 0 of a record without a violation.
    """
    n_drawn = len(lead_TP)
    turn_T1 = torch.arange(n_drawn, device=lead_TP.device)[:, None]
    violates_TP = ~(lead_TP >= MARGIN)  # NaN violates: it has to reach the result
    turn_P = torch.where(violates_TP, turn_T1, n_drawn).amin(dim=0)
    found_P = turn_P < n_drawn
    lead_P = lead_TP.gather(0, turn_P.clamp(max=n_drawn - 1)[None])[0]
    rank_P = (candidates_P // (turn_P + 1)).clamp(min=1)
    harmonic_N = (1 / torch.arange(1, max(most, 1) + 1, dtype=torch.float64, device=lead_TP.device)).cumsum(dim=0)
    weight_P = harmonic_N[rank_P - 1].to(lead_TP.dtype)
    return torch.where(found_P, weight_P * softplus(-lead_P), 0.0)


class RankingSettings(LossSettings):
    """Pairwise ranking (BPR, WARP): a record scores above sites, or species, without a record.

    Args:
        pairs: ``spatial`` compares a record with sites where its species was not recorded, ``community`` with species
            that were not recorded at its site; ``both`` is the sum of the two.
        sites: Where ``spatial`` finds sites: in the ``batch``, in the ``background``, or half of the loss from each.
        n_pairs: Partners drawn for a record, of each kind, >= 1. With ``weights: warp`` the most that are drawn.
        weights: ``uniform``, or ``warp``: the first violation alone, weighed by the estimated rank of the record.
    """

    needs: ClassVar[Mapping[str, Need]] = {
        "sites": Need(lambda ranking: ranking.pairs != "community", "pairs is 'spatial' or 'both'"),
    }

    loss: Literal["ranking"]
    pairs: Literal["spatial", "community", "both"] = "spatial"
    sites: Literal["batch", "background", "both"] = "batch"
    n_pairs: int = Field(default=1, ge=1, le=10_000)
    weights: Literal["uniform", "warp"] = "uniform"

    def balance(self, counts: TrainingCounts) -> Tensor:
        """0 for ``spatial``, which no constant of a species changes; else the logarithms of prevalences.

        A community in which every row has one record ranks r above s as often as r is recorded more: sigmoid(x_r -
        x_s) = n_r / (n_r + n_s). In lists of several independent species these would be log odds, which are the same
        for species that are not common.
        """
        share_S = counts.prevalence()
        return torch.zeros_like(share_S) if self.pairs == "spatial" else torch.log(share_S)

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The loss.

        Raises:
            SettingsError: If a row has no other species to compare with, for there is only one.
        """
        n_species = len(counts.records_per_species_S)
        if self.pairs != "spatial" and n_species < 2:
            raise SettingsError(
                f"loss 'ranking' with {n_species} species: pairs = {self.pairs!r} needs at least 2 species"
            )
        return RankingLoss(self.pairs, self.sites, self.n_pairs, self.weights == "warp")
