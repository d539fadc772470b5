"""Precision-recall curves and calibration curves of scores on a survey.

Shape legend: M survey sites, S species, s some of them, G points of a grid. Scores are logits; truth is
1 present, 0 absent, -1 not surveyed, and what was not surveyed has no influence.

Scores and truth may be arrays or matrices that are made a part at a time; they are looked at some species at a
time, so that a whole one is never copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from presence_only.common.matrices import Matrix
from presence_only.data.truth import SurveyTruth
from presence_only.evaluation.ranks_of_presences import matrices

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Scores that are looked at together: 16 MB of float32.
_PART = 2**22
# Middles of a hundred equal steps: their mean precision is close to the average precision.
RECALLS = (np.arange(100) + 0.5) / 100
# Edges of the bins of logits, half a unit wide: scores of presence-only models span many powers of ten.
LOGIT_EDGES = np.arange(-12.0, 12.01, 0.5)


class Curve(NamedTuple):
    """Points of a curve.

    Args:
        x: Where each point is.
        y: Its value.
        n: How many species, or pairs of site and species, it is the mean of.
    """

    x: Floats
    y: Floats
    n: Ints


def precision_recall(scores_MS: Array | Matrix, truth_MS: Array | SurveyTruth, recall_G: Floats = RECALLS) -> Curve:
    """Precision at given recalls, averaged over the species that are present somewhere.

    The precision of a species at recall r is that at the highest threshold which finds at least the
    share r of its presences; sites of equal score form one threshold. Nothing is interpolated, so
    that the area under a species' curve is its average precision, and that under the mean curve the mAP.

    Source: the curve behind scikit-learn's ``average_precision_score``.

    Args:
        scores_MS: Score of every species at every site, the higher the more likely.
        truth_MS: 1 present, 0 absent, -1 not surveyed.
        recall_G: Recalls within 0..1, 0 excluded.

    Returns:
        x: recall; y: mean precision, NaN without any presence; n: number of species averaged.

    Raises:
        ValueError: If the shapes disagree, a recall is out of range, or a surveyed score is NaN.
    """
    recall_G = np.asarray(recall_G, dtype=np.float64)
    if recall_G.ndim != 1 or not ((recall_G > 0) & (recall_G <= 1)).all():
        raise ValueError(f"recalls = {recall_G}: must be a list of numbers within 0..1, 0 excluded")
    total_G, n_species = np.zeros(len(recall_G)), 0
    for _, scores_Ms, truth_Ms in species_parts(scores_MS, truth_MS):
        for score_M, truth_M in zip(scores_Ms.T, truth_Ms.T, strict=True):
            surveyed_N = np.sort(score_M[truth_M >= 0])
            presence_P = np.sort(score_M[truth_M == 1])[::-1]
            if not len(presence_P):
                continue
            # The threshold is the score of the presence that completes the share; rounding must not add one.
            place_G = np.ceil(recall_G * len(presence_P) - 1e-9).astype(np.int64) - 1
            threshold_G = presence_P[np.maximum(place_G, 0)]
            found_G = np.searchsorted(-presence_P, -threshold_G, side="right")
            total_G += found_G / (len(surveyed_N) - np.searchsorted(surveyed_N, threshold_G))
            n_species += 1
    mean_G = total_G / n_species if n_species else np.full(len(recall_G), np.nan)
    return Curve(recall_G, mean_G, np.full(len(recall_G), n_species))


def calibration(scores_MS: Array | Matrix, truth_MS: Array | SurveyTruth, edge_G: Floats = LOGIT_EDGES) -> Curve:
    """How often a species is present where its score is about so high, pooled over all pairs.

    A score of presence-only training is no probability: the curve shows what it is worth on this survey,
    and depends on how common the species are there.

    Args:
        scores_MS: Logits.
        truth_MS: 1 present, 0 absent, -1 not surveyed.
        edge_G: Ascending edges of the bins of logits; lower and higher scores have a bin each.

    Returns:
        One point per bin that holds a pair, by ascending score. x: mean sigmoid of the logits within 0..1;
        y: share of pairs present; n: number of pairs.

    Raises:
        ValueError: If the shapes disagree, the edges do not ascend, or a surveyed score is NaN.
    """
    edge_G = np.asarray(edge_G, dtype=np.float64)
    if edge_G.ndim != 1 or len(edge_G) < 1 or not (np.diff(edge_G) > 0).all():
        raise ValueError(f"edges = {edge_G}: must be a list of ascending logits")
    n_bins = len(edge_G) + 1
    n, present, score = np.zeros(n_bins), np.zeros(n_bins), np.zeros(n_bins)
    for _, scores_Ms, truth_Ms in species_parts(scores_MS, truth_MS):
        surveyed = truth_Ms >= 0
        logit_P = scores_Ms[surveyed].astype(np.float64)
        bin_P = np.searchsorted(edge_G, logit_P, side="right")
        n += np.bincount(bin_P, minlength=n_bins)
        present += np.bincount(bin_P, weights=truth_Ms[surveyed] == 1, minlength=n_bins)
        score += np.bincount(bin_P, weights=expit(logit_P), minlength=n_bins)
    held = n > 0
    return Curve(score[held] / n[held], present[held] / n[held], n[held].astype(np.int64))


def mean_precision_recall(points: pl.DataFrame) -> pl.DataFrame:
    """The precision-recall curves of all seeds as one: their mean at each recall.

    Args:
        points: Columns x (recall) and y (precision), a row per recall and seed; all seeds have the same recalls.

    Returns:
        Columns x and y, by ascending recall.
    """
    return points.group_by("x").agg(pl.col("y").mean()).sort("x")


def pooled_calibration(points: pl.DataFrame) -> pl.DataFrame:
    """The calibration curves of all seeds as one, as if their pairs were those of a single run.

    Args:
        points: Columns x (mean score), y (share present) and n (pairs), a row per bin and seed, by
            :func:`calibration` with its own edges.

    Returns:
        Columns x, y and n, one row per bin that holds a pair, by ascending score.
    """
    x = points["x"].clip(1e-300, 1 - 1e-16)
    # A mean score lies between its bin's edges, as every score of the bin does.
    bin_P = np.searchsorted(LOGIT_EDGES, (x / (1 - x)).log().to_numpy(), side="right")
    pooled = points.with_columns(pl.Series("bin", bin_P)).group_by("bin")
    means = [((pl.col(name) * pl.col("n")).sum() / pl.col("n").sum()).alias(name) for name in ("x", "y")]
    return pooled.agg(*means, pl.col("n").sum()).sort("bin").select("x", "y", "n")


def calibration_error(curve: pl.DataFrame) -> tuple[float, float]:
    """Mean distance, and mean signed distance, of score x from share present y, over all n pairs."""
    gap, n = (curve["x"] - curve["y"]).to_numpy(), curve["n"].to_numpy()
    return float(np.average(np.abs(gap), weights=n)), float(np.average(gap, weights=n))


def species_parts(scores_MS: Array | Matrix, truth_MS: Array | SurveyTruth) -> Iterator[tuple[slice, Array, Array]]:
    """Some species at a time: which, their scores (M, s) and their truth (M, s).

    Raises:
        ValueError: If the shapes disagree, or a surveyed score is NaN.
    """
    scores, truth = matrices(scores_MS, truth_MS)
    n_sites, n_species = scores.shape
    width = max(1, _PART // max(1, n_sites))
    for start in range(0, n_species, width):
        species = slice(start, min(start + width, n_species))
        scores_Ms, truth_Ms = scores.columns(species), truth.columns(species)
        wrong_s = (np.isnan(scores_Ms) & (truth_Ms >= 0)).any(axis=0)
        if wrong_s.any():
            number = start + int(np.flatnonzero(wrong_s)[0])
            raise ValueError(f"scores hold NaN at species {number}: every surveyed score must be a number")
        yield species, scores_Ms, truth_Ms
