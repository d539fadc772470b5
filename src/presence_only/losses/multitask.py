"""Multi-task loss: species, environment and habitat in one weighted sum.

Shape legend: B rows of a batch, S species, C environmental covariates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationInfo, field_validator, model_serializer
from torch import Tensor

from presence_only.losses.base import BatchLoss, LossBatch, LossSettings, TrainingCounts, empty_loss, open_batch
from presence_only.losses.geomodel import MultiTaskLoss
from presence_only.losses.parameters import parameters_of, with_parameters
from presence_only.losses.penalties import Asymmetric, Focal
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
class MultiTaskSettings(LossSettings):
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

    loss: Literal["multitask"]
    species_weight: float = Field(default=1.0, ge=0)
    env_weight: float = Field(default=0.5, ge=0)
    habitat_weight: float = Field(default=0.0, ge=0)
    species_loss: Literal["bce", "focal", "asl", "an"] = "bce"
    pos_weight: bool = False
    pos_lambda: float = Field(default=4.0, gt=0)
    neg_samples: int = Field(default=1024, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)

    @field_validator("*")
    @classmethod
    def _belongs_to_the_species_loss(cls, value: Any, info: ValidationInfo) -> Any:
        """A parameter that would be ignored is a mistake of the one who wrote it."""
        chosen, owner = info.data.get("species_loss"), _OWNERS.get(str(info.field_name))
        if chosen is not None and owner is not None and chosen != owner:
            raise ValueError(f"left out with species_loss {chosen!r}; it belongs to species_loss {owner!r}")
        return value

    @field_validator("pos_weight")
    @classmethod
    def _only_bce_has_weights(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("species_loss") != "bce":
            raise ValueError("false unless species_loss is 'bce'")
        return value

    @model_serializer(mode="wrap")
    def _without_other_losses(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Parameters of species losses that are not chosen are no settings of this loss."""
        chosen = self.species_loss
        return {name: value for name, value in dump(self).items() if _OWNERS.get(name, chosen) == chosen}

    @property
    def heads(self) -> frozenset[str]:
        """The environment head, and the habitat head where it has a weight."""
        return frozenset({"environment_head"} | ({"habitat_head"} if self.habitat_weight > 0 else set()))

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The weighted sum of the tasks."""
        weight_S = None
        if self.pos_weight:
            weight_S = negatives_per_positive(counts.records_per_species_S, counts.n_rows, 1.0)
        arguments = {name: value for name, value in self if name not in ("loss", "pos_weight")}
        return MultiTaskBatchLoss(MultiTaskLoss(pos_weight=weight_S, **arguments))
