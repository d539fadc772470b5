"""Cells of the h3 grid: the cell of every site, the centre of every cell, their parents, and all cells of the Earth.

Source: H3, https://h3geo.org

Shape legend: N sites, U distinct cells. A site is longitude, latitude in degrees.
"""

from __future__ import annotations

from itertools import repeat

import numpy as np
from h3.api import basic_int as h3
from numpy.typing import NDArray

from presence_only.common.arrays import Floats

# Python's own numbers take ten times the memory of an array's, so that few are made at once.
SITES_AT_ONCE = 1_000_000


def cells_of(sites_N2: Floats, resolution: int) -> NDArray[np.uint64]:
    """The h3 cell of every site, shape (N,)."""
    cells_N = np.empty(len(sites_N2), dtype=np.uint64)
    # h3 takes one site at a time, in 2 microseconds; to look for equal sites first takes no less.
    for start in range(0, len(sites_N2), SITES_AT_ONCE):
        longitude_N, latitude_N = np.asarray(sites_N2[start : start + SITES_AT_ONCE], dtype=np.float64).T
        found = map(h3.latlng_to_cell, latitude_N.tolist(), longitude_N.tolist(), repeat(resolution))
        cells_N[start : start + SITES_AT_ONCE] = np.fromiter(found, np.uint64, len(longitude_N))
    return cells_N


def centres_of(cells_U: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Longitude, latitude of the centres of cells, shape (U, 2)."""
    centres_U2 = np.empty((len(cells_U), 2))
    for start in range(0, len(cells_U), SITES_AT_ONCE):
        few = cells_U[start : start + SITES_AT_ONCE].tolist()
        pairs = np.fromiter(map(h3.cell_to_latlng, few), np.dtype((np.float64, 2)), len(few))
        centres_U2[start : start + SITES_AT_ONCE] = pairs[:, ::-1]
    return centres_U2


def parents_of(cells_U: NDArray[np.uint64], resolution: int) -> NDArray[np.uint64]:
    """The cell of a coarser or the same resolution that h3 makes the parent of every cell, shape (U,).

    A small part of a cell may lie outside of its parent, as hexagons do not tile a hexagon.
    """
    found = map(h3.cell_to_parent, cells_U.tolist(), repeat(resolution))
    return np.fromiter(found, np.uint64, len(cells_U))


def all_cells(resolution: int) -> NDArray[np.uint64]:
    """All cells of a resolution, 0..15, ascending, shape (U,): 122 of resolution 0, 7 times as many of each next."""
    cells = (cell for base in h3.get_res0_cells() for cell in h3.cell_to_children(base, resolution))
    return np.sort(np.fromiter(cells, np.uint64, h3.get_num_cells(resolution)))
