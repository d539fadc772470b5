"""Metrics by class of species and of sites: by prevalence, range extent and observer effort.

Shape legend: M survey sites, N training rows, P positives, S species, V seeds, Q classes. Sites are longitude,
latitude in degrees; scores are logits; truth is 1 present, 0 absent, -1 not surveyed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from h3.api import basic_int as h3
from numpy.typing import NDArray

from presence_only.common.matrices import Matrix
from presence_only.data.truth import SurveyTruth, as_truth
from presence_only.evaluation.curves import species_parts
from presence_only.evaluation.metrics import average_precision
from presence_only.geography.h3_cells import cells_of
from presence_only.geography.sphere import EARTH_RADIUS_KM, unit_vectors

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Cells of about 60 km; with their neighbours, 180 km across.
EFFORT_RESOLUTION = 3


@dataclass(frozen=True)
class Classes:
    """Units sorted into classes by a quantity.

    Args:
        index_U: Class of every unit, 0 for the lowest values; -1 where the quantity is unknown.
        low: Lowest value in every class.
        high: Highest value in every class.
    """

    index_U: Ints
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.low)


def quantile_classes(quantity_U: Array, n_classes: int = 4) -> Classes:
    """Classes of about equally many units each; units of equal quantity share a class.

    Args:
        quantity_U: A number per unit, NaN where unknown.
        n_classes: Number of classes wished for, at least 1; ties can make fewer.

    Raises:
        ValueError: If ``n_classes`` is less than 1, or no quantity is known.
    """
    if n_classes < 1:
        raise ValueError(f"n_classes = {n_classes}: must be at least 1")
    quantity_U = np.asarray(quantity_U, dtype=np.float64)
    known_U = ~np.isnan(quantity_U)
    if not known_U.any():
        raise ValueError("the quantity is unknown for every unit; at least one must be known to make classes")
    edges = np.quantile(quantity_U[known_U], np.arange(1, n_classes) / n_classes, method="inverted_cdf")
    index_U = np.full(len(quantity_U), -1)
    index_U[known_U] = np.searchsorted(edges, quantity_U[known_U], side="left")
    used, index_K = np.unique(index_U[known_U], return_inverse=True)
    index_U[known_U] = index_K
    members = [quantity_U[index_U == q] for q in range(len(used))]
    return Classes(index_U, tuple(float(m.min()) for m in members), tuple(float(m.max()) for m in members))


def mean_by_class(values: Mapping[str, Array], classes: Classes) -> pl.DataFrame:
    """Mean of a metric over the units of each class, for every variant.

    Args:
        values: Variant to values (V, U), NaN where undefined.
        classes: Class of every unit.

    Returns:
        One row a variant and class: variant, class (0 is lowest), low and high (of the quantity), n (units with
        a value), mean over seeds of the mean over units, and sd of the seeds' means (NaN for one seed).

    Raises:
        ValueError: If a variant has another number of units than the classes.
    """
    rows = []
    for variant, values_VU in values.items():
        if values_VU.ndim != 2 or values_VU.shape[1] != len(classes.index_U):
            raise ValueError(
                f"{variant} has values of shape {values_VU.shape}; (seeds, {len(classes.index_U)}) expected"
            )
        for q in range(len(classes)):
            own_VU = values_VU[:, classes.index_U == q]
            own_VU = own_VU[:, ~np.isnan(own_VU).any(axis=0)].astype(np.float64)
            means_V = own_VU.mean(axis=1) if own_VU.shape[1] else np.full(len(own_VU), np.nan)
            rows.append(
                {
                    "variant": variant,
                    "class": q,
                    "low": classes.low[q],
                    "high": classes.high[q],
                    "n": own_VU.shape[1],
                    "mean": float(means_V.mean()),
                    "sd": float(means_V.std(ddof=1)) if len(means_V) > 1 else float("nan"),
                }
            )
    return pl.DataFrame(rows)


def range_extent(sites_M2: Array, truth_MS: Array | SurveyTruth) -> Floats:
    """How far a species reaches: median distance in km of its surveyed presences from their centre.

    The centre is the mean of the sites as unit vectors, put back onto the sphere; for presences all around
    the globe it is arbitrary, and the extent about 10,000 km.

    Args:
        sites_M2: Survey sites.
        truth_MS: 1 present, 0 absent, -1 not surveyed.

    Returns:
        Shape (S,), NaN without presences.
    """
    unit_M3 = unit_vectors(sites_M2)
    truth = as_truth(truth_MS)
    extent_S = np.full(truth.shape[1], np.nan)
    for s in range(truth.shape[1]):
        truth_M = truth.columns(slice(s, s + 1))[:, 0]
        own_P3 = unit_M3[truth_M == 1]
        if not len(own_P3):
            continue
        centre_3 = own_P3.mean(axis=0)
        centre_3 = centre_3 / max(float(np.linalg.norm(centre_3)), 1e-12)
        # The chord keeps its digits where the arc's cosine loses them.
        chord_P = np.linalg.norm(own_P3 - centre_3, axis=1)
        extent_S[s] = np.median(2 * np.arcsin(np.clip(chord_P / 2, 0, 1))) * EARTH_RADIUS_KM
    return extent_S


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


def ap_by_effort(scores_MS: Array | Matrix, truth_MS: Array | SurveyTruth, classes: Classes) -> Floats:
    """Average precision of every species over the sites of each class of effort alone.

    Sparse and dense sites differ in more than effort: other species live there, and AP grows with
    prevalence. Compare variants by it, or a variant's classes to those of another.

    Args:
        scores_MS: Scores, the higher the more likely.
        truth_MS: 1 present, 0 absent, -1 not surveyed.
        classes: Class of every site, by :func:`quantile_classes` of :func:`records_nearby`.

    Returns:
        Shape (Q, S), NaN for a species without presences in a class.
    """
    ap_QS = np.full((len(classes), scores_MS.shape[1]), np.nan)
    for species, scores_Ms, truth_Ms in species_parts(scores_MS, truth_MS):
        for q in range(len(classes)):
            own_M = classes.index_U == q
            ap_QS[q, species] = average_precision(scores_Ms[own_M], truth_Ms[own_M])
    return ap_QS


@dataclass(frozen=True)
class EffortCorrelation:
    """How much scores follow the observers, each a mean over species of Spearman's correlation over sites.

    Args:
        score: Of score with effort.
        truth: Of presence with effort: what a perfect model would have.
        absent: Of score with effort at sites without the species, where nothing but bias can make it.
        n_species: Number of species that have all three.
    """

    score: float
    truth: float
    absent: float
    n_species: int


def effort_correlation(scores_MS: Array | Matrix, truth_MS: Array | SurveyTruth, effort_M: Array) -> EffortCorrelation:
    """Spearman's correlation of scores with observer effort, averaged over species.

    Args:
        scores_MS: Scores, the higher the more likely.
        truth_MS: 1 present, 0 absent, -1 not surveyed.
        effort_M: Effort at every site.

    Returns:
        Means over the species for which scores, truth and effort vary; NaN if there is none.

    Raises:
        ValueError: If the shapes disagree, or a surveyed score is NaN.
    """
    effort_M = np.asarray(effort_M)
    if effort_M.shape != (scores_MS.shape[0],):
        raise ValueError(f"effort has shape {effort_M.shape}; {(scores_MS.shape[0],)} expected")
    _, effort_level_M = np.unique(effort_M, return_inverse=True)
    found = []
    for _, scores_Ms, truth_Ms in species_parts(scores_MS, truth_MS):
        for score_M, truth_M in zip(scores_Ms.T, truth_Ms.T, strict=True):
            surveyed, absent = truth_M >= 0, truth_M == 0
            level_M = _levels(score_M)
            triple = (
                _spearman(level_M[surveyed], effort_level_M[surveyed]),
                _spearman(truth_M[surveyed].astype(np.int64), effort_level_M[surveyed]),
                _spearman(level_M[absent], effort_level_M[absent]),
            )
            if not np.isnan(triple).any():
                found.append(triple)
    score, truth, absent = np.mean(found, axis=0) if found else np.full(3, np.nan)
    return EffortCorrelation(float(score), float(truth), float(absent), len(found))


def _levels(values_N: Array) -> Ints:
    """Whole numbers in the order of some values, equal for equal ones; sorted once, they rank any part quickly."""
    order_N = np.argsort(values_N)
    sorted_N = values_N[order_N]
    level_N = np.empty(len(values_N), dtype=np.int64)
    level_N[order_N] = np.r_[0, np.cumsum(sorted_N[1:] != sorted_N[:-1])]
    return level_N


def _spearman(a_N: Ints, b_N: Ints) -> float:
    """Spearman's correlation of levels, ties sharing their rank; NaN where one does not vary."""
    if len(a_N) < 2 or (a_N == a_N[0]).all() or (b_N == b_N[0]).all():
        return float("nan")
    rank_a_N, rank_b_N = _ranks(a_N), _ranks(b_N)
    # Sums, not matrix products: those wait for threads, and round otherwise with another number of them.
    product, square_a, square_b = ((x * y).sum() for x, y in ((rank_a_N, rank_b_N), (rank_a_N,) * 2, (rank_b_N,) * 2))
    return float(product / np.sqrt(square_a * square_b))


def _ranks(level_N: Ints) -> Floats:
    """Ranks of levels, their mean subtracted; by counting, not by sorting."""
    count_L = np.bincount(level_N)
    rank_L = np.cumsum(count_L) - (count_L - 1) / 2
    ranks: Floats = rank_L[level_N] - (len(level_N) + 1) / 2
    return ranks
