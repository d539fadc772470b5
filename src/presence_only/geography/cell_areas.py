"""Areas of the cells of a raster on the Earth, in any projection.

Shape legend: R rows and Q columns of a part of a grid, r and q those of a coarse lattice of its cells.
"""

from __future__ import annotations

import numpy as np
import pyproj
from numpy.typing import NDArray
from scipy import ndimage

from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.geography.rasters import Grid
from presence_only.geography.sphere import EARTH_RADIUS_KM

# Cells along a side at which the area is computed in a projection; it is interpolated between them.
LATTICE = 65


def cell_areas(grid: Grid, rows: slice) -> NDArray[np.float64]:
    """Area in km2 of the cells of some rows, shape (R, Q), or (R, 1) if all cells of a row are alike.

    Between meridians and parallels it is exact on the sphere. Otherwise it comes from the areal scale of the
    projection at a lattice of cells, and is interpolated between them.

    Raises:
        DataError: If no cell lies within the grid's projection.
    """
    if grid.turn is None:
        return _projected_areas(grid, rows)
    parallels = np.radians(np.clip(grid.affine[4] * np.arange(rows.start, rows.stop + 1) + grid.affine[5], -90, 90))
    area_R: NDArray[np.float64] = (
        EARTH_RADIUS_KM**2 * np.radians(abs(grid.affine[0])) * np.abs(np.diff(np.sin(parallels)))
    )
    return area_R[:, None]


def _projected_areas(grid: Grid, rows: slice) -> NDArray[np.float64]:
    """The same in a projection."""
    row_r = np.linspace(rows.start, rows.stop - 1, min(LATTICE, rows.stop - rows.start))
    column_q = np.linspace(0, grid.shape[1] - 1, min(LATTICE, grid.shape[1]))
    column_rq, row_rq = np.meshgrid(column_q, row_r)
    sites_X2 = grid.sites(column_rq.ravel(), row_rq.ravel())
    area_rq = _area_at(grid, np.where(np.isfinite(sites_X2), sites_X2, np.nan)).reshape(column_rq.shape)
    unknown_rq = ~np.isfinite(area_rq)
    if unknown_rq.all():
        raise DataError(f"layer {grid.names[0]!r}: none of its cells lies within its coordinate reference system")
    if unknown_rq.any():
        # Beyond the edge of the projection, such as the corners of a map of the world.
        nearest = ndimage.distance_transform_edt(unknown_rq, return_distances=False, return_indices=True)
        area_rq = area_rq[tuple(nearest)]
    areas: NDArray[np.float64] = (
        _between(np.arange(rows.start, rows.stop), row_r) @ area_rq @ _between(np.arange(grid.shape[1]), column_q).T
    )
    return areas


def _area_at(grid: Grid, sites_X2: Floats) -> NDArray[np.float64]:
    """Area in km2 that a cell would have around each site, NaN where the projection gives none, shape (X,)."""
    a, b, _, d, e, _ = grid.affine
    size = abs(a * e - b * d)
    if grid.geographic:
        area_X: NDArray[np.float64] = size * np.cos(np.radians(sites_X2[:, 1])) * (EARTH_RADIUS_KM * np.pi / 180) ** 2
        return area_X
    crs = pyproj.CRS(grid.crs)
    km2 = (crs.axis_info[0].unit_conversion_factor / 1000) ** 2
    scale_X: NDArray[np.float64] = np.asarray(pyproj.Proj(crs).get_factors(*sites_X2.T).areal_scale)
    # Where a projection ends its scale is 0 or infinite.
    scale_X = np.where(np.isfinite(scale_X) & (scale_X > 0), scale_X, np.nan)
    projected_X: NDArray[np.float64] = size * km2 / scale_X
    return projected_X


def _between(at_R: NDArray[np.int64], knots_r: Floats) -> NDArray[np.float64]:
    """Weights of linear interpolation, shape (R, r): how much every knot has a say at every place."""
    return np.column_stack([np.interp(at_R, knots_r, knot) for knot in np.eye(len(knots_r))])
