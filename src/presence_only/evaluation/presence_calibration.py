"""Probabilities of presence from scores, as far as presence-only data can give them: Maxent's logistic output.

Records and background sites tell how much more often a species is recorded at one site than at another, and nothing
about how common it is. Its probability of presence follows only from an assumption: that it is ``TYPICAL`` where it
is typically recorded. All species share that number, so that a list of them is as long as the assumption makes it.

Shape legend: S species, Q species that the slope is fitted to, P places, K background sites, N both. Scores are logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from presence_only.common.random_streams import numpy_stream
from presence_only.evaluation.presence_thresholds import TrainingScores

Floats = NDArray[np.floating[Any]]

# Probability of presence at the mean score of a species' training places: what Maxent calls tau.
TYPICAL = 0.5
# The slope is fitted to the scores of so many species, places and background sites of each, at most.
_SPECIES, _PLACES, _BACKGROUND = 100, 200, 400
# Standard deviation of the prior of the slope about 1, at which the model's scores count as they are.
_PRIOR_SD = 1.0
_MOST_STEPS, _TOLERANCE = 50, 1e-8


@dataclass(frozen=True)
class Calibration:
    """How probabilities of presence follow from logits.

    Args:
        slope: What a difference of logits is multiplied by, 0 or more; the same for all species.
        typical_S: Mean logit at the training places of every species.
    """

    slope: float
    typical_S: NDArray[np.float64]

    def probabilities(self, logits_MS: Floats, typical: float = TYPICAL) -> NDArray[np.float64]:
        """Probability of presence within 0..1, the shape of the logits.

        Args:
            logits_MS: Logits; the last axis is of all species.
            typical: Probability of presence at the mean score of a species' training places, within 0..1, both
                excluded.

        Raises:
            ValueError: If ``typical`` is out of range.
        """
        if not 0 < typical < 1:
            raise ValueError(f"typical = {typical:g}: must lie within 0..1, both excluded")
        result: NDArray[np.float64] = expit(self.slope * (logits_MS - self.typical_S) + logit(typical))
        return result


class CalibrationReader:
    """Reads the training scores of species after species, and fits a calibration to them.

    Places and background sites are taken at equal steps of their ascending scores where there are many. Of many
    species the slope is fitted to some, drawn by a stream with a name.

    Source: the logistic output of Phillips and Dudik (2008), https://doi.org/10.1111/j.0906-7590.2008.5203.x; what
    presence-background data cannot tell: Phillips and Elith (2013), https://doi.org/10.1890/12-1520.1

    Args:
        n_species: S.
    """

    def __init__(self, n_species: int) -> None:
        self._typical_S = np.empty(n_species)
        chosen = numpy_stream(0, "species of the calibration").permutation(n_species)[:_SPECIES]
        self._chosen = set(chosen.tolist())
        self._kept: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
        self._n_read = 0

    def read(self, scores: TrainingScores) -> None:
        """Take note of the next species."""
        self._typical_S[self._n_read] = scores.places_P.astype(np.float64).mean()
        if self._n_read in self._chosen and len(scores.background_K):
            self._kept.append((_thinned(scores.places_P, _PLACES), _thinned(scores.background_K, _BACKGROUND)))
        self._n_read += 1

    def calibration(self) -> Calibration:
        """The calibration, after the last species."""
        return Calibration(common_slope(self._kept), self._typical_S)


def common_slope(species: list[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> float:
    """Slope of a logistic regression of records against background sites on logits, common to all species.

    Every species has an intercept of its own, and weighs as much as every other, its records as much as its
    background sites. A normal prior about 1 keeps the slope finite where both are separated; it weighs as much as one
    species.

    Args:
        species: Logits at places and at background sites of every species, one each at least.

    Returns:
        0 or more; 1 without species.
    """
    if not species:
        return 1.0
    start_Q = np.cumsum([0, *(len(places_P) + len(background_K) for places_P, background_K in species)])[:-1]
    x_N = np.concatenate([part for pair in species for part in pair])
    size_N = np.concatenate([np.full(len(part), len(part)) for pair in species for part in pair])
    is_place_N = np.concatenate([np.full(len(part), 1 - side) for pair in species for side, part in enumerate(pair)])
    species_N = np.repeat(np.arange(len(species)), np.diff(np.append(start_Q, len(x_N))))
    weight_N = 0.5 / size_N
    # Middles between records and background keep intercepts near 0.
    x_N = x_N - np.add.reduceat(weight_N * x_N, start_Q)[species_N]

    def loss(slope: float, intercept_Q: Floats) -> tuple[float, NDArray[np.float64]]:
        z_N = slope * x_N + intercept_Q[species_N]
        penalty = (slope - 1) ** 2 / (2 * _PRIOR_SD**2)
        return float(weight_N @ np.logaddexp(0, np.where(is_place_N == 1, -z_N, z_N))) + penalty, z_N

    slope, intercept_Q = 1.0, np.zeros(len(species))
    value, z_N = loss(slope, intercept_Q)
    for _ in range(_MOST_STEPS):
        p_N = expit(z_N)
        error_N, curve_N = weight_N * (p_N - is_place_N), weight_N * p_N * (1 - p_N)
        gradient_Q, bend_Q = np.add.reduceat(error_N, start_Q), np.add.reduceat(curve_N, start_Q) + 1e-12
        mixed_Q = np.add.reduceat(curve_N * x_N, start_Q)
        gradient = error_N @ x_N + (slope - 1) / _PRIOR_SD**2
        # Newton's step; the intercepts are eliminated, as each depends on the slope alone.
        bend = curve_N @ x_N**2 + 1 / _PRIOR_SD**2 - mixed_Q**2 @ (1 / bend_Q)
        step = (gradient - mixed_Q @ (gradient_Q / bend_Q)) / bend
        step_Q = (gradient_Q - mixed_Q * step) / bend_Q
        size = 1.0
        while True:
            new_value, z_N = loss(slope - size * step, intercept_Q - size * step_Q)
            if new_value <= value or size < 1e-6:
                break
            size /= 2
        slope, intercept_Q = slope - size * step, intercept_Q - size * step_Q
        done, value = value - new_value < _TOLERANCE, new_value
        if done:
            break
    return max(0.0, float(slope))


def _thinned(rising_N: Floats, limit: int) -> NDArray[np.float64]:
    """At most so many of some ascending scores, at equal steps."""
    if len(rising_N) > limit:
        rising_N = rising_N[((np.arange(limit) + 0.5) * len(rising_N) / limit).astype(np.int64)]
    return rising_N.astype(np.float64)
