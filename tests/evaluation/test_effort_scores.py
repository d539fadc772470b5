"""How scores follow the observers: against scipy's and scikit-learn's functions, species by species."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score
from support.matrices import Parts

from presence_only.common.matrices import as_matrix
from presence_only.data.truth import SurveyTruth
from presence_only.evaluation import passes
from presence_only.evaluation.effort_scores import EffortReader
from presence_only.evaluation.observer_effort import SurveyEffort
from presence_only.evaluation.passes import read_species
from presence_only.evaluation.units import TruthUnits


def survey(seed=0, species=12, unsurveyed=0.1, decimals=9, dtype=np.float32):
    rng = np.random.default_rng(seed)
    effort_M = rng.integers(0, 30, 120)
    scores_MS = (rng.normal(size=(120, species)) + 0.05 * effort_M[:, None]).round(decimals).astype(dtype)
    truth_MS = (rng.random((120, species)) < 0.3).astype(np.int8)
    truth_MS[rng.random(truth_MS.shape) < unsurveyed] = -1
    return scores_MS, truth_MS, effort_M


def read(scores, truth_MS, effort_M, classes=None, **how):
    truth = TruthUnits(SurveyTruth.of_matrix(truth_MS), **how)
    reader = EffortReader(SurveyEffort(effort_M, truth), classes)
    read_species(scores, truth, [reader], in_order=True)
    return reader


def slow_correlations(scores_MS, truth_MS, effort_M):
    """Species by species, those that count."""
    found = []
    for score_M, truth_M in zip(scores_MS.T, truth_MS.T, strict=True):
        on, off = truth_M >= 0, truth_M == 0
        pairs = ((score_M[on], effort_M[on]), (truth_M[on], effort_M[on]), (score_M[off], effort_M[off]))
        if all(len(set(values.tolist())) > 1 for pair in pairs for values in pair):
            found.append([stats.spearmanr(*pair).statistic for pair in pairs[:2]])
    return np.array(found)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("unsurveyed", [0.0, 0.3])
def test_correlations_are_scipys(unsurveyed, decimals, dtype):
    scores, truth, effort = survey(unsurveyed=unsurveyed, decimals=decimals, dtype=dtype)
    expected = slow_correlations(scores, truth, effort)
    found = read(as_matrix(scores), truth, effort).correlation()
    assert (found.score, found.truth) == pytest.approx(tuple(expected.mean(axis=0)), abs=1e-12)
    assert found.n_species == 12
    assert found.score > 0.2


def test_which_species_count():
    """Scores, presence and effort vary among the sites, and scores and effort also where the species is absent."""
    scores, truth, effort = survey(unsurveyed=0.0)
    truth[:, 0], truth[:, 1], truth[:, 2] = 0, 1, -1
    scores[:, 3] = 1
    scores[:, 4] = np.where(truth[:, 4] == 1, scores[:, 4], 1)
    truth[:, 5] = effort != 4
    truth[:, 6] = np.arange(120) > 0
    truth[:, 7] = np.arange(120) > 1
    truth[:, 8] = np.where(effort == 4, truth[:, 8], -1)
    scores[:, 9] = np.where(truth[:, 9] == 0, scores[:, 9], 1)
    expected = slow_correlations(scores, truth, effort)
    found = read(as_matrix(scores), truth, effort).correlation()
    assert found.n_species == len(expected) == 4
    assert (found.score, found.truth) == pytest.approx(tuple(expected.mean(axis=0)), abs=1e-12)


def test_effort_that_does_not_vary_has_no_correlation_and_no_ends():
    scores, truth, _ = survey()
    reader = read(as_matrix(scores), truth, np.ones(120))
    found = reader.correlation()
    assert np.isnan([found.score, found.truth]).all()
    assert found.n_species == 0
    assert reader.ap_QS.shape == (0, 12)


@pytest.mark.parametrize("decimals", [0, 9])
@pytest.mark.parametrize("unsurveyed", [0.0, 0.3])
def test_average_precision_by_class_is_scikit_learns(unsurveyed, decimals):
    scores, truth, effort = survey(1, unsurveyed=unsurveyed, decimals=decimals)
    # Species 0 lives nowhere with little effort, species 1 only there, species 2 nowhere.
    truth[effort < 10, 0], truth[effort >= 5, 1], truth[:, 2] = 0, 0, 0
    reader = read(as_matrix(scores), truth, effort, (0, 1, 2, 3))
    classes = SurveyEffort(effort, TruthUnits(SurveyTruth.of_matrix(truth))).classes
    assert len(classes) == 4
    for q in range(4):
        for s in range(12):
            own = (classes.index_U == q) & (truth[:, s] >= 0)
            if (truth[own, s] == 1).any():
                expected = average_precision_score(truth[own, s], scores[own, s])
                assert reader.ap_QS[q, s] == pytest.approx(expected, abs=1e-12)
            else:
                assert np.isnan(reader.ap_QS[q, s])
    assert np.isnan(reader.ap_QS[0, 0])
    ends = read(as_matrix(scores), truth, effort).ap_QS
    np.testing.assert_array_equal(ends, reader.ap_QS[[0, 3]])


def test_parts_and_facts_that_are_kept_change_no_bit(monkeypatch):
    scores, truth, effort = survey(2, decimals=2)
    whole = read(as_matrix(scores), truth, effort)
    monkeypatch.setattr(passes, "_PART", 360)
    monkeypatch.setattr(passes, "_LEAST_SPECIES", 1)
    monkeypatch.setattr(passes, "_SPECIES", 2)
    for how in ({}, {"keep": True}):
        parts = Parts.of(scores)
        found = read(parts, truth, effort, **how)
        assert parts.asked == [360] * 4
        assert found.correlation() == whole.correlation()
        np.testing.assert_array_equal(found.ap_QS, whole.ap_QS)
