"""Species lists and their numbers by loops over sites."""

from dataclasses import replace

import numpy as np
import pytest
from support import tiny

from presence_only.data.truth import SurveyTruth
from presence_only.evaluation import species_lists
from presence_only.evaluation.expected_f1 import best_lengths
from presence_only.evaluation.presence_calibration import Calibration
from presence_only.evaluation.species_lists import (
    ListSites,
    SpeciesLists,
    above,
    best_expected_f1,
    most_probable,
)
from presence_only.evaluation.threshold_numbers import LIST_MEASURES, LIST_NUMBERS, LIST_RULES


def test_the_numbers_by_loops_over_sites():
    dataset = tiny.dataset(species=14)
    truth_MS = np.random.default_rng(0).integers(-1, 2, (50, 14)).astype(np.int8)
    truth_MS[7] = 0
    survey = replace(dataset.survey, truth=SurveyTruth.of_matrix(truth_MS))
    model, sites = tiny.model(dataset), ListSites.of(survey)
    assert 7 not in sites.site_L
    assert len(sites.site_L) == 49
    np.testing.assert_array_equal(sites.truth_LS, truth_MS[sites.site_L])
    logits_MS = model.predict(survey.sites_M2, survey.covariates_MC)
    thresholds = {"lpt": np.median(logits_MS, axis=0), "fixed": np.full(14, 0.1)}
    calibration = Calibration(1.5, np.quantile(logits_MS, 0.9, axis=0))
    lists = SpeciesLists(model, survey, sites, thresholds, calibration)
    found = lists.numbers()
    probability_MS = calibration.probabilities(logits_MS)
    expected = {rule: ([], []) for rule in ("lpt", "fixed", "top10", "expected_f1")}
    for site in sites.site_L.tolist():
        surveyed = [s for s in range(14) if truth_MS[site, s] >= 0]
        present = {s for s in surveyed if truth_MS[site, s] == 1}
        by_score = sorted(surveyed, key=lambda s: -logits_MS[site, s])
        by_chance = sorted(surveyed, key=lambda s: -probability_MS[site, s])
        (length,) = best_lengths(probability_MS[site, by_chance][None])
        listed = {rule: {s for s in surveyed if logits_MS[site, s] >= own[s]} for rule, own in thresholds.items()}
        listed |= {"top10": set(by_score[:10]), "expected_f1": set(by_chance[:length])}
        for rule, own in listed.items():
            expected[rule][0].append(len(own) / len(present))
            expected[rule][1].append(2 * len(own & present) / (len(own) + len(present)))
    for rule, (ratios, f1) in expected.items():
        assert found[f"list_{rule}_ratio"] == pytest.approx(np.mean(ratios), abs=1e-12)
        assert found[f"list_{rule}_f1"] == pytest.approx(np.mean(f1), abs=1e-12)


def test_every_rule_and_measure_has_a_number():
    assert set(LIST_NUMBERS) == {f"list_{rule}_{measure}" for rule in LIST_RULES for measure in LIST_MEASURES}


def test_of_many_sites_some_are_drawn_and_always_the_same(monkeypatch):
    monkeypatch.setattr(species_lists, "_SITES", 12)
    survey = tiny.dataset().survey
    one, two = ListSites.of(survey), ListSites.of(survey)
    assert len(one.site_L) == 12
    np.testing.assert_array_equal(one.site_L, two.site_L)


def test_lists_by_hand():
    scores = np.array([[3.0, 1.0, 2.0, 1.0], [0.0, 0.0, 0.0, 9.0]])
    assert above(scores, np.array([3.0, 2.0, np.nan, 1.0])).tolist() == [[1, 0, 0, 1], [0, 0, 0, 1]]
    # Of equal scores the first species.
    assert most_probable(scores, np.array([3, 2])).tolist() == [[1, 1, 1, 0], [1, 0, 0, 1]]


def test_improbable_species_are_left_out_of_a_list_of_the_highest_expected_f1(monkeypatch):
    rng = np.random.default_rng(0)
    p = rng.beta(0.2, 2, (90, 40))
    p[0] = 1e-5
    found = best_expected_f1(p)
    assert not found[0].any()
    falling = -np.sort(-p, axis=1)
    assert found[1:].sum(axis=1).tolist() == best_lengths(np.where(falling < 1e-4, 0, falling))[1:].tolist()
    monkeypatch.setattr(species_lists, "_MOST_CANDIDATES", 3)
    assert best_expected_f1(p).sum(axis=1).max() <= 3


def test_a_survey_without_presences_has_no_lists():
    dataset = tiny.dataset()
    survey = replace(dataset.survey, truth=SurveyTruth.of_matrix(np.zeros((50, 5), np.int8)))
    sites = ListSites.of(survey)
    lists = SpeciesLists(tiny.model(dataset), survey, sites, {"lpt": np.zeros(5)}, Calibration(1.0, np.zeros(5)))
    assert len(sites.site_L) == 0
    assert np.isnan(list(lists.numbers().values())).all()
