"""Multi-task loss: species, environment and habitat in one weighted sum.

Shape legend: B rows of a batch, S species, C environmental covariates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from presence_only.losses.assume_negative import assume_negative
from presence_only.losses.base import BatchLoss, LossBatch, LossSettings, TrainingCounts, empty_loss, open_batch
from presence_only.losses.geomodel import MultiTaskLoss
from presence_only.losses.pair_weights import PairWeights, with_smoothing
from presence_only.losses.parameters import ParametersOfChoice, from_parameters, parameters_of, with_parameters
from presence_only.losses.penalties import Asymmetric, CrossEntropy, Focal, Penalty
from presence_only.losses.pointwise import negatives_per_positive

_OWNERS = {
    **dict.fromkeys(("pos_lambda", "neg_samples", "label_smoothing"), "an"),
    **dict.fromkeys(parameters_of(Focal, prefix="focal_"), "focal"),
    **dict.fromkeys(parameters_of(Asymmetric, prefix="asl_"), "asl"),
}


@dataclass(frozen=True)
class MultiTaskBatchLoss:
    """:class:`MultiTaskLoss` on a batch whose model has an environment head.

    Args:
        criterion: The weighted sum of the tasks.
    """

    criterion: MultiTaskLoss
    needs_background: bool = False

    def __call__(self, batch: LossBatch) -> Tensor:
        """The total of one batch: a scalar in nats plus squared standard deviations."""
        positives = open_batch(batch, self.needs_background)
        if batch.logits_BS.numel() == 0:
            return empty_loss(batch)
        heads = {"env_pred": batch.environment_BC, "habitat_logits": batch.habitat_BS}
        predictions = {"species_logits": batch.logits_BS} | {k: v for k, v in heads.items() if v is not None}
        return self.criterion.on_pairs(predictions, positives, batch.covariates_BC, batch.generator)["total"]


@with_parameters(Asymmetric, prefix="asl_")
@with_parameters(Focal, prefix="focal_", alpha=0.5)
class MultiTaskSettings(ParametersOfChoice, LossSettings):
    """Multi-task loss: a species loss, and those of the encoder's environment and habitat heads.

    Names and defaults are those of :class:`~presence_only.losses.geomodel.MultiTaskLoss`.

    Args:
        species_weight: Weight of the species part, >= 0.
        env_weight: Weight of the environment part, >= 0.
        habitat_weight: Weight of the habitat part, >= 0; 0 does without the head.
        species_loss: ``bce``, ``focal``, ``asl`` or ``an``.
        pos_weight: Whether to weight positives by :func:`~presence_only.losses.geomodel.compute_pos_weights` of the
            training set, with ``bce``.
        pos_lambda: Of ``an``, > 0.
        neg_samples: Of ``an``, >= 0.
        label_smoothing: Of ``an``, in [0, 0.5).
    """

    choice, owner_of = "species_loss", _OWNERS

    loss: Literal["multitask"]
    species_weight: float = Field(default=1.0, ge=0)
    env_weight: float = Field(default=0.5, ge=0)
    habitat_weight: float = Field(default=0.0, ge=0)
    species_loss: Literal["bce", "focal", "asl", "an"] = "bce"
    pos_weight: bool = False
    pos_lambda: float = Field(default=4.0, gt=0)
    neg_samples: int = Field(default=1024, ge=0, le=10_000_000)
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)

    @field_validator("pos_weight")
    @classmethod
    def _only_bce_has_weights(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("species_loss") != "bce":
            raise ValueError("false unless species_loss is 'bce'")
        return value

    @property
    def heads(self) -> frozenset[str]:
        """The environment head, and the habitat head where it has a weight."""
        return frozenset({"environment_head"} | ({"habitat_head"} if self.habitat_weight > 0 else set()))

    def expected_weights(self, counts: TrainingCounts) -> PairWeights:
        """Those of the species part."""
        if self.species_loss == "an":
            return with_smoothing(assume_negative(CrossEntropy(), self.pos_lambda), self.label_smoothing)
        penalties: dict[str, Penalty] = {
            "bce": CrossEntropy(),
            "focal": from_parameters(Focal, dict(self), prefix="focal_"),
            "asl": from_parameters(Asymmetric, dict(self), prefix="asl_"),
        }
        weight_S = self._weights(counts)
        return PairWeights(penalties[self.species_loss], positive=1.0 if weight_S is None else weight_S)

    def _weights(self, counts: TrainingCounts) -> Tensor | None:
        """Weights of positives (S,), where they are asked for."""
        if not self.pos_weight:
            return None
        return negatives_per_positive(counts.records_per_species_S, counts.n_rows, 1.0)

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The weighted sum of the tasks."""
        arguments = {name: value for name, value in self if name not in ("loss", "pos_weight")}
        return MultiTaskBatchLoss(MultiTaskLoss(pos_weight=self._weights(counts), **arguments))
