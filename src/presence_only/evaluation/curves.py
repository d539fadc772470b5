"""Precision-recall curves and calibration curves of scores on a survey.

Shape legend: M survey sites, m some of them, S species, s some of them, U species with presences, P pairs of site and
species, G points of a grid. Scores are logits; truth is 1 present, 0 absent, -1 not surveyed, and what was not surveyed
has no influence.

Scores and truth may be arrays or matrices that are made a part at a time; they are read some species at a time, so
that a whole one is never copied.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from presence_only.common.array_likes import real_numbers
from presence_only.common.matrices import Matrix
from presence_only.data.truth import PRESENT, SurveyTruth
from presence_only.evaluation.passes import SpeciesPart, read_species, slices, species_at_once
from presence_only.evaluation.ranks_of_presences import Block, as_scores, matrices
from presence_only.evaluation.units import TruthUnits

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Scores that go through the cache together.
_IN_CACHE = 2**16
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


class PrecisionRecall:
    """Reads precision at given recalls, averaged over the species that are present somewhere.

    The precision of a species at recall r is that at the highest threshold which finds at least the
    share r of its presences; sites of equal score form one threshold. Nothing is interpolated, so
    that the area under a species' curve is its average precision, and that under the mean curve the mAP.

    Source: the curve behind scikit-learn's ``average_precision_score``.

    Args:
        recall_G: Recalls within 0..1, 0 excluded.

    Raises:
        ValueError: If a recall is out of range.
    """

    def __init__(self, recall_G: ArrayLike = RECALLS) -> None:
        self._recall_G = real_numbers("recalls", recall_G).astype(np.float64)
        if self._recall_G.ndim != 1 or not ((self._recall_G > 0) & (self._recall_G <= 1)).all():
            raise ValueError(f"recalls = {self._recall_G}: must be a list of numbers within 0..1, 0 excluded")
        self._total_G, self._n_species = np.zeros(len(self._recall_G)), 0

    def read(self, block: Block) -> None:
        """Read some species."""
        if not len(block.units.present_U):
            return
        ranks = block.ranks
        length_U = np.diff(ranks.start_U1)
        # The threshold is the score of the presence that completes the share; rounding must not add one.
        place_UG = np.ceil(self._recall_G * length_U[:, None] - 1e-9).astype(np.int64) - 1
        # Presences ascend, and are found from the end.
        precision_UG = ranks.precision()[ranks.start_U1[1:, None] - 1 - np.maximum(place_UG, 0)]
        for precision_G in precision_UG:
            self._total_G += precision_G
        self._n_species += len(length_U)

    def curve(self) -> Curve:
        """x: recall; y: mean precision, NaN without any presence; n: number of species averaged."""
        n_species = self._n_species
        mean_G = self._total_G / n_species if n_species else np.full(len(self._recall_G), np.nan)
        return Curve(self._recall_G, mean_G, np.full(len(self._recall_G), n_species))


class Calibration:
    """Reads how often a species is present where its score is about so high, pooled over all pairs.

    A score of presence-only training is no probability: the curve shows what it is worth on this survey,
    and depends on how common the species are there.

    Args:
        edge_G: Ascending edges of the bins of logits; lower and higher scores have a bin each.

    Raises:
        ValueError: If the edges do not ascend.
    """

    def __init__(self, edge_G: ArrayLike = LOGIT_EDGES) -> None:
        self._edge_G = real_numbers("edges", edge_G).astype(np.float64)
        if self._edge_G.ndim != 1 or len(self._edge_G) < 1 or not (np.diff(self._edge_G) > 0).all():
            raise ValueError(f"edges = {self._edge_G}: must be a list of ascending logits")
        self._n, self._present, self._score = np.zeros((3, len(self._edge_G) + 1))

    def read_part(self, part: SpeciesPart) -> None:
        """Read some species."""
        n_sites, n_species = part.scores_Ms.shape
        for species in slices(0, n_species, species_at_once(n_sites)):
            self._read(part.scores_Ms[:, species], part.truth_Ms[:, species])

    def _read(self, scores_Ms: Array, truth_Ms: Array) -> None:
        """Read some species, whose sums are made for themselves."""
        n_bins, (n_sites, n_species) = len(self._n), scores_Ms.shape
        step = max(1, _IN_CACHE // max(1, n_species))
        # Before the pairs of some sites stands the sum of those before, one number per bin: the sums go on where they
        # stand, as if all pairs were added one after the other.
        bins, summed = np.arange(n_bins + step * n_species), np.zeros(n_bins + step * n_species)
        for sites in slices(0, n_sites, step):
            logit_P, truth_P = as_scores(scores_Ms[sites]).ravel(), truth_Ms[sites].ravel()
            if truth_P.min(initial=0) < 0:
                logit_P, truth_P = logit_P[truth_P >= 0], truth_P[truth_P >= 0]
            end = n_bins + len(logit_P)
            bin_P = bins_of(logit_P, self._edge_G, out=bins[n_bins:end])
            self._n += np.bincount(bin_P, minlength=n_bins)
            self._present += np.bincount(bin_P[truth_P == PRESENT], minlength=n_bins)
            expit(logit_P, dtype=np.float64, out=summed[n_bins:end])
            summed[:n_bins] = np.bincount(bins[:end], weights=summed[:end])
        self._score += summed[:n_bins]

    def curve(self) -> Curve:
        """One point per bin that holds a pair, by ascending score.

        x: mean sigmoid of the logits within 0..1; y: share of pairs present; n: number of pairs.
        """
        held = self._n > 0
        n = self._n[held]
        return Curve(self._score[held] / n, self._present[held] / n, n.astype(np.int64))


def bins_of(logit_P: Array, edge_G: Floats, out: Ints) -> Ints:
    """For every logit the number of edges that are at most as high.

    Args:
        logit_P: float32 or float64, no NaN.
        edge_G: Ascending edges.
        out: Where the numbers are put, int64 of shape (P,).

    Returns:
        ``out``.
    """
    steps = np.diff(edge_G)
    step = float(steps[0]) if len(steps) else 0.0
    whole = step > 0 and np.frexp(step)[0] == 0.5 and bool((steps == step).all() and (edge_G % step == 0).all())
    if not whole:
        out[:] = np.searchsorted(edge_G, logit_P.astype(np.float64), side="right")
        return out
    # Edges at whole multiples of a power of two, as LOGIT_EDGES: the bin follows by a multiplication that rounds
    # nothing, ten times faster than by bisection.
    steps_P = np.clip(logit_P, edge_G[0] - step, edge_G[-1])
    steps_P *= 1 / step
    out[:] = np.floor(steps_P, out=steps_P)
    out -= int(edge_G[0] / step - 1)
    return out


def precision_recall(
    scores_MS: ArrayLike | Matrix, truth_MS: ArrayLike | SurveyTruth, recall_G: ArrayLike = RECALLS
) -> Curve:
    """The curve of :class:`PrecisionRecall`.

    Args:
        scores_MS: Score of every species at every site, the higher the more likely.
        truth_MS: 1 present, 0 absent, -1 not surveyed.
        recall_G: Recalls within 0..1, 0 excluded.

    Raises:
        ValueError: If the shapes disagree, a recall is out of range, or a surveyed score is NaN.
    """
    scores, truth = matrices(scores_MS, truth_MS)
    reader = PrecisionRecall(recall_G)
    read_species(scores, TruthUnits(truth), [reader])
    return reader.curve()


def calibration(
    scores_MS: ArrayLike | Matrix, truth_MS: ArrayLike | SurveyTruth, edge_G: ArrayLike = LOGIT_EDGES
) -> Curve:
    """The curve of :class:`Calibration`.

    Args:
        scores_MS: Logits.
        truth_MS: 1 present, 0 absent, -1 not surveyed.
        edge_G: Ascending edges of the bins of logits.

    Raises:
        ValueError: If the shapes disagree, the edges do not ascend, or a surveyed score is NaN.
    """
    scores, truth = matrices(scores_MS, truth_MS)
    reader = Calibration(edge_G)
    read_species(scores, TruthUnits(truth), part_readers=[reader])
    return reader.curve()


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
