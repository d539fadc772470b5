"""Thresholds from presences alone, by hand and by loops over all thresholds."""

import numpy as np
import pytest

from presence_only.evaluation.presence_thresholds import (
    THRESHOLD_RULES,
    ThresholdError,
    TrainingScores,
    fixed,
    max_tss_threshold,
    percentile_presence,
    threshold_rule,
)


def test_the_lowest_presence_and_percentiles_by_hand():
    places = np.arange(1.0, 41.0)
    assert [percentile_presence(places, percent) for percent in (0, 2, 5, 10, 99)] == [1, 1, 3, 5, 40]
    # Of 20 places one is 5 percent, of 19 none.
    assert percentile_presence(places[:20], 5) == 2
    assert percentile_presence(places[:19], 5) == 1
    assert percentile_presence(np.array([7.0]), 99) == 7


@pytest.mark.parametrize("percent", [0, 1, 5, 10, 33.3, 50, 90])
def test_a_percentile_is_the_highest_place_that_leaves_no_more_below(percent):
    rng = np.random.default_rng(int(percent))
    for n in (1, 2, 7, 20, 100, 137):
        places = np.sort(np.round(rng.normal(size=n), 1))
        allowed = [p for p in places if sum(places < p) <= percent / 100 * n + 1e-9]
        assert percentile_presence(places, percent) == max(allowed)
        # It moves with every monotone change of the scores.
        assert percentile_presence(np.exp(places), percent) == np.exp(max(allowed))


@pytest.mark.parametrize("seed", range(8))
def test_max_tss_by_a_loop_over_all_thresholds(seed):
    rng = np.random.default_rng(seed)
    places, background = (np.sort(np.round(rng.normal(m, 1, n), seed % 3)) for m, n in ((1, 30), (0, 200)))

    def total(threshold):
        return np.mean([p >= threshold for p in places]) + np.mean([k < threshold for k in background])

    best = max(total(t) for t in [*places, *background, 99.0])
    found = max_tss_threshold(places, background)
    assert total(found) == pytest.approx(best, abs=1e-12)
    assert found == max(p for p in places if total(p) == pytest.approx(best, abs=1e-12))


def test_max_tss_by_hand():
    # 1 finds all places and leaves 2 of 4 background sites out, 3 half of the places and all 4.
    assert max_tss_threshold(np.array([1.0, 3.0]), np.array([0.0, 0.5, 1.5, 2.0])) == 3
    assert max_tss_threshold(np.array([1.0, 3.0]), np.array([0.0, 0.5, 0.6, 2.0])) == 1
    assert np.isnan(max_tss_threshold(np.array([1.0]), np.empty(0)))


@pytest.mark.parametrize("name", THRESHOLD_RULES)
def test_every_rule_gives_a_threshold_that_some_place_reaches_or_a_fixed_score(name):
    scores = TrainingScores(np.sort(np.random.default_rng(0).normal(2, 1, 50)), np.linspace(-3, 1, 80))
    found = THRESHOLD_RULES[name].choose(scores)
    assert found in scores.places_P or name == "fixed"
    assert 1 / (1 + np.exp(-fixed(0.1).choose(scores))) == pytest.approx(0.1)
    # One word in legends, one line in the report.
    assert THRESHOLD_RULES[name].title
    assert "\n" not in THRESHOLD_RULES[name].meaning


def test_a_rule_by_its_name_a_percentile_or_a_score():
    scores = TrainingScores(np.arange(100.0), np.arange(-50.0, 0.0))
    assert threshold_rule("lpt5") is THRESHOLD_RULES["lpt5"]
    assert threshold_rule("lpt2.5").choose(scores) == 2
    assert threshold_rule("lpt2.5").title == "percentile 2.5"
    assert threshold_rule("0.5").choose(scores) == 0
    assert threshold_rule("0.5").title == "fixed 0.5"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "lpr",
            r"unknown threshold 'lpr'; known: lpt, lpt5, lpt10, max_tss, fixed, lpt<percent>, or a score within 0..1",
        ),
        ("lpt100", r"threshold = 'lpt100': the percentile must lie within 0..100, 100 excluded"),
        ("lptnan", r"threshold = 'lptnan': the percentile must lie within 0..100, 100 excluded"),
        ("1", r"threshold = 1: a fixed score must lie within 0..1, both excluded"),
        ("nan", r"threshold = nan: a fixed score must lie within 0..1, both excluded"),
        ("-0.1", r"threshold = -0.1: a fixed score must lie within 0..1, both excluded"),
    ],
)
def test_what_is_no_rule_is_told(text, sentence):
    with pytest.raises(ThresholdError) as error:
        threshold_rule(text)
    assert str(error.value) == sentence


def test_wrong_arguments_are_told():
    with pytest.raises(ValueError, match=r"^percent = 100: must lie within 0..100, 100 excluded$"):
        percentile_presence(np.array([1.0]), 100)
    with pytest.raises(ValueError, match=r"^there are no places to choose a threshold from; at least one is needed$"):
        percentile_presence(np.empty(0), 5)
