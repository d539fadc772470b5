"""Effort near sites by counting; its ranks and classes per species against scipy."""

import h3
import numpy as np
import pytest
from scipy import stats

from presence_only.data.truth import SurveyTruth
from presence_only.evaluation.observer_effort import SurveyEffort, records_nearby
from presence_only.evaluation.units import TruthUnits


@pytest.mark.parametrize("rings", [0, 1, 2])
def test_records_nearby_by_counting(rings):
    rng = np.random.default_rng(1)
    rows, sites = rng.uniform(0, 6, (300, 2)), rng.uniform(0, 6, (20, 2))
    row_P = np.sort(rng.integers(300, size=500))
    found = records_nearby(sites, rows, row_P, resolution=3, rings=rings)
    cells = [h3.latlng_to_cell(y, x, 3) for x, y in rows[row_P]]
    slow = [sum(h3.grid_distance(cell, h3.latlng_to_cell(y, x, 3)) <= rings for cell in cells) for x, y in sites]
    assert found.tolist() == slow
    assert sum(slow) > 0
    assert records_nearby(sites + 90, rows, row_P).sum() == 0


@pytest.fixture(params=[0.0, 0.4])
def effort(request):
    rng = np.random.default_rng(2)
    truth_MS = (rng.random((60, 8)) < 0.3).astype(np.int8)
    truth_MS[rng.random(truth_MS.shape) < request.param] = -1
    effort_M = rng.integers(0, 9, 60)
    # Of species 0 all presences, of species 1 all absences lie where effort is the same; species 2 is present nowhere.
    truth_MS[:, 0], truth_MS[:, 1], truth_MS[:, 2] = effort_M == 3, effort_M != 4, 0
    return SurveyEffort(effort_M, TruthUnits(SurveyTruth.of_matrix(truth_MS), keep=True)), truth_MS


def test_ranks_and_correlations_of_each_species(effort):
    effort, truth_MS = effort
    found = effort.species(slice(0, 8))
    for s, truth_M in enumerate(truth_MS.T):
        surveyed = truth_M >= 0
        rank_N = stats.rankdata(effort.effort_M[surveyed]) - (surveyed.sum() + 1) / 2
        np.testing.assert_array_equal(found.rank_UE[s][effort.level_M[surveyed]], rank_N)
        assert (np.diff(found.rank_UE[s]) > 0).all()
        assert found.square_U[s] == (rank_N**2).sum()
        if s == 2:
            assert np.isnan(found.truth_U[s])
        else:
            expected = stats.spearmanr(truth_M[surveyed], effort.effort_M[surveyed]).statistic
            assert found.truth_U[s] == pytest.approx(expected, abs=1e-12)
        assert found.varies_U[s] == (len(set(effort.effort_M[truth_M == 0].tolist())) > 1)
    assert not found.varies_U[1]
    assert found.varies_U[0]


def test_it_is_computed_once_where_the_truth_is_kept(effort):
    effort, truth_MS = effort
    assert effort.species(slice(0, 3)) is effort.species(slice(0, 3))
    np.testing.assert_array_equal(effort.species(slice(2, 5)).truth_U, effort.species(slice(0, 8)).truth_U[2:5])
    passing = SurveyEffort(effort.effort_M, TruthUnits(SurveyTruth.of_matrix(truth_MS)))
    assert passing.species(slice(0, 3)) is not passing.species(slice(0, 3))


def test_levels_of_classes(effort):
    effort, _ = effort
    assert len(effort.classes) > 1
    for q, (low, high) in enumerate(effort.levels_of_class):
        own = (effort.level_M >= low) & (effort.level_M < (effort.n_levels if high is None else high))
        np.testing.assert_array_equal(own, effort.classes.index_U == q)


SITES, ROWS = np.zeros((3, 2)), np.arange(3)
TRUTH = TruthUnits(SurveyTruth.of_matrix(np.zeros((3, 2), dtype=np.int8)))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (lambda: records_nearby(SITES, SITES, ROWS, resolution=16), "resolution = 16, rings = 1: must be 0..15"),
        (lambda: records_nearby(SITES, SITES, ROWS, rings=-1), "resolution = 3, rings = -1: must be .* at least 0"),
        (lambda: SurveyEffort(np.ones(4), TRUTH), r"effort has shape \(4,\); \(3,\) expected"),
        (lambda: SurveyEffort(np.array([1, np.nan, 2]), TRUTH), "effort holds NaN: it must be a number at every site"),
    ],
)
def test_wrong_input_is_one_sentence(asked, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        asked()
