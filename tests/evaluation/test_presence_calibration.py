"""Calibration from training scores: the common slope against scikit-learn, and what it stands on."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from presence_only.evaluation.presence_calibration import Calibration, CalibrationReader, common_slope
from presence_only.evaluation.presence_thresholds import TrainingScores


def species(seed=0, *, n=8, slope=0.5):
    """Records and background whose densities differ as a logistic regression of the given slope says."""
    rng = np.random.default_rng(seed)
    # Two normal densities of variance v, d apart, have log ratio d / v times the score.
    return [(rng.normal(m + 4 * slope, 2, 40), rng.normal(m, 2, 100)) for m in rng.normal(0, 3, n)]


def test_the_slope_is_that_of_a_general_minimiser():
    pairs = species()

    def loss(parameters):
        slope, intercepts = parameters[0], parameters[1:]
        total = (slope - 1) ** 2 / 2
        for (places, background), a in zip(pairs, intercepts, strict=True):
            total += 0.5 * np.log1p(np.exp(-(slope * places + a))).mean()
            total += 0.5 * np.log1p(np.exp(slope * background + a)).mean()
        return total

    best = minimize(loss, np.zeros(9), method="BFGS", options={"gtol": 1e-9})
    assert common_slope(pairs) == pytest.approx(best.x[0], abs=1e-5)


def test_of_many_species_it_is_the_slope_of_scikit_learn():
    pairs = species(n=300)
    x = np.concatenate([part - part_of[1].mean() for part_of in pairs for part in part_of])
    y = np.concatenate([np.full(len(part), 1 - side) for pair in pairs for side, part in enumerate(pair)])
    weight = np.concatenate([np.full(len(part), 1 / len(part)) for pair in pairs for part in pair])
    # All species have one intercept where scores are measured from their background.
    fit = LogisticRegression(C=np.inf).fit(x[:, None], y, sample_weight=weight)
    assert common_slope(pairs) == pytest.approx(float(fit.coef_[0, 0]), abs=0.02)
    assert common_slope(pairs) == pytest.approx(0.5, abs=0.05)


def test_separated_scores_have_a_finite_slope_and_turned_ones_none():
    apart = [(np.array([50.0, 60.0]), np.array([-50.0, -60.0]))] * 3
    assert 0 < common_slope(apart) < 10
    assert common_slope([(background, places) for places, background in species(n=200)]) == 0
    assert common_slope([]) == 1


def test_a_change_of_unit_and_shifts_per_species_change_no_probability():
    pairs = species(n=200)

    def fit(factor, shifts):
        reader = CalibrationReader(200)
        for (places, background), shift in zip(pairs, shifts, strict=True):
            reader.read(TrainingScores(np.sort(factor * places + shift), np.sort(factor * background + shift)))
        return reader.calibration()

    shifts = np.random.default_rng(1).normal(size=200)
    one, two = fit(1.0, np.zeros(200)), fit(2.0, shifts)
    logits = np.random.default_rng(2).normal(size=(7, 200))
    # The prior of the slope is about 1, and weighs little.
    np.testing.assert_allclose(two.probabilities(2 * logits + shifts), one.probabilities(logits), atol=0.02)


def test_a_species_has_the_assumed_probability_at_its_mean_training_score():
    calibration = Calibration(2.0, np.array([0.5, -1.0]))
    np.testing.assert_allclose(calibration.probabilities(np.array([0.5, -1.0])), 0.5)
    np.testing.assert_allclose(calibration.probabilities(np.array([0.5, -1.0]), 0.8), 0.8)
    np.testing.assert_allclose(calibration.probabilities(np.array([[1.0, -1.0]])), [[expit(1.0), 0.5]])
    with pytest.raises(ValueError, match=r"^typical = 1: must lie within 0..1, both excluded$"):
        calibration.probabilities(np.zeros(2), 1)
