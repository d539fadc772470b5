import numpy as np
import pytest

from presence_only.evaluation.breakdown import ap_by_effort, effort_correlation, quantile_classes
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
    composite, follows = geoscore(scores, truth, effort), effort_correlation(scores, truth, effort)
    assert found["geoscore"] == composite.value
    assert found["geoscore_list_ratio"] == composite.raw["list_ratio"]
    assert np.isnan(found["geoscore_watchlist_ap"])
    assert (found["effort_correlation"], found["effort_correlation_absent"]) == (follows.score, follows.absent)
    # Species 0 lives nowhere in the quarter with the least effort, and is left out of both ends.
    ap_QS = ap_by_effort(scores, truth, quantile_classes(effort))
    assert found["species_map_sparse"] == pytest.approx(ap_QS[0, 1:].mean())
    assert found["species_map_dense"] == pytest.approx(ap_QS[-1, 1:].mean())
    assert all(isinstance(value, float) for value in found.values())


def test_a_bias_is_seen():
    scores, truth, effort = survey()
    biased = observer_numbers(scores + 0.2 * effort[:, None], truth, effort)
    assert (
        biased["effort_correlation_absent"] > observer_numbers(scores, truth, effort)["effort_correlation_absent"] + 0.3
    )
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
