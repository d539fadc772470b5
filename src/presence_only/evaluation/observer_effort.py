"""Observer effort at the sites of a survey, and what of it the truth alone decides.

Shape legend: M survey sites, N training rows or surveyed sites of one species, P records or presences, C cells,
E distinct efforts in ascending order (levels), Q classes of effort. Sites are longitude, latitude in degrees; truth is
1 present, 0 absent, -1 not surveyed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
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
    cell_N, n_N = np.unique(cells_of(sites_N2, resolution), return_inverse=True)
    records = dict(zip(cell_N.tolist(), np.bincount(n_N[row_P], minlength=len(cell_N)).tolist(), strict=True))
    cell_C, place_M = np.unique(cells_of(sites_M2, resolution), return_inverse=True)
    effort_C = [sum(records.get(cell, 0) for cell in h3.grid_disk(cell, rings)) for cell in cell_C.tolist()]
    return np.array(effort_C, dtype=np.int64)[place_M]


@dataclass(frozen=True, eq=False)
class SpeciesEffort:
    """Observer effort where one species was surveyed.

    Args:
        level_N: Level of every surveyed site.
        rank_E: Rank of every level among them, equal ones sharing their mean rank, minus the mean of all ranks.
        square: Sum over sites of the square of their rank.
        truth: Spearman's correlation of presence with effort; NaN where one does not vary.
        absent_rank_E: As ``rank_E``, among the sites without the species alone.
        absent_square: As ``square``, over these sites.
    """

    level_N: Ints
    rank_E: Floats
    square: float
    truth: float
    absent_rank_E: Floats
    absent_square: float


class SurveyEffort:
    """Observer effort at the sites of a survey, as levels and in classes.

    Args:
        effort_M: Training records near each site, see :func:`records_nearby`; other numbers serve too.
        truth: What was surveyed.

    Raises:
        ValueError: If the effort has another shape, or holds NaN.
    """

    def __init__(self, effort_M: Array, truth: TruthUnits) -> None:
        self.effort_M, self.truth = np.asarray(effort_M), truth
        if self.effort_M.shape != truth.shape[:1]:
            raise ValueError(f"effort has shape {self.effort_M.shape}; {truth.shape[:1]} expected")
        if np.isnan(self.effort_M).any():
            raise ValueError("effort holds NaN: it must be a number at every site")
        level_E, self._level_M = np.unique(self.effort_M, return_inverse=True)
        self._count_E = np.bincount(self._level_M)
        self.classes = quantile_classes(self.effort_M)
        first_Q = np.searchsorted(level_E, self.classes.low).tolist()
        # The levels of every class: from the first number up to the second.
        self.levels_of_class = list(pairwise([*first_Q, len(level_E)]))
        self._kept: dict[tuple[int, int], list[SpeciesEffort]] = {}

    def species(self, part: slice) -> list[SpeciesEffort]:
        """What concerns some species, kept as the truth is."""
        key = part.start, part.stop
        if key in self._kept:
            return self._kept[key]
        units = self.truth.species(part)
        found = [self._of(units, u) for u in range(len(units.truth_UN))]
        if self.truth.keeps:
            self._kept[key] = found
        return found

    def _of(self, units: Units, u: int) -> SpeciesEffort:
        """One species of some units."""
        n_sites, n_levels = len(self._level_M), len(self._count_E)
        level_N, count_E = units.surveyed(u, self._level_M), self._count_E
        if level_N is not self._level_M:
            count_E = np.bincount(level_N, minlength=n_levels)
        site_P = units.place_P[units.start_U1[u] : units.start_U1[u + 1]] - u * n_sites
        present_E = np.bincount(self._level_M[site_P], minlength=n_levels)
        rank_E, absent_rank_E = centred_ranks_of_levels(count_E), centred_ranks_of_levels(count_E - present_E)
        square, absent_square = ((count_E * rank_E**2).sum(), ((count_E - present_E) * absent_rank_E**2).sum())
        # Presence has two ranks only, whose products with those of effort add up to this.
        n, n_present = len(level_N), len(site_P)
        product, square_of_truth = n / 2 * (present_E * rank_E).sum(), n * n_present * (n - n_present) / 4
        truth = spearman(product, square_of_truth, square)
        return SpeciesEffort(level_N, rank_E, square, truth, absent_rank_E, absent_square)


def centred_ranks_of_levels(count_E: Ints) -> Floats:
    """Rank of every level that occurs so many times, the mean of those it has, minus the mean of all ranks."""
    rank_E: Floats = np.cumsum(count_E) - (count_E - 1) / 2 - (count_E.sum() + 1) / 2
    return rank_E


def spearman(product: float, square_a: float, square_b: float) -> float:
    """Spearman's correlation from sums over centred ranks; NaN where one does not vary.

    The ranks are halves of whole numbers, so that these sums are exact up to some 200,000 sites, whatever their order.

    Args:
        product: Sum of the products of two ranks.
        square_a: Sum of the squares of the first.
        square_b: Of the second.
    """
    return float(product / np.sqrt(square_a * square_b)) if square_a > 0 and square_b > 0 else float("nan")
