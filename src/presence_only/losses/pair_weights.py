"""Dense losses: a weighted sum over all pairs of a site and a species, of which a loss states the weights.

``PairWeights`` is the loss. It is computed from all logits here, in chunks of species in ``chunks.py``, or from sampled
species in ``sampled_species.py``; these three know weights and a penalty, and no loss by name.

Shape legend: B rows of a batch, S species, K background sites, P positives.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import Field
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
from presence_only.losses.chunks import loss_in_chunks
from presence_only.losses.host_reads import on_host
from presence_only.losses.negatives import Positives, at_pairs, unobserved_terms, zero
from presence_only.losses.numerics import widen
from presence_only.losses.penalties import Penalty, smoothed
from presence_only.losses.sampled_species import SpeciesSample, loss_from_sample

Weight = float | Tensor


@dataclass(frozen=True)
class PairWeights:
    """What every pair weighs; a weight is a number, or one number per species, shape (S,).

    (1 / BS) [sum over recorded pairs of positive * pos(x) + sum over the other pairs of unobserved * neg(x)]
    + background * mean over species of the mean over the species' background sites of neg(x'),
    where pos and neg are the two curves of the penalty, and x is the logit, shifted if the loss says so.

    Args:
        penalty: How one pair is penalised.
        positive: Weight of recorded pairs.
        unobserved: Weight of the other pairs of the rows.
        background: Weight of the background sites, >= 0; 0: the loss uses none. One number if ``background_as_rows``.
        background_as_rows: Whether background sites are further rows without any species: their pairs join the mean
            over pairs, which is then over B S + background * (number of background pairs).
        background_penalty: Another penalty of the background pairs; None: the same.
        shift_S: What is added to all logits of a species in training alone; None: nothing.
    """

    penalty: Penalty
    positive: Weight = 1.0
    unobserved: Weight = 1.0
    background: Weight = 0.0
    background_as_rows: bool = False
    background_penalty: Penalty | None = None
    shift_S: Tensor | None = None

    @property
    def needs_background(self) -> bool:
        """Whether background sites are assumed empty."""
        return isinstance(self.background, Tensor) or self.background > 0

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

    def in_chunks(
        self, location_BD: Tensor, species_SD: Tensor, row_P: Tensor, species_P: Tensor, **more: Any
    ) -> Tensor:
        """:func:`~presence_only.losses.chunks.loss_in_chunks`, whose further arguments it takes."""
        return loss_in_chunks(self, location_BD, species_SD, row_P, species_P, **more)

    def draw_species(
        self, species_P: Tensor, n_species: int, n_sampled: int, generator: torch.Generator
    ) -> SpeciesSample:
        """The observed species, and others that are all alike likely."""
        return SpeciesSample.draw(species_P, n_species, n_sampled, generator)

    def from_sample(
        self,
        sample: SpeciesSample,
        n_species: int,
        location_BD: Tensor,
        species_JD: Tensor,
        row_P: Tensor,
        species_P: Tensor,
        **more: Any,
    ) -> Tensor:
        """:func:`~presence_only.losses.sampled_species.loss_from_sample`, whose further arguments it takes."""
        return loss_from_sample(self, sample, n_species, location_BD, species_JD, row_P, species_P, **more)

    def shifted(self, logits_XS: Tensor) -> Tensor:
        """The logits that are penalised, at rows or at background sites."""
        if self.shift_S is None:
            return logits_XS
        x_XS = widen(logits_XS)
        return x_XS + self.shift_S.to(x_XS)

    def start(self, start_S: Tensor | None) -> Tensor | None:
        """The start of a model, and the shift of training."""
        if self.shift_S is None or start_S is None:
            return self.shift_S if start_S is None else start_S
        return start_S + self.shift_S.to(start_S)

    def divisors(self, totals: BatchTotals, n_species: int) -> tuple[float | Tensor, float | Tensor]:
        """What the sum over pairs of rows is divided by, and that over background pairs, per species if (S,)."""
        sites_S, n_rows, n_sites = totals.sites_per_species_S, totals.n_rows, totals.n_sites
        if self.background_as_rows:
            assert not isinstance(self.background, Tensor)
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


class LabelledSettings(DenseSettings):
    """Settings of a dense loss whose pairs have the labels 1 and 0: recorded, or assumed absent.

    Args:
        label_smoothing: e in [0, 0.5): labels are 1 - e and e. A pair then costs the mean of its penalty's two curves
            in these shares.
        logit_adjustment: tau >= 0: training adds tau * log(pi_s / (1 - pi_s)) to a species' logits, pi_s being the
            share of training rows that hold it; what the model predicts is without.
    """

    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    logit_adjustment: float = Field(default=0.0, ge=0)

    @abstractmethod
    def hard_weights(self, counts: TrainingCounts) -> PairWeights:
        """The loss with labels 1 and 0 and unshifted logits, as the weights of its pairs."""

    def pair_weights(self, counts: TrainingCounts) -> PairWeights:
        """The loss with its labels smoothed and its logits shifted."""
        weights = self.hard_weights(counts)
        if self.logit_adjustment > 0:
            weights = replace(weights, shift_S=self.logit_adjustment * torch.logit(counts.prevalence()))
        return with_smoothing(weights, self.label_smoothing)


def with_smoothing(weights: PairWeights, label_smoothing: float) -> PairWeights:
    """A loss whose labels are 1 - e and e, those of its background too unless it has a penalty of its own."""
    return replace(weights, penalty=smoothed(weights.penalty, label_smoothing))


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
    logits_BS = weights.shifted(logits_BS)
    near = observed_sum(weights, logits_BS, positives) + unobserved_sum(weights, logits_BS, positives)
    return with_background(weights, near, logits_BS, background_KS, mask_KS, totals)


def observed_sum(weights: PairWeights, logits_BS: Tensor, positives: Positives) -> Tensor:
    """Sum over recorded pairs of ``positive`` * pos(x)."""
    if positives.present_BS is not None:
        terms_BS = torch.where(positives.present_BS, weights.penalty.positive(widen(logits_BS)), 0.0)
        if isinstance(weights.positive, Tensor):
            return (weights.positive.to(terms_BS) * terms_BS.sum(dim=0)).sum()
        return weights.positive * terms_BS.sum()
    terms_P = weights.penalty.positive(at_pairs(logits_BS, positives.row_P, positives.species_P))
    if isinstance(weights.positive, Tensor):
        return (weights.positive.to(terms_P)[positives.species_P] * terms_P).sum()
    return weights.positive * terms_P.sum()


def unobserved_sum(weights: PairWeights, logits_BS: Tensor, positives: Positives) -> Tensor:
    """Sum over the other pairs of the rows of ``unobserved`` * neg(x)."""
    if not isinstance(weights.unobserved, Tensor) and weights.unobserved == 0:
        return zero(logits_BS)
    terms_BS = unobserved_terms(weights.penalty, logits_BS, positives)
    if isinstance(weights.unobserved, Tensor):
        return _weighed(weights.unobserved, terms_BS.sum(dim=0))
    return weights.unobserved * terms_BS.sum()


def _weighed(weight_S: Tensor, cost_S: Tensor) -> Tensor:
    """Sum over species of weight times cost; what weighs nothing is not looked at, be it infinite or NaN."""
    weight_S = weight_S.to(cost_S)
    return torch.where(weight_S != 0, weight_S * cost_S, 0.0).sum()


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
    terms_KS = weights.far_penalty.negative(weights.shifted(background_KS))
    if mask_KS is not None:
        terms_KS = torch.where(mask_KS, terms_KS, 0.0)
    if weights.background_as_rows:
        return (near + weights.background * terms_KS.sum()) / n_near
    if isinstance(weights.background, Tensor):
        far = n_far.to(terms_KS.dtype) if isinstance(n_far, Tensor) else n_far
        return near / n_near + _weighed(weights.background, terms_KS.sum(dim=0) / far)
    if isinstance(n_far, Tensor):
        return near / n_near + weights.background * (terms_KS.sum(dim=0) / n_far.to(terms_KS.dtype)).sum()
    return near / n_near + weights.background * (terms_KS.sum() / n_far)
