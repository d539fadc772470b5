"""Trials drawn by batches: from a seed, a number and earlier trials, and by nothing else."""

import math

import optuna
import pytest

from presence_only.common.random_streams import stream_seed
from presence_only.search.objective import DIVERGED, FINISHED, PRUNED, Outcome
from presence_only.search.sampling import RANDOM_TRIALS, distributions_of, draw_batch
from presence_only.search.space import Choices, Range
from presence_only.search.trials import Trial

DIMENSIONS = {
    "rate": Range(1e-4, 1e-1, True, whole=False),
    "epochs": Range(4, 40, True, whole=True),
    "kind": Choices(("a", "b", None)),
}


def value_of(settings):
    """Highest at a rate of 0.01, 40 epochs and kind b."""
    return -abs(math.log10(settings["rate"]) + 2) + settings["epochs"] / 40 + (settings["kind"] == "b")


def trial(number, settings, state=FINISHED):
    value = None if state == DIVERGED else value_of(settings)
    looks = {} if value is None else {1: value - 1} if state == PRUNED else {1: value - 1, 2: value}
    return Trial(number, settings, Outcome(state, looks, {}, 1.0, 1.0), value)


def states(number):
    return DIVERGED if number % 7 == 3 else PRUNED if number % 5 == 4 else FINISHED


def search(batches, size, seed=0, first=None):
    trials = []
    for _ in range(batches):
        drawn = draw_batch(DIMENSIONS, first, trials, size, seed)
        trials += [trial(len(trials) + i, settings, states(len(trials) + i)) for i, settings in enumerate(drawn)]
    return trials


def test_a_seed_gives_the_same_trials_again_and_another_seed_others():
    trials = search(6, 4)
    assert [t.settings for t in search(6, 4)] == [t.settings for t in trials]
    assert not any(a.settings == b.settings for a, b in zip(search(6, 4, seed=1), trials, strict=True))
    # Each trial draws from a stream of its own.
    assert len({tuple(t.settings.values()) for t in trials}) == len(trials)


def test_a_batch_is_drawn_as_one_after_the_other_would_be_by_optuna():
    """With batches of one, Optuna's own ask and tell give the same trials."""
    study = optuna.create_study(direction="maximize")
    trials = []
    for number in range(RANDOM_TRIALS + 8):
        seed = stream_seed(3, f"trial {number}") % 2**32
        study.sampler = optuna.samplers.TPESampler(seed=seed)
        asked = study.ask(distributions_of(DIMENSIONS))
        rounded = {name: dimension.rounded(asked.params[name]) for name, dimension in DIMENSIONS.items()}
        assert draw_batch(DIMENSIONS, None, trials, 1, 3) == [rounded]
        trials.append(trial(number, rounded))
        # Told what was tried, which is rounded.
        asked.storage.set_trial_state_values(asked._trial_id, optuna.trial.TrialState.FAIL)
        study.add_trial(
            optuna.create_trial(
                params=rounded,
                distributions=distributions_of(DIMENSIONS),
                value=value_of(rounded),
                intermediate_values=dict(trials[-1].outcome.looks),
            )
        )


def test_what_is_drawn_lies_in_the_space_with_few_digits():
    for drawn in search(8, 4):
        settings = drawn.settings
        assert list(settings) == list(DIMENSIONS)
        assert all(DIMENSIONS[name].holds(value) for name, value in settings.items())
        assert isinstance(settings["epochs"], int)
        assert settings["rate"] == float(f"{settings['rate']:.3g}")


def test_trial_0_tries_what_it_is_told_to():
    first = {"rate": 0.005, "epochs": 6, "kind": None}
    trials = search(2, 4, first=first)
    assert trials[0].settings == first
    assert [t.settings for t in trials[1:4]] == [t.settings for t in search(1, 4)[1:]]


def test_the_search_learns():
    trials = search(12, 4)
    early = [value_of(t.settings) for t in trials[:8]]
    late = [value_of(t.settings) for t in trials[-8:]]
    assert sum(late) / 8 > sum(early) / 8 + 0.5


@pytest.mark.parametrize("state", [PRUNED, DIVERGED])
def test_a_trial_that_did_not_finish_is_no_example_to_follow(state):
    finished = search(4, 4)
    best = max(finished, key=lambda t: (t.outcome.state == FINISHED, t.value or 0)).number
    changed = [trial(t.number, t.settings, state if t.number == best else t.outcome.state) for t in finished]
    assert draw_batch(DIMENSIONS, None, changed, 4, 0) != draw_batch(DIMENSIONS, None, finished, 4, 0)
