"""Metrics by class of species and of sites: by prevalence, range extent and observer effort.

Shape legend: M survey sites, P presences, S species, U units (species or sites), V seeds, Q classes. Sites are
longitude, latitude in degrees; truth is 1 present, 0 absent, -1 not surveyed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from presence_only.common.array_likes import real_numbers
from presence_only.common.arrays import mean_where_defined
from presence_only.data.truth import SurveyTruth, as_truth
from presence_only.geography.sphere import EARTH_RADIUS_KM, unit_vectors

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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


def quantile_classes(quantity_U: ArrayLike, n_classes: int = 4) -> Classes:
    """Classes of about equally many units each; units of equal quantity share a class.

    Args:
        quantity_U: A number per unit, NaN where unknown.
        n_classes: Number of classes wished for, at least 1; ties can make fewer.

    Raises:
        ValueError: If ``n_classes`` is less than 1, or no quantity is known.
    """
    if n_classes < 1:
        raise ValueError(f"n_classes = {n_classes}: must be at least 1")
    quantity_U = real_numbers("quantity", quantity_U).astype(np.float64)
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


def mean_by_group(values_VS: Array, groups_S: Sequence[str]) -> pl.DataFrame:
    """Mean of a measure over the species of each taxon group, mean over seeds.

    Args:
        values_VS: A value per seed and species (V, S), NaN where undefined.
        groups_S: Taxon group of every species.

    Returns:
        One row per group, by name: group, n (species with a value) and mean, NaN where none has.

    Raises:
        ValueError: If the numbers of species disagree.
    """
    if values_VS.ndim != 2 or values_VS.shape[1] != len(groups_S):
        raise ValueError(f"values have shape {values_VS.shape}; (seeds, {len(groups_S)}) expected")
    names, index_S = np.unique(np.array(groups_S), return_inverse=True)
    rows: list[dict[str, Any]] = []
    for g, name in enumerate(names.tolist()):
        own_VS = values_VS[:, index_S == g].astype(np.float64)
        own_VS = own_VS[:, ~np.isnan(own_VS).any(axis=0)]
        rows.append({"group": name, "n": own_VS.shape[1], "mean": mean_where_defined(own_VS)})
    return pl.DataFrame(rows)


def range_extent(sites_M2: ArrayLike, truth_MS: ArrayLike | SurveyTruth) -> Floats:
    """How far a species reaches: median distance in km of its surveyed presences from their centre.

    The centre is the mean of the sites as unit vectors, put back onto the sphere; for presences all around
    the globe it is arbitrary, and the extent about 10,000 km.

    Args:
        sites_M2: Survey sites.
        truth_MS: 1 present, 0 absent, -1 not surveyed.

    Returns:
        Shape (S,), NaN without presences.

    Raises:
        ValueError: If sites and truth differ in number, or one is no array of its kind.
    """
    unit_M3 = unit_vectors(real_numbers("sites", sites_M2))
    truth = as_truth(truth_MS)
    if len(unit_M3) != truth.shape[0]:
        raise ValueError(f"sites have {len(unit_M3)} rows and truth {truth.shape[0]}: both must be the survey's sites")
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
