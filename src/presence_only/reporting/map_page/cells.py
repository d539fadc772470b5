"""Cells of the map page: the box around the records, the size of a cell, and which cells are kept.

Shape legend: M cells of the box, K of them that are kept, P records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats
from presence_only.geography.earth import Earth
from presence_only.geography.longitudes import narrowest_arc, within_180
from presence_only.model.range_map import Grid, MapError

# Sides of a cell in degrees, from which the finest is taken that does not make too many cells.
SIDES = (5.0, 2.0, 1.0, 0.5, 0.25, 0.2, 0.1, 0.05, 0.02, 0.01)
# The world has 64,800 cells of 1 degree.
MOST_BY_DEFAULT = 65_000
# Records on an arc of longitude that is wider than this are drawn on a map of the world.
WORLD_ARC = 180.0
# Share of the records that lie on land where a data set is one of land.
LAND_SHARE = 0.99
# A cell is land if one of so many places in it, a side, lies in a cell of the shipped grid that has land.
PLACES = 3

Kept = Literal["auto", "land", "all"]
KEPT = get_args(Kept)


@dataclass(frozen=True, eq=False)
class MapCells:
    """The cells that have scores.

    Args:
        grid: The box and its cells.
        kept_M: Which cells of the grid have scores.
        land: Whether those without land were left out.
    """

    grid: Grid
    kept_M: NDArray[np.bool_]
    land: bool

    @property
    def sites_K2(self) -> NDArray[np.float64]:
        """Centres of the kept cells, northern row first."""
        return self.grid.sites_M2[self.kept_M]

    @property
    def n_kept(self) -> int:
        """How many cells are kept."""
        return int(self.kept_M.sum())


def choose_cells(sites_P2: Floats, box: Sequence[float] | None, side: float | None, kept: Kept) -> MapCells:
    """The cells of a map of some records.

    Args:
        sites_P2: Longitude, latitude of the records.
        box: West, south, east, north in degrees; east is more than 180 where the box crosses 180 degrees. None: a box
            around the records, and all longitudes if they lie on an arc of more than 180 degrees.
        side: Of a cell in degrees; None: the finest of ``SIDES`` with at most ``MOST_BY_DEFAULT`` cells.
        kept: ``land``: cells with land; ``all``; ``auto``: cells with land if 99 % of the records lie on land, by the
            shipped grid of 1 degree.

    Raises:
        MapError: If the box or the side is impossible, there are too many cells, or none is kept.
    """
    edges = box_around(sites_P2) if box is None else (box[0], box[1], box[2], box[3])
    grid = Grid(*edges, side) if side is not None else _finest(edges, whole=box is None)
    share_of_land = Earth.load().land_share
    land = kept == "land" or (kept == "auto" and float((share_of_land(sites_P2) > 0).mean()) >= LAND_SHARE)
    kept_M = _has_land(grid) if land else np.ones(grid.shape[0] * grid.shape[1], dtype=bool)
    if not kept_M.any():
        raise MapError(
            f"box {grid.west:g} {grid.south:g} {grid.east:g} {grid.north:g}: has no cell with land; take another "
            "box, or keep all cells (--cells all)"
        )
    return MapCells(grid, kept_M, land)


def box_around(sites_P2: Floats) -> tuple[float, float, float, float]:
    """West, south, east, north of a box around records, with a margin of a tenth of its sides, in degrees."""
    (west, east), (south, north) = narrowest_arc(sites_P2[:, 0]), (sites_P2[:, 1].min(), sites_P2[:, 1].max())
    margin_x, margin_y = max((east - west) / 10, 0.5), max((north - south) / 10, 0.5)
    south, north = max(south - margin_y, -90.0), min(north + margin_y, 90.0)
    west, east = west - margin_x, east + margin_x
    if east - west > WORLD_ARC:
        return -180.0, float(south), 180.0, float(north)
    if west < -180:
        west, east = west + 360, east + 360
    return float(west), float(south), float(east), float(north)


def _finest(edges: tuple[float, float, float, float], *, whole: bool) -> Grid:
    """The grid of the finest side that makes few enough cells; ``whole``: its edges are moved out to whole cells."""
    west, south, east, north = edges
    grid = None
    for side in SIDES:
        moved = edges
        if whole:
            moved = (
                max(floor(west / side) * side, -180.0),
                max(floor(south / side) * side, -90.0),
                ceil(east / side) * side,
                min(ceil(north / side) * side, 90.0),
            )
            moved = (moved[0], moved[1], min(moved[2], moved[0] + 360.0), moved[3])
        made = Grid(moved[0], moved[1], moved[2], moved[3], side)
        if grid is not None and made.shape[0] * made.shape[1] > MOST_BY_DEFAULT:
            break
        grid = made
    assert grid is not None
    return grid


def _has_land(grid: Grid) -> NDArray[np.bool_]:
    """Whether a cell has land, shape (M,), by the shipped grid at some places of the cell."""
    height, width = grid.shape
    step_x, step_y = (grid.east - grid.west) / width, (grid.north - grid.south) / height
    centres_M2, land_M = grid.sites_M2, np.zeros(height * width, dtype=bool)
    places = (np.arange(PLACES) + 0.5) / PLACES - 0.5
    for x in places:
        for y in places:
            longitude_M, latitude_M = centres_M2[:, 0] + x * step_x, centres_M2[:, 1] + y * step_y
            longitude_M = within_180(np.where(longitude_M < -180, longitude_M + 360, longitude_M))
            land_M |= Earth.load().land_share(np.column_stack([longitude_M, latitude_M])) > 0
    return land_M
