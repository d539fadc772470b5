"""Base of every loss: what one training step hands to it, the settings that build it, and its call on a batch.

Shape legend: B rows of a batch, S species, K background sites, P positives (row, species), C covariates.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

import torch
from pydantic import field_validator
from torch import Tensor

from presence_only.common.quoting import quoted
from presence_only.common.registry import resolve
from presence_only.common.settings import Settings, SettingsError, known_name
from presence_only.losses.argument_checks import check_background, check_floating, check_indices
from presence_only.losses.negatives import Positives, zero
from presence_only.losses.parameters import ParametersOfChoice, from_parameters, parameters_of, with_parameters
from presence_only.losses.penalties import Penalty
from presence_only.losses.registry import LOSSES, PENALTIES, loss_names

if TYPE_CHECKING:
    from presence_only.losses.pair_weights import PairWeights

# Records that a species without any is given, and that one recorded in every row lacks: its log odds stay finite.
LEAST = 0.5


@dataclass(frozen=True)
class BatchTotals:
    """Sizes of a whole batch, which a part of it is divided by.

    Args:
        n_rows: Training rows.
        n_sites: Background sites.
        sites_per_species_S: Background sites that count for each species, int64; None: all count for every one.
        n_recorded: Training rows that hold a species; None: all, as in training.
    """

    n_rows: int
    n_sites: int
    sites_per_species_S: Tensor | None = None
    n_recorded: int | None = None

    @classmethod
    def of(cls, n_rows: int, n_sites: int, mask_KS: Tensor | None) -> Self:
        """The sizes of a batch, given which species a background site counts for."""
        return cls(n_rows, n_sites, None if mask_KS is None else mask_KS.sum(dim=0))


@dataclass(frozen=True)
class LossBatch:
    """What a loss is given for one step.

    Args:
        logits_BS: Logits at the training rows.
        row_P: Row of every positive, int64, ascending. One record a row: ``arange(B)``.
        species_P: Species of every positive, int64.
        generator: Source of every random draw, on the CPU or on the logits' device.
        background_KS: Logits at background sites; given if and only if ``loss.needs_background``.
        background_mask_KS: Which species a background site counts for (target groups by taxon);
            None: every site for all.
        environment_BC: Predicted standardised covariates, where the encoder has an environment head.
        habitat_BS: Logits of the habitat head, where it has one.
        covariates_BC: The standardised covariates themselves, NaN where unknown.
        distinct: Whether the positives are known to be in range, each given once, sorted by row and then by species,
            as training gives them. Then nobody looks, which a GPU would be waited for.
        totals: Sizes of the whole batch, if these rows and sites are a part of it and a loss that is a sum over rows is
            asked for its share; None: they are all.
        progress: Share of the training's steps that were taken before this one, in [0, 1).
        epoch: Epochs that were finished before this step.
        index_B: Which training rows these are, int64, for a loss that remembers rows; None: nobody knows.
    """

    logits_BS: Tensor
    row_P: Tensor
    species_P: Tensor
    generator: torch.Generator
    background_KS: Tensor | None = None
    background_mask_KS: Tensor | None = None
    environment_BC: Tensor | None = None
    habitat_BS: Tensor | None = None
    covariates_BC: Tensor | None = None
    distinct: bool = False
    totals: BatchTotals | None = None
    progress: float = 0.0
    epoch: int = 0
    index_B: Tensor | None = None


@dataclass(frozen=True)
class TrainingCounts:
    """What a loss may know of the training set.

    Args:
        n_rows: Number of training rows N.
        records_per_species_S: Number of rows in which each species was recorded, float64.
    """

    n_rows: int
    records_per_species_S: Tensor

    def prevalence(self) -> Tensor:
        """The share of training rows that hold a species, float64 (S,), above 0 and below 1."""
        return self.records_per_species_S.double().clamp(LEAST, self.n_rows - LEAST) / self.n_rows

    def to(self, device: torch.device) -> Self:
        """The same, where a loss that lies on another device needs them."""
        return replace(self, records_per_species_S=self.records_per_species_S.to(device))


class BatchLoss(Protocol):
    """A loss as training uses it."""

    @property
    def needs_background(self) -> bool:
        """Whether a batch has to carry logits at background sites."""

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats."""


class LossSettings(Settings):
    """One variant of params.yaml: the name of a loss and its parameters.

    A subclass declares its name as a ``Literal`` and has a line in ``LOSSES`` of ``registry.py``. The first line of its
    docstring is the loss's description in ``python -m presence_only.losses``.
    """

    # Number of species from which training on sampled species reaches the same mAP in less time on a CPU, for losses
    # that can be trained so (benchmarks/head_to_head.py).
    sampling_pays_from: ClassVar[int] = 20_000

    loss: str

    @property
    def heads(self) -> frozenset[str]:
        """The settings of the encoder's further heads that the loss trains, and which must therefore be on."""
        return frozenset()

    def build_penalty(self) -> Penalty | None:
        """How the loss penalises one pair; None if it does no such thing."""
        return None

    def expected_weights(self, counts: TrainingCounts) -> PairWeights | None:
        """The dense loss that this one is on average over its draws, up to a factor; None: there is no such loss."""
        return None

    def balance(self, counts: TrainingCounts) -> Tensor | None:
        """The logits, the same at all sites, at which the loss is least, float64 (S,).

        None: those of :meth:`expected_weights`, or 0 where there are none.
        """
        return None

    @abstractmethod
    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The loss these settings describe, given what it may know of the training set.

        Raises:
            ValueError: If the loss cannot be computed on such a training set.
        """


# The penalty to which a parameter belongs.
PENALTY_OF = {name: penalty for penalty, reference in PENALTIES.items() for name in parameters_of(resolve(reference))}


@with_parameters(*map(resolve, PENALTIES.values()))
class PenaltySettings(ParametersOfChoice, LossSettings):
    """Settings of a loss that takes any penalty.

    Args:
        penalty: How one pair is penalised: a name in ``PENALTIES`` of ``registry.py``. Its parameters are settings too.
    """

    choice, owner_of = "penalty", PENALTY_OF

    penalty: str = "bce"

    @field_validator("penalty")
    @classmethod
    def _exists(cls, value: str) -> str:
        return known_name(value, PENALTIES)

    def build_penalty(self) -> Penalty:
        """The penalty these settings describe."""
        penalty: Penalty = from_parameters(resolve(PENALTIES[self.penalty]), dict(self))
        return penalty


def open_batch(batch: LossBatch, needs_background: bool) -> Positives:
    """Check a batch and return its observed pairs.

    Raises:
        TypeError: If a part has the wrong type or dtype.
        ValueError: If shapes or indices disagree, or background logits are missing or not asked for.
    """
    check_batch(batch, needs_background)
    if batch.distinct:
        return Positives(batch.row_P, batch.species_P, *batch.logits_BS.shape)
    return Positives.from_pairs(batch.row_P, batch.species_P, batch.logits_BS)


def empty_loss(batch: LossBatch) -> Tensor:
    """The loss of a batch without rows: a 0 that back-propagates into all of its predictions."""
    heads = (batch.logits_BS, batch.background_KS, batch.environment_BC, batch.habitat_BS)
    return zero(*(logits for logits in heads if logits is not None))


def check_batch(batch: LossBatch, needs_background: bool) -> None:
    """Refuse a batch whose parts disagree.

    Raises:
        TypeError: If a part has the wrong type or dtype.
        ValueError: If shapes or indices disagree, or background logits are missing or not asked for.
    """
    check_floating("logits_BS", batch.logits_BS, 2)
    n_rows, n_species = batch.logits_BS.shape
    if not batch.distinct:
        check_indices("row_P", batch.row_P, (batch.row_P.numel(),), n_rows)
        check_indices("species_P", batch.species_P, (batch.row_P.numel(),), n_species)
    check_background(batch.background_KS, batch.background_mask_KS, n_species)
    if (batch.background_KS is not None) != needs_background:
        given = "missing" if needs_background else "given"
        rule = "must be given" if needs_background else "must be None"
        raise ValueError(f"background_KS is {given}: {rule}, for needs_background is {needs_background}")


def parse_variant(raw: object, where: str, written: Collection[str] | None = None) -> LossSettings:
    """Check one variant of params.yaml.

    Args:
        raw: What the file holds: a mapping with the key ``loss`` and that loss's parameters.
        where: Its key in the file, such as ``variants.asl_m005``.
        written: Those of its keys that were written there and not taken over; None: all.

    Raises:
        SettingsError: If the loss is unknown, or a parameter is unknown, breaks its rule or has no effect.
    """
    if not isinstance(raw, dict):
        raise SettingsError(f"{where} = {quoted(raw)}: must be a mapping of settings")
    if "loss" not in raw:
        raise SettingsError(f"missing key {where + '.loss'!r}; it has no default")
    if not isinstance(raw["loss"], str) or raw["loss"] not in LOSSES:
        raise SettingsError(f"unknown loss {quoted(raw['loss'])} in {where}; known: {', '.join(loss_names())}")
    settings: type[LossSettings] = resolve(LOSSES[raw["loss"]])
    return settings.parse(raw, where, written)
