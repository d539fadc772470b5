"""How well scores rank the sites where a species is above those where it is not.

Shape legend: M survey sites, S species, U units (species or sites), N what a unit is ranked over,
P presences of one unit. Scores and truth are (M, S); truth is 1 present, 0 absent, -1 not surveyed,
and what was not surveyed has no influence.

All metrics see the order of the scores alone, so logits and probabilities serve equally; none of
them says whether a score is a calibrated probability. They are exact with ties: sites of equal
score form one threshold, as in scikit-learn.

Scores may be an array, or a :class:`~presence_only.common.matrices.Matrix` that makes a part when asked for it, and
truth an array or a :class:`~presence_only.data.truth.SurveyTruth`; the whole of neither is ever held.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from presence_only.common.matrices import Matrix, as_matrix
from presence_only.data.truth import SurveyTruth, as_truth

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Unit = Literal["species", "site"]

# 64 columns fill a few cache lines of every row; a tile of 512 rows of them and its copy fit the second cache.
_CHUNK = 64
_TILE = 512
# Picking the scores above the lowest presence pays where less than about this share of them is above,
# which is judged by so many of them.
_FEW, _SAMPLE = 0.6, 128
# Scores that a thread holds at a time: 256 MB of float32.
_CHUNK_SCORES = 2**26
# Scores that are asked for at once and kept for all metrics: 64 MB of float32.
_WHOLE_SCORES = 2**24
# More sites than this get no value each; see evaluate.
SITES_LIMIT = 200_000


def average_precision(scores_MS: Array | Matrix, truth_MS: Array | SurveyTruth) -> Floats:
    """Average precision over the surveyed sites, for every species.

    The mean, over a species' presences, of the precision among all sites that score at least as
    high. It is not the trapezoidal area under the precision-recall curve, which is too optimistic.

    Source: scikit-learn's ``average_precision_score``; equal to it, ties included.

    Args:
        scores_MS: Score of every species at every site, the higher the more likely; infinite is allowed.
        truth_MS: 1 present, 0 absent, -1 not surveyed.

    Returns:
        Shape (S,), within 0..1; NaN for a species without presences among the surveyed sites.

    Raises:
        ValueError: If the shapes disagree, truth holds another value, or a surveyed score is NaN.
    """
    return _per_unit("species", *_matrices(scores_MS, truth_MS), [_average_precision])[0]


def auc_roc(scores_MS: Array | Matrix, truth_MS: Array | SurveyTruth) -> Floats:
    """Area under the ROC curve over the surveyed sites, for every species.

    The probability that a presence scores above an absence, ties counting one half.

    Source: the Mann-Whitney U statistic, as in scikit-learn's ``roc_auc_score``; equal to it.

    Args:
        scores_MS: Score of every species at every site, the higher the more likely; infinite is allowed.
        truth_MS: 1 present, 0 absent, -1 not surveyed.

    Returns:
        Shape (S,), within 0..1; NaN for a species without presences or without absences.

    Raises:
        ValueError: If the shapes disagree, truth holds another value, or a surveyed score is NaN.
    """
    return _per_unit("species", *_matrices(scores_MS, truth_MS), [_auc_roc])[0]


def sample_average_precision(scores_MS: Array | Matrix, truth_MS: Array | SurveyTruth) -> Floats:
    """Average precision over the surveyed species, for every site.

    It compares the scores of different species, so it also asks whether they share one scale. Where all
    surveyed species are present it is 1 whatever the scores, so that a survey of few species a site
    is lenient: compare models by it, not surveys.

    Args:
        scores_MS: Score of every species at every site, the higher the more likely; infinite is allowed.
        truth_MS: 1 present, 0 absent, -1 not surveyed.

    Returns:
        Shape (M,), within 0..1; NaN for a site without presences.

    Raises:
        ValueError: If the shapes disagree, truth holds another value, or a surveyed score is NaN.
    """
    return _per_unit("site", *_matrices(scores_MS, truth_MS), [_average_precision])[0]


@dataclass(frozen=True)
class Metric:
    """A number per species or per site, and its mean over those where it is defined.

    Args:
        unit: What has one value each.
        column: Name of those values in a table of species or of sites.
        meaning: One line for tables and figures.
        of_ranks: From where the presences of some units stand to one value a unit, NaN where undefined.
    """

    unit: Unit
    column: str
    meaning: str
    of_ranks: Callable[[Ranks], Floats]

    def function(self, scores_MS: Array | Matrix, truth_MS: Array | SurveyTruth) -> Floats:
        """One value a unit, NaN where undefined."""
        values: Floats = _per_unit(self.unit, *_matrices(scores_MS, truth_MS), [self.of_ranks])[0]
        return values


@dataclass(frozen=True)
class Ranks:
    """Where the presences of some units stand among what was surveyed; units without presences are left out.

    Args:
        n_surveyed_U: Number of surveyed scores of every unit.
        start_U1: The presences of unit u are those from ``start_U1[u]`` to ``start_U1[u + 1]``.
        presences_P: Scores of the presences, ascending within a unit.
        below_P: Number of surveyed scores of the unit that are less than each presence's.
        near: For every unit the surveyed scores from its lowest presence on, or more, ascending.
    """

    n_surveyed_U: Ints
    start_U1: Ints
    presences_P: Array
    below_P: Ints
    near: list[Array]

    def up_to(self) -> Ints:
        """Number of surveyed scores of the unit that are at most each presence's, shape (P,)."""
        up_to_P = np.empty(len(self.presences_P), dtype=np.int64)
        for near_N, n_surveyed, (first, last) in zip(
            self.near, self.n_surveyed_U.tolist(), pairwise(self.start_U1.tolist()), strict=True
        ):
            found_P = near_N.searchsorted(self.presences_P[first:last], side="right")
            up_to_P[first:last] = found_P + (n_surveyed - len(near_N))
        return up_to_P

    def first_tie(self) -> Ints:
        """For every presence the place of the first presence of its unit with the same score, shape (P,)."""
        place_P = np.arange(len(self.presences_P))
        tied_P = self.presences_P[1:] == self.presences_P[:-1]
        tied_P[self.start_U1[1:-1] - 1] = False
        place_P[1:][tied_P] = 0
        return np.maximum.accumulate(place_P)


def _average_precision(ranks: Ranks) -> Floats:
    """Average precision; every presence contributes the precision at its threshold."""
    length_U = np.diff(ranks.start_U1)
    found_P = np.repeat(ranks.start_U1[1:], length_U) - ranks.first_tie()
    precision_P = found_P / (np.repeat(ranks.n_surveyed_U, length_U) - ranks.below_P)
    bounds = pairwise(ranks.start_U1.tolist())
    return np.array([float(precision_P[first:last].sum()) / (last - first) for first, last in bounds])


def _auc_roc(ranks: Ranks) -> Floats:
    """Area under the ROC curve; NaN without absences."""
    length_U = np.diff(ranks.start_U1)
    first_P = ranks.first_tie()
    # Presences of equal score have one first place; counting it gives the number of ties.
    n_ties_P = np.bincount(first_P, minlength=len(first_P))[first_P]
    below_first_P = first_P - np.repeat(ranks.start_U1[:-1], length_U)
    # Absences strictly below count twice and equal ones once, so that all sums stay exact integers.
    twice_P = ranks.below_P + ranks.up_to() - 2 * below_first_P - n_ties_P
    twice_u_U = np.add.reduceat(twice_P, ranks.start_U1[:-1])
    n_pairs_U = length_U * (ranks.n_surveyed_U - length_U)
    auc_U: Floats = np.full(len(length_U), np.nan)
    return np.divide(twice_u_U, 2 * n_pairs_U, out=auc_U, where=n_pairs_U > 0)


# Adding a metric is one line here; the evaluation, the tables and the contract test find it.
METRICS: dict[str, Metric] = {
    "species_map": Metric("species", "ap", "mean over species of average precision over sites", _average_precision),
    "sample_map": Metric("site", "ap", "mean over sites of average precision over species", _average_precision),
    "auc_roc": Metric("species", "auc_roc", "mean over species of the area under the ROC curve over sites", _auc_roc),
}


@dataclass(frozen=True)
class Evaluation:
    """One run's scores against one survey.

    Args:
        summary: Every metric of ``METRICS`` by name, and n_species, n_species_without_presences, n_sites.
        per_species: Columns of length S: ap, auc_roc, n_presences, n_surveyed, prevalence.
        per_site: Columns of length M: ap over species.
    """

    summary: dict[str, float]
    per_species: dict[str, Array]
    per_site: dict[str, Array]

    def values(self, metric: str) -> Array:
        """The values whose mean is ``summary[metric]``: one a species or one a site, NaN where undefined."""
        if metric not in METRICS:
            raise ValueError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
        table = self.per_species if METRICS[metric].unit == "species" else self.per_site
        return table[METRICS[metric].column]


def evaluate(scores_MS: Array | Matrix, truth_MS: Array | SurveyTruth) -> Evaluation:
    """Score every species and every site by every metric.

    Metrics of sites are left undefined where there are more than ``SITES_LIMIT`` sites, as in a grid
    of the world: so many values a run are more than any table or bootstrap is to hold.

    Args:
        scores_MS: Score of every species at every site, the higher the more likely.
        truth_MS: 1 present, 0 absent, -1 not surveyed.

    Returns:
        The metrics' means, NaN where a metric is defined for no unit, and the values behind them.

    Raises:
        ValueError: If the shapes disagree, truth holds another value, or a surveyed score is NaN.
    """
    scores, truth = _matrices(scores_MS, truth_MS)
    n_sites, n_species = truth.shape
    n_presences, n_surveyed = truth.presences_per_species(), truth.surveyed_per_species()
    prevalence = np.divide(n_presences, n_surveyed, out=np.full(n_species, np.nan), where=n_surveyed > 0)

    if n_sites * n_species <= _WHOLE_SCORES:
        scores, truth = as_matrix(scores.columns(slice(None))), as_truth(truth.columns(slice(None)))

    def columns(unit: Unit) -> dict[str, Array]:
        metrics = [metric for metric in METRICS.values() if metric.unit == unit]
        if unit == "site" and n_sites > SITES_LIMIT:
            return {metric.column: np.full(n_sites, np.nan) for metric in metrics}
        found = _per_unit(unit, scores, truth, [metric.of_ranks for metric in metrics])
        return {metric.column: values for metric, values in zip(metrics, found, strict=True)}

    result = Evaluation(
        summary={},
        per_species=columns("species")
        | {"n_presences": n_presences, "n_surveyed": n_surveyed, "prevalence": prevalence},
        per_site=columns("site"),
    )
    summary = {name: mean_where_defined(result.values(name)) for name in METRICS} | {
        "n_species": float(n_species),
        "n_species_without_presences": float(np.count_nonzero(n_presences == 0)),
        "n_sites": float(n_sites),
    }
    return replace(result, summary=summary)


def _matrices(scores_MS: Array | Matrix, truth_MS: Array | SurveyTruth) -> tuple[Matrix, SurveyTruth]:
    """Both as matrices that give parts, after a check of their shapes and of what truth is made of."""
    if len(scores_MS.shape) != 2 or scores_MS.shape != truth_MS.shape:
        raise ValueError(
            f"scores have shape {scores_MS.shape} and truth {truth_MS.shape}: both must be (sites, species)"
        )
    return as_matrix(scores_MS), as_truth(truth_MS)


def _per_unit(
    unit: Unit, scores: Matrix, truth: SurveyTruth, functions: list[Callable[[Ranks], Floats]]
) -> list[Floats]:
    """Each function of the ranks of every species or every site; NaN for one without presences."""
    n_sites, n_species = truth.shape
    n_units, n_ranked = (n_species, n_sites) if unit == "species" else (n_sites, n_species)
    values = [np.full(n_units, np.nan) for _ in functions]
    if not n_units or not n_ranked:
        return values
    width = max(1, min(_CHUNK, _CHUNK_SCORES // n_ranked))
    starts = iter(range(0, n_units, width))
    lock = Lock()

    def work(_: int) -> None:
        while True:
            # A matrix that is made part by part makes one at a time.
            with lock:
                start = next(starts, None)
                if start is None:
                    return
                part = slice(start, start + width)
                if unit == "species":
                    scores_UN, truth_UN = scores.columns(part).T, truth.columns(part).T
                else:
                    scores_UN, truth_UN = scores.rows(part), truth.rows(part)
            units, ranks = _rank(unit, scores_UN, truth_UN, start)
            for value, function in zip(values, functions, strict=True):
                value[units] = function(ranks)

    # NumPy sorts without the interpreter's lock, so threads share the work; units are independent,
    # and the result is the same for any number of threads.
    n_threads = min(os.cpu_count() or 1, -(-n_units // width))
    with ThreadPoolExecutor(max_workers=n_threads) as pool:
        for _ in pool.map(work, range(n_threads)):
            pass
    return values


def _rank(unit: Unit, scores_UN: Array, truth_UN: Array, start: int) -> tuple[Ints, Ranks]:
    """Check and rank some units; returns the numbers of those with presences, counted from ``start``.

    Only the presences need a rank, so each unit is sorted by value, which is several times faster
    than sorting indices, and its presences are then found by bisection. What scores less than all
    presences is counted and not sorted, which spares most of the work where scores are good.
    """
    scores_UN, truth_UN = _as_float(_copied(scores_UN)), _copied(truth_UN)
    n_units, n_ranked = truth_UN.shape
    wrong_UN = np.isnan(scores_UN)
    n_surveyed_U = np.full(n_units, n_ranked)
    surveyed_UN = None
    if truth_UN.min() < 0:
        surveyed_UN = truth_UN >= 0
        wrong_UN &= surveyed_UN
        n_surveyed_U = np.array([np.count_nonzero(surveyed_N) for surveyed_N in surveyed_UN])
    if wrong_UN.any():
        number = start + int(np.flatnonzero(wrong_UN.any(axis=1))[0])
        raise ValueError(f"scores hold NaN at {unit} {number}: every surveyed score must be a number")

    place_P = np.flatnonzero(truth_UN == 1)
    presences_P = scores_UN.ravel()[place_P]
    start_U1 = np.searchsorted(place_P, np.arange(n_units + 1) * n_ranked)
    units = np.flatnonzero(np.diff(start_U1))
    start_U1 = np.append(start_U1[units], len(presences_P))
    bounds = list(pairwise(start_U1.tolist()))
    for first, last in bounds:
        presences_P[first:last].sort()
    sample_UN = scores_UN[units, :: max(1, n_ranked // _SAMPLE)]
    above_U = np.count_nonzero(sample_UN >= presences_P[start_U1[:-1], None], axis=1)
    few_U = (above_U < _FEW * sample_UN.shape[1]).tolist()
    n_surveyed_U = n_surveyed_U[units]
    below_P = np.empty(len(presences_P), dtype=np.int64)
    nears = []
    for u, few, n_surveyed, (first, last) in zip(units.tolist(), few_U, n_surveyed_U.tolist(), bounds, strict=True):
        near_N, presences = scores_UN[u], presences_P[first:last]
        if surveyed_UN is not None:
            near_N = near_N.compress(surveyed_UN[u] & (near_N >= presences[0]))
        elif few:
            near_N = near_N.compress(near_N >= presences[0])
        near_N.sort()
        below_P[first:last] = near_N.searchsorted(presences) + (n_surveyed - len(near_N))
        nears.append(near_N)
    return start + units, Ranks(n_surveyed_U, start_U1, presences_P, below_P, nears)


def _copied(chunk_UN: Array) -> Array:
    """A contiguous copy; a transpose is copied in tiles that fit the cache, four times faster than whole."""
    if abs(chunk_UN.strides[1]) <= abs(chunk_UN.strides[0]):
        return chunk_UN.copy()
    copy_UN = np.empty(chunk_UN.shape, chunk_UN.dtype)
    for start in range(0, chunk_UN.shape[1], _TILE):
        copy_UN[:, start : start + _TILE] = chunk_UN[:, start : start + _TILE]
    return copy_UN


def _as_float(scores: Array) -> Array:
    """Scores as float32 or float64, the width it is compared in; no float is rounded."""
    if scores.dtype in (np.float32, np.float64):
        return scores
    return scores.astype(np.float32 if scores.dtype == np.float16 else np.float64)


def mean_where_defined(values: Array) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
