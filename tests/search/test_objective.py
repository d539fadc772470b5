"""One trial: what it trains, what it is judged by, and when it gives up."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import tiny
from support.search import searched

from presence_only.common.errors import DataError, DivergenceError
from presence_only.common.random_streams import stream_seed
from presence_only.search import objective
from presence_only.search.blocks import split
from presence_only.search.criteria import CRITERIA
from presence_only.search.judge import judge
from presence_only.search.objective import DIVERGED, FINISHED, PRUNED, Plan, look_after, run_trial
from presence_only.search.settings import HeldOutSettings
from presence_only.training.fit import fit

HELD_OUT = HeldOutSettings(resolution=0, folds=3, used=2)
VARIANT = searched().with_settings({"training.epochs": 4, "training.learning_rate": 0.01})


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "training"
    tiny.dataset(rows=200).training.save(folder)
    return folder


def plan(**changes):
    return replace(Plan(VARIANT, HELD_OUT, "ap_target_group", 0, 4, {}), **changes)


def run(plan, training):
    told = []
    outcome = run_trial(plan, {"training": training}, Path(), lambda *numbers: told.append(numbers))
    return outcome, told


def test_a_trial_is_a_fit_of_each_fold_and_a_judgement(training):
    outcome, told = run(plan(), training)
    data, expected, looks = tiny.dataset(rows=200).training, [], {}
    for fold in range(2):
        parts = split(data, HELD_OUT, fold)

        def watch(done, epochs, model, fold=fold, held_out=parts.held_out):
            looks[4 * fold + done] = judge(model, held_out)["ap_target_group"]

        seed = stream_seed(0, f"fold {fold}")
        model, _ = fit(parts.fit, VARIANT.loss, VARIANT.encoder, VARIANT.training, seed, watch=watch)
        expected.append(judge(model, parts.held_out))
    assert outcome.state == FINISHED
    assert outcome.criteria == pytest.approx({name: np.mean([e[name] for e in expected]) for name in CRITERIA})
    assert outcome.looks == looks
    assert list(outcome.looks) == list(range(1, 9))
    assert outcome.share == 1
    assert outcome.cpu_seconds > 0
    assert [numbers[:2] for numbers in told] == [(done, 8) for done in range(1, 9)]
    assert math.isfinite(told[-1][2])


def test_equal_plans_have_equal_outcomes_and_other_seeds_others(training):
    first, second, other = (run(plan(seed=seed), training)[0] for seed in (0, 0, 1))
    assert replace(first, cpu_seconds=0) == replace(second, cpu_seconds=0)
    assert first.criteria != other.criteria


@pytest.mark.parametrize(("look", "share"), [(1, 1 / 8), (3, 3 / 8), (4, 4 / 8), (6, 6 / 8)])
def test_a_trial_below_the_bar_gives_up_with_every_criterion_at_that_time(look, share, training):
    whole, _ = run(plan(), training)
    score = whole.looks[look]
    outcome, told = run(plan(bars={look: np.nextafter(score, 2), 8: 2.0}), training)
    assert outcome.state == PRUNED
    assert outcome.share == pytest.approx(share)
    assert outcome.looks == {n: whole.looks[n] for n in range(1, look + 1)}
    # The mean over the folds that were begun.
    folds = [whole.looks[4], score] if look > 4 else [score]
    assert outcome.criteria["ap_target_group"] == pytest.approx(np.mean(folds))
    assert set(outcome.criteria) == set(CRITERIA)
    # At the bar is not below it, and the end of the last fold has none.
    assert run(plan(bars={look: score, 8: 2.0}), training)[0].state == FINISHED
    assert len(told) < 8


def test_training_that_diverges_has_no_score(training, monkeypatch):
    def diverges(*_):
        raise DivergenceError("the training loss is nan")

    monkeypatch.setattr(objective, "fit_variant", diverges)
    outcome, _ = run(plan(), training)
    assert (outcome.state, outcome.looks, outcome.criteria) == (DIVERGED, {}, {})


def test_a_learning_rate_that_is_far_too_high_diverges(training):
    variant = searched().with_settings({"training.learning_rate": 1e30})
    assert run(plan(variant=variant), training)[0].state == DIVERGED


def test_a_blend_is_judged_at_the_end_of_each_fold_alone(training):
    blend = searched(variants__bce={"loss": "bce", "members": [{}, {"encoder": {"width": 4}}]}).variant
    outcome, told = run(plan(variant=blend), training)
    assert (outcome.state, list(outcome.looks)) == (FINISHED, [4, 8])
    assert told[-1][:2] == (8, 8)


def test_data_that_cannot_be_split_stops_the_search(training):
    with pytest.raises(DataError, match="fewer than folds = 100"):
        run(plan(held_out=HeldOutSettings(resolution=0, folds=100)), training)


@pytest.mark.parametrize(("epochs", "checks"), [(8, 4), (4, 4), (3, 4), (2, 4), (1, 4), (7, 3), (40, 4), (5, 1)])
def test_looks_come_once_their_share_of_the_epochs_is_done(epochs, checks):
    looked = {done: look_after(done, epochs, checks) for done in range(1, epochs + 1)}
    assert looked[epochs] is None
    for done in range(1, epochs):
        # The looks whose share is reached by this epoch and not by the one before; the last of them counts.
        due = [i for i in range(1, checks) if (done - 1) / epochs < i / checks <= done / epochs]
        assert looked[done] == (due[-1] if due else None)
