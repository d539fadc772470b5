"""Criteria against scikit-learn, plain loops and closed forms."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from presence_only.search.criteria import CRITERIA, SpeciesScores, average_precision, boyce, log_likelihood


def scores(seed=0, *, recorded=8, others=60, background=200, good=1.0, round_to=None):
    """Logits that are higher by ``good`` where the species was recorded; rounded they have ties."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(good, 1, recorded), rng.normal(0, 1, others), rng.normal(0, 1, background)]
    if round_to is not None:
        parts = [np.round(part, round_to) for part in parts]
    weights = [rng.uniform(0.05, 1, recorded), rng.uniform(0.05, 1, others)]
    return SpeciesScores(parts[0], weights[0], parts[1], weights[1], parts[2])


def sklearn_ap(present, absent, weights=None):
    truth = np.concatenate([np.ones(len(present)), np.zeros(len(absent))])
    return average_precision_score(truth, np.concatenate([present, absent]), sample_weight=weights)


@pytest.mark.parametrize("round_to", [None, 1, 0])
@pytest.mark.parametrize("seed", range(5))
def test_average_precisions_are_those_of_scikit_learn(seed, round_to):
    s = scores(seed, recorded=1 + 4 * seed, round_to=round_to)
    weights = np.concatenate([s.recorded_weight_P, s.others_weight_A])
    values = {name: CRITERIA[name].of_species(s) for name in ("ap_target_group", "ap_uniform_effort", "ap_background")}
    assert values["ap_target_group"] == pytest.approx(sklearn_ap(s.recorded_P, s.others_A), abs=1e-12)
    assert values["ap_uniform_effort"] == pytest.approx(sklearn_ap(s.recorded_P, s.others_A, weights), abs=1e-12)
    assert values["ap_background"] == pytest.approx(sklearn_ap(s.recorded_P, s.background_K), abs=1e-12)
    assert len(set(values.values())) == 3


def test_average_precision_by_hand():
    # From the highest: present (weight 1), absent (weight 3), present (weight 2).
    value = average_precision(np.array([3.0, 1.0]), np.array([1.0, 2.0]), np.array([2.0]), np.array([3.0]))
    assert value == pytest.approx((1 * 1 + 2 * 3 / 6) / 3)


def boyce_by_loops(s):
    """Hirzel's index in plain loops, with scipy's rank correlation."""
    from scipy.stats import spearmanr

    recorded = [1 / (1 + math.exp(-x)) for x in s.recorded_P]
    background = [1 / (1 + math.exp(-x)) for x in s.background_K]
    low, high = min(recorded + background), max(recorded + background)
    width = (high - low) / 10
    ratios, middles = [], []
    for step in range(101):
        start = low + step * (high - low - width) / 100
        end = high if step == 100 else start + width
        expected = sum(start <= x <= end for x in background) / len(background)
        if expected > 0:
            ratios.append(sum(start <= x <= end for x in recorded) / len(recorded) / expected)
            middles.append(start + width / 2)
    return spearmanr(ratios, middles).statistic


@pytest.mark.parametrize("good", [-1.0, 0.0, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_boyce_is_that_of_plain_loops(seed, good):
    s = scores(seed, recorded=25, good=good)
    assert boyce(s) == pytest.approx(boyce_by_loops(s), abs=1e-9)


def test_boyce_is_undefined_where_nothing_differs():
    s = scores()
    assert math.isnan(boyce(replace(s, recorded_P=np.zeros(3), background_K=np.zeros(9))))


@pytest.mark.parametrize("shift", [0.0, 800.0, -800.0])
def test_log_likelihood_is_that_of_a_softmax_over_background_and_the_record(shift):
    s = scores(3, background=40)
    expected = []
    for x in s.recorded_P:
        odds = np.exp(np.append(s.background_K, x))
        expected.append(math.log(odds[-1] / odds.sum()) + math.log(41))
    moved = replace(s, recorded_P=s.recorded_P + shift, background_K=s.background_K + shift)
    assert log_likelihood(moved) == pytest.approx(np.mean(expected), abs=1e-9)


def test_a_model_that_says_nothing_has_no_likelihood_above_the_uniform():
    s = replace(scores(), recorded_P=np.full(4, 2.0), background_K=np.full(50, 2.0))
    assert log_likelihood(s) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", CRITERIA)
def test_every_criterion_is_higher_for_a_better_model(name):
    values = [
        np.mean([CRITERIA[name].of_species(scores(seed, good=good)) for seed in range(30)]) for good in (-1, 0, 1, 2)
    ]
    assert np.all(np.diff(values) > 0)


@pytest.mark.parametrize("name", CRITERIA)
def test_every_criterion_leaves_its_input_alone_and_does_not_know_the_order_of_sites(name):
    s = scores(1, recorded=9)
    before = {key: value.copy() for key, value in vars(s).items()}
    value = CRITERIA[name].of_species(s)
    assert all(np.array_equal(value, before[key]) for key, value in vars(s).items())
    rng = np.random.default_rng(5)
    p, a, k = (rng.permutation(len(x)) for x in (s.recorded_P, s.others_A, s.background_K))
    shuffled = SpeciesScores(
        s.recorded_P[p], s.recorded_weight_P[p], s.others_A[a], s.others_weight_A[a], s.background_K[k]
    )
    assert CRITERIA[name].of_species(shuffled) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("name", CRITERIA)
def test_every_criterion_takes_float32_and_is_undefined_without_anything_to_compare_with(name):
    s = scores(2)
    single = replace(
        s, **{key: getattr(s, key).astype(np.float32) for key in ("recorded_P", "others_A", "background_K")}
    )
    assert CRITERIA[name].of_species(single) == pytest.approx(CRITERIA[name].of_species(s), abs=0.02)
    alone = replace(s, others_A=np.empty(0), others_weight_A=np.empty(0), background_K=np.empty(0))
    assert math.isnan(CRITERIA[name].of_species(alone))


@pytest.mark.parametrize("name", [name for name in CRITERIA if name.startswith("ap_")])
def test_average_precisions_see_the_order_of_scores_alone(name):
    s = scores(4)
    bent = replace(s, **{key: np.exp(getattr(s, key)) for key in ("recorded_P", "others_A", "background_K")})
    assert CRITERIA[name].of_species(bent) == pytest.approx(CRITERIA[name].of_species(s), abs=1e-12)
