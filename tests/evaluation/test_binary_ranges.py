"""Binary ranges against scikit-learn's counts."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, recall_score

from presence_only.evaluation.binary_ranges import RANGE_MEASURES, range_measures


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_measures_are_those_of_the_confusion_matrix(missing):
    rng = np.random.default_rng(1)
    truth = (rng.random((150, 6)) < 0.3).astype(np.int8)
    scores = np.round(rng.normal(size=truth.shape) + truth, 1).astype(np.float32)
    truth[rng.random(truth.shape) < missing] = -1
    thresholds = np.round(rng.normal(size=6), 1).astype(np.float32)
    # A site whose score is the threshold lies in the range.
    thresholds[0] = scores[3, 0]
    found = range_measures(scores, truth, thresholds)
    assert list(found) == list(RANGE_MEASURES)
    for s in range(6):
        known = truth[:, s] >= 0
        present, predicted = truth[known, s], (scores[known, s] >= thresholds[s]).astype(int)
        (kept, false), (missed, hit) = confusion_matrix(present, predicted, labels=[0, 1])
        assert found["f1"][s] == pytest.approx(f1_score(present, predicted), abs=1e-12)
        assert found["omission"][s] == pytest.approx(1 - recall_score(present, predicted), abs=1e-12)
        assert found["tss"][s] == pytest.approx(hit / (hit + missed) + kept / (kept + false) - 1, abs=1e-12)
        assert found["area_ratio"][s] == pytest.approx(predicted.sum() / present.sum(), abs=1e-12)


def test_what_is_undefined():
    scores = np.zeros((4, 4))
    truth = np.array([[0, 1, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0], [-1, 1, 0, -1]], dtype=np.int8)
    found = range_measures(scores, truth, [0.0, 0.0, np.nan, 1.0])
    # Present nowhere; present everywhere; without a threshold; a threshold that nothing reaches.
    np.testing.assert_array_equal(found["f1"], [np.nan, 1, np.nan, 0])
    np.testing.assert_array_equal(found["tss"], [np.nan, np.nan, np.nan, 0])
    np.testing.assert_array_equal(found["omission"], [np.nan, 0, np.nan, 1])
    np.testing.assert_array_equal(found["area_ratio"], [np.nan, 1, np.nan, 0])


def test_thresholds_must_be_one_per_species():
    with pytest.raises(ValueError, match=r"^thresholds have shape \(2,\); \(3,\) expected$"):
        range_measures(np.zeros((2, 3)), np.zeros((2, 3), np.int8), [0.0, 0.0])
