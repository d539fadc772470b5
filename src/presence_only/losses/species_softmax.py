"""Softmax over species: which of all species was recorded at a site.

Shape legend: B rows of a batch, S species, K background sites, D embedding, P positives (records), J species taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from presence_only.losses.argument_checks import check_number
from presence_only.losses.base import (
    LEAST,
    BatchTotals,
    LossBatch,
    LossSettings,
    TrainingCounts,
    empty_loss,
    open_batch,
)
from presence_only.losses.chunks import batch_without_logits
from presence_only.losses.host_reads import count_each
from presence_only.losses.negatives import Positives, open_targets, zero
from presence_only.losses.numerics import finite_logits, widen
from presence_only.losses.sampled_species import SpeciesSample
from presence_only.losses.scalable import ScalableLoss
from presence_only.losses.softmax_rows import rows_from_logits, walk_rows
from presence_only.losses.species_race import draw_by_race, log_uniform_rates


def species_softmax(logits_BS: Tensor, targets_BS: Tensor, *, normalisation: float = 0.0) -> Tensor:
    """How surely a row's species are picked out among all species.

    Mean over the rows that hold a species of z_i - (1 / n_i) * sum_s y_is x_is + normalisation * z_i^2, where z_i is
    log(sum over species of exp(x_is)) and n_i the number of species of row i. Without the last term it is the
    cross-entropy of softmax(x_i) with the uniform distribution over the species of the row, at least log n_i a row.

    It is about shares of records: a number added to all logits of a row changes nothing, so the logits of two sites can
    be compared only after z was taken off both. With ``normalisation`` > 0, z is drawn towards 0, and a logit towards
    the logarithm of its species' share, which can be compared.

    Source: with one species a row the loss of classifiers, with species as classes in Botella et al. (2018),
    https://doi.org/10.1007/978-3-319-76445-0_10, in Deneu et al. (2021), https://doi.org/10.1371/journal.pcbi.1008856,
    and in the baselines of GeoLifeCLEF, https://github.com/plantnet/malpolon. The last term: Devlin et al. (2014),
    https://aclanthology.org/P14-1129

    Args:
        logits_BS: Logits; an infinite one counts as +-1e30, so that it can be compared with others.
        targets_BS: Exactly 0 or 1, the same shape; integers and bools are cast.
        normalisation: Weight of z^2, >= 0.

    Returns:
        Scalar loss in nats. A batch without records gives a 0 that back-propagates.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If the shapes differ, a target is neither 0 nor 1, or the weight is negative, NaN or infinite.
    """
    normalisation = check_number("normalisation", normalisation, 0)
    positives = open_targets(logits_BS, targets_BS, as_pairs=True)
    if logits_BS.numel() == 0:
        return zero(logits_BS)
    losses_B = rows_from_logits(finite_logits(logits_BS), positives, normalisation)
    return (losses_B * row_weights(positives, None).to(losses_B)).sum()


def row_weights(positives: Positives, totals: BatchTotals | None) -> Tensor:
    """The weight of every row in the mean over rows with a positive, float64 (B,).

    Args:
        positives: The observed pairs.
        totals: Sizes of the whole batch, where these rows are a part of it.
    """
    recorded_B = (count_each(positives.row_P, positives.n_rows) > 0).double()
    if totals is None:
        return recorded_B / recorded_B.sum().clamp(min=1)
    return recorded_B / max(totals.n_rows if totals.n_recorded is None else totals.n_recorded, 1)


@dataclass(frozen=True)
class SpeciesSoftmax:
    """:func:`species_softmax` of a batch, from all logits, in chunks, or from sampled species.

    From sampled species, the sum over species of exp(x) is estimated: the species observed in the batch count as they
    are, the drawn others times how many each stands for (``species_race.py``), which is a logit less the logarithm of
    the species' expected count. Given the batch, this sum is unbiased. Its logarithm, and with it the loss, is low on
    average, for small errors by half of the squared relative error of the sum, and consistent: the error goes to 0 as
    more species are drawn, and is 0 with all.

    Source: Bengio and Senecal (2008), https://doi.org/10.1109/TNN.2007.912312; Jean et al. (2015),
    https://arxiv.org/abs/1412.2007

    Args:
        rate_S: Probability that a draw takes a species, float64.
        normalisation: Weight of z^2.
    """

    rate_S: Tensor
    normalisation: float = 0.0
    needs_background: bool = False

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch from all its logits, or a part's share of it: a scalar in nats."""
        positives = open_batch(batch, self.needs_background)
        if batch.logits_BS.numel() == 0:
            return empty_loss(batch)
        losses_B = rows_from_logits(batch.logits_BS, positives, self.normalisation)
        return (losses_B * row_weights(positives, batch.totals).to(losses_B)).sum()

    def in_chunks(
        self,
        location_BD: Tensor,
        species_SD: Tensor,
        row_P: Tensor,
        species_P: Tensor,
        *,
        start_S: Tensor | None = None,
        background_KD: Tensor | None = None,
        background_mask_KS: Tensor | None = None,
        totals: BatchTotals | None = None,
        distinct: bool = False,
        products: torch.dtype | None = None,
    ) -> Tensor:
        """The loss without logits of all pairs; see :class:`~presence_only.losses.scalable.ScalableLoss`.

        Raises:
            TypeError: If an argument has the wrong type.
            ValueError: If shapes or indices disagree, or a background is given.
        """
        matrices = (location_BD, species_SD, row_P, species_P, start_S, background_KD, background_mask_KS)
        batch = batch_without_logits(*matrices, distinct=distinct)
        positives = open_batch(batch, self.needs_background)
        if batch.logits_BS.numel() == 0:
            return zero(*(x for x in (location_BD, species_SD, start_S) if x is not None))
        weight_B = row_weights(positives, totals).to(widen(location_BD[:0]).dtype)
        return walk_rows(location_BD, species_SD, positives, weight_B, self.normalisation, start_S, products)

    def draw_species(
        self, species_P: Tensor, n_species: int, n_sampled: int, generator: torch.Generator
    ) -> SpeciesSample:
        """The species of one step: those observed in the batch, and others, common ones more often than rare ones."""
        return draw_by_race(self.rate_S, species_P, n_sampled, generator)

    def from_sample(
        self,
        sample: SpeciesSample,
        n_species: int,
        location_BD: Tensor,
        species_JD: Tensor,
        row_P: Tensor,
        species_P: Tensor,
        *,
        start_S: Tensor | None = None,
        background_KD: Tensor | None = None,
        background_mask_KS: Tensor | None = None,
        totals: BatchTotals | None = None,
        distinct: bool = False,
        products: torch.dtype | None = None,
    ) -> Tensor:
        """The estimate from some rows of the species matrix: their loss, with corrected logits, is that of all."""
        corrected_J = torch.log(sample.factor_J).to(widen(species_JD[:0]).dtype)
        return self.in_chunks(
            location_BD,
            species_JD,
            row_P,
            torch.searchsorted(sample.species_J, species_P),
            start_S=corrected_J if start_S is None else corrected_J + start_S[sample.species_J],
            background_KD=background_KD,
            background_mask_KS=background_mask_KS,
            totals=totals,
            distinct=distinct,
            products=products,
        )


class SoftmaxSettings(LossSettings):
    """Softmax over species: which of all species was recorded at a site.

    Args:
        normalisation: Weight of the squared logarithm of a row's sum over species of exp(x), which lets logits become
            logarithms of shares. With 0, logits of different sites cannot be compared.
    """

    sampling_pays_from = 5000

    loss: Literal["softmax"]
    normalisation: float = Field(default=0.0, ge=0)

    def balance(self, counts: TrainingCounts) -> Tensor:
        """The logarithm of every species' share of the records.

        The constants that are least are known up to one number for all; this choice has exp(x) add up to 1. It is exact
        where all rows hold equally many species. Where they do not, the share of a species is its rows' sum of 1 / n_i,
        which counts do not tell. A species without a record is given one half.
        """
        records_S = counts.records_per_species_S.double().clamp(min=LEAST)
        return torch.log(records_S / records_S.sum())

    def build(self, counts: TrainingCounts) -> ScalableLoss:
        """The loss, with the order of the species by their number of records."""
        return SpeciesSoftmax(log_uniform_rates(counts.records_per_species_S), self.normalisation)
