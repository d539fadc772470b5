"""Layers of the Earth at the pixels of a country: what a data set hands over for the Geo Feature evaluation.

Shape legend: P pixels of the country, R layers, C covariates.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.common.stored_files import reading
from presence_only.data.array_folder import load_arrays, save_arrays

# The least pixels that a layer must be known at: two for each of ten folds to fit, and two to score.
FITTED, SCORED = 20, 2


@dataclass(frozen=True, eq=False)
class GeoFeatureLayers:
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
            if n_train < FITTED or n_test < SCORED:
                raise DataError(
                    f"layer {name!r} is known at {n_train} training and {n_test} test pixels; "
                    f"at least {FITTED} and {SCORED} are needed"
                )

    def save(self, folder: Path) -> None:
        """Write pixels and layers into ``folder``, whole or not at all."""
        arrays = {
            "sites_P2": self.sites_P2,
            "covariates_PC": self.covariates_PC,
            "values_RP": self.values_RP,
            "test_P": self.test_P,
        }
        save_arrays(folder, "pixels", arrays, {"names": self.names})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        content = load_arrays(folder, "pixels", "names")
        with reading(folder):
            return cls(**content)
