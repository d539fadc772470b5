"""Whole searches: the same trials whatever runs them, whatever interrupts them, and never one twice."""

import pickle
from dataclasses import replace

import pytest
from support.search import SEARCH, SPACE, InThisProcess, search_of

from presence_only.common.errors import DataError
from presence_only.common.settings import SettingsError
from presence_only.execution.run_tasks import Watcher
from presence_only.execution.task import Finished
from presence_only.search.journal import open_journal
from presence_only.search.objective import FINISHED, PRUNED
from presence_only.search.run import check_unchanged, run_search
from presence_only.search.sampling import draw_batch
from presence_only.search.trials import bars


def run(folder, executor, search=SEARCH, **options):
    """Run a search in a folder; returns its trials."""
    made = search_of(folder / "training", search)
    with open_journal(folder / "journal.log", made.name) as journal:
        check_unchanged(journal, made)
        return run_search(made, journal, executor, **options)


def timeless(trials):
    return [replace(trial, outcome=replace(trial.outcome, cpu_seconds=0)) for trial in trials]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The trials of an undisturbed search, one at a time."""
    return timeless(run(tmp_path_factory.mktemp("whole"), InThisProcess(slots=1)))


def test_a_search_finishes_and_ends_trials_early(whole):
    assert [trial.number for trial in whole] == list(range(12))
    states = [trial.outcome.state for trial in whole]
    assert set(states) == {FINISHED, PRUNED}
    # None before three trials have finished, which are known to the second batch.
    assert PRUNED not in states[:3]
    assert whole[0].settings != whole[1].settings


def test_every_trial_is_what_the_trials_before_its_batch_make_it(whole, tmp_path):
    made = search_of(tmp_path / "training")
    for first in range(0, 12, 3):
        drawn = draw_batch(made.searched.dimensions, None, whole[:first], 3, 0)
        assert [trial.settings for trial in whole[first : first + 3]] == drawn
        limits = bars(whole[:first], made.settings.pruning)
        for trial in whole[first : first + 3]:
            low = [look for look, score in trial.outcome.looks.items() if look < 3 and score < limits.get(look, -1)]
            assert (trial.outcome.state == PRUNED) == bool(low)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_order_in_which_trials_end_changes_none(seed, whole, tmp_path):
    executor = InThisProcess(slots=3, seed=seed)
    assert timeless(run(tmp_path, executor)) == whole
    assert executor.ran != sorted(executor.ran, key=lambda key: int(key.split()[-1]))


@pytest.mark.parametrize("stops", [(1,), (4, 2, 3)])
def test_an_interrupted_search_goes_on_and_runs_no_trial_twice(stops, whole, tmp_path):
    ran = []
    for seed, stop in enumerate(stops):
        executor = InThisProcess(slots=3, seed=seed, stops_after=stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, executor)
        ran += executor.ran
    executor = InThisProcess(slots=3)
    assert timeless(run(tmp_path, executor)) == whole
    ran += executor.ran
    assert len(ran) == len(set(ran)) == 12


def test_more_trials_go_on_as_if_they_had_been_asked_for_from_the_start(whole, tmp_path):
    # A batch that was cut short is filled up first.
    assert timeless(run(tmp_path, InThisProcess(), SEARCH | {"trials": 4})) == whole[:4]
    executor = InThisProcess()
    assert timeless(run(tmp_path, executor)) == whole
    assert len(executor.ran) == 8
    # Fewer are there already, and none is lost.
    idle = InThisProcess()
    assert timeless(run(tmp_path, idle, SEARCH | {"trials": 5})) == whole
    assert not idle.ran


def test_a_trial_that_lost_its_worker_is_run_again(whole, tmp_path):
    executor = InThisProcess(loses=("search virtual/bce 2", "search virtual/bce 5"))
    assert timeless(run(tmp_path, executor)) == whole


def test_a_trial_is_kept_before_anybody_hears_of_it(tmp_path):
    kept, heard = [], []

    class Hears(Watcher):
        def starts(self, task):
            heard.append((task.label, "starts"))

        def hears(self, task, event):
            if isinstance(event, Finished):
                assert len(kept[-1]) == len(kept)
                heard.append((task.label, "ends"))

    made = SEARCH | {"trials": 2}
    run(tmp_path, InThisProcess(slots=1), made, watcher=Hears(), kept=lambda trials: kept.append(list(trials)))
    for label in ("trial 0", "trial 1"):
        assert [what for name, what in heard if name == label] == ["starts", "ends"]
    assert [[trial.number for trial in trials] for trials in kept] == [[0], [0, 1]]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"criterion": "boyce"}, "search.criterion = 'ap_background', which is 'boyce' now"),
        ({"seed": 1}, "search.seed = 0, which is 1 now"),
        ({"parallel": 4}, "search.parallel = 3, which is 4 now"),
        ({"held_out": {"resolution": 1, "folds": 3}}, "search.held_out.resolution = 0, which is 1 now"),
        (
            {"spaces": {"bce": SPACE | {"training.beta2": [0.9, 0.95]}}},
            "search.spaces.bce.training.beta2 = [0.9, 0.99], which is [0.9, 0.95] now",
        ),
        (
            {"spaces": {"bce": SPACE | {"encoder.width": [8, 16]}}},
            "search.spaces.bce.encoder.width = nothing, which is [8, 16] now",
        ),
        ({"pruning": {"startup": 3}}, "search.pruning.checks = 3, which is 4 now"),
    ],
)
def test_a_search_does_not_go_on_with_other_settings(change, sentence, tmp_path):
    run(tmp_path, InThisProcess(), SEARCH | {"trials": 1})
    with pytest.raises(SettingsError) as caught:
        run(tmp_path, InThisProcess(), SEARCH | {"trials": 1} | change)
    start = "the search virtual/bce was begun with "
    assert str(caught.value) == f"{start}{sentence}; put that back to go on, or add --fresh to begin anew"


def test_a_search_does_not_go_on_with_another_variant_other_data_or_other_code(tmp_path):
    made = search_of(tmp_path / "training")
    others = {
        "variants.bce.training.batch_size = 128, which is 64 now": search_of(
            tmp_path / "training", training__batch_size=64
        ),
        "other code of a trial": replace(made, code="f00"),
        "other training data": replace(made, training=tmp_path / "other"),
    }
    (tmp_path / "other").mkdir()
    for path in made.training.iterdir():
        (tmp_path / "other" / path.name).write_bytes(path.read_bytes() + b" ")
    with open_journal(tmp_path / "journal.log", made.name) as journal:
        check_unchanged(journal, made)
        check_unchanged(journal, search_of(tmp_path / "training", SEARCH | {"trials": 99}))
        for words, other in others.items():
            with pytest.raises(SettingsError, match=words):
                check_unchanged(journal, other)


def test_a_trial_travels_to_another_machine(tmp_path):
    executor = InThisProcess(stops_after=0)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, executor)
    for task in executor.submitted:
        sent = pickle.loads(pickle.dumps(task.work))
        assert sent.args == task.work.args
        assert sent.func is task.work.func


def test_an_error_of_a_trial_ends_the_search_with_its_sentence(tmp_path):
    with pytest.raises(DataError, match="fewer than folds = 99"):
        run(tmp_path, InThisProcess(), SEARCH | {"held_out": {"resolution": 0, "folds": 99}})
