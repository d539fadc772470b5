"""What every loss that the pipeline can run has in common: settings that build it, and a call on a batch."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal, Protocol

from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from presence_only.losses.batch import LossBatch, TrainingCounts
from presence_only.losses.checks import check_floating, check_indices, check_mask
from presence_only.losses.elementwise import Asymmetric, CrossEntropy, Focal, Penalty
from presence_only.losses.negatives import Positives, zero
from presence_only.settings import Settings

PENALTY_SETTINGS = {"bce": (), "focal": ("alpha", "gamma"), "asl": ("gamma_pos", "gamma_neg", "clip")}


class BatchLoss(Protocol):
    """A loss as training uses it."""

    @property
    def needs_background(self) -> bool:
        """Whether a batch has to carry logits at background sites."""

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats."""


class LossSettings(Settings):
    """One variant of params.yaml: the name of a loss and its parameters.

    A subclass whose ``loss`` is a ``Literal`` registers the names in it; see ``registry.py``.
    """

    loss: str

    @abstractmethod
    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The loss these settings describe, given what it may know of the training set."""


class PenaltySettings(LossSettings):
    """Settings of a loss that takes any penalty: the other half of the two orthogonal choices.

    Args:
        penalty: How one element is penalised.
        alpha: Of ``focal``, see :class:`~presence_only.losses.elementwise.Focal`.
        gamma: Of ``focal``.
        gamma_pos: Of ``asl``, see :class:`~presence_only.losses.elementwise.Asymmetric`.
        gamma_neg: Of ``asl``.
        clip: Of ``asl``.
    """

    penalty: Literal["bce", "focal", "asl"] = "bce"
    alpha: float | None = Field(default=0.25, ge=0, le=1)
    gamma: float = Field(default=2.0, ge=0)
    gamma_pos: float = Field(default=0.0, ge=0)
    gamma_neg: float = Field(default=2.0, ge=0)
    clip: float = Field(default=0.05, ge=0, lt=1)

    @field_validator("alpha", "gamma", "gamma_pos", "gamma_neg", "clip")
    @classmethod
    def _belongs_to_the_penalty(cls, value: float | None, info: ValidationInfo) -> float | None:
        """A parameter that would be ignored is a mistake of the one who wrote it."""
        penalty = info.data.get("penalty")
        if penalty is not None and info.field_name not in PENALTY_SETTINGS[penalty]:
            owner = next(name for name, fields in PENALTY_SETTINGS.items() if info.field_name in fields)
            raise ValueError(f"left out with penalty {penalty!r}; it belongs to penalty {owner!r}")
        return value

    def build_penalty(self) -> Penalty:
        """The penalty these settings describe."""
        match self.penalty:
            case "bce":
                return CrossEntropy()
            case "focal":
                return Focal(self.alpha, self.gamma)
            case "asl":
                return Asymmetric(self.gamma_pos, self.gamma_neg, self.clip)


def check_batch(batch: LossBatch, needs_background: bool) -> None:
    """Refuse a batch whose parts disagree.

    Raises:
        TypeError: If a part has the wrong type or dtype.
        ValueError: If shapes or indices disagree, or background logits are missing or not asked for.
    """
    check_floating("logits_BS", batch.logits_BS, 2)
    n_rows, n_species = batch.logits_BS.shape
    check_indices("row_P", batch.row_P, (batch.row_P.numel(),), n_rows)
    check_indices("species_P", batch.species_P, (batch.row_P.numel(),), n_species)
    check_background(batch.background_KS, batch.background_mask_KS, n_species)
    if (batch.background_KS is not None) != needs_background:
        given = "missing" if needs_background else "given"
        rule = "must be given" if needs_background else "must be None"
        raise ValueError(f"background_KS is {given}: {rule}, for needs_background is {needs_background}")


def check_background(background_KS: Any, mask_KS: Any, n_species: int, name: str = "background_KS") -> None:
    """Refuse background logits or a mask that do not fit the species.

    Raises:
        TypeError: If one is no tensor of the right kind.
        ValueError: If a shape is wrong, or a mask is given without logits.
    """
    if background_KS is None:
        if mask_KS is not None:
            raise ValueError("background_mask_KS is given without background logits: both or none")
        return
    check_floating(name, background_KS, 2)
    if background_KS.shape[1] != n_species:
        raise ValueError(
            f"{name} has shape {tuple(background_KS.shape)}: must have the {n_species} species of the logits"
        )
    if mask_KS is not None:
        check_mask("background_mask_KS", mask_KS, tuple(background_KS.shape))


def open_batch(batch: LossBatch, needs_background: bool) -> Positives:
    """Check a batch and return its observed pairs."""
    check_batch(batch, needs_background)
    return Positives.from_pairs(batch.row_P, batch.species_P, batch.logits_BS)


def empty_loss(batch: LossBatch) -> Tensor:
    """The loss of a batch without rows: a 0 that back-propagates into all of its logits."""
    return zero(*(logits for logits in (batch.logits_BS, batch.background_KS) if logits is not None))
