"""Losses that take every unobserved pair as absent: cross-entropy, focal, asymmetric, Hill, polynomial forms.

Shape legend: S species.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from presence_only.common.settings import Need
from presence_only.losses.argument_checks import check_number
from presence_only.losses.base import TrainingCounts
from presence_only.losses.pair_weights import LabelledSettings, PairWeights
from presence_only.losses.parameters import from_parameters, with_parameters
from presence_only.losses.penalties import Asymmetric, CrossEntropy, Focal, Hill, Penalty
from presence_only.losses.polynomial_penalties import AsymmetricPolynomial, RobustAsymmetric


class PointwiseSettings(LabelledSettings):
    """Settings of the mean of a penalty over all pairs.

    Args:
        background_weight: Weight of background sites as further rows without species, >= 0.
    """

    background_weight: float = Field(default=0.0, ge=0)

    def build_penalty(self) -> Penalty:
        """The penalty after which the loss is named."""
        raise NotImplementedError

    def hard_weights(self, counts: TrainingCounts) -> PairWeights:
        """Every pair alike."""
        return PairWeights(self.build_penalty(), background=self.background_weight, background_as_rows=True)


class BceSettings(PointwiseSettings):
    """Binary cross-entropy over all pairs: every unobserved pair is absent.

    Args:
        pos_weight: Whether to weight positives by :func:`~presence_only.losses.geomodel.compute_pos_weights` of the
            training set.
        smoothing: Of those weights.
    """

    needs: ClassVar[Mapping[str, Need]] = {
        "smoothing": Need(lambda bce: bce.pos_weight, "pos_weight is true"),
    }

    loss: Literal["bce"]
    pos_weight: bool = False
    smoothing: float = Field(default=1.0, ge=0)

    def build_penalty(self) -> Penalty:
        """Cross-entropy."""
        return CrossEntropy()

    def hard_weights(self, counts: TrainingCounts) -> PairWeights:
        """Every pair alike, or positives by how rare their species is."""
        weights = super().hard_weights(counts)
        if not self.pos_weight:
            return weights
        rare_S = negatives_per_positive(counts.records_per_species_S, counts.n_rows, self.smoothing)
        return replace(weights, positive=rare_S)


@with_parameters(Focal)
class FocalSettings(PointwiseSettings):
    """Focal loss over all pairs: cross-entropy in which easy pairs count less."""

    loss: Literal["focal"]

    def build_penalty(self) -> Penalty:
        """Focal, with its own parameters."""
        return from_parameters(Focal, dict(self))


@with_parameters(Asymmetric)
class AslSettings(PointwiseSettings):
    """Asymmetric loss over all pairs: absences below a margin cost nothing, other easy ones little."""

    loss: Literal["asl"]

    def build_penalty(self) -> Penalty:
        """Asymmetric, with its own parameters."""
        return from_parameters(Asymmetric, dict(self))


@with_parameters(Hill)
class HillSettings(PointwiseSettings):
    """Hill loss over all pairs: an absence of which the model is sure that it is none costs no more."""

    loss: Literal["hill"]

    def build_penalty(self) -> Penalty:
        """Hill, with its own parameters."""
        return from_parameters(Hill, dict(self))


@with_parameters(AsymmetricPolynomial)
class AplSettings(PointwiseSettings):
    """Asymmetric polynomial loss over all pairs: asymmetric loss with changed Taylor coefficients."""

    loss: Literal["apl"]

    def build_penalty(self) -> Penalty:
        """Asymmetric polynomial, with its own parameters."""
        return from_parameters(AsymmetricPolynomial, dict(self))


@with_parameters(RobustAsymmetric)
class RalSettings(PointwiseSettings):
    """Robust asymmetric loss over all pairs: asymmetric polynomial loss with absences weighed by the Hill loss."""

    loss: Literal["ral"]

    def build_penalty(self) -> Penalty:
        """Robust asymmetric, with its own parameters."""
        return from_parameters(RobustAsymmetric, dict(self))


def negatives_per_positive(positive_S: Tensor, n_rows: int, smoothing: float) -> Tensor:
    """(n - n_s + smoothing) / (n_s + smoothing), from the sum n_s of each species' targets in n rows."""
    smoothing = check_number("smoothing", smoothing, 0.0)
    return (n_rows - positive_S + smoothing) / (positive_S + smoothing)
