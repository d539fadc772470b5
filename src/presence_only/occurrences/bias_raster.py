"""Background sites drawn by a bias raster: the effort of observers, the density of a target group, access.

Where observers go more often, more background sites are drawn, so that the background has the bias of the records.
Source: Phillips et al. (2009), https://doi.org/10.1890/07-2153.1; a bias file of Maxent is such a raster.

Shape legend: K background sites, R rows and Q columns of a part of the raster.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Ints
from presence_only.common.errors import DataError
from presence_only.geography.cell_areas import cell_areas
from presence_only.geography.longitudes import within_180
from presence_only.geography.rasters import CELLS_AT_ONCE, Grid, open_grid

# Of a strip of rows, several arrays of which are held; and of all cells, which are read twice.
MOST_CELLS_OF_A_STRIP, MOST_CELLS = 16 * CELLS_AT_ONCE, 10**10


def open_bias_raster(path: Path) -> Grid:
    """The one layer of a bias raster.

    Raises:
        DataError: If the file is missing, is no raster, has several layers, or more cells than can be read.
    """
    if not path.is_file():
        raise DataError(f"background {str(path)!r}: there is no such file; give a GeoTIFF or an .npz of one layer")
    grid = open_grid(path)
    if len(grid.names) != 1:
        raise DataError(
            f"background {str(path)!r}: has {len(grid.names)} layers, such as {grid.names[0]!r} and "
            f"{grid.names[1]!r}; a raster of weights has one"
        )
    rows, columns = grid.shape
    if rows * columns > MOST_CELLS or min(grid.rows_at_once, rows) * columns > MOST_CELLS_OF_A_STRIP:
        raise DataError(
            f"background {str(path)!r}: has {rows:,} x {columns:,} cells, all of which are read; a raster of weights "
            f"may have {MOST_CELLS:,}, and {MOST_CELLS_OF_A_STRIP:,} in a row of blocks: make it coarser"
        )
    return grid


def bias_raster_sites(path: Path, n: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Sites drawn in proportion to the value of a raster, shape (n, 2).

    The value is a density: among cells of equal value a site is as likely in one square kilometre as in another, so
    that a raster of ones draws uniformly over its area, as the background ``uniform`` does on the sphere. A cell that
    is undefined has no sites, as one of 0. Within a cell sites are uniform.

    Args:
        path: A GeoTIFF or an ``.npz`` of layers, as of :mod:`~presence_only.geography.rasters`, of one layer.
        n: Number of sites, at least 1, drawn with replacement.
        generator: Source of the draws.

    Raises:
        DataError: If the raster cannot be read, has several layers, has a negative value, or none above 0.
    """
    grid = open_bias_raster(path)
    step = grid.rows_at_once
    strips = [slice(start, min(start + step, grid.shape[0])) for start in range(0, grid.shape[0], step)]
    ends = np.cumsum([_weights(grid, strip, path).sum() for strip in strips])
    if ends[-1] == 0:
        raise DataError(f"background {str(path)!r}: has no value above 0; sites are drawn in proportion to its values")
    drawn_K = generator.random(n) * ends[-1]
    fraction_K2 = generator.random((n, 2))
    strip_K = np.minimum(
        np.searchsorted(ends, drawn_K, side="right"), int(np.flatnonzero(np.diff(ends, prepend=0))[-1])
    )
    row_K, column_K = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    for index in np.unique(strip_K):
        own_K = strip_K == index
        cumulative = np.cumsum(_weights(grid, strips[index], path))
        # Of sums that are rounded in another order a draw may lie behind the last cell.
        last = int(np.searchsorted(cumulative, cumulative[-1]))
        start = ends[index - 1] if index else 0.0
        cell = np.minimum(np.searchsorted(cumulative, drawn_K[own_K] - start, side="right"), last)
        row_K[own_K], column_K[own_K] = np.divmod(cell, grid.shape[1])
        row_K[own_K] += strips[index].start
    return _within_cells(grid, row_K, column_K, fraction_K2, path)


def _weights(grid: Grid, rows: slice, path: Path) -> NDArray[np.float64]:
    """Value times area of the cells of some rows, 0 where undefined, shape (R, Q)."""
    cells_RQ = grid.read(0, rows, slice(0, grid.shape[1])).astype(np.float64)
    negative_RQ = cells_RQ < 0
    if negative_RQ.any():
        row, column = np.argwhere(negative_RQ)[0]
        longitude, latitude = grid.sites(np.array([column]), np.array([row + rows.start]))[0]
        raise DataError(
            f"background {str(path)!r}: has the value {cells_RQ[row, column]:g} at longitude {longitude:g}, latitude "
            f"{latitude:g}; sites are drawn in proportion to the values, which must be 0 or more, or undefined"
        )
    weights_RQ: NDArray[np.float64] = np.nan_to_num(cells_RQ, nan=0.0) * cell_areas(grid, rows)
    return weights_RQ


def _within_cells(
    grid: Grid, row_K: Ints, column_K: Ints, fraction_K2: NDArray[np.float64], path: Path
) -> NDArray[np.float64]:
    """Sites uniform over the area of their cells, shape (K, 2)."""
    down_K = fraction_K2[:, 1]
    if grid.turn is not None:
        # Uniform over a cell's area is uniform in the sine of latitude.
        *_, height, north = grid.affine
        edges_2K = np.sin(np.radians(np.clip(height * (row_K + np.array([[0], [1]])) + north, -90, 90)))
        latitude_K = np.degrees(np.arcsin(edges_2K[0] + down_K * (edges_2K[1] - edges_2K[0])))
        down_K = (latitude_K - north) / height - row_K
    sites_K2 = grid.sites(column_K + fraction_K2[:, 0] - 0.5, row_K + down_K - 0.5)
    beyond_K = ~np.isfinite(sites_K2).all(axis=1)
    if beyond_K.any():
        # A cell at the edge of a projection, such as of the world in an oval.
        sites_K2[beyond_K] = grid.sites(column_K[beyond_K], row_K[beyond_K])
    if not np.isfinite(sites_K2).all():
        raise DataError(f"background {str(path)!r}: has values above 0 outside of its coordinate reference system")
    west_K = np.where(sites_K2[:, 0] < -180, sites_K2[:, 0] + 360, sites_K2[:, 0])
    return np.column_stack([within_180(west_K), np.clip(sites_K2[:, 1], -90, 90)])
