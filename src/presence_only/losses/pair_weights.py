"""Dense losses: a weighted sum over all pairs of a site and a species, of which a loss states the weights.

``PairWeights`` is the loss. It is computed from all logits here, in chunks of species in ``chunks.py``, or from sampled
species in ``sampled_species.py``; these three know weights and a penalty, and no loss by name.

Shape legend: B rows of a batch, S species, K background sites, P positives.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from presence_only.losses.base import (
    BatchLoss,
    BatchTotals,
    LossBatch,
    LossSettings,
    TrainingCounts,
    empty_loss,
    open_batch,
)
from presence_only.losses.host_reads import on_host
from presence_only.losses.negatives import Positives, at_pairs, unobserved_terms
from presence_only.losses.penalties import Penalty

Weight = float | Tensor


@dataclass(frozen=True)
class PairWeights:
    """What every pair weighs; a weight is a number, or one number per species, shape (S,).

    (1 / BS) [sum over recorded pairs of positive * pos(x) + sum over the other pairs of unobserved * neg(x)]
    + background * mean over species of the mean over the species' background sites of neg(x'),
    where pos and neg are the two curves of the penalty.

    Args:
        penalty: How one pair is penalised.
        positive: Weight of recorded pairs.
        unobserved: Weight of the other pairs of the rows.
        background: Weight of the background sites, >= 0; 0: the loss uses none.
        background_as_rows: Whether background sites are further rows without any species: their pairs join the mean
            over pairs, which is then over B S + background * (number of background pairs).
        background_penalty: Another penalty of the background pairs; None: the same.
    """

    penalty: Penalty
    positive: Weight = 1.0
    unobserved: Weight = 1.0
    background: float = 0.0
    background_as_rows: bool = False
    background_penalty: Penalty | None = None

    @property
    def needs_background(self) -> bool:
        """Whether background sites are assumed empty."""
        return self.background > 0

    @property
    def far_penalty(self) -> Penalty:
        """The penalty of background pairs."""
        return self.penalty if self.background_penalty is None else self.background_penalty

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch from all its logits, or a part's share of it: a scalar in nats.

        Raises:
            TypeError: If a part of the batch has the wrong type.
            ValueError: If parts disagree, or the background is missing or not asked for.
        """
        positives = open_batch(batch, self.needs_background)
        n_rows = len(batch.logits_BS) if batch.totals is None else batch.totals.n_rows
        if n_rows == 0 or batch.logits_BS.shape[1] == 0:
            return empty_loss(batch)
        return loss_from_all_logits(
            self, batch.logits_BS, positives, batch.background_KS, batch.background_mask_KS, batch.totals
        )

    def divisors(self, totals: BatchTotals, n_species: int) -> tuple[float | Tensor, float | Tensor]:
        """What the sum over pairs of rows is divided by, and that over background pairs, per species if (S,)."""
        sites_S, n_rows, n_sites = totals.sites_per_species_S, totals.n_rows, totals.n_sites
        if self.background_as_rows:
            n_far: int | Tensor = n_sites * n_species
            if sites_S is not None:
                n_far = int(sites_S.sum()) if on_host(sites_S) else sites_S.sum().double()
            together = n_rows * n_species + self.background * n_far
            return together, together
        if sites_S is None:
            return n_rows * n_species, max(n_sites * n_species, 1)
        return n_rows * n_species, n_species * sites_S.clamp(min=1)

    def per_pair(self, totals: BatchTotals, n_species: int) -> tuple[Weight, Weight, Weight]:
        """The weights of recorded, unobserved and background pairs over their divisors, for a batch of this size."""
        near, far = self.divisors(totals, n_species)
        share = 1 / near
        background = self.background / (far.double() if isinstance(far, Tensor) else far)
        weights = (share * self.positive, share * self.unobserved, background)
        recorded, unobserved, background = (w.expand(n_species) if isinstance(w, Tensor) else w for w in weights)
        return recorded, unobserved, background


class DenseSettings(LossSettings):
    """Settings of a dense loss: they say its pair weights."""

    @abstractmethod
    def pair_weights(self, counts: TrainingCounts) -> PairWeights:
        """The loss as the weights of its pairs, given what it may know of the training set."""

    def expected_weights(self, counts: TrainingCounts) -> PairWeights | None:
        """The loss itself, or that which its draws estimate."""
        return self.pair_weights(counts)

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The loss, which is its pair weights."""
        return self.pair_weights(counts)


def one_absence_per_record(counts: TrainingCounts) -> Tensor:
    """Weights of unobserved pairs (S,) by which a species' absences together weigh as much as its records."""
    records_S = counts.records_per_species_S
    return records_S / (counts.n_rows - records_S).clamp(min=0.5)


def loss_from_all_logits(
    weights: PairWeights,
    logits_BS: Tensor,
    positives: Positives,
    background_KS: Tensor | None = None,
    mask_KS: Tensor | None = None,
    totals: BatchTotals | None = None,
) -> Tensor:
    """A dense loss from logits of all pairs, on checked inputs: a scalar in nats with any number of derivatives."""
    near = observed_sum(weights, logits_BS, positives) + unobserved_sum(weights, logits_BS, positives)
    return with_background(weights, near, logits_BS, background_KS, mask_KS, totals)


def observed_sum(weights: PairWeights, logits_BS: Tensor, positives: Positives) -> Tensor:
    """Sum over recorded pairs of ``positive`` * pos(x)."""
    terms_P = weights.penalty.positive(at_pairs(logits_BS, positives.row_P, positives.species_P))
    if isinstance(weights.positive, Tensor):
        return (weights.positive.to(terms_P)[positives.species_P] * terms_P).sum()
    return weights.positive * terms_P.sum()


def unobserved_sum(weights: PairWeights, logits_BS: Tensor, positives: Positives) -> Tensor:
    """Sum over the other pairs of the rows of ``unobserved`` * neg(x)."""
    terms_BS = unobserved_terms(weights.penalty, logits_BS, positives)
    if isinstance(weights.unobserved, Tensor):
        return (weights.unobserved.to(terms_BS) * terms_BS.sum(dim=0)).sum()
    return weights.unobserved * terms_BS.sum()


def with_background(
    weights: PairWeights,
    near: Tensor,
    logits_BS: Tensor,
    background_KS: Tensor | None,
    mask_KS: Tensor | None,
    totals: BatchTotals | None = None,
) -> Tensor:
    """The loss from its sum over the pairs of the rows: divided, and joined by that over background pairs.

    Args:
        weights: The loss.
        near: Sum over the pairs of the rows, a scalar.
        logits_BS: Logits at the rows, of which the shape counts.
        background_KS: Logits at background sites; None: there are none.
        mask_KS: Which species a background site counts for; None: all.
        totals: Sizes of the whole batch, where these pairs are a part of it.
    """
    n_rows, n_species = logits_BS.shape
    if totals is None:
        totals = BatchTotals.of(n_rows, 0 if background_KS is None else len(background_KS), mask_KS)
    n_near, n_far = weights.divisors(totals, n_species)
    if isinstance(n_near, Tensor):
        n_near = n_near.to(near.dtype)
    if background_KS is None:
        return near / n_near
    terms_KS = weights.far_penalty.negative(background_KS)
    if mask_KS is not None:
        terms_KS = torch.where(mask_KS, terms_KS, 0.0)
    if weights.background_as_rows:
        return (near + weights.background * terms_KS.sum()) / n_near
    if isinstance(n_far, Tensor):
        return near / n_near + weights.background * (terms_KS.sum(dim=0) / n_far.to(terms_KS.dtype)).sum()
    return near / n_near + weights.background * (terms_KS.sum() / n_far)
