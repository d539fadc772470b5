import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score

from presence_only.evaluation.breakdown import quantile_classes
from presence_only.evaluation.geoscore import geoscore
from presence_only.evaluation.observer_bias import observer_numbers


def survey(seed=0):
    rng = np.random.default_rng(seed)
    truth = (rng.random((200, 4)) < 0.3).astype(np.int8)
    effort = rng.integers(0, 60, 200)
    return rng.normal(size=truth.shape) + truth + 0.02 * effort[:, None], truth, effort


def test_numbers_are_those_of_their_functions():
    scores, truth, effort = survey()
    truth[quantile_classes(effort).index_U == 0, 0] = 0
    found = observer_numbers(scores, truth, effort)
    composite = geoscore(scores, truth, effort)
    assert found["geoscore"] == composite.value
    assert found["geoscore_list_ratio"] == composite.raw["list_ratio"]
    assert np.isnan(found["geoscore_watchlist_ap"])
    for name, values in (("effort_correlation", scores), ("effort_correlation_of_truth", truth)):
        expected = np.mean([spearmanr(column, effort).statistic for column in values.T])
        assert found[name] == pytest.approx(expected, abs=1e-12)
    # Species 0 lives nowhere in the quarter with the least effort, and is left out of both ends.
    for name, q in (("species_map_sparse", 0), ("species_map_dense", 3)):
        own = quantile_classes(effort).index_U == q
        expected = np.mean([average_precision_score(truth[own, s], scores[own, s]) for s in (1, 2, 3)])
        assert found[name] == pytest.approx(expected, abs=1e-12)
    assert all(isinstance(value, float) for value in found.values())


def test_a_bias_is_seen():
    scores, truth, effort = survey()
    biased, fair = (observer_numbers(scores + bias * effort[:, None], truth, effort) for bias in (0.2, -0.02))
    assert biased["effort_correlation"] > fair["effort_correlation"] + 0.3
    assert abs(biased["effort_correlation_of_truth"]) < 0.1


def test_the_watchlist_is_handed_on():
    scores, truth, effort = survey()
    watchlist = np.array([True, False, False, False])
    found = observer_numbers(scores, truth, effort, watchlist_S=watchlist)
    assert found["geoscore_watchlist_ap"] == geoscore(scores, truth, effort, watchlist_S=watchlist).raw["watchlist_ap"]


def test_equal_effort_everywhere():
    scores, truth, effort = survey()
    found = observer_numbers(scores, truth, np.ones_like(effort))
    assert np.isnan(found["species_map_sparse"])
    assert np.isnan(found["effort_correlation"])
    assert 0 <= found["geoscore"] <= 1
