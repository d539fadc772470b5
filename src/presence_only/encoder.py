"""The location encoder: sites and covariates -> features -> embedding -> one logit per species.

Shape legend: B sites, F features, C covariates, D embedding, S species.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from presence_only.files import write_whole
from presence_only.nouns import CoordinateScale, Floats, Input, TrainingData
from presence_only.params import EncoderSettings


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

    mean_F: Tensor
    scale_F: Tensor

    def __init__(self, input: Input, coordinates: CoordinateScale, n_covariates: int) -> None:
        super().__init__()
        self.input = input
        self.coordinates = coordinates
        self.n_covariates = n_covariates
        size = 4 * (input != "covariates") + n_covariates * (input != "coordinates")
        # float64: a region of a few kilometres leaves few digits of a cosine.
        self.register_buffer("mean_F", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("scale_F", torch.ones(size, dtype=torch.float64))

    @property
    def size(self) -> int:
        """Number of features F."""
        return len(self.mean_F)

    def fit(self, data: TrainingData) -> Self:
        """Measure mean and deviation on the training rows and the background sites."""
        sites = np.concatenate([data.records.sites_N2, data.background.sites_K2])
        covariates = np.concatenate([data.records.covariates_NC, data.background.covariates_KC])
        raw = self._raw(sites, covariates)
        known = ~np.isnan(raw)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, raw, 0.0).sum(axis=0) / count
        scale = np.sqrt(np.where(known, (raw - mean) ** 2, 0.0).sum(axis=0) / count)
        scale[scale < 1e-12] = 1.0
        if self.input != "covariates" and self.coordinates == "sphere":
            mean[:4], scale[:4] = 0.0, 1.0
        self.mean_F.copy_(torch.from_numpy(mean))
        self.scale_F.copy_(torch.from_numpy(scale))
        return self

    def forward(self, sites_B2: Floats, covariates_BC: Floats) -> Tensor:
        """Features of shape (B, F), float32, on the CPU.

        Raises:
            ValueError: If the number of covariates is not the one seen in training.
        """
        if covariates_BC.shape[1] != self.n_covariates:
            raise ValueError(
                f"covariates_BC has {covariates_BC.shape[1]} columns; the encoder was made for {self.n_covariates}"
            )
        raw = self._raw(sites_B2, covariates_BC)
        standard = (raw - self.mean_F.cpu().numpy()) / self.scale_F.cpu().numpy()
        return torch.from_numpy(np.nan_to_num(standard, nan=0.0).astype(np.float32))

    def _raw(self, sites_B2: Floats, covariates_BC: Floats) -> Floats:
        """Features before standardisation, float64."""
        parts = []
        if self.input != "covariates":
            parts.append(coordinate_features(sites_B2.astype(np.float64)))
        if self.input != "coordinates":
            parts.append(covariates_BC.astype(np.float64))
        return np.concatenate(parts, axis=1)


class ResidualBlock(nn.Module):
    """Two layers with a shortcut around them, as in SINR's ``ResLayer``."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BD: Tensor) -> Tensor:
        """``x + relu(second(dropout(relu(first(x)))))``."""
        hidden_BD = self.dropout(torch.relu(self.first(x_BD)))
        return x_BD + torch.relu(self.second(hidden_BD))


class RangeModel(nn.Module):
    """Location encoder and species head: where -> how suitable for each species.

    Source: SINR, Cole et al. (2023), https://arxiv.org/abs/2306.02564: residual network over
    coordinate features, linear species head without bias.
    """

    def __init__(self, features: Features, n_species: int, settings: EncoderSettings) -> None:
        super().__init__()
        self.features = features
        self.settings = settings
        self.encoder = nn.Sequential(
            nn.Linear(features.size, settings.width),
            nn.ReLU(),
            *(ResidualBlock(settings.width, settings.dropout) for _ in range(settings.depth)),
        )
        self.species_head = nn.Linear(settings.width, n_species, bias=False)

    def forward(self, features_BF: Tensor) -> Tensor:
        """Logits of shape (B, S); their sigmoid is relative suitability, not a probability of presence."""
        logits_BS: Tensor = self.species_head(self.encoder(features_BF))
        return logits_BS

    @torch.no_grad()
    def predict(self, sites_B2: Floats, covariates_BC: Floats, *, chunk: int = 8192) -> np.ndarray[Any, Any]:
        """Logits (B, S) in float32 at sites given in degrees, dropout off."""
        device = self.species_head.weight.device
        training = self.training
        self.eval()
        features_BF = self.features(sites_B2, covariates_BC)
        out = np.empty((len(features_BF), self.species_head.out_features), dtype=np.float32)
        for start in range(0, len(features_BF), chunk):
            rows = slice(start, start + chunk)
            out[rows] = self(features_BF[rows].to(device)).cpu().numpy()
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
