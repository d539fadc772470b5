"""The best trial, and when a trial is ended early, against Optuna's rule."""

import numpy as np
import optuna
import pytest

from presence_only.search.objective import DIVERGED, FINISHED, PRUNED, Outcome
from presence_only.search.settings import PruningSettings
from presence_only.search.trials import Trial, bars, best_of


def trial(number, scores, state=FINISHED):
    value = None if state == DIVERGED else scores[-1]
    return Trial(number, {"x": 1}, Outcome(state, dict(enumerate(scores, 1)), {}, 1.0, 1.0), value)


def test_the_best_is_the_first_finished_trial_with_the_highest_value():
    trials = [trial(0, [0.5]), trial(1, [0.9], PRUNED), trial(2, [0.7]), trial(3, [0.7]), trial(4, [0], DIVERGED)]
    assert best_of(trials).number == 2
    assert best_of(trials[::-1]).number == 2
    assert best_of(trials[1:2]) is None


@pytest.mark.parametrize("quantile", [0.25, 0.5, 0.7])
def test_bars_are_where_optunas_percentile_pruner_ends_a_trial(quantile):
    rng = np.random.default_rng(0)
    # Scores that never fall, for Optuna compares the best so far.
    curves = np.sort(rng.uniform(size=(30, 4)), axis=1)
    finished = [trial(n, list(map(float, curve)), PRUNED if n % 6 == 5 else FINISHED) for n, curve in enumerate(curves)]
    limits = bars(finished, PruningSettings(startup=8, quantile=quantile))
    pruner = optuna.pruners.PercentilePruner(100 * (1 - quantile), n_startup_trials=8)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    for one in finished:
        state = optuna.trial.TrialState.PRUNED if one.outcome.state == PRUNED else optuna.trial.TrialState.COMPLETE
        study.add_trial(optuna.create_trial(state=state, value=one.value, intermediate_values=dict(one.outcome.looks)))
    decided = set()
    for curve in np.sort(rng.uniform(size=(40, 4)), axis=1):
        asked = study.ask()
        for look, score in enumerate(map(float, curve), 1):
            asked.report(score, look)
            assert asked.should_prune() == (score < limits[look])
            decided.add(score < limits[look])
        # Neither finished nor pruned, so that it teaches nothing.
        study.tell(asked, state=optuna.trial.TrialState.FAIL)
    assert decided == {True, False}


def test_no_trial_is_ended_early_before_enough_have_finished_or_without_looks():
    finished = [trial(n, [0.1 * n, 0.2 * n]) for n in range(8)]
    assert bars(finished[:7], PruningSettings(startup=8)) == {}
    assert bars(finished, PruningSettings(startup=8, checks=1)) == {}
    assert bars(finished, PruningSettings(startup=8)) == pytest.approx({1: 0.35, 2: 0.7})
