"""SINR's six losses for presence-only records: AN-full, AN-SLDS, AN-SSDL and their maximum-entropy forms.

Shape legend: B rows of a batch, S species, K background sites, P positives (records).

All six are one of three choices of negatives (full, SLDS, SSDL) with one of two penalties of an
assumed absence (cross-entropy, or minus the entropy: ``_me``). SINR's own code adds 1e-5 inside every
logarithm; here the logarithms are exact.

The public functions take one recorded species per row, as SINR does. In the pipeline a row may be a
checklist: there every positive pair is a record, and no recorded species of a row is ever a negative
of that row. With one record a row both are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from presence_only.losses.argument_checks import (
    check_background,
    check_floating,
    check_generator,
    check_has_values,
    check_indices,
    check_number,
    check_same_shape,
)
from presence_only.losses.base import BatchLoss, LossBatch, LossSettings, PenaltySettings, TrainingCounts, open_batch
from presence_only.losses.negatives import (
    Absences,
    Positives,
    at_pairs,
    draw_background_sites,
    draw_other_species,
    zero,
)
from presence_only.losses.pair_weights import (
    LabelledSettings,
    PairWeights,
    loss_from_all_logits,
    one_absence_per_record,
)
from presence_only.losses.penalties import CrossEntropy, MaximumEntropy, Penalty

SINR_LAMBDA = 2048.0


def an_full(logits_BS: Tensor, species_B: Tensor, background_BS: Tensor, *, pos_lambda: float = SINR_LAMBDA) -> Tensor:
    """Treat every unrecorded species at a site, and all species at a background site, as absent.

    (1/BS) sum_i [pos_lambda softplus(-x_ic) + sum over j != c of softplus(x_ij)], plus the mean of
    softplus(x') over the background, c the species recorded in row i.

    Source: L_AN-full of Cole et al. (2023), https://arxiv.org/abs/2306.02564

    Args:
        logits_BS: Logits at the recorded sites.
        species_B: The one species recorded in every row, int, 0 <= index < S.
        background_BS: Logits at random sites, uniform on the sphere (sin(latitude) is uniform); any
            number of rows >= 1.
        pos_lambda: Weight of the one recorded presence per row, finite and > 0.

    Returns:
        Scalar loss in nats, averaged over (site, species) pairs. An empty batch gives a 0 that back-propagates.

    Raises:
        TypeError: If an argument has the wrong type or dtype.
        ValueError: If ``pos_lambda`` is not positive, an index is out of range or the shapes disagree.
    """
    return _full(CrossEntropy(), logits_BS, species_B, background_BS, pos_lambda)


def an_full_me(
    logits_BS: Tensor, species_B: Tensor, background_BS: Tensor, *, pos_lambda: float = SINR_LAMBDA
) -> Tensor:
    """:func:`an_full` with minus the entropy, p log p + q log q, in place of every assumed absence.

    Source: the maximum-entropy form of L_AN-full of Cole et al. (2023), https://arxiv.org/abs/2306.02564

    Args:
        logits_BS: Logits at the recorded sites.
        species_B: The one species recorded in every row.
        background_BS: Logits at random sites; any number of rows >= 1.
        pos_lambda: Weight of the one recorded presence per row, finite and > 0.

    Returns:
        Scalar loss in nats; it may be negative, down to -2 log 2.

    Raises:
        TypeError: If an argument has the wrong type or dtype.
        ValueError: If ``pos_lambda`` is not positive, an index is out of range or the shapes disagree.
    """
    return _full(MaximumEntropy(), logits_BS, species_B, background_BS, pos_lambda)


def an_slds(logits_BS: Tensor, species_B: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """One assumed absence per record: the same location, another species.

    Mean over rows of softplus(-x_ic) + softplus(x_ib), b uniform on the S - 1 species other than c.

    Source: L_AN-SLDS of Cole et al. (2023), https://arxiv.org/abs/2306.02564

    Args:
        logits_BS: Logits at the recorded sites, S >= 2.
        species_B: The one species recorded in every row.
        generator: Source of the draws; None: the default generator of the logits' device.

    Returns:
        Scalar loss in nats per record. An empty batch gives a 0 that back-propagates.

    Raises:
        TypeError: If an argument has the wrong type or dtype.
        ValueError: If there is only one species, an index is out of range or the shapes disagree.
    """
    return _slds(CrossEntropy(), logits_BS, species_B, generator)


def an_slds_me(logits_BS: Tensor, species_B: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """:func:`an_slds` with minus the entropy in place of the assumed absence.

    Source: the maximum-entropy form of L_AN-SLDS of Cole et al. (2023), https://arxiv.org/abs/2306.02564

    Args:
        logits_BS: Logits at the recorded sites, S >= 2.
        species_B: The one species recorded in every row.
        generator: Source of the draws; None: the default generator of the logits' device.

    Returns:
        Scalar loss in nats per record.

    Raises:
        TypeError: If an argument has the wrong type or dtype.
        ValueError: If there is only one species, an index is out of range or the shapes disagree.
    """
    return _slds(MaximumEntropy(), logits_BS, species_B, generator)


def an_ssdl(logits_BS: Tensor, species_B: Tensor, background_BS: Tensor) -> Tensor:
    """One assumed absence per record: the same species, a different location.

    Mean over rows of softplus(-x_ic) + softplus(x'_ic), x' the logits of the random site of that row.

    Source: L_AN-SSDL of Cole et al. (2023), https://arxiv.org/abs/2306.02564

    Args:
        logits_BS: Logits at the recorded sites.
        species_B: The one species recorded in every row.
        background_BS: Logits at one random site per row, uniform on the sphere.

    Returns:
        Scalar loss in nats per record. An empty batch gives a 0 that back-propagates.

    Raises:
        TypeError: If an argument has the wrong type or dtype.
        ValueError: If an index is out of range or the shapes disagree.
    """
    return _ssdl(CrossEntropy(), logits_BS, species_B, background_BS)


def an_ssdl_me(logits_BS: Tensor, species_B: Tensor, background_BS: Tensor) -> Tensor:
    """:func:`an_ssdl` with minus the entropy in place of the assumed absence.

    Source: the maximum-entropy form of L_AN-SSDL of Cole et al. (2023), https://arxiv.org/abs/2306.02564

    Args:
        logits_BS: Logits at the recorded sites.
        species_B: The one species recorded in every row.
        background_BS: Logits at one random site per row.

    Returns:
        Scalar loss in nats per record.

    Raises:
        TypeError: If an argument has the wrong type or dtype.
        ValueError: If an index is out of range or the shapes disagree.
    """
    return _ssdl(MaximumEntropy(), logits_BS, species_B, background_BS)


def _full(penalty: Penalty, logits_BS: Tensor, species_B: Tensor, background_BS: Tensor, pos_lambda: float) -> Tensor:
    pos_lambda = check_number("pos_lambda", pos_lambda, 0.0, open_ends="low")
    positives = _records(logits_BS, species_B)
    check_floating("background_BS", background_BS, 2)
    check_background(background_BS, None, logits_BS, name="background_BS")
    if logits_BS.numel() == 0:
        return zero(logits_BS, background_BS)
    if len(background_BS) == 0:
        raise ValueError(f"background_BS has shape {tuple(background_BS.shape)}: must have at least one row")
    return loss_from_all_logits(full(penalty, pos_lambda), logits_BS, positives, background_BS)


def _slds(penalty: Penalty, logits_BS: Tensor, species_B: Tensor, generator: torch.Generator | None) -> Tensor:
    positives = _records(logits_BS, species_B)
    check_generator(generator)
    if logits_BS.shape[1] < 2:
        raise ValueError(f"logits_BS has shape {tuple(logits_BS.shape)}: SLDS needs at least 2 species")
    return same_location(penalty, logits_BS, positives, generator)


def _ssdl(penalty: Penalty, logits_BS: Tensor, species_B: Tensor, background_BS: Tensor) -> Tensor:
    positives = _records(logits_BS, species_B)
    check_floating("background_BS", background_BS, 2)
    check_same_shape("background_BS", background_BS, "logits_BS", logits_BS)
    counted_P = torch.ones_like(positives.row_P, dtype=torch.bool)
    absences = Absences(positives.row_P, positives.species_P, counted_P, record_P=positives.row_P)
    return _per_record(penalty, logits_BS, positives, background_BS, absences)


def same_location(
    penalty: Penalty, logits_BS: Tensor, positives: Positives, generator: torch.Generator | None
) -> Tensor:
    """Mean over records of the positive penalty plus that of one unobserved species of the same row."""
    return _per_record(penalty, logits_BS, positives, logits_BS, draw_other_species(positives, generator))


def _per_record(
    penalty: Penalty, logits_BS: Tensor, positives: Positives, absent_BS: Tensor, absences: Absences
) -> Tensor:
    """Sum of both penalties over the number of records; no record: a 0 that back-propagates.

    Args:
        penalty: How a pair is penalised.
        logits_BS: Logits at the recorded sites.
        positives: The records.
        absent_BS: Logits at the sites of the absences.
        absences: One per record.
    """
    present_P = at_pairs(logits_BS, positives.row_P, positives.species_P)
    absent = absences.penalty_of(penalty, absent_BS)
    return (penalty.positive(present_P).sum() + absent) / max(len(present_P), 1)


def _records(logits_BS: Tensor, species_B: Tensor) -> Positives:
    check_floating("logits_BS", logits_BS, 2)
    check_has_values("logits_BS", logits_BS)
    check_indices("species_B", species_B, (len(logits_BS),), logits_BS.shape[1])
    return Positives.from_species(species_B, logits_BS.shape[1])


@dataclass(frozen=True)
class SameLocationLoss:
    """SLDS on the pairs of a batch: every positive is a record and draws one unobserved species of its row.

    A row in which every species was observed has no negative.
    """

    penalty: Penalty
    needs_background: bool = False

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats per record."""
        positives = open_batch(batch, self.needs_background)
        return same_location(self.penalty, batch.logits_BS, positives, batch.generator)


@dataclass(frozen=True)
class OtherLocationLoss:
    """SSDL on the pairs of a batch: every positive draws one background site that counts for its species.

    Sites are drawn uniformly and independently, so that the number of background sites is free. A
    species without any such site has no negative.
    """

    penalty: Penalty
    needs_background: bool = True

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats per record."""
        positives = open_batch(batch, self.needs_background)
        assert batch.background_KS is not None  # open_batch saw to it
        absences = draw_background_sites(
            positives.species_P, batch.background_KS, batch.background_mask_KS, batch.generator
        )
        return _per_record(self.penalty, batch.logits_BS, positives, batch.background_KS, absences)


def full(penalty: Penalty, pos_lambda: float) -> PairWeights:
    """L_AN-full: records weigh ``pos_lambda``, all other pairs and the mean over background sites 1."""
    return PairWeights(penalty, positive=pos_lambda, background=1.0)


class AnFullSettings(PenaltySettings, LabelledSettings):
    """AN-full of SINR: every unrecorded species at a site, and all species at background sites, are absent.

    Args:
        pos_lambda: Weight of a record, > 0.
    """

    # Heavy presences learn from a few species at a time.
    sampling_pays_from = 5000

    loss: Literal["an_full"]
    pos_lambda: float = Field(default=SINR_LAMBDA, gt=0)

    def hard_weights(self, counts: TrainingCounts) -> PairWeights:
        """Records weigh ``pos_lambda``."""
        return full(self.build_penalty(), self.pos_lambda)


class MaximumEntropySettings(LossSettings):
    """Settings of a loss in its maximum-entropy form."""

    def build_penalty(self) -> Penalty:
        """Minus the entropy in place of every assumed absence."""
        return MaximumEntropy()


class AnFullMeSettings(MaximumEntropySettings, LabelledSettings):
    """AN-full in its maximum-entropy form: the same as ``an_full`` with ``penalty: entropy``.

    Args:
        pos_lambda: Weight of a record, > 0.
    """

    sampling_pays_from = 5000

    loss: Literal["an_full_me"]
    pos_lambda: float = Field(default=SINR_LAMBDA, gt=0)

    def hard_weights(self, counts: TrainingCounts) -> PairWeights:
        """Records weigh ``pos_lambda``."""
        return full(self.build_penalty(), self.pos_lambda)


def other_species(penalty: Penalty, counts: TrainingCounts) -> PairWeights:
    """What SLDS is on average, rows taken as holding the same number of species."""
    n_species = len(counts.records_per_species_S)
    per_row = counts.records_per_species_S.sum().item() / counts.n_rows
    return PairWeights(penalty, unobserved=per_row / max(n_species - per_row, per_row))


def build_same_location(loss: str, penalty: Penalty, counts: TrainingCounts) -> BatchLoss:
    """SLDS, refused where no row has another species: positives alone would train without a word."""
    n_species = len(counts.records_per_species_S)
    if n_species < 2:
        raise ValueError(f"loss {loss!r} with {n_species} species: SLDS needs at least 2 species")
    return SameLocationLoss(penalty)


class AnSldsSettings(PenaltySettings):
    """AN-SLDS of SINR: one assumed absence per record, the same location and another species."""

    loss: Literal["an_slds"]

    def expected_weights(self, counts: TrainingCounts) -> PairWeights:
        """Every other species weighs the share of a row's draws that it takes."""
        return other_species(self.build_penalty(), counts)

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """One unobserved species of the row per record."""
        return build_same_location(self.loss, self.build_penalty(), counts)


class AnSldsMeSettings(MaximumEntropySettings):
    """AN-SLDS in its maximum-entropy form: the same as ``an_slds`` with ``penalty: entropy``."""

    loss: Literal["an_slds_me"]

    def expected_weights(self, counts: TrainingCounts) -> PairWeights:
        """Every other species weighs the share of a row's draws that it takes."""
        return other_species(self.build_penalty(), counts)

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """One unobserved species of the row per record."""
        return build_same_location(self.loss, self.build_penalty(), counts)


class AnSsdlSettings(PenaltySettings):
    """AN-SSDL of SINR: one assumed absence per record, the same species at a background site."""

    loss: Literal["an_ssdl"]

    def expected_weights(self, counts: TrainingCounts) -> PairWeights:
        """A species has as many absences as records."""
        return PairWeights(self.build_penalty(), unobserved=one_absence_per_record(counts))

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """One background site per record."""
        return OtherLocationLoss(self.build_penalty())


class AnSsdlMeSettings(MaximumEntropySettings):
    """AN-SSDL in its maximum-entropy form: the same as ``an_ssdl`` with ``penalty: entropy``."""

    loss: Literal["an_ssdl_me"]

    def expected_weights(self, counts: TrainingCounts) -> PairWeights:
        """A species has as many absences as records."""
        return PairWeights(self.build_penalty(), unobserved=one_absence_per_record(counts))

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """One background site per record."""
        return OtherLocationLoss(self.build_penalty())
