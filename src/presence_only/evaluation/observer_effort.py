"""Observer effort at the sites of a survey, and what of it the truth alone decides.

Shape legend: M survey sites, N training rows or surveyed sites of one species, P records or presences, C cells,
E distinct efforts in ascending order (levels), Q classes of effort. Sites are longitude, latitude in degrees; truth is
1 present, 0 absent, -1 not surveyed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from h3.api import basic_int as h3
from numpy.typing import NDArray

from presence_only.evaluation.breakdown import quantile_classes
from presence_only.evaluation.units import TruthUnits, Units
from presence_only.geography.h3_cells import cells_of

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Cells of about 60 km; with their neighbours, 180 km across.
EFFORT_RESOLUTION = 3


def records_nearby(
    sites_M2: Array, sites_N2: Array, row_P: Array, *, resolution: int = EFFORT_RESOLUTION, rings: int = 1
) -> Ints:
    """Observer effort: number of training records in the h3 cell of a site and in the cells around it.

    Source: H3, https://h3geo.org; the number of records as a stand-in for effort as in the BirdNET geomodel.

    Args:
        sites_M2: Where effort is asked for.
        sites_N2: Sites of the training rows.
        row_P: Row of every record.
        resolution: h3 resolution of the cells, 0..15; 3 is cells of 60 km.
        rings: Rings of neighbours that count, at least 0.

    Returns:
        Shape (M,).

    Raises:
        ValueError: If ``resolution`` or ``rings`` is out of range.
    """
    if not 0 <= resolution <= 15 or rings < 0:
        raise ValueError(f"resolution = {resolution}, rings = {rings}: must be 0..15, and at least 0")
    cell_C, c_N = np.unique(cells_of(sites_N2, resolution), return_inverse=True)
    nearby: defaultdict[int, int] = defaultdict(int)
    # From the cells of records, which are often fewer than those of sites, to the cells around them.
    for cell, n_records in zip(cell_C.tolist(), np.bincount(c_N[row_P], minlength=len(cell_C)).tolist(), strict=True):
        for neighbour in h3.grid_disk(cell, rings):
            nearby[neighbour] += n_records
    return np.array([nearby.get(cell, 0) for cell in cells_of(sites_M2, resolution).tolist()], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class SpeciesEffort:
    """Observer effort where some species were surveyed.

    Args:
        rank_UE: Rank of every level among the sites where the species was surveyed, counted from the mean of all
            ranks; sites of equal effort share their mean rank.
        square_U: Sum over these sites of the square of their rank.
        truth_U: Spearman's correlation of presence with effort; NaN where one does not vary.
        varies_U: Whether effort varies also among the sites where the species is absent.
    """

    rank_UE: Floats
    square_U: Floats
    truth_U: Floats
    varies_U: NDArray[np.bool_]

    @classmethod
    def of(cls, units: Units, level_M: Ints, n_levels: int) -> SpeciesEffort:
        """From the truth of some species and the level of effort at every site."""
        n_units, n_sites = units.truth_UN.shape

        def count(unit_P: Ints, site_P: Ints) -> Ints:
            """Number of sites of every level, species by species."""
            cells_P = unit_P * n_levels + level_M[site_P]
            return np.bincount(cells_P, minlength=n_units * n_levels).reshape(n_units, n_levels)

        if units.surveyed_UN is None:
            count_UE = np.tile(np.bincount(level_M, minlength=n_levels), (n_units, 1))
        else:
            unit_P, site_P = units.surveyed_UN.nonzero()
            count_UE = count(unit_P, site_P)
        present_UE = count(units.place_P // n_sites, units.place_P % n_sites)
        rank_UE = count_UE.cumsum(axis=1) - (count_UE - 1) / 2 - (units.n_surveyed_U[:, None] + 1) / 2
        square_U = (count_UE * rank_UE**2).sum(axis=1)
        # Presence has two ranks only, whose products with those of effort add up to this.
        n_U, n_present_U = units.n_surveyed_U, np.diff(units.start_U1)
        product_U = n_U / 2 * (present_UE * rank_UE).sum(axis=1)
        truth_U = spearman(product_U, n_U * n_present_U * (n_U - n_present_U) / 4, square_U)
        return cls(rank_UE, square_U, truth_U, np.count_nonzero(count_UE > present_UE, axis=1) > 1)


class SurveyEffort:
    """Observer effort at the sites of a survey, as levels and in classes.

    Args:
        effort_M: Training records near each site, see :func:`records_nearby`; other numbers serve too.
        truth: What was surveyed.

    Attributes:
        level_M: Level of every site, 0 for the least effort.
        n_levels: E.
        places_M: 0 to M - 1.
        classes: Sites in four classes of about equally many.
        levels_of_class: The levels of every class: from the first number up to the second; None: all from the first on.

    Raises:
        ValueError: If the effort has another shape, or holds NaN.
    """

    def __init__(self, effort_M: Array, truth: TruthUnits) -> None:
        self.effort_M, self.truth = np.asarray(effort_M), truth
        if self.effort_M.shape != truth.shape[:1]:
            raise ValueError(f"effort has shape {self.effort_M.shape}; {truth.shape[:1]} expected")
        if np.isnan(self.effort_M).any():
            raise ValueError("effort holds NaN: it must be a number at every site")
        level_E, self.level_M = np.unique(self.effort_M, return_inverse=True)
        self.n_levels = len(level_E)
        self.places_M = np.arange(len(self.level_M), dtype=np.float64)
        self.classes = quantile_classes(self.effort_M)
        first_Q = np.searchsorted(level_E, self.classes.low).tolist()
        self.levels_of_class = list(zip_longest(first_Q, first_Q[1:]))
        self._kept: dict[tuple[int, int], SpeciesEffort] = {}

    def species(self, part: slice) -> SpeciesEffort:
        """What concerns some species, kept as the truth is."""
        key = part.start, part.stop
        if key in self._kept:
            return self._kept[key]
        found = SpeciesEffort.of(self.truth.species(part), self.level_M, self.n_levels)
        if self.truth.keeps:
            self._kept[key] = found
        return found


def spearman(product_U: Floats, square_a_U: Floats, square_b_U: Floats) -> Floats:
    """Spearman's correlations from sums over ranks that are counted from their mean; NaN where one does not vary.

    The ranks are halves of whole numbers, so that these sums are exact up to some 200,000 sites, whatever their order.

    Args:
        product_U: Sum of the products of two ranks.
        square_a_U: Sum of the squares of the first.
        square_b_U: Of the second.
    """
    square_U = square_a_U * square_b_U
    found_U: Floats = np.full(len(square_U), np.nan)
    np.divide(product_U, np.sqrt(square_U), out=found_U, where=square_U > 0)
    return found_U
