"""Environment of the real Earth on a 1-degree grid that ships with the package.

Sources and licences: ``presence_only/geography/earth_grid/CREDITS.md``; made by ``tools/make_earth.py``.

Shape legend: N sites, C covariates, L land cells. Grid cell (i, j) has its centre at latitude
i - 89.5 and longitude j - 179.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats
from presence_only.geography.sphere import EARTH_RADIUS_KM

ROWS, COLUMNS = 180, 360
SITES_PER_SLICE = 200_000
LAND_SHARE = "land share (fraction)"


@dataclass(frozen=True, eq=False)
class Earth:
    """Layers of environment with their names; read-only.

    Args:
        names: Name of every layer with its unit; the first is the land share.
        layers_C: float32, shape (C, 180, 360); all but the land share are NaN at sea.
    """

    names: tuple[str, ...]
    layers_C: NDArray[np.float32]
    # Of other environments these are sentences about their layers.
    notes: ClassVar[tuple[str, ...]] = ()

    @staticmethod
    def load() -> Earth:
        """The shipped grid; read once, then shared."""
        return _load()

    @property
    def land_share_grid(self) -> NDArray[np.float32]:
        """Share of land of every cell, shape (180, 360)."""
        share: NDArray[np.float32] = self.layers_C[0]
        return share

    def layer(self, name: str) -> NDArray[np.float32]:
        """One layer, shape (180, 360).

        Raises:
            ValueError: If no layer has this name.
        """
        if name not in self.names:
            raise ValueError(f"unknown layer {name!r}; known: {', '.join(self.names)}")
        layer: NDArray[np.float32] = self.layers_C[self.names.index(name)]
        return layer

    def sample(self, sites_N2: Floats) -> NDArray[np.float32]:
        """Covariates at sites, shape (N, C), interpolated bilinearly between cell centres.

        A cell where a layer is undefined has no say: the weights of the others are scaled to one.
        A layer is NaN only where all four cells around a site are sea. Longitude wraps at 180
        degrees; beyond the last row of centres the pole takes the value of that row.
        """
        sites_N2 = _checked(sites_N2)
        covariates_NC = np.empty((len(sites_N2), len(self.names)), dtype=np.float32)
        # In slices, so that millions of sites need no millions of float64 weights at once.
        for start in range(0, len(sites_N2), SITES_PER_SLICE):
            part = slice(start, start + SITES_PER_SLICE)
            covariates_NC[part] = self._interpolate(sites_N2[part])
        return covariates_NC

    def _interpolate(self, sites_N2: NDArray[np.float64]) -> NDArray[np.float64]:
        """What :meth:`sample` returns, for a slice of checked sites."""
        x_N, y_N = sites_N2[:, 0] + 179.5, np.clip(sites_N2[:, 1] + 89.5, 0, ROWS - 1)
        west_N, south_N = np.floor(x_N).astype(np.int64), np.floor(y_N).astype(np.int64)
        total_NC = np.zeros((len(sites_N2), len(self.names)))
        norm_NC = np.zeros_like(total_NC)
        for dy in (0, 1):
            for dx in (0, 1):
                weight_N = (1 - np.abs(y_N - south_N - dy)) * (1 - np.abs(x_N - west_N - dx))
                values_NC = self.layers_C[:, np.minimum(south_N + dy, ROWS - 1), (west_N + dx) % COLUMNS].T
                weight_NC = np.where(np.isnan(values_NC), 0.0, weight_N[:, None])
                total_NC += np.nan_to_num(values_NC) * weight_NC
                norm_NC += weight_NC
        undefined_NC = np.full_like(total_NC, np.nan)
        covariates_NC: NDArray[np.float64] = np.divide(total_NC, norm_NC, out=undefined_NC, where=norm_NC > 0)
        return covariates_NC

    def land_share(self, sites_N2: Floats) -> NDArray[np.float32]:
        """Share of land of the cell that holds each site, shape (N,)."""
        row_N, column_N = cell_of(sites_N2)
        share_N: NDArray[np.float32] = self.land_share_grid[row_N, column_N]
        return share_N

    def land_sites(self, n: int, generator: np.random.Generator, *, south: float = -90.0) -> NDArray[np.float64]:
        """Sites drawn uniformly over the area of land, shape (n, 2).

        Background sites of the kind ``land`` are drawn so, and the homes and towns of virtual worlds.

        A cell is drawn in proportion to its area times its land share, then a site uniformly over
        the cell, so that a site of a coastal cell may lie at sea within 1 degree of land.

        Args:
            n: Number of sites, at least 0.
            generator: Source of the draws.
            south: Southern limit in whole degrees, for example -60 to leave out Antarctica.
        """
        weight = self.land_share_grid * cell_area_km2()[:, None]
        weight[np.arange(ROWS) - 90 < south] = 0
        cumulative = np.cumsum(weight.ravel(), dtype=np.float64)
        drawn_N = np.searchsorted(cumulative, generator.random(n) * cumulative[-1], side="right")
        row_N, column_N = np.divmod(drawn_N, COLUMNS)
        # Uniform over a cell's area is uniform in longitude and in the sine of latitude.
        bottom_N, top_N = np.sin(np.radians(row_N - 90.0)), np.sin(np.radians(row_N - 89.0))
        latitude_N = np.degrees(np.arcsin(bottom_N + (top_N - bottom_N) * generator.random(n)))
        return np.column_stack([column_N - 180.0 + generator.random(n), latitude_N])


def cell_of(sites_N2: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of the grid cell that holds each site, shape (N,) each."""
    sites_N2 = _checked(sites_N2)
    row_N = np.minimum(np.floor(sites_N2[:, 1] + 90).astype(np.int64), ROWS - 1)
    return row_N, np.floor(sites_N2[:, 0] + 180).astype(np.int64) % COLUMNS


def cell_area_km2() -> NDArray[np.float64]:
    """Area of a cell of each row, shape (180,)."""
    edges = np.sin(np.radians(np.arange(ROWS + 1) - 90.0))
    area: NDArray[np.float64] = EARTH_RADIUS_KM**2 * np.radians(1.0) * np.diff(edges)
    return area


def _checked(sites_N2: Floats) -> NDArray[np.float64]:
    """The sites as float64; refuse what is not a list of longitude, latitude on the globe."""
    checked_N2: NDArray[np.float64] = np.asarray(sites_N2, dtype=np.float64)
    if checked_N2.ndim != 2 or checked_N2.shape[1] != 2:
        raise ValueError(f"sites have shape {checked_N2.shape}; expected (n, 2): longitude, latitude")
    wrong_N = ~((np.abs(checked_N2[:, 0]) <= 180) & (np.abs(checked_N2[:, 1]) <= 90))
    if wrong_N.any():
        longitude, latitude = checked_N2[np.flatnonzero(wrong_N)[0]]
        raise ValueError(
            f"site ({longitude:g}, {latitude:g}) is not on the globe; "
            "longitude must lie within -180..180 and latitude within -90..90 degrees"
        )
    return checked_N2


@cache
def _load() -> Earth:
    """Decode the shipped file."""
    with (
        files("presence_only.geography").joinpath("earth_grid", "earth_1deg.npz").open("rb") as file,
        np.load(file) as stored,
    ):
        share = (stored["land_code"] / float(stored["land_levels"])).astype(np.float32)
        layers = np.full((1 + len(stored["names"]), ROWS, COLUMNS), np.nan, dtype=np.float32)
        layers[0] = share
        layers[1:, share > 0] = stored["codes"] * stored["steps"][:, None]
        names = (LAND_SHARE, *(str(name) for name in stored["names"]))
    layers.flags.writeable = False
    return Earth(names, layers)
