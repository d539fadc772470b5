"""Measures beside METRICS against scikit-learn, loops and closed forms."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import f1_score, roc_curve

from presence_only.common.boyce_index import boyce_index
from presence_only.evaluation.skill_measures import SKILL_MEASURES, skill_measure


def survey(seed=0, *, sites=300, species=6, round_to=None, skill=1.0, missing=0.0):
    """Logits and truth; the first species is present nowhere, the second everywhere."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((sites, species)) < np.linspace(0.02, 0.6, species)).astype(np.int8)
    truth[:, 0], truth[:, 1] = 0, 1
    scores = rng.normal(size=truth.shape) + skill * truth
    truth[rng.random(truth.shape) < missing] = -1
    return scores if round_to is None else np.round(scores, round_to), truth


CASES = [{}, {"round_to": 0}, {"round_to": 1, "skill": -0.5}, {"missing": 0.4, "round_to": 1}, {"sites": 1500}]


def of_species(scores, truth):
    for s in range(2, truth.shape[1]):
        known = truth[:, s] >= 0
        yield s, scores[known, s], truth[known, s]


@pytest.mark.parametrize("case", CASES)
def test_best_tss_is_that_of_the_roc_curve_of_scikit_learn(case):
    scores, truth = survey(**case)
    found_S = skill_measure("tss_best", scores, truth)
    for s, own, present in of_species(scores, truth):
        false, hit, _ = roc_curve(present, own, drop_intermediate=False)
        assert found_S[s] == pytest.approx((hit - false).max(), abs=1e-12)
    assert np.isnan(found_S[:2]).all()


@pytest.mark.parametrize("case", CASES)
def test_best_f1_is_that_of_scikit_learn_at_every_threshold(case):
    scores, truth = survey(**case | {"sites": 200})
    found_S = skill_measure("species_f1_best", scores, truth)
    for s, own, present in of_species(scores, truth):
        assert found_S[s] == pytest.approx(max(f1_score(present, own >= t) for t in np.unique(own)), abs=1e-12)
    assert (np.isnan(found_S[0]), found_S[1]) == (True, 1.0)


def area_by_steps(own, present, steps=400_000):
    """Mean precision gain over fine steps of recall gain, absences interpolated between thresholds."""
    n_present, n_absent = (present == 1).sum(), (present == 0).sum()
    thresholds = np.append(np.inf, np.unique(own)[::-1])
    hits = np.array([((own >= t) & (present == 1)).sum() for t in thresholds])
    false = np.array([((own >= t) & (present == 0)).sum() for t in thresholds])
    odds = n_present / n_absent
    recall_gain = (np.arange(steps) + 0.5) / steps
    hit = n_present / (1 + (1 - recall_gain) / odds)
    return np.mean(1 - odds * np.interp(hit, hits, false) / hit)


@pytest.mark.parametrize("case", CASES)
def test_the_area_under_the_precision_recall_gain_curve_is_the_mean_over_fine_steps(case):
    scores, truth = survey(**case)
    found_S = skill_measure("auc_prg", scores, truth)
    for s, own, present in of_species(scores, truth):
        assert found_S[s] == pytest.approx(area_by_steps(own, present), abs=2e-4)
    assert np.isnan(found_S[:2]).all()


def test_the_area_by_hand():
    # Ranked present, absent, present, absent. Gains are 0 at one of two presences found, where the threshold of the
    # first presence has precision gain 1; before the second presence comes an absence: (0, 1) falls to (0, 0), and
    # rises to (1, 1/2).
    def area(scores, truth):
        return skill_measure("auc_prg", np.array(scores)[:, None], np.array(truth, dtype=np.int8)[:, None])[0]

    assert area([4.0, 3.0, 2.0, 1.0], [1, 0, 1, 0]) == pytest.approx(0.25)
    assert area([4.0, 3.0, 2.0, 1.0], [1, 1, 0, 0]) == 1
    # All alike: no gain at any threshold.
    assert area([1.0, 1.0, 1.0, 1.0], [1, 1, 0, 0]) == pytest.approx(0, abs=1e-12)
    # All absences first: at a recall gain r, 1 - 2 / (2 / (2 - r)) = r - 1.
    assert area([4.0, 3.0, 2.0, 1.0], [0, 0, 1, 1]) == pytest.approx(-0.5)


def test_boyce_is_the_index_of_presences_among_all_surveyed_sites():
    scores, truth = survey(missing=0.3)
    found_S = skill_measure("boyce", scores, truth)
    for s, own, present in of_species(scores, truth):
        assert found_S[s] == pytest.approx(boyce_index(expit(own)[present == 1], expit(own)), abs=1e-12)


@pytest.mark.parametrize("name", SKILL_MEASURES)
def test_every_measure_is_undefined_without_presences_and_changes_no_input(name):
    scores, truth = survey()
    before = scores.copy(), truth.copy()
    assert np.isnan(skill_measure(name, scores, truth)[0])
    for array, old in zip((scores, truth), before, strict=True):
        np.testing.assert_array_equal(array, old)
    # Species are independent, whatever stands beside them.
    alone = skill_measure(name, scores[:, 3:4], truth[:, 3:4])
    np.testing.assert_array_equal(alone, skill_measure(name, scores, truth)[3:4])


def test_an_unknown_measure_is_told():
    with pytest.raises(ValueError, match=r"^unknown measure 'tss'; known: auc_prg, boyce, tss_best, species_f1_best$"):
        skill_measure("tss", np.zeros((1, 1)), np.zeros((1, 1), dtype=np.int8))
