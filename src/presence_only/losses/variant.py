"""What every loss that the pipeline can run has in common: settings that build it, and a call on a batch."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import fields
from typing import Any, Protocol

from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from presence_only.common.settings import Settings
from presence_only.losses.batch import LossBatch, TrainingCounts
from presence_only.losses.checks import check_batch
from presence_only.losses.elementwise import PENALTIES, Penalty
from presence_only.losses.negatives import Positives, zero

PENALTY_SETTINGS = {name: tuple(field.name for field in fields(penalty)) for name, penalty in PENALTIES.items()}
_OWNERS = {field: name for name, names in PENALTY_SETTINGS.items() for field in names}


class BatchLoss(Protocol):
    """A loss as training uses it."""

    @property
    def needs_background(self) -> bool:
        """Whether a batch has to carry logits at background sites."""

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats."""


class LossSettings(Settings):
    """One variant of params.yaml: the name of a loss and its parameters.

    A subclass declares its names as a ``Literal``, each of which has a line in the table of ``registry.py``.
    """

    loss: str

    @property
    def heads(self) -> frozenset[str]:
        """The settings of the encoder's further heads that the loss trains, and which must therefore be on."""
        return frozenset()

    @abstractmethod
    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The loss these settings describe, given what it may know of the training set."""


class PenaltySettings(LossSettings):
    """Settings of a loss that takes any penalty: the other half of the two orthogonal choices.

    Args:
        penalty: How one element is penalised, a name in
            :data:`~presence_only.losses.elementwise.PENALTIES`; the following are its parameters.
        alpha: Of ``focal``, see :class:`~presence_only.losses.elementwise.Focal`.
        gamma: Of ``focal``.
        gamma_pos: Of ``asl``, see :class:`~presence_only.losses.elementwise.Asymmetric`.
        gamma_neg: Of ``asl``.
        clip: Of ``asl``.
    """

    penalty: str = "bce"
    alpha: float | None = Field(default=0.25, ge=0, le=1)
    gamma: float = Field(default=2.0, ge=0)
    gamma_pos: float = Field(default=0.0, ge=0)
    gamma_neg: float = Field(default=2.0, ge=0)
    clip: float = Field(default=0.05, ge=0, lt=1)

    @field_validator("penalty")
    @classmethod
    def _exists(cls, value: str) -> str:
        if value not in PENALTIES:
            *names, last = map(repr, PENALTIES)
            raise ValueError(f"one of {', '.join(names)} or {last}")
        return value

    @field_validator(*_OWNERS)
    @classmethod
    def _belongs_to_the_penalty(cls, value: Any, info: ValidationInfo) -> Any:
        """A parameter that would be ignored is a mistake of the one who wrote it."""
        penalty = info.data.get("penalty")
        if penalty is not None and info.field_name not in PENALTY_SETTINGS[penalty]:
            owner = _OWNERS[str(info.field_name)]
            raise ValueError(f"left out with penalty {penalty!r}; it belongs to penalty {owner!r}")
        return value

    def build_penalty(self) -> Penalty:
        """The penalty these settings describe."""
        return PENALTIES[self.penalty](**{name: getattr(self, name) for name in PENALTY_SETTINGS[self.penalty]})


def open_batch(batch: LossBatch, needs_background: bool) -> Positives:
    """Check a batch and return its observed pairs."""
    check_batch(batch, needs_background)
    return Positives.from_pairs(batch.row_P, batch.species_P, batch.logits_BS)


def empty_loss(batch: LossBatch) -> Tensor:
    """The loss of a batch without rows: a 0 that back-propagates into all of its predictions."""
    heads = (batch.logits_BS, batch.background_KS, batch.environment_BC, batch.habitat_BS)
    return zero(*(logits for logits in heads if logits is not None))
