"""SINR's nine layers of the United States, as the Geo Feature evaluation reads them.

Source: https://github.com/elijahcole/sinr, eval.py.

Shape legend: H x W a raster of the world, P pixels of the country, C covariates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.data.geo_feature import GeoFeatureLayers
from presence_only.datasets.sinr.published_files import LOGARITHMIC, RASTERS, SinrFolder, read_raster
from presence_only.geography.undeclared_nodata import undeclared_fill, undefined

# Sides of a checkerboard's cell in pixels.
CELL = 25


def country_layers(folder: SinrFolder, covariates: Callable[[Floats], Floats]) -> GeoFeatureLayers:
    """The layers at the country's pixels, row by row from the north-west.

    Args:
        folder: Where the rasters lie.
        covariates: Environment at sites, (n, 2) to (n, C).

    Raises:
        DataError: If a raster is missing, damaged or of another shape, or tells nothing of the country.
    """
    country_HW = read_raster(folder.country) == 1
    if not country_HW.any():
        raise DataError(f"{folder.country}: no pixel is 1; those of the country must be")
    values = []
    for name in RASTERS:
        raster_HW = read_raster(folder.raster(name))
        if raster_HW.shape != country_HW.shape:
            raise DataError(
                f"{folder.raster(name)}: has shape {raster_HW.shape} and {folder.country.name} {country_HW.shape}: "
                "must agree"
            )
        try:
            values_P = _known(raster_HW[country_HW], name)
            values.append(scaled_layer(values_P, logarithm=name == LOGARITHMIC))
        except DataError as error:
            raise DataError(f"{folder.raster(name)}: {error}") from None
    sites_P2 = pixel_sites(*country_HW.shape)[country_HW]
    return GeoFeatureLayers(
        sites_P2=sites_P2,
        covariates_PC=covariates(sites_P2),
        values_RP=np.stack(values),
        test_P=is_test_pixel(*country_HW.shape)[country_HW],
        names=tuple(name.lower() for name in RASTERS),
    )


def _known(values_P: NDArray[Any], name: str) -> NDArray[np.float32]:
    """A layer's values in float32, NaN in pixels of a number that stands for "no value"."""
    unknown_P = undefined(values_P, undeclared_fill(name, values_P).values) & np.isfinite(values_P)
    known_P = np.where(unknown_P, 0, values_P).astype(np.float32)
    known_P[unknown_P] = np.nan
    return known_P


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
