"""Prediction of layers of the Earth from a location embedding: SINR's Geo Feature.

Source: Cole et al. (2023), https://arxiv.org/abs/2306.02564: a ridge regression predicts layers of the
Earth, such as elevation, from the embedding at each pixel of a country; scored on the other colour
of a checkerboard.

Shape legend: N training pixels, M test pixels, P pixels of the country, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import MinMaxScaler

from presence_only.common.arrays import Floats
from presence_only.data.geo_feature import GeoFeatureLayers
from presence_only.model.interface import WEEKS_OF_A_YEAR, SpeciesModel

# SINR's penalties to choose from, and folds that choose.
ALPHAS = (0.1, 1.0, 10.0)
FOLDS = 10


@dataclass(frozen=True, eq=False)
class GeoFeature:
    """Scores a range model by what its embedding tells of the Earth's layers."""

    layers: GeoFeatureLayers

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the layers that a data set saved."""
        return cls(GeoFeatureLayers.load(folder))

    def score(self, model: SpeciesModel, species: tuple[str, ...]) -> Mapping[str, float]:
        """R2 of every layer on the test pixels.

        Args:
            model: The range model; for one that reads the week, the mean embedding of twelve months.
            species: Its vocabulary; not read.

        Returns:
            ``r2``: mean over layers on the test pixels, as SINR reports; ``r2_train``: the same on
            the training pixels; ``r2_<layer>`` on the test pixels; ``n_pixels``.
        """
        layers = self.layers
        embedding_PD = self._embed(model)
        train, test = {}, {}
        for name, values_P in zip(layers.names, layers.values_RP, strict=True):
            known_P = ~np.isnan(values_P)
            fit_P, test_P = known_P & ~layers.test_P, known_P & layers.test_P
            train[name], test[name] = ridge_r2(
                embedding_PD[fit_P], values_P[fit_P], embedding_PD[test_P], values_P[test_P]
            )
        return {
            "r2": float(np.mean(list(test.values()))),
            "r2_train": float(np.mean(list(train.values()))),
            **{f"r2_{name}": value for name, value in test.items()},
            "n_pixels": float(len(layers.sites_P2)),
        }

    def _embed(self, model: SpeciesModel) -> NDArray[Any]:
        """Embedding of every pixel, shape (P, D)."""
        sites = self.layers.sites_P2, self.layers.covariates_PC
        if not model.weeks:
            return model.embed_sites(*sites)
        weeks = [np.full(len(sites[0]), week) for week in WEEKS_OF_A_YEAR]
        mean_PD: NDArray[Any] = np.mean([model.embed_sites(*sites, week_P) for week_P in weeks], axis=0)
        return mean_PD


def ridge_r2(train_ND: Floats, train_N: Floats, test_MD: Floats, test_M: Floats) -> tuple[float, float]:
    """R2 of a ridge regression on embeddings scaled to 0..1 by the training pixels: training, test.

    The penalty is the one of ``ALPHAS`` with the best mean R2 over ten folds of consecutive rows.
    """
    scaler = MinMaxScaler().fit(train_ND)
    model = RidgeCV(alphas=ALPHAS, cv=FOLDS, fit_intercept=True, scoring="r2")
    model.fit(scaler.transform(train_ND), train_N)
    train, test = model.score(scaler.transform(train_ND), train_N), model.score(scaler.transform(test_MD), test_M)
    return float(train), float(test)
