import h3
import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from presence_only.evaluation.breakdown import (
    ap_by_effort,
    effort_correlation,
    mean_by_class,
    quantile_classes,
    range_extent,
    records_nearby,
)


def test_quantile_classes():
    classes = quantile_classes(np.array([5.0, 1.0, 2.0, np.nan, 4.0, 3.0, 6.0, 8.0, 7.0]), 4)
    assert classes.index_U.tolist() == [2, 0, 0, -1, 1, 1, 2, 3, 3]
    assert (classes.low, classes.high) == ((1, 3, 5, 7), (2, 4, 6, 8))
    many = np.random.default_rng(0).random(1000)
    assert np.bincount(quantile_classes(many, 4).index_U).tolist() == [250] * 4
    # Ties stay together, and a class that this empties is gone.
    tied = quantile_classes(np.array([0, 0, 0, 0, 0, 1, 2, 3]), 4)
    assert tied.index_U.tolist() == [0, 0, 0, 0, 0, 1, 2, 2]
    assert len(quantile_classes(np.ones(5), 4)) == 1


def test_mean_by_class_by_hand():
    classes = quantile_classes(np.array([1, 2, 3, 4, 5, 6]), 2)
    values = np.array([[0.1, 0.2, 0.3, 0.5, np.nan, 0.9], [0.3, 0.2, 0.1, 0.7, 0.6, 0.5]])
    low, high = mean_by_class({"a": values}, classes).to_dicts()
    assert (low["n"], high["n"]) == (3, 2)
    assert low["mean"] == pytest.approx(0.2)
    assert high["mean"] == pytest.approx((0.7 + 0.6) / 2)
    assert high["sd"] == pytest.approx(np.std([0.7, 0.6], ddof=1))
    assert (high["variant"], high["class"], high["low"], high["high"]) == ("a", 1, 4, 6)


def test_range_extent_of_a_ring():
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    ring = np.stack([10 * np.cos(angle), 10 * np.sin(angle)], axis=1)
    sites = np.concatenate([ring, [[100.0, 40.0]]])
    truth = np.zeros((41, 3), dtype=np.int8)
    truth[:40, 0] = 1
    truth[40, 1] = 1
    extent = range_extent(sites, truth)
    # Ten degrees of arc, a little less across the meridians.
    assert extent[0] == pytest.approx(10 * np.pi / 180 * 6371.0088, rel=0.01)
    assert extent[1] == pytest.approx(0.0, abs=1e-6)
    assert np.isnan(extent[2])


def test_records_nearby_by_counting():
    rng = np.random.default_rng(1)
    rows, sites = rng.uniform(0, 6, (300, 2)), rng.uniform(0, 6, (20, 2))
    row_P = np.sort(rng.integers(300, size=500))
    found = records_nearby(sites, rows, row_P, resolution=3, rings=1)
    cells = [h3.latlng_to_cell(y, x, 3) for x, y in rows[row_P]]
    slow = [sum(h3.grid_distance(cell, h3.latlng_to_cell(y, x, 3)) <= 1 for cell in cells) for x, y in sites]
    assert found.tolist() == slow
    assert sum(slow) > 0
    assert records_nearby(sites + 90, rows, row_P).sum() == 0


def survey(seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(120, 5))
    truth = rng.choice([-1, 0, 1], size=scores.shape, p=[0.1, 0.6, 0.3]).astype(np.int8)
    return scores, truth, rng.integers(0, 30, 120)


def test_ap_by_effort_is_scikit_learns_on_each_class():
    scores, truth, effort = survey()
    truth[effort < 10, 0] = 0
    classes = quantile_classes(effort, 3)
    found = ap_by_effort(scores, truth, classes)
    for q in range(3):
        for s in range(5):
            own = (classes.index_U == q) & (truth[:, s] >= 0)
            if truth[own, s].any():
                assert found[q, s] == pytest.approx(average_precision_score(truth[own, s], scores[own, s]))
            else:
                assert np.isnan(found[q, s])
    assert np.isnan(found[0, 0])


def test_effort_correlation_is_scipys():
    scores, truth, effort = survey()
    scores = scores + 0.05 * effort[:, None]
    found = effort_correlation(scores, truth, effort)
    expected = np.zeros(3)
    for s in range(5):
        on, off = truth[:, s] >= 0, truth[:, s] == 0
        expected += [
            stats.spearmanr(scores[on, s], effort[on]).statistic / 5,
            stats.spearmanr(truth[on, s], effort[on]).statistic / 5,
            stats.spearmanr(scores[off, s], effort[off]).statistic / 5,
        ]
    assert (found.score, found.truth, found.absent) == pytest.approx(tuple(expected))
    assert found.n_species == 5
    assert found.absent > 0.2


def test_effort_that_does_not_vary_has_no_correlation():
    scores, truth, _ = survey()
    found = effort_correlation(scores, truth, np.ones(120))
    assert np.isnan(found.score)
    assert found.n_species == 0


SITES, ROWS = np.zeros((3, 2)), np.arange(3)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda: quantile_classes(np.ones(3), 0), "n_classes = 0: must be at least 1"),
        (lambda: quantile_classes(np.array([np.nan])), "the quantity is unknown for every unit; at least one must be"),
        (
            lambda: mean_by_class({"a": np.zeros((2, 4))}, quantile_classes(np.arange(3))),
            r"a has values of shape \(2, 4\); \(seeds, 3\) expected",
        ),
        (
            lambda: effort_correlation(SITES, SITES.astype(np.int8), np.ones(4)),
            r"effort has shape \(4,\); \(3,\) expected",
        ),
        (lambda: records_nearby(SITES, SITES, ROWS, resolution=16), "resolution = 16, rings = 1: must be 0..15"),
        (lambda: records_nearby(SITES, SITES, ROWS, rings=-1), "resolution = 3, rings = -1: must be .* at least 0"),
    ],
)
def test_wrong_input_is_one_sentence(asked, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        asked()
