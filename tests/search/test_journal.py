"""The journal: what is kept is found again, whatever killed the search."""

import math
from dataclasses import replace

import optuna
import pytest

from presence_only.common.errors import ExecutionError
from presence_only.search.journal import open_journal
from presence_only.search.objective import DIVERGED, FINISHED, PRUNED, Outcome
from presence_only.search.space import Choices, Range
from presence_only.search.trials import Trial

DIMENSIONS = {"training.beta2": Choices((0.9, True, None)), "x": Range(0.001, 1, True, whole=False)}
CRITERIA = {"ap_target_group": 0.123456789, "boyce": math.nan}


def trials():
    return [
        Trial(1, {"training.beta2": 0.9, "x": 1 / 3}, Outcome(FINISHED, {1: 0.1, 2: 1 / 7}, CRITERIA, 1.0, 2.5), 1 / 7),
        Trial(0, {"training.beta2": True, "x": 0.001}, Outcome(PRUNED, {1: 0.1}, CRITERIA, 0.25, 0.5), 0.1),
        Trial(2, {"training.beta2": None, "x": 1.0}, Outcome(DIVERGED, {}, {}, 0.1, 0.1), None),
    ]


@pytest.fixture
def path(tmp_path):
    with open_journal(tmp_path / "journal.log", "virtual/bce") as journal:
        journal.begin({"search": {"seed": 0}, "code": "abc"})
        for trial in trials():
            journal.add(trial, DIMENSIONS)
    return tmp_path / "journal.log"


def found(path):
    with open_journal(path, "virtual/bce") as journal:
        return journal.trials()


def same(one, other):
    return repr(one) == repr(other)


def test_what_was_kept_is_found_by_number(path):
    kept = found(path)
    assert list(kept) == [0, 1, 2]
    for trial in trials():
        assert same(kept[trial.number], trial)
    with open_journal(path, "virtual/bce") as journal:
        assert journal.identity == {"search": {"seed": 0}, "code": "abc"}


def test_looking_into_it_changes_nothing(path):
    before = path.read_bytes()
    found(path)
    assert path.read_bytes() == before


def test_a_new_journal_knows_nothing(tmp_path):
    with open_journal(tmp_path / "there/journal.log", "virtual/bce") as journal:
        assert (journal.identity, journal.trials()) == (None, {})


def test_one_that_forgets_begins_anew(path):
    with open_journal(path, "virtual/bce") as journal:
        journal.forget()
        assert (journal.identity, journal.trials()) == (None, {})
        journal.add(trials()[2], DIMENSIONS)
    assert list(found(path)) == [2]


@pytest.mark.parametrize("cut", [1, 40])
def test_half_a_line_is_a_trial_that_did_not_end(path, cut):
    path.write_bytes(path.read_bytes()[:-cut])
    assert list(found(path)) == [0, 1]
    with open_journal(path, "virtual/bce") as journal:
        journal.add(trials()[2], DIMENSIONS)
    assert list(found(path)) == [0, 1, 2]


def test_the_lock_of_a_killed_process_does_not_hold_up(path):
    path.with_name("journal.log.lock").symlink_to(path)
    with open_journal(path, "virtual/bce") as journal:
        journal.add(replace(trials()[0], number=3), DIMENSIONS)
    assert list(found(path)) == [0, 1, 2, 3]


def test_two_processes_do_not_run_one_search(path):
    """A lock of the system's, which a second opening in one process meets as one in another does."""
    sentence = "another process runs the search virtual/bce; wait until it has ended, or end it"
    with open_journal(path, "virtual/bce"), pytest.raises(ExecutionError, match=sentence):
        found(path)
    assert list(found(path)) == [0, 1, 2]


def test_optuna_alone_reads_it(path):
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    study = optuna.load_study(study_name="virtual/bce", storage=storage)
    assert study.best_value == 1 / 7
    assert study.best_params == {"training.beta2": 0.9, "x": 1 / 3}
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "PRUNED"]
