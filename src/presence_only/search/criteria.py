"""Criteria that judge a model by held-out presence records of one species, the higher the better.

None of them sees an absence. They differ in what held-out records are compared with: with sites where others of the
species' taxon group were recorded, or with background sites.

Shape legend: P places with a held-out record of the species, A places with held-out records of others alone,
K background sites.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presence_only.common.boyce_index import boyce_index

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class SpeciesScores:
    """What a model says of one species where it is judged; all scores are logits.

    Args:
        recorded_P: At places with a held-out record of the species, each place once.
        recorded_weight_P: 1 / number of held-out places of the species' taxon group in the same cell of effort, > 0.
        others_A: At places where its taxon group was recorded and it was not.
        others_weight_A: The same as ``recorded_weight_P``.
        background_K: At background sites that count for the species.
    """

    recorded_P: Floats
    recorded_weight_P: Floats
    others_A: Floats
    others_weight_A: Floats
    background_K: Floats


@dataclass(frozen=True)
class Criterion:
    """A way to judge a model by held-out records.

    Args:
        meaning: One line for tables, figures and MLflow, with the unit.
        of_species: From the scores of one species, with one record at least, to its value; NaN where undefined.
    """

    meaning: str
    of_species: Callable[[SpeciesScores], float]


def average_precision(present_P: Floats, weight_P: Floats, absent_A: Floats, weight_A: Floats) -> float:
    """Average precision of presences among weighted sites; NaN without absences.

    Source: scikit-learn's ``average_precision_score`` with ``sample_weight``; equal to it, ties included.

    Args:
        present_P: Scores of presences, one at least.
        weight_P: Their weights, > 0.
        absent_A: Scores of all other sites.
        weight_A: Their weights, > 0.
    """
    if not len(absent_A):
        return float("nan")
    found_P = _weight_from(present_P, present_P, weight_P)
    precision_P = found_P / (found_P + _weight_from(present_P, absent_A, weight_A))
    return float(weight_P @ precision_P / weight_P.sum())


def _weight_from(thresholds_P: Floats, scores_N: Floats, weight_N: Floats) -> NDArray[np.float64]:
    """Weight of all scores that are at least as high as each threshold, shape (P,)."""
    order_N = np.argsort(scores_N)
    # Summed from the highest score down, so that small sums are exact; a last 0 for thresholds above all.
    above_N1 = np.append(np.cumsum(weight_N[order_N][::-1], dtype=np.float64)[::-1], 0.0)
    weights_P: NDArray[np.float64] = above_N1[np.searchsorted(scores_N[order_N], thresholds_P, side="left")]
    return weights_P


def ap_target_group(scores: SpeciesScores) -> float:
    """Average precision of the places with a record among all places of the taxon group."""
    ones_P, ones_A = np.ones(len(scores.recorded_P)), np.ones(len(scores.others_A))
    return average_precision(scores.recorded_P, ones_P, scores.others_A, ones_A)


def ap_uniform_effort(scores: SpeciesScores) -> float:
    """The same, every place weighted so that all visited cells of effort weigh alike."""
    return average_precision(scores.recorded_P, scores.recorded_weight_P, scores.others_A, scores.others_weight_A)


def ap_background(scores: SpeciesScores) -> float:
    """Average precision of the places with a record among these and the background sites."""
    ones_P, ones_K = np.ones(len(scores.recorded_P)), np.ones(len(scores.background_K))
    return average_precision(scores.recorded_P, ones_P, scores.background_K, ones_K)


def boyce(scores: SpeciesScores) -> float:
    """Continuous Boyce index: rank correlation of suitability with records per background site, within -1..1.

    Suitability is the sigmoid of the logits; see :func:`~presence_only.common.boyce_index.boyce_index`.
    """
    return boyce_index(_sigmoid(scores.recorded_P), _sigmoid(scores.background_K))


def _sigmoid(logits_N: Floats) -> NDArray[np.float64]:
    """Relative suitability within 0..1; exact at any logit."""
    return np.exp(-np.logaddexp(0.0, -logits_N.astype(np.float64)))


def log_likelihood(scores: SpeciesScores) -> float:
    """Mean log-likelihood of a record under a softmax over the background sites and itself, above the uniform's, nats.

    Unlike the other criteria it sees the size of the logits and not only their order: a model that is too sure of
    itself loses. 0 is a model that says nothing.

    Source: the gain of Maxent, Phillips et al. (2006), https://doi.org/10.1016/j.ecolmodel.2005.03.026
    """
    background_K = scores.background_K.astype(np.float64)
    if not len(background_K):
        return float("nan")
    recorded_P = scores.recorded_P.astype(np.float64)
    highest = background_K.max()
    all_background = highest + np.log(np.exp(background_K - highest).sum())
    gain_P = recorded_P - np.logaddexp(all_background, recorded_P) + np.log(len(background_K) + 1)
    return float(gain_P.mean())


# A criterion is one entry here: settings, tables, MLflow and the contract test read this table.
CRITERIA: dict[str, Criterion] = {
    "ap_target_group": Criterion(
        "mean over species of the average precision of held-out records among the sites of all held-out records",
        ap_target_group,
    ),
    "ap_uniform_effort": Criterion(
        "the same with sites weighted so that all visited cells weigh alike",
        ap_uniform_effort,
    ),
    "ap_background": Criterion(
        "mean over species of the average precision of held-out records among background sites",
        ap_background,
    ),
    "boyce": Criterion(
        "mean over species of the continuous Boyce index of held-out records against background sites (-1 to 1)",
        boyce,
    ),
    "log_likelihood": Criterion(
        "mean over species of the log-likelihood of a held-out record against background sites (nats)",
        log_likelihood,
    ),
}
