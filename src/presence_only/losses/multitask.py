"""Species, environment and habitat in one weighted loss.

Shape legend: B rows of a batch, S species, C environmental covariates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from presence_only.losses.assume_negative import AssumeNegativeLoss
from presence_only.losses.batch import LossBatch, TrainingCounts
from presence_only.losses.checks import check_choice, check_floating, check_number, check_same_shape
from presence_only.losses.elementwise import Asymmetric, CrossEntropy, Focal, Penalty, widen
from presence_only.losses.negatives import zero
from presence_only.losses.pointwise import REDUCTIONS, pointwise, pos_weights_from_counts, weighted_cross_entropy
from presence_only.losses.variant import BatchLoss, LossSettings, empty_loss, open_batch

SPECIES_LOSSES = ("bce", "focal", "asl", "an")
_OWNERS = {
    "focal_alpha": "focal",
    "focal_gamma": "focal",
    "pos_lambda": "an",
    "neg_samples": "an",
    "label_smoothing": "an",
    "asl_gamma_pos": "asl",
    "asl_gamma_neg": "asl",
    "asl_clip": "asl",
}
_PRED_LIMIT = 1e4


def masked_mse(pred: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over the elements whose target is known.

    Predictions are clamped to +-1e4 before the difference, so that one runaway value cannot swamp
    a batch; beyond the clamp the gradient is 0.

    Args:
        pred: Floating point, any shape. What it holds where the target is NaN does not matter.
        target: The same shape; NaN where unknown; integers are cast.

    Returns:
        A scalar, in the square of the target's unit. Without any known target a 0 that
        back-propagates a gradient of 0.

    Raises:
        TypeError: If an argument is no tensor, or ``pred`` is not floating point.
        ValueError: If the shapes differ.
    """
    check_floating("pred", pred)
    check_same_shape("target", target, "pred", pred)
    known = ~target.isnan()
    known_pred = widen(pred[known])
    error = known_pred.clamp(-_PRED_LIMIT, _PRED_LIMIT) - target[known].to(known_pred.dtype)
    return error.square().sum() / max(len(error), 1)


class MultiTaskLoss(nn.Module):
    """species_weight * species + env_weight * env [+ habitat_weight * habitat].

    The species part is one of the losses of this package on ``predictions["species_logits"]``, the
    habitat part the same loss on ``predictions["habitat_logits"]``, the environment part
    :func:`masked_mse` of ``predictions["env_pred"]``.

    ``focal_alpha`` is 0.5 here and 0.25 in :func:`focal_loss`, both on purpose: 0.25 is the published
    value for the function's own name, tuned on object detection; 0.5 weighs both classes alike, so
    that ``species_loss`` alone decides how they are balanced.

    Source: the tasks are those of the BirdNET geomodel, https://github.com/birdnet-team/geomodel

    Args:
        species_weight: Weight of the species part, finite and >= 0.
        env_weight: Weight of the environment part, finite and >= 0.
        habitat_weight: Weight of the habitat part, finite and >= 0.
        pos_weight: Weight of every species' positives, shape (S,), finite and >= 0; only with ``bce``.
        species_loss: ``bce``, ``focal``, ``asl`` or ``an`` (:class:`AssumeNegativeLoss`).
        focal_alpha: Of ``focal``, in [0, 1] or None.
        focal_gamma: Of ``focal``, finite and >= 0.
        pos_lambda: Of ``an``, finite and > 0.
        neg_samples: Of ``an``, an int >= 0.
        label_smoothing: Of ``an``, in [0, 0.5).
        asl_gamma_pos: Of ``asl``, finite and >= 0.
        asl_gamma_neg: Of ``asl``, finite and >= 0.
        asl_clip: Of ``asl``, in [0, 1).
        reduction: Of the species and habitat parts: ``mean``, ``sum`` or ``none``. ``an`` is a mean over
            rows by definition; the environment part is always a mean.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range or unknown, or would be ignored (``pos_weight``
            without ``bce``, another reduction with ``an``).
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        species_weight: float = 1.0,
        env_weight: float = 0.5,
        habitat_weight: float = 0.0,
        pos_weight: Tensor | None = None,
        species_loss: str = "bce",
        focal_alpha: float | None = 0.5,
        focal_gamma: float = 2.0,
        pos_lambda: float = 4.0,
        neg_samples: int = 1024,
        label_smoothing: float = 0.0,
        asl_gamma_pos: float = 0.0,
        asl_gamma_neg: float = 2.0,
        asl_clip: float = 0.05,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.species_weight = check_number("species_weight", species_weight, 0.0)
        self.env_weight = check_number("env_weight", env_weight, 0.0)
        self.habitat_weight = check_number("habitat_weight", habitat_weight, 0.0)
        check_choice("species_loss", species_loss, SPECIES_LOSSES)
        check_choice("reduction", reduction, REDUCTIONS)
        if species_loss == "an" and reduction != "mean":
            raise ValueError(f"reduction = {reduction!r}: must be 'mean' with species_loss 'an'")
        if pos_weight is not None:
            check_floating("pos_weight", pos_weight, 1)
            if species_loss != "bce":
                raise ValueError(f"pos_weight is given: must be None with species_loss {species_loss!r}")
            if not bool((pos_weight.isfinite() & (pos_weight >= 0)).all()):
                raise ValueError("pos_weight holds a negative or non-finite value: must be finite and >= 0")
            pos_weight = pos_weight.detach().clone()
        self.register_buffer("pos_weight", pos_weight)
        self.species_loss = species_loss
        self.reduction = reduction
        # All are built, so that a wrong parameter fails here whichever loss is chosen.
        check_number("focal_gamma", focal_gamma, 0.0)
        if focal_alpha is not None:
            check_number("focal_alpha", focal_alpha, 0.0, 1.0)
        check_number("asl_gamma_pos", asl_gamma_pos, 0.0)
        check_number("asl_gamma_neg", asl_gamma_neg, 0.0)
        check_number("asl_clip", asl_clip, 0.0, 1.0, open_ends="high")
        self.assume_negative = AssumeNegativeLoss(pos_lambda, neg_samples, label_smoothing)
        self._penalties: dict[str, Penalty] = {
            "bce": CrossEntropy(),
            "focal": Focal(focal_alpha, focal_gamma),
            "asl": Asymmetric(asl_gamma_pos, asl_gamma_neg, asl_clip),
        }

    def forward(
        self,
        predictions: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        compute_env_loss: bool = True,
        *,
        generator: torch.Generator | None = None,
    ) -> dict[str, Tensor]:
        """Every part, unweighted, and their weighted sum.

        Args:
            predictions: ``species_logits`` (B, S); ``env_pred`` (B, C); ``habitat_logits`` (B, S).
            targets: ``species`` (B, S), in [0, 1], for ``an`` exactly 0 or 1; ``env_features`` (B, C), NaN
                where unknown.
            compute_env_loss: Whether there is an environment part at all.
            generator: Source of the draws of ``an``; None: the default one.

        Returns:
            ``species`` and ``env`` where their predictions are given, ``habitat`` where its weight is not
            0, and ``total``. A part of weight 0 is reported but cannot change the total, not even by NaN.

        Raises:
            TypeError: If a value is no tensor of the right kind.
            ValueError: If a key is missing whose weight is not 0, or shapes or values are wrong.
        """
        parts: dict[str, Tensor] = {}
        if _present(predictions, targets, "species_logits", "species", self.species_weight):
            parts["species"] = self._criterion("species_logits", predictions, targets, generator)
        if compute_env_loss and _present(predictions, targets, "env_pred", "env_features", self.env_weight):
            parts["env"] = masked_mse(predictions["env_pred"], targets["env_features"])
        if self.habitat_weight > 0:
            _present(predictions, targets, "habitat_logits", "species", self.habitat_weight)
            parts["habitat"] = self._criterion("habitat_logits", predictions, targets, generator)
        weights = {"species": self.species_weight, "env": self.env_weight, "habitat": self.habitat_weight}
        counted = [weights[name] * part for name, part in parts.items() if weights[name] > 0]
        # Without a part that counts the total is 0, still tied to what was predicted.
        total = sum(counted[1:], counted[0]) if counted else zero(*parts.values(), torch.zeros(()))
        return {**parts, "total": total}

    def _criterion(
        self,
        key: str,
        predictions: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        generator: torch.Generator | None,
    ) -> Tensor:
        """The chosen species loss of one head."""
        logits, species = predictions[key], targets["species"]
        check_floating(key, logits, 2)
        if self.species_loss == "an":
            loss: Tensor = self.assume_negative(logits, species, generator=generator)
            return loss
        if self.pos_weight is not None:
            if len(self.pos_weight) != logits.shape[1]:
                raise ValueError(
                    f"pos_weight has length {len(self.pos_weight)}: must be the number of species, {logits.shape[1]}"
                )
            return weighted_cross_entropy(logits, species, self.pos_weight, self.reduction)
        return pointwise(self._penalties[self.species_loss], logits, species, self.reduction)


def _present(
    predictions: Mapping[str, Tensor], targets: Mapping[str, Tensor], pred_key: str, target_key: str, weight: float
) -> bool:
    """Whether a part can be computed; a part that counts must be."""
    for name, mapping, key in (("predictions", predictions, pred_key), ("targets", targets, target_key)):
        if key not in mapping:
            if weight > 0:
                raise ValueError(f"{name} has no key {key!r}: must be given, for its weight is {weight:g}")
            return False
    return True


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
        species_BS = torch.zeros_like(widen(batch.logits_BS))
        species_BS[positives.row_P, positives.species_P] = 1.0
        heads = {"env_pred": batch.environment_BC, "habitat_logits": batch.habitat_BS}
        predictions = {"species_logits": batch.logits_BS} | {k: v for k, v in heads.items() if v is not None}
        targets = {"species": species_BS}
        if batch.covariates_BC is not None:
            targets["env_features"] = batch.covariates_BC
        total: Tensor = self.criterion(predictions, targets, generator=batch.generator)["total"]
        return total


class MultiTaskSettings(LossSettings):
    """:class:`MultiTaskLoss`; its parameters are that class's.

    Args:
        pos_weight: Whether to weight positives by :func:`compute_pos_weights` of the training set, with ``bce``.
    """

    loss: Literal["multitask"]
    species_weight: float = Field(default=1.0, ge=0)
    env_weight: float = Field(default=0.5, ge=0)
    habitat_weight: float = Field(default=0.0, ge=0)
    species_loss: Literal["bce", "focal", "asl", "an"] = "bce"
    pos_weight: bool = False
    focal_alpha: float | None = Field(default=0.5, ge=0, le=1)
    focal_gamma: float = Field(default=2.0, ge=0)
    pos_lambda: float = Field(default=4.0, gt=0)
    neg_samples: int = Field(default=1024, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    asl_gamma_pos: float = Field(default=0.0, ge=0)
    asl_gamma_neg: float = Field(default=2.0, ge=0)
    asl_clip: float = Field(default=0.05, ge=0, lt=1)

    @field_validator(*_OWNERS)
    @classmethod
    def _belongs_to_the_species_loss(cls, value: Any, info: ValidationInfo) -> Any:
        """A parameter that would be ignored is a mistake of the one who wrote it."""
        chosen, owner = info.data.get("species_loss"), _OWNERS[str(info.field_name)]
        if chosen is not None and chosen != owner:
            raise ValueError(f"left out with species_loss {chosen!r}; it belongs to species_loss {owner!r}")
        return value

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

    def build(self, counts: TrainingCounts) -> BatchLoss:
        """The weighted sum of the tasks."""
        weight_S = None
        if self.pos_weight:
            weight_S = pos_weights_from_counts(counts.records_per_species_S, counts.n_rows, 1.0)
        arguments = self.model_dump(exclude={"loss", "pos_weight"})
        return MultiTaskBatchLoss(MultiTaskLoss(pos_weight=weight_S, **arguments))
