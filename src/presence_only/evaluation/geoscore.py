"""GeoScore: the BirdNET geomodel's one number for ranking, list length, rare species and observer bias together.

Shape legend: M survey sites, S species, U sites of a block, P presences. Scores are logits; truth is 1 present,
0 absent, -1 not surveyed, and what was not surveyed has no influence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from presence_only.common.array_likes import flags, real_numbers
from presence_only.common.arrays import mean_where_defined
from presence_only.common.matrices import Matrix
from presence_only.data.truth import SurveyTruth
from presence_only.evaluation.metrics import average_precision, sample_average_precision
from presence_only.evaluation.passes import read_sites
from presence_only.evaluation.ranks_of_presences import Block, matrices
from presence_only.evaluation.units import TruthUnits

Array = NDArray[Any]
Floats = NDArray[np.float64]

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "sample_map": 0.20,
        "f1": 0.20,
        "list_ratio": 0.15,
        "watchlist_ap": 0.10,
        "holdout_map": 0.10,
        "density_ratio": 0.20,
        "density_correlation": 0.05,
    }
)
# Score, after the sigmoid, above which a species counts as predicted.
THRESHOLD = 0.1


@dataclass(frozen=True)
class GeoScore:
    """The composite and what it is made of.

    Args:
        value: Within 0..1, higher is better; NaN if no part is defined.
        parts: Every defined part after its transformation, within 0..1, by a name of ``WEIGHTS``.
        raw: Every part before it, NaN where undefined: the list ratio, the density ratio and the
            correlation are not within 0..1.
    """

    value: float
    parts: Mapping[str, float]
    raw: Mapping[str, float]


class ListReader:
    """Reads the list of species of every site, by its length; only surveyed species count.

    Args:
        n_sites: M.
        threshold: Score, after the sigmoid, above which a species counts as predicted; within 0..1.

    Attributes:
        predicted_M: Number of species predicted.
        present_M: Number of species present.
        hit_M: Number of species both.

    Raises:
        ValueError: If the threshold is out of range.
    """

    def __init__(self, n_sites: int, threshold: float = THRESHOLD) -> None:
        if not 0 < threshold < 1:
            raise ValueError(f"threshold = {threshold}: must lie within 0..1, both excluded")
        self._logit = float(np.log(threshold / (1 - threshold)))
        self.predicted_M, self.present_M, self.hit_M = np.zeros((3, n_sites))

    @classmethod
    def above(cls, n_sites: int, logit: float) -> ListReader:
        """A reader by a threshold of logits, which no rounding of a score moves."""
        reader = cls(n_sites)
        reader._logit = logit
        return reader

    def read(self, block: Block) -> None:
        """Count the species of some sites."""
        units = block.units
        predicted_US = block.scores_UN > self._logit
        if units.surveyed_UN is not None:
            predicted_US &= units.surveyed_UN
        # Of presences, which are few, the number up to the first of each site, and their difference.
        hit_P1 = np.concatenate([[0], np.cumsum(predicted_US.ravel()[units.place_P])])
        self.predicted_M[block.part] = np.count_nonzero(predicted_US, axis=1)
        self.present_M[block.part] = np.diff(units.start_U1)
        self.hit_M[block.part] = np.diff(hit_P1[units.start_U1])

    def f1(self) -> float:
        """F1 of all pairs pooled; NaN without presences."""
        n_hits, n_predicted, n_present = self.hit_M.sum(), self.predicted_M.sum(), self.present_M.sum()
        return float(2 * n_hits / (n_predicted + n_present)) if n_present else float("nan")

    def ratio(self) -> float:
        """Mean over the sites with presences of the number of species predicted over that present; NaN without any."""
        listed_M = self.present_M > 0
        return mean_where_defined(self.predicted_M[listed_M] / self.present_M[listed_M])


def geoscore(
    scores_MS: ArrayLike | Matrix,
    truth_MS: ArrayLike | SurveyTruth,
    effort_M: ArrayLike,
    *,
    watchlist_S: ArrayLike | None = None,
    holdout_M: ArrayLike | None = None,
    threshold: float = THRESHOLD,
    ap_M: ArrayLike | None = None,
) -> GeoScore:
    """GeoScore of one run on one survey.

    A weighted mean of up to seven parts; those that are undefined are left out and the other weights
    scaled up. What each part is, and what it becomes:

    - sample_map (0.20): mean over sites of average precision over species; as it is.
    - f1 (0.20): F1 of all pairs pooled, present if sigmoid(score) exceeds the threshold; as it is.
    - list_ratio (0.15): mean over sites with presences of species predicted / species present; exp(-|log r|).
    - watchlist_ap (0.10): mean average precision over sites of the species on a watchlist; as it is.
    - holdout_map (0.10): sample_map at sites of regions kept out of training; as it is.
    - density_ratio (0.20): sample_map of the quarter of sites with the least effort, over that of the
      quarter with the most; min(r, 1 / r).
    - density_correlation (0.05): Pearson's correlation of effort with the number of species predicted;
      max(0, 1 - |r|).

    Two things differ from the source, as the data do. Effort is here what the caller measures
    (:func:`~presence_only.evaluation.breakdown.records_nearby`), there the summed length of the species lists of a
    cell; and the watchlist, there 18 island and relict birds, is the caller's. Values of the two are
    therefore not to be compared. Scores of a presence-only loss are no probabilities, and the threshold
    judges them as if they were: f1 and list_ratio, a third of the weight, judge the loss's scale.

    Source: Table A.1 and section "GeoScore" of the BirdNET geomodel's paper,
    https://github.com/birdnet-team/geomodel (paper/appendix.tex, paper/body.tex)

    Args:
        scores_MS: Logits.
        truth_MS: 1 present, 0 absent, -1 not surveyed.
        effort_M: Observer effort at every site.
        watchlist_S: Which species are on the watchlist, bool; None: there is none.
        holdout_M: Which sites lie in regions kept out of training, bool; None: there are none.
        threshold: Score, after the sigmoid, above which a species counts as predicted; within 0..1.
        ap_M: Average precision over species of every site, where it is at hand; None: it is computed.

    Raises:
        ValueError: If a shape disagrees, the threshold is out of range, a surveyed score or an effort is NaN, or an
            argument is no array of its kind.
    """
    scores, truth = matrices(scores_MS, truth_MS)
    n_sites, n_species = scores.shape
    effort_M = real_numbers("effort", effort_M)
    watchlist_S = None if watchlist_S is None else flags("watchlist", watchlist_S)
    holdout_M = None if holdout_M is None else flags("holdout", holdout_M)
    ap_M = None if ap_M is None else real_numbers("ap", ap_M)
    for name, array, size in (
        ("effort", effort_M, n_sites),
        ("watchlist", watchlist_S, n_species),
        ("holdout", holdout_M, n_sites),
        ("ap", ap_M, n_sites),
    ):
        if array is not None and array.shape != (size,):
            raise ValueError(f"{name} has shape {array.shape}; {(size,)} expected")
    if np.isnan(effort_M).any():
        raise ValueError("effort holds NaN: it must be a number at every site")
    lists = ListReader(n_sites, threshold)
    if ap_M is None:
        ap_M = sample_average_precision(scores, truth)
    read_sites(scores, TruthUnits(truth), [lists])
    watchlist_ap = float("nan") if watchlist_S is None else _watched(scores, truth, watchlist_S)
    return geoscore_of(lists, ap_M, effort_M, watchlist_ap=watchlist_ap, holdout_M=holdout_M)


def geoscore_of(
    lists: ListReader,
    ap_M: Floats,
    effort_M: Array,
    *,
    watchlist_ap: float = float("nan"),
    holdout_M: Array | None = None,
) -> GeoScore:
    """GeoScore from what it is made of; see :func:`geoscore`.

    Args:
        lists: The lists of species at every site.
        ap_M: Average precision over species of every site, NaN where nothing is present.
        effort_M: Observer effort at every site.
        watchlist_ap: Mean average precision over sites of the species on the watchlist; NaN without one.
        holdout_M: Which sites lie in regions kept out of training, bool; None: there are none.
    """
    raw = {
        "sample_map": mean_where_defined(ap_M),
        "f1": lists.f1(),
        "list_ratio": lists.ratio(),
        "watchlist_ap": watchlist_ap,
        "holdout_map": float("nan") if holdout_M is None else mean_where_defined(ap_M[holdout_M]),
        "density_ratio": _density_ratio(ap_M, effort_M),
        "density_correlation": _pearson(effort_M, lists.predicted_M),
    }
    parts = {name: _transformed(name, value) for name, value in raw.items() if not np.isnan(value)}
    weight = sum(WEIGHTS[name] for name in parts)
    value = sum(WEIGHTS[name] * part for name, part in parts.items()) / weight if parts else float("nan")
    return GeoScore(value, parts, raw)


def _transformed(name: str, value: float) -> float:
    """A part brought to 0..1, higher is better."""
    if name in ("list_ratio", "density_ratio"):
        # exp(-|log r|) and min(r, 1 / r) are the same, and 0 at 0.
        return min(value, 1 / value) if value > 0 else 0.0
    if name == "density_correlation":
        return max(0.0, 1 - abs(value))
    return value


def _watched(scores: Matrix, truth: SurveyTruth, watchlist_S: Array) -> float:
    """Mean average precision over sites of the watched species."""
    index_Q = np.flatnonzero(watchlist_S)
    if not len(index_Q):
        return float("nan")
    columns = [slice(s, s + 1) for s in index_Q.tolist()]
    ap_Q1 = [average_precision(scores.columns(column), truth.columns(column)) for column in columns]
    return mean_where_defined(np.concatenate(ap_Q1))


def _density_ratio(ap_M: Floats, effort_M: Array) -> float:
    """Mean AP of the sites with the least effort over that of those with the most, a quarter each."""
    known_M = ~np.isnan(ap_M)
    if not known_M.any():
        return float("nan")
    ap_M, effort_M = ap_M[known_M], effort_M[known_M]
    low, high = np.quantile(effort_M, [0.25, 0.75])
    dense = float(ap_M[effort_M >= high].mean())
    return float(ap_M[effort_M <= low].mean()) / dense if low < high and dense > 0 else float("nan")


def _pearson(a_M: Array, b_M: Array) -> float:
    """Pearson's correlation; NaN where one does not vary."""
    if len(a_M) < 2 or np.ptp(a_M) == 0 or np.ptp(b_M) == 0:
        return float("nan")
    return float(np.corrcoef(a_M, b_M)[0, 1])
