"""Layers of the Earth that virtual worlds are made of, and the niche axes made from them.

Shape legend: N sites, C layers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats

ELEVATION, ROUGHNESS = "elevation (m)", "roughness (m)"
MEAN_TEMPERATURE = "annual mean temperature (degrees C)"
TEMPERATURE_SEASONALITY = "temperature seasonality (degrees C)"
COLDEST = "coldest month temperature (degrees C)"
PRECIPITATION = "annual precipitation (mm)"
PRECIPITATION_SEASONALITY = "precipitation seasonality (coefficient of variation)"
AXES = 6

# Antarctica's altitudes in the grid are those of its rock, and hardly a land species lives on it.
SOUTHERN_LIMIT = -60.0


def niche_axes(names: tuple[str, ...], layers_CN: Floats) -> NDArray[np.float64]:
    """What niches are made of: layers, with the skewed ones on a log scale; shape (axes, N)."""
    layer = dict(zip(names, layers_CN.astype(np.float64), strict=True))
    return np.stack(
        [
            layer[MEAN_TEMPERATURE],
            layer[TEMPERATURE_SEASONALITY],
            np.log(layer[PRECIPITATION] + 50),
            layer[PRECIPITATION_SEASONALITY],
            np.log(np.maximum(layer[ELEVATION], 0) + 200),
            np.log(layer[ROUGHNESS] + 20),
        ]
    )


def layers_by_name(names: tuple[str, ...], layers_CN: Floats) -> dict[str, NDArray[np.float64]]:
    """Every layer at the sites, shape (N,), by its name."""
    return dict(zip(names, layers_CN.astype(np.float64), strict=True))
