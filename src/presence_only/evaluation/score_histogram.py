"""F1 at the best common threshold and calibration of scores, from one histogram of all logits.

A pass over the scores counts them, and sorts nothing. The numbers depend on counts alone, which add up exactly, so a
survey that is read in parts has the same ones to the last bit.

Shape legend: U units of a block (species or sites), N what a unit is ranked over, F surveyed pairs of site and species
of a block, P presences of a block, K bins of logits, C calibration bins of scores.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from presence_only.common.matrices import Matrix
from presence_only.data.truth import SurveyTruth
from presence_only.evaluation.passes import read_species, slices
from presence_only.evaluation.ranks_of_presences import Block, matrices
from presence_only.evaluation.units import TruthUnits

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Logits from -64 to 64 have 128 bins per unit; lower and higher ones have a bin each. A power of two, so that scaling
# rounds nothing.
_PER_UNIT, _LIMIT = 128, 64
_LAST = _LIMIT * _PER_UNIT
# The thresholds, which are also the upper edges of all bins but the last.
_EDGE_K = np.arange(-_LAST, _LAST + 1) / _PER_UNIT
# The score that all pairs of a bin are taken to have.
_SCORE_K: Floats = expit((np.arange(-_LAST, _LAST + 2) - 0.5) / _PER_UNIT)
# Calibration bins of equal width, as in the papers.
_CALIBRATION_BINS = 15
_CALIBRATION_BIN_K = np.ceil(_SCORE_K * _CALIBRATION_BINS).astype(np.int64) - 1
# Scores that go through the cache together.
_IN_CACHE = 2**16

# What a histogram tells of one seed's scores.
SCALE_NUMBERS = ("f1_best", "threshold_best", "calibration_error", "total_ratio", "brier")


class BestThreshold(NamedTuple):
    """The common threshold that serves best.

    Args:
        f1: F1 of all pairs pooled.
        logit: Logit above which a species counts as predicted.
    """

    f1: float
    logit: float


class ScoreHistogram:
    """Reads how many surveyed pairs, and how many presences, have a logit of each bin; by species or by site.

    Bins are 1/128 wide from -64 to 64. All pairs of a bin are taken to have the score of its middle, which is at most
    1/1024 from theirs.
    """

    def __init__(self) -> None:
        self._n_K, self._present_K = np.zeros((2, len(_SCORE_K)), dtype=np.int64)

    def read(self, block: Block) -> None:
        """Count some species or some sites."""
        units, scores_F = block.units, block.scores_UN.ravel()
        self._present_K += _counts(scores_F.take(units.place_P))
        if units.surveyed_UN is not None:
            scores_F = scores_F.compress(units.surveyed_UN.ravel())
        for part in slices(0, len(scores_F), _IN_CACHE):
            self._n_K += _counts(scores_F[part])

    def best_threshold(self) -> BestThreshold:
        """The threshold, common to all species, with the highest F1 against the survey; of equal ones the highest.

        It looks at the truth. F1 there is an upper bound, what one threshold could reach, and the threshold is nothing
        to predict by. F1 is exact at the threshold that is returned. Thresholds are the logits from -64 to 64 in steps
        of 1/128, so one in between may do better, but never by more than moving the pairs of one bin can change.

        Returns:
            NaN twice without presences.
        """
        n_present = int(self._present_K.sum())
        if not n_present:
            return BestThreshold(float("nan"), float("nan"))
        # Above the upper edge of a bin lies what the later bins hold.
        predicted_K, hit_K = (np.cumsum(counts_K[::-1])[::-1][1:] for counts_K in (self._n_K, self._present_K))
        f1_K = 2 * hit_K / (predicted_K + n_present)
        best = len(f1_K) - 1 - int(np.argmax(f1_K[::-1]))
        return BestThreshold(float(f1_K[best]), float(_EDGE_K[best]))

    def calibration_error(self) -> float:
        """Expected calibration error of the scores, over 15 bins of equal width.

        It is the mean over all surveyed pairs of the distance, in the pair's bin, of the mean score from the share
        present. Scores of a presence-only loss are no probabilities, so that it tells how far from it each loss is.
        Most pairs of a survey are absences that score little: they are in the first bin, and decide.

        The histogram makes it differ from the exact value by at most 1/1024, plus twice the share of the pairs whose
        scores are within 1/1024 of an edge of a calibration bin.

        Source: Naeini et al. (2015), https://doi.org/10.1609/aaai.v29i1.9602, with the 15 bins of Guo et al. (2017),
        https://arxiv.org/abs/1706.04599; here of the probability of presence, as in the former.

        Returns:
            Within 0..1; NaN where nothing was surveyed.
        """
        gap_K = self._n_K * _SCORE_K - self._present_K
        gap_C = np.bincount(_CALIBRATION_BIN_K, weights=gap_K, minlength=_CALIBRATION_BINS)
        return _ratio(float(np.abs(gap_C).sum()), self._n_K.sum())

    def total_ratio(self) -> float:
        """Sum of all scores over the number of presences: 1 where they agree; NaN without presences.

        The histogram makes it differ from the exact value by at most 1/256 of it.
        """
        return _ratio(float((self._n_K * _SCORE_K).sum()), self._present_K.sum())

    def brier(self) -> float:
        """Mean squared difference of score and presence (1 or 0) over all pairs; NaN where nothing was surveyed.

        The histogram makes it differ from the exact value by at most 1/512.

        Source: Brier (1950), https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2
        """
        absent_K = self._n_K - self._present_K
        squares_K = absent_K * _SCORE_K**2 + self._present_K * (1 - _SCORE_K) ** 2
        return _ratio(float(squares_K.sum()), self._n_K.sum())

    def numbers(self) -> dict[str, float]:
        """All of ``SCALE_NUMBERS``; ``threshold_best`` is the score at the best common threshold."""
        best = self.best_threshold()
        values = (best.f1, float(expit(best.logit)), self.calibration_error(), self.total_ratio(), self.brier())
        return dict(zip(SCALE_NUMBERS, values, strict=True))


def scale_numbers(scores_MS: ArrayLike | Matrix, truth_MS: ArrayLike | SurveyTruth) -> dict[str, float]:
    """What the scale of scores is worth on a survey: the numbers of :class:`ScoreHistogram`.

    Args:
        scores_MS: Logits.
        truth_MS: 1 present, 0 absent, -1 not surveyed.

    Raises:
        ValueError: If the shapes disagree, or a surveyed score is NaN.
    """
    scores, truth = matrices(scores_MS, truth_MS)
    histogram = ScoreHistogram()
    read_species(scores, TruthUnits(truth), [histogram])
    return histogram.numbers()


def _counts(logit_F: Array) -> Ints:
    """Number of logits in every bin; a bin has its upper edge, and not its lower one."""
    steps_F = logit_F * logit_F.dtype.type(_PER_UNIT)
    # The last bin has what is above the highest edge.
    np.clip(steps_F, -_LAST, _LAST + 1, out=steps_F)
    np.ceil(steps_F, out=steps_F)
    steps_F += _LAST
    return np.bincount(steps_F.astype(np.int64), minlength=len(_SCORE_K))


def _ratio(numerator: float, denominator: int) -> float:
    return numerator / float(denominator) if denominator else float("nan")
