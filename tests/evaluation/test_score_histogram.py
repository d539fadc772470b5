"""F1 at the best threshold and calibration: against all pairs at once, and scikit-learn."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss, f1_score, precision_recall_curve
from support.matrices import Parts

from presence_only.data.truth import SurveyTruth
from presence_only.evaluation import passes, score_histogram
from presence_only.evaluation.geoscore import ListReader
from presence_only.evaluation.passes import read_sites, read_species
from presence_only.evaluation.score_histogram import SCALE_NUMBERS, ScoreHistogram, scale_numbers
from presence_only.evaluation.units import TruthUnits


def survey(seed=0, sites=400, species=30, shift=0.0, dtype=np.float32):
    """Scores that rank well, and are shifted from calibrated ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-3, 2.5, (sites, species))
    truth = (rng.random(logits.shape) < expit(logits)).astype(np.int8)
    truth[rng.random(logits.shape) < 0.2] = -1
    return (logits + shift).astype(dtype), truth


def slow_calibration_error(score_F, present_F):
    """Over the bins (0, 1/15], (1/15, 2/15] and so on, one after the other."""
    total = 0.0
    for i in range(15):
        inside = (score_F > i / 15) & (score_F <= (i + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(score_F[inside].mean() - present_F[inside].mean())
    return total


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shift", [0.0, -3.0, 4.0])
def test_calibration_by_all_pairs(shift, dtype):
    logits, truth = survey(1, shift=shift, dtype=dtype)
    found = scale_numbers(logits, truth)
    present_F, score_F = truth[truth >= 0], expit(logits[truth >= 0].astype(np.float64))
    near = np.abs(score_F - np.round(score_F * 15) / 15) < 1 / 1024
    expected = slow_calibration_error(score_F, present_F)
    assert found["calibration_error"] == pytest.approx(expected, abs=1 / 1024 + 2 * near.mean())
    assert found["calibration_error"] == pytest.approx(expected, abs=2e-3)
    assert found["total_ratio"] == pytest.approx(score_F.sum() / present_F.sum(), rel=1e-4)
    assert found["brier"] == pytest.approx(brier_score_loss(present_F, score_F), abs=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_best_f1_is_scikit_learns(dtype):
    """Logits on the grid of thresholds, so that none between two of them is better."""
    logits, truth = survey(2)
    logits = (np.round(logits * 16) / 16).astype(dtype)
    present_F, logit_F = truth[truth >= 0], logits[truth >= 0]
    found = scale_numbers(logits, truth)
    precision, recall, _ = precision_recall_curve(present_F, logit_F)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
    assert found["f1_best"] == pytest.approx(f1.max(), abs=1e-12)
    predicted_F = logit_F > logit(found["threshold_best"])
    assert found["f1_best"] == pytest.approx(f1_score(present_F, predicted_F), abs=1e-12)


def test_f1_is_exact_at_its_threshold_and_close_to_the_best():
    logits, truth = survey(3)
    histogram = ScoreHistogram()
    read_species(Parts.of(logits), TruthUnits(SurveyTruth.of_matrix(truth)), [histogram])
    best, surveyed = histogram.best_threshold(), truth >= 0
    present_F, logit_F = truth[surveyed], logits[surveyed]
    assert best.f1 == pytest.approx(f1_score(present_F, logit_F > best.logit), abs=1e-12)
    exact = max(f1_score(present_F, logit_F >= threshold) for threshold in np.unique(logit_F)[::4])
    assert exact - 0.01 < best.f1
    lists = ListReader.above(len(logits), best.logit)
    read_sites(Parts.of(logits), TruthUnits(SurveyTruth.of_matrix(truth)), [lists])
    assert lists.f1() == best.f1
    predicted_MS, present_MS = (logits > best.logit) & surveyed, truth == 1
    ratios = [
        predicted_S.sum() / present_S.sum()
        for predicted_S, present_S in zip(predicted_MS, present_MS, strict=True)
        if present_S.any()
    ]
    assert lists.ratio() == pytest.approx(np.mean(ratios))


def test_calibrated_scores_and_by_hand():
    rng = np.random.default_rng(4)
    logits = rng.normal(-2, 2, (4000, 20))
    found = scale_numbers(logits, (rng.random(logits.shape) < expit(logits)).astype(np.int8))
    assert found["calibration_error"] < 0.01
    assert found["total_ratio"] == pytest.approx(1, abs=0.02)
    # Two pairs of score one half, of which one is present, and one that scores 0.9 and is absent.
    found = scale_numbers(np.array([[0.0, 0.0, logit(0.9)]]), np.array([[1, 0, 0]], dtype=np.int8))
    assert found["calibration_error"] == pytest.approx(0.3, abs=2e-3)
    assert found["total_ratio"] == pytest.approx(1.9, rel=4e-3)
    assert found["brier"] == pytest.approx((0.25 + 0.25 + 0.81) / 3, abs=2e-3)
    assert found["f1_best"] == pytest.approx(0.5)


def test_of_equal_thresholds_the_highest():
    """All from -2 to 3 serve; a score does not exceed itself, so that the highest is the step below."""
    found = scale_numbers(np.array([[3.0, -2.0]]), np.array([[1, 0]], dtype=np.int8))
    assert found["f1_best"] == 1
    assert logit(found["threshold_best"]) == pytest.approx(3 - 1 / 128)


def test_far_scores_have_the_outer_bins():
    logits = np.array([[np.inf, 200.0, -np.inf, -200.0]], dtype=np.float32)
    found = scale_numbers(logits, np.array([[1, 1, 0, 0]], dtype=np.int8))
    assert (found["f1_best"], found["total_ratio"]) == (1, 1)
    assert (found["calibration_error"], found["brier"]) == pytest.approx((0, 0), abs=1e-12)


def test_parts_and_sites_make_the_same_to_the_last_bit(monkeypatch):
    logits, truth = survey(5)
    whole, before = scale_numbers(logits, truth), (logits.copy(), truth.copy())
    monkeypatch.setattr(passes, "_PART", 1000)
    monkeypatch.setattr(score_histogram, "_IN_CACHE", 77)
    assert scale_numbers(Parts.of(logits), truth) == whole
    by_site = ScoreHistogram()
    read_sites(Parts.of(logits), TruthUnits(SurveyTruth.of_matrix(truth)), [by_site])
    assert by_site.numbers() == whole
    np.testing.assert_array_equal(logits, before[0])
    np.testing.assert_array_equal(truth, before[1])


def test_what_was_not_surveyed_has_no_influence():
    logits, truth = survey(6)
    other = np.where(truth < 0, np.nan, logits)
    assert scale_numbers(other, truth) == scale_numbers(logits.astype(np.float64), truth)
    nothing = scale_numbers(logits, np.full_like(truth, -1))
    assert list(nothing) == list(SCALE_NUMBERS)
    assert np.isnan(list(nothing.values())).all()
    absent = scale_numbers(logits, np.zeros_like(truth))
    undefined = [name for name, value in absent.items() if np.isnan(value)]
    assert undefined == ["f1_best", "threshold_best", "total_ratio"]


LOGITS, TRUTH = survey(7, sites=8, species=3)


@pytest.mark.parametrize(
    ("scores", "truth", "message"),
    [
        (LOGITS, TRUTH[1:], r"scores have shape \(8, 3\) and truth \(7, 3\): both must be"),
        (np.full_like(LOGITS, np.nan), TRUTH, "scores hold NaN at species 0: every surveyed score must be a number"),
    ],
)
def test_wrong_input_is_one_sentence(scores, truth, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        scale_numbers(scores, truth)
