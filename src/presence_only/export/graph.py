"""A trained model, or the seeds of a run, as one module of tensors: places in, scores of all species out.

Shape legend: B sites, C covariates, S species, K models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from presence_only.export.graph_features import ExportError, GraphFeatures
from presence_only.model.blend import Blend
from presence_only.model.encoder import RangeModel
from presence_only.model.forest import Forest
from presence_only.model.interface import SpeciesModel


@dataclass(frozen=True)
class Reads:
    """What a model reads, and so the inputs of its graph, in this order.

    Args:
        coordinates: ``longitude`` and ``latitude``.
        covariates: ``covariates``.
        weeks: ``week``.
    """

    coordinates: bool
    covariates: bool
    weeks: bool

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        place, covariates, week = ("longitude", "latitude"), ("covariates",), ("week",)
        return place * self.coordinates + covariates * self.covariates + week * self.weeks


def reads(models: Sequence[SpeciesModel]) -> Reads:
    """What some models read together."""
    parts = [part for model in models for part in _encoders(model)]
    return Reads(
        coordinates=any(part.settings.reads_coordinates for part in parts),
        covariates=any(part.settings.reads_covariates for part in parts),
        weeks=any(part.weeks for part in parts),
    )


class ModelGraph(nn.Module):
    """Logits of one model, be it an encoder, a forest or a blend.

    Args:
        model: Trained.
        dtype: Precision of the features; all else is float32.

    Raises:
        ExportError: If there is no graph for this kind of model.
    """

    def __init__(self, model: SpeciesModel, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(_encoders(model))
        self.features = nn.ModuleList(GraphFeatures(part.features, dtype) for part in _encoders(model))
        self.shares = _shares(model)

    def forward(
        self, longitude_B: Tensor | None, latitude_B: Tensor | None, covariates_BC: Tensor | None, week_B: Tensor | None
    ) -> Tensor:
        """Logits (B, S)."""
        logits_BS = torch.zeros(())
        for share, encoder, features in zip(self.shares, self.encoders, self.features, strict=True):
            own_BS = encoder(features(longitude_B, latitude_B, covariates_BC, week_B))
            if isinstance(encoder, RangeModel):
                own_BS = own_BS.logits_BS
            logits_BS = logits_BS + share * own_BS if len(self.encoders) > 1 else own_BS
        return logits_BS


class RunGraph(nn.Module):
    """All seeds of a run: logits, scores and, of several seeds, the spread of the scores.

    The score is the mean of the seeds' sigmoids, as of ``predict``; the logit is that of the score.

    Args:
        models: The seeds, at least one.
        dtype: Precision of the features.
    """

    def __init__(self, models: Sequence[SpeciesModel], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.reads = reads(models)
        self.models = nn.ModuleList(ModelGraph(model, dtype) for model in models)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return ("logits", "scores") + ("spread",) * (len(self.models) > 1)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Outputs (B, S) each, of inputs in the order of :attr:`Reads.inputs`."""
        given = dict(zip(self.reads.inputs, inputs, strict=True))
        order = [given.get(name) for name in ("longitude", "latitude", "covariates", "week")]
        logits = [model(*order) for model in self.models]
        if len(logits) == 1:
            return logits[0], _sigmoid(logits[0])
        x_KBS = torch.stack(logits)
        # Mean p over mean q, in logarithms: exact where the sigmoid rounds to 0 or 1.
        logits_BS = _log_of_mean(_log_sigmoid(x_KBS)) - _log_of_mean(_log_sigmoid(-x_KBS))
        scores_KBS = _sigmoid(x_KBS)
        mean_BS = scores_KBS.mean(dim=0)
        variance_BS = ((scores_KBS - mean_BS) ** 2).sum(dim=0) / (len(logits) - 1)
        return logits_BS, mean_BS, torch.sqrt(variance_BS)


# In elementary operations: onnxruntime's sigmoid is 0 below -18, where scores still rank; log(sigmoid(x)), as torch's
# function is exported, and runtimes' own logsumexp are computed with different care.


def _sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), which keeps its digits however small it is."""
    return 1.0 / (1.0 + torch.exp(-x))


def _log_sigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x)), finite for every finite x."""
    return torch.clamp(x, max=0.0) - torch.log(1.0 + torch.exp(-torch.abs(x)))


def _log_of_mean(x_KBS: Tensor) -> Tensor:
    """log(mean(exp(x))) over the models, (B, S)."""
    largest_BS = torch.amax(x_KBS, dim=0)
    return largest_BS + torch.log(torch.exp(x_KBS - largest_BS).mean(dim=0))


def _encoders(model: SpeciesModel) -> list[RangeModel | Forest]:
    """The encoders and forests of a model, members of members included."""
    if isinstance(model, (RangeModel, Forest)):
        return [model]
    if isinstance(model, Blend):
        return [part for member in model.members for part in _encoders(member)]  # type: ignore[arg-type]
    raise ExportError(f"model of kind {type(model).__name__}: has no graph; encoders, forests and blends of them have")


def _shares(model: SpeciesModel) -> list[float]:
    """The weight of every encoder's logits, in the order of :func:`_encoders`."""
    if not isinstance(model, Blend):
        return [1.0]
    n = len(model.members)
    return [share / n for member in model.members for share in _shares(member)]  # type: ignore[arg-type]
