"""How much of the real world a location embedding holds: SINR's Geo Feature.

Source: Cole et al. (2023), https://arxiv.org/abs/2306.02564: a ridge regression predicts layers of the
Earth, such as elevation, from the embedding at each pixel of a country; scored on the other colour
of a checkerboard.

Shape legend: H x W a raster, P pixels of the country, R rasters, C covariates, D embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import MinMaxScaler

from presence_only.common.arrays import Floats
from presence_only.common.atomic_files import read_json, write_folder, write_json
from presence_only.common.errors import DataError
from presence_only.data.sites import WEEKS

if TYPE_CHECKING:
    # Data set modules make tasks, and have no need of torch.
    from presence_only.model.interface import SpeciesModel

# SINR's: sides of a checkerboard's cell in pixels, penalties to choose from, folds that choose.
CELL = 25
ALPHAS = (0.1, 1.0, 10.0)
FOLDS = 10


def pixel_sites(height: int, width: int) -> NDArray[np.float64]:
    """Longitude, latitude of every pixel of a world raster as SINR places them, shape (height, width, 2).

    The outermost pixels lie on the edges: longitude -180..180 from left to right, latitude 90..-90
    from top to bottom, both ends included.
    """
    longitude_HW, latitude_HW = np.meshgrid(np.linspace(-180, 180, width), np.linspace(90, -90, height))
    return np.stack([longitude_HW, latitude_HW], axis=2)


def is_test_pixel(height: int, width: int, cell: int = CELL) -> NDArray[np.bool_]:
    """The colour of a checkerboard that tests, the top left cell's; shape (height, width).

    Args:
        height: Rows of the raster.
        width: Columns of the raster.
        cell: Pixels along a cell's side; cells at the right and lower edge may be cut.
    """
    row_H, column_W = np.arange(height) // cell, np.arange(width) // cell
    test_HW: NDArray[np.bool_] = (row_H[:, None] + column_W[None, :]) % 2 == 0
    return test_HW


def scaled_layer(values_P: Floats, *, logarithm: bool = False) -> NDArray[np.float32]:
    """A layer's known values brought to 0..1, in float32 as SINR does; NaN stays.

    Args:
        values_P: The country's pixels; NaN where unknown.
        logarithm: First take log(1 + value - minimum), for layers that span magnitudes.

    Raises:
        DataError: If all known values are equal, or none is known or finite.
    """
    scaled_P: NDArray[np.float32] = values_P.astype(np.float32)
    known_P = ~np.isnan(scaled_P)
    known = scaled_P[known_P]
    if not len(known) or not np.isfinite(known).all() or known.min() == known.max():
        raise DataError("the layer has no two different finite values in the country; at least two are needed")
    if logarithm:
        known = np.log1p(known - known.min())
    known -= known.min()
    scaled_P[known_P] = known / known.max()
    return scaled_P


def ridge_r2(train_ND: Floats, train_N: Floats, test_MD: Floats, test_M: Floats) -> tuple[float, float]:
    """R2 of a ridge regression on embeddings scaled to 0..1 by the training pixels: training, test.

    The penalty is the one of ``ALPHAS`` with the best mean R2 over ten folds of consecutive rows.
    """
    scaler = MinMaxScaler().fit(train_ND)
    model = RidgeCV(alphas=ALPHAS, cv=FOLDS, fit_intercept=True, scoring="r2")
    model.fit(scaler.transform(train_ND), train_N)
    train, test = model.score(scaler.transform(train_ND), train_N), model.score(scaler.transform(test_MD), test_M)
    return float(train), float(test)


@dataclass(frozen=True, eq=False)
class GeoFeature:
    """Layers of the Earth at the pixels of one country, and which pixels test.

    Args:
        sites_P2: Longitude, latitude of the pixels, degrees WGS84, row by row from the north-west.
        covariates_PC: Environment there, the columns of the records.
        values_RP: Layers scaled to 0..1; NaN where unknown.
        test_P: Whether a pixel tests.
        names: Name of every layer, as in the number's name.

    Raises:
        DataError: If shapes disagree, there is no layer, or a layer has too few pixels to be fitted
            and tested.
    """

    kind: ClassVar[str] = "geo_feature"

    sites_P2: Floats
    covariates_PC: Floats
    values_RP: Floats
    test_P: NDArray[np.bool_]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        n_pixels = len(self.sites_P2)
        if not self.names:
            raise DataError("there is no layer to predict; at least one is needed")
        if (
            self.values_RP.shape != (len(self.names), n_pixels)
            or self.test_P.shape != (n_pixels,)
            or len(self.covariates_PC) != n_pixels
        ):
            raise DataError(
                f"{self.values_RP.shape} values for {len(self.names)} layers, {n_pixels} sites, "
                f"{self.test_P.shape} colours and {self.covariates_PC.shape} covariates: pixels must agree"
            )
        for name, values_P in zip(self.names, self.values_RP, strict=True):
            known_P = ~np.isnan(values_P)
            n_train, n_test = np.count_nonzero(known_P & ~self.test_P), np.count_nonzero(known_P & self.test_P)
            if n_train < 2 * FOLDS or n_test < 2:
                raise DataError(
                    f"layer {name!r} is known at {n_train} training and {n_test} test pixels; "
                    f"at least {2 * FOLDS} and 2 are needed"
                )

    def score(self, model: SpeciesModel, species: tuple[str, ...]) -> Mapping[str, float]:
        """R2 of every layer on the test pixels.

        Args:
            model: The range model; for one that reads the week, the mean embedding of twelve months.
            species: Its vocabulary; not read.

        Returns:
            ``r2``: mean over layers on the test pixels, as SINR reports; ``r2_train``: the same on
            the training pixels; ``r2_<layer>`` on the test pixels; ``n_pixels``.
        """
        embedding_PD = self._embed(model)
        train, test = {}, {}
        for name, values_P in zip(self.names, self.values_RP, strict=True):
            known_P = ~np.isnan(values_P)
            fit_P, test_P = known_P & ~self.test_P, known_P & self.test_P
            train[name], test[name] = ridge_r2(
                embedding_PD[fit_P], values_P[fit_P], embedding_PD[test_P], values_P[test_P]
            )
        return {
            "r2": float(np.mean(list(test.values()))),
            "r2_train": float(np.mean(list(train.values()))),
            **{f"r2_{name}": value for name, value in test.items()},
            "n_pixels": float(len(self.sites_P2)),
        }

    def _embed(self, model: SpeciesModel) -> NDArray[Any]:
        """Embedding of every pixel, shape (P, D)."""
        if not model.weeks:
            return model.embed_sites(self.sites_P2, self.covariates_PC)
        months = [np.full(len(self.sites_P2), week) for week in range(2, WEEKS + 1, WEEKS // 12)]
        mean_PD: NDArray[Any] = np.mean(
            [model.embed_sites(self.sites_P2, self.covariates_PC, week_P) for week_P in months], axis=0
        )
        return mean_PD

    def save(self, folder: Path) -> None:
        """Write pixels and layers into ``folder``, whole or not at all."""
        with write_folder(folder) as temporary:
            np.savez_compressed(
                temporary / "pixels.npz",
                sites_P2=self.sites_P2,
                covariates_PC=self.covariates_PC,
                values_RP=self.values_RP,
                test_P=self.test_P,
            )
            write_json(temporary / "names.json", self.names)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        with np.load(folder / "pixels.npz") as arrays:
            stored = {name: arrays[name] for name in arrays.files}
        return cls(**stored, names=tuple(read_json(folder / "names.json")))
