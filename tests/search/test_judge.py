"""Criteria of a model against scikit-learn in a loop over species, by names and places."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from support import tiny

from presence_only.common.errors import DivergenceError
from presence_only.search import judge as judging
from presence_only.search.blocks import split
from presence_only.search.criteria import CRITERIA
from presence_only.search.judge import judge, species_scores
from presence_only.search.settings import HeldOutSettings

SETTINGS = HeldOutSettings(resolution=0, folds=3)
GROUPS = ("birds", "birds", "plants", "plants", "plants", "birds", "plants")


@pytest.fixture
def parts():
    return split(tiny.dataset(rows=300, species=7, per_row=2, groups=GROUPS).training, SETTINGS, 1)


@pytest.fixture
def model(parts):
    made = tiny.dataset(rows=300, species=7, per_row=2, groups=GROUPS)
    return tiny.model(made)


def test_average_precision_is_that_of_scikit_learn_over_the_places_of_the_group(parts, model, monkeypatch):
    monkeypatch.setattr(judging, "_CHUNK", 3)
    held = parts.held_out
    logits_MS = model.predict(held.sites_M2, held.covariates_MC)
    present_MS = np.zeros(logits_MS.shape, dtype=bool)
    present_MS[held.place_Q, held.species_Q] = True
    groups = np.array(parts.fit.records.groups)
    plain, even = [], []
    for s, group in enumerate(groups):
        visited_M = present_MS[:, groups == group].any(axis=1)
        if present_MS[:, s].any():
            weight_M = held.weight_GM[held.group_S[s]]
            assert np.array_equal(weight_M > 0, visited_M)
            truth, score = present_MS[visited_M, s], logits_MS[visited_M, s]
            plain.append(average_precision_score(truth, score))
            even.append(average_precision_score(truth, score, sample_weight=weight_M[visited_M]))
    assert len(plain) == len(held.judged) >= 5
    found = judge(model, held)
    assert found["ap_target_group"] == pytest.approx(np.mean(plain), abs=1e-6)
    assert found["ap_uniform_effort"] == pytest.approx(np.mean(even), abs=1e-6)
    assert list(found) == list(CRITERIA)


def test_background_counts_where_it_belongs_to_the_group(parts, model):
    held = parts.held_out
    counts_GK = np.zeros_like(held.counts_GK)
    counts_GK[0, :10] = counts_GK[1, 10:] = True
    changed = type(held)(**{**vars(held), "counts_GK": counts_GK})
    logits_KS = model.predict(held.background.sites_K2, held.background.covariates_KC)
    for s, scores in zip(held.judged, species_scores(model, changed), strict=True):
        sites = slice(0, 10) if parts.fit.records.groups[s] == "birds" else slice(10, None)
        np.testing.assert_allclose(scores.background_K, logits_KS[sites, s], rtol=1e-6)


def test_only_what_is_asked_for_is_computed(parts, model):
    everything = judge(model, parts.held_out)
    assert judge(model, parts.held_out, ["boyce"]) == {"boyce": everything["boyce"]}


def test_weeks_count_where_the_records_have_them():
    made = tiny.dataset(rows=300, species=5).training
    rng = np.random.default_rng(0)
    week_N, week_K = rng.integers(1, 49, 300), rng.integers(1, 49, 40)
    data = type(made)(
        type(made.records)(**{**vars(made.records), "week_N": week_N}),
        type(made.background)(**{**vars(made.background), "week_K": week_K}),
    )
    held = split(data, SETTINGS, 0).held_out
    model = tiny.model(tiny.dataset(rows=300, species=5), weeks=True)
    scores = list(species_scores(model, held))
    logits_MS = model.predict(held.sites_M2, held.covariates_MC, held.week_M)
    other_MS = model.predict(held.sites_M2, held.covariates_MC, held.week_M % 48 + 1)
    first = held.place_Q[held.species_Q == held.judged[0]]
    np.testing.assert_allclose(scores[0].recorded_P, logits_MS[first, held.judged[0]], rtol=1e-6)
    assert not np.allclose(logits_MS, other_MS)


def test_scores_that_are_not_finite_are_no_scores(parts, model):
    with torch.no_grad():
        model.species_head.weight[2, 0] = float("nan")
    with pytest.raises(DivergenceError, match="not finite"):
        judge(model, parts.held_out)
