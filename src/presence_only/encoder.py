"""The location encoder: sites and covariates -> features -> embedding -> one logit per species.

Shape legend: B sites, F features, C covariates, D embedding, S species.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from presence_only.files import write_whole
from presence_only.nouns import CoordinateScale, DataError, Floats, Input, TrainingData
from presence_only.params import EncoderSettings

# Before the sigmoid: the direct logits' share at the start is 0.95.
GATE_START = 3.0


def coordinate_features(sites_B2: Floats) -> Floats:
    """Sines and cosines of longitude and latitude, which make the date line vanish.

    Source: Mac Aodha et al. (2019), https://arxiv.org/abs/1906.05272, as used by SINR.

    Args:
        sites_B2: Longitude, latitude in degrees.

    Returns:
        (B, 4): sin, cos of pi * longitude / 180; sin, cos of pi * latitude / 90.
    """
    angles_B2 = np.pi * sites_B2 / np.array([180.0, 90.0])
    return np.stack(
        [
            np.sin(angles_B2[:, 0]),
            np.cos(angles_B2[:, 0]),
            np.sin(angles_B2[:, 1]),
            np.cos(angles_B2[:, 1]),
        ],
        axis=1,
    )


class Features(nn.Module):
    """Turns sites and covariates into the encoder's input, by what was seen in training.

    Covariates are standardised with the mean and deviation over training rows and background
    sites; an unknown covariate (NaN) becomes the mean. Coordinates stay as they are on the
    ``sphere`` and are standardised the same way in a ``local`` region.
    """

    mean_4: Tensor
    scale_4: Tensor
    mean_C: Tensor
    scale_C: Tensor

    def __init__(self, input: Input, coordinates: CoordinateScale, n_covariates: int) -> None:
        super().__init__()
        self.input = input
        self.coordinates = coordinates
        self.n_covariates = n_covariates
        # float64: a region of a few kilometres leaves few digits of a cosine.
        for name, size in (("4", 4), ("C", n_covariates)):
            self.register_buffer(f"mean_{name}", torch.zeros(size, dtype=torch.float64))
            self.register_buffer(f"scale_{name}", torch.ones(size, dtype=torch.float64))

    @property
    def size(self) -> int:
        """Number of features F."""
        return 4 * (self.input != "covariates") + self.n_covariates * (self.input != "coordinates")

    def fit(self, data: TrainingData) -> Self:
        """Measure mean and deviation on the training rows and the background sites."""
        covariates = np.concatenate([data.records.covariates_NC, data.background.covariates_KC])
        _measure(covariates.astype(np.float64), self.mean_C, self.scale_C)
        if self.coordinates == "local":
            sites = np.concatenate([data.records.sites_N2, data.background.sites_K2])
            _measure(coordinate_features(sites), self.mean_4, self.scale_4)
        return self

    def forward(self, sites_B2: Floats, covariates_BC: Floats) -> Tensor:
        """Features of shape (B, F), float32, on the CPU.

        Raises:
            ValueError: If the number of covariates is not the one seen in training.
        """
        parts = []
        if self.input != "covariates":
            parts.append(_standardise(coordinate_features(sites_B2.astype(np.float64)), self.mean_4, self.scale_4))
        standard_BC = self.environment(covariates_BC)
        if self.input != "coordinates":
            parts.append(torch.nan_to_num(standard_BC, nan=0.0))
        return torch.cat(parts, dim=1)

    def environment(self, covariates_BC: Floats) -> Tensor:
        """Standardised covariates of shape (B, C), float32, on the CPU, NaN where unknown.

        Raises:
            ValueError: If the number of covariates is not the one seen in training.
        """
        if covariates_BC.shape[1] != self.n_covariates:
            raise ValueError(
                f"covariates_BC has {covariates_BC.shape[1]} columns; the encoder was made for {self.n_covariates}"
            )
        return _standardise(covariates_BC.astype(np.float64), self.mean_C, self.scale_C)


def _measure(values: Floats, mean: Tensor, scale: Tensor) -> None:
    """Store mean and deviation of every column's known values; a constant column keeps its scale."""
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, values, 0.0).sum(axis=0) / count
    deviation = np.sqrt(np.where(known, (values - centre) ** 2, 0.0).sum(axis=0) / count)
    deviation[deviation < 1e-12] = 1.0
    mean.copy_(torch.from_numpy(centre))
    scale.copy_(torch.from_numpy(deviation))


def _standardise(values: Floats, mean: Tensor, scale: Tensor) -> Tensor:
    """``(values - mean) / scale`` in float64, given as float32."""
    return torch.from_numpy(((values - mean.cpu().numpy()) / scale.cpu().numpy()).astype(np.float32))


class ByteDropout(nn.Module):
    """Dropout whose mask takes one random byte a unit, at a seventh of the cost of ``nn.Dropout`` on a CPU.

    Source: Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html

    Args:
        share: Share of units silenced while training, rounded to a multiple of 1/256; the others
            are scaled up so that the expectation stays exactly the same.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.silenced = min(round(share * 256), 255)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` with units silenced at random; ``x`` itself when not training."""
        if not self.training or self.silenced == 0:
            return x
        words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64, device=x.device).random_(-(2**63), None)
        mask = (words.view(torch.uint8)[: x.numel()] >= self.silenced).view(x.shape)
        return x * mask.to(x.dtype).mul_(256 / (256 - self.silenced))


class ResidualBlock(nn.Module):
    """Two layers with a shortcut around them, as in SINR's ``ResLayer``."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        self.dropout = ByteDropout(dropout)

    def forward(self, x_BD: Tensor) -> Tensor:
        """``x + relu(second(dropout(relu(first(x)))))``."""
        hidden_BD = self.dropout(torch.relu(self.first(x_BD)))
        return x_BD + torch.relu(self.second(hidden_BD))


@dataclass(frozen=True)
class Outputs:
    """What the model says about B sites.

    Args:
        logits_BS: Species logits; with a habitat head the gated mixture of both heads.
        environment_BC: Predicted standardised covariates, where there is an environment head.
        habitat_BS: Species logits from the predicted environment alone, where there is a habitat head.
    """

    logits_BS: Tensor
    environment_BC: Tensor | None = None
    habitat_BS: Tensor | None = None


class RangeModel(nn.Module):
    """Location encoder and species head: where -> how suitable for each species.

    The environment head predicts the site's standardised covariates from the embedding. The habitat
    head goes from that prediction, detached so that species do not bend it, to species logits; a
    learned gate per species mixes them with the direct ones and starts at sigmoid(3) = 0.95 for these.

    Source: SINR, Cole et al. (2023), https://arxiv.org/abs/2306.02564: residual network over
    coordinate features, linear species head without bias. The two further heads are those of the
    BirdNET geomodel, https://github.com/birdnet-team/geomodel
    """

    def __init__(self, features: Features, n_species: int, settings: EncoderSettings) -> None:
        super().__init__()
        width, n_covariates = settings.width, features.n_covariates
        if settings.environment_head and n_covariates == 0:
            raise DataError("encoder.environment_head = true: the data set has no covariates to predict")
        self.features = features
        self.settings = settings
        self.encoder = nn.Sequential(
            nn.Linear(features.size, width),
            nn.ReLU(),
            *(ResidualBlock(width, settings.dropout) for _ in range(settings.depth)),
        )
        self.species_head = nn.Linear(width, n_species, bias=False)
        if settings.environment_head:
            self.environment_head = nn.Linear(width, n_covariates)
        if settings.habitat_head:
            self.habitat_head = nn.Sequential(
                nn.Linear(n_covariates, width), nn.ReLU(), nn.Linear(width, n_species, bias=False)
            )
            self.gate_S = nn.Parameter(torch.full((n_species,), GATE_START))

    def forward(self, features_BF: Tensor) -> Outputs:
        """Everything the heads say about some sites."""
        location_BD = self.encoder(features_BF)
        direct_BS = self.species_head(location_BD)
        if not self.settings.environment_head:
            return Outputs(direct_BS)
        environment_BC = self.environment_head(location_BD)
        if not self.settings.habitat_head:
            return Outputs(direct_BS, environment_BC)
        habitat_BS = self.habitat_head(environment_BC.detach())
        share_S = torch.sigmoid(self.gate_S)
        return Outputs(share_S * direct_BS + (1 - share_S) * habitat_BS, environment_BC, habitat_BS)

    @torch.no_grad()
    def predict(self, sites_B2: Floats, covariates_BC: Floats, *, chunk: int = 8192) -> np.ndarray[Any, Any]:
        """Logits (B, S) in float32 at sites given in degrees, dropout off.

        Their sigmoid is relative suitability, not a probability of presence.
        """
        device = self.species_head.weight.device
        training = self.training
        self.eval()
        features_BF = self.features(sites_B2, covariates_BC)
        out = np.empty((len(features_BF), self.species_head.out_features), dtype=np.float32)
        for start in range(0, len(features_BF), chunk):
            rows = slice(start, start + chunk)
            out[rows] = self(features_BF[rows].to(device)).logits_BS.cpu().numpy()
        self.train(training)
        return out

    def save(self, path: Path) -> None:
        """Write weights and shape to ``path``, whole or not at all; equal models give equal bytes."""
        # Through memory: torch.save writes the file's name into the file, here a temporary one.
        buffer = io.BytesIO()
        torch.save(
            {
                "input": self.features.input,
                "coordinates": self.features.coordinates,
                "n_covariates": self.features.n_covariates,
                "n_species": self.species_head.out_features,
                "settings": self.settings.model_dump(),
                "state": {name: tensor.cpu() for name, tensor in self.state_dict().items()},
            },
            buffer,
        )
        with write_whole(path) as temporary:
            temporary.write_bytes(buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote, onto the CPU."""
        saved = torch.load(path, map_location="cpu", weights_only=True)
        features = Features(saved["input"], saved["coordinates"], saved["n_covariates"])
        model = cls(features, saved["n_species"], EncoderSettings.model_validate(saved["settings"]))
        model.load_state_dict(saved["state"])
        return model.eval()
