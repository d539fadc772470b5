"""The command that searches settings: killed and run again, in MLflow, and its winner as a variant."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from ruamel.yaml import YAML
from support import tiny
from support.search import SEARCH, InThisProcess

from presence_only.common.errors import ExecutionError
from presence_only.pipeline import mlflow_mirror, search
from presence_only.pipeline.command import run_stage
from presence_only.pipeline.mlflow_mirror import RunRecord, publish, published
from presence_only.search.journal import open_journal
from presence_only.search.results import write_trials
from presence_only.search.run import run_search
from presence_only.study.params import load_params
from presence_only.study.paths import DatasetFiles, SearchFiles

FILES = SearchFiles("virtual", "bce")
COMMAND = ["--dataset", "virtual", "--variant", "bce"]
HELD_OUT = {"resolution": 0, "folds": 3}
SETTINGS = SEARCH | {"trials": 9, "held_out": HELD_OUT}


def write_study(folder, **search):
    folder.mkdir(exist_ok=True)
    YAML().dump(tiny.params(search=SETTINGS | search), folder / "params.yaml")
    training = folder / DatasetFiles("virtual").training
    if not training.exists():
        tiny.dataset(rows=400, species=8).training.save(training)


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "presence_only.pipeline.search", *COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent), "MLFLOW_TRACKING_URI": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def rows(folder):
    """The table of trials."""
    with (folder / FILES.trials).open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def searched(tmp_path_factory, empty_store):
    """A search that was killed while two workers ran it, and went on with one; its folder, and what it said then."""
    folder = tmp_path_factory.mktemp("search") / "study"
    write_study(folder)
    shutil.copy(empty_store, folder / "mlflow.db")
    killed = start(folder, "--workers", "2")
    journal = folder / FILES.journal
    # The first line is the search, the second what it was begun with.
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= 2 + 2):
        assert killed.poll() is None, killed.stdout.read()
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    kept = journal.read_bytes()
    again = start(folder, "--workers", "1")
    words = again.communicate()[0]
    assert again.returncode == 0, words
    assert journal.read_bytes().startswith(kept)
    return folder, words


@pytest.fixture
def folder(searched, tmp_path, monkeypatch):
    """A search that is done, as the working directory."""
    shutil.copytree(searched[0], tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "study"


def call(monkeypatch, *arguments):
    """Run the command in this process, which must not have to run a trial."""
    monkeypatch.setattr(sys, "argv", ["search", *COMMAND, *arguments])
    run_stage(search.main)


def runs(kind, name="tiny"):
    client = MlflowClient(tracking_uri=f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    return client.search_runs([client.get_experiment_by_name(name).experiment_id], f'tags.kind = "{kind}"')


def test_a_search_that_was_killed_goes_on_to_the_trials_of_one_that_was_not(folder, tmp_path):
    made = search.read_search(FILES, None)
    with open_journal(tmp_path / "journal.log", made.name) as journal:
        trials = run_search(made, journal, InThisProcess())
    write_trials(tmp_path / "trials.csv", trials, list(made.searched.dimensions))
    with (tmp_path / "trials.csv").open() as file:
        undisturbed = [{**row, "cpu_seconds": ""} for row in csv.DictReader(file)]
    assert [{**row, "cpu_seconds": ""} for row in rows(folder)] == undisturbed
    assert [row["trial"] for row in undisturbed] == [str(number) for number in range(9)]
    assert (folder / FILES.figure).read_bytes()[:4] == b"\x89PNG"


def test_it_says_how_far_it_is(searched):
    folder, words = searched
    done = int(words.split("virtual/bce: ")[1].split(" of 9 trials are done")[0])
    assert 2 <= done < 9
    # None that was kept is run again.
    lines = [line for line in words.splitlines() if line.startswith("trial ")]
    assert len(lines) == 9 - done
    (best,) = {row["best"] for row in rows(folder)[-1:]}
    assert lines[-1].endswith(f"; best of 9: {float(best):.4f} (trial {best_trial(folder)})")


def best_trial(folder):
    return YAML(typ="safe").load(folder / FILES.best)["best_trial"]


def test_trials_are_runs_below_one_run_of_the_search_and_logged_once(folder, monkeypatch, capsys):
    (parent,) = runs("search")
    trials = runs("trial")
    assert len(trials) == 9
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {parent.info.run_id}
    by_trial = {row["trial"]: row for row in rows(folder)}
    for run in trials:
        row = by_trial[run.data.params["trial"]]
        assert run.data.tags["state"] == row["state"]
        assert run.data.metrics["boyce"] == pytest.approx(float(row["boyce"]), rel=1e-5)
        assert float(run.data.params["training.learning_rate"]) == float(row["training.learning_rate"])
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    curve = {m.step: m.value for m in client.get_metric_history(parent.info.run_id, "best_value")}
    best = {int(n) + 1: float(row["best"]) for n, row in by_trial.items() if row["best"]}
    assert curve == pytest.approx(best, rel=1e-5)
    assert {item.path for item in client.list_artifacts(parent.info.run_id)} == {
        "best.yaml",
        "best_so_far.png",
        "trials.csv",
    }
    call(monkeypatch)
    assert "MLflow: 0 trials logged, 9 already there" in capsys.readouterr().out
    assert (len(runs("search")), len(runs("trial"))) == (1, 9)
    assert len(client.get_metric_history(parent.info.run_id, "best_value")) == len(best)


def test_publishing_the_study_leaves_searches_alone_and_is_not_disturbed_by_them(folder, monkeypatch):
    variant = RunRecord("virtual/bce", "variant", "bce", "f", {"loss": "bce"}, {"species_map": 0.5})
    report = RunRecord("", "study", "report", "r", {"variants": "bce"})
    before = {run.info.run_id: dict(run.data.tags) for run in [*runs("search"), *runs("trial")]}
    publish("tiny", [variant, report], folder, state="now")
    call(monkeypatch)
    assert published("now", folder) == 2
    assert {run.info.run_id: dict(run.data.tags) for run in [*runs("search"), *runs("trial")]} == before


def test_half_a_trial_in_mlflow_is_logged_anew(folder, monkeypatch, capsys):
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    victim = runs("trial")[3]
    client.delete_tag(victim.info.run_id, mlflow_mirror.FINGERPRINT)
    call(monkeypatch)
    assert "MLflow: 1 trial logged, 8 already there" in capsys.readouterr().out
    assert len({run.data.params["trial"] for run in runs("trial")}) == len(runs("trial")) == 9


def test_the_winner_becomes_a_variant_of_the_study(folder, monkeypatch, capsys):
    call(monkeypatch, "--adopt", "tuned")
    best = YAML(typ="safe").load(FILES.best)
    params = load_params()
    assert params.study.variants == ("bce", "an_full", "tuned")
    tuned = params.variant("tuned")
    assert tuned.training.learning_rate == best["settings"]["training.learning_rate"]
    assert tuned.training.epochs == best["settings"]["training.epochs"]
    assert "params.yaml has a new variant, the best of 9 trials: tuned: {like: bce" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call(monkeypatch, "--adopt", "tuned")
    assert "error: --adopt tuned: params.yaml has a variant of this name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "arguments", "sentence"),
    [
        ({"criterion": "boyce"}, [], "was begun with search.criterion = 'ap_background', which is 'boyce' now"),
        ({}, ["--trials", "0"], "search.trials = 0: must be greater than or equal to 1"),
        ({}, ["--workers", "0"], "--workers 0: must be a positive whole number"),
        ({}, ["--executor", "cloud"], "--executor cloud: must be one of processes, ray, slurm"),
        ({}, ["--dataset", "virtul"], "unknown dataset 'virtul'; the study has: virtual"),
        ({}, ["--variant", "an_full"], "search.spaces has no space for the variant 'an_full'"),
        ({}, ["--variant", "bec"], "unknown variant 'bec'; the study has: bce, an_full"),
        ({}, ["--variant", "an_full", "--adopt", "x"], "best.yaml is missing: no trial of this search has finished"),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(change, arguments, sentence, folder, monkeypatch, capsys):
    write_study(folder, **change)
    before = {path: path.read_bytes() for path in FILES.folder.iterdir()}
    with pytest.raises(SystemExit) as caught:
        call(monkeypatch, *arguments)
    said = capsys.readouterr().err
    assert caught.value.code == 1
    assert sentence in said
    assert said.count("\n") == 1
    assert {path: path.read_bytes() for path in FILES.folder.iterdir()} == before


def test_to_begin_anew_removes_nothing_before_it_can_run(folder, monkeypatch, capsys):
    before = {path: path.read_bytes() for path in FILES.folder.iterdir()}

    def refuse(*_):
        raise ExecutionError("no cluster takes work")

    monkeypatch.setattr(search, "asked_executor", lambda _: refuse)
    with pytest.raises(SystemExit):
        call(monkeypatch, "--fresh")
    assert "error: no cluster takes work" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in FILES.folder.iterdir()} == before
    monkeypatch.setattr(search, "asked_executor", lambda _: InThisProcess)
    call(monkeypatch, "--fresh", "--trials", "2")
    assert "virtual/bce: 0 of 2 trials are done" in capsys.readouterr().out
    assert len(rows(folder)) == 2
    # They are the runs that MLflow has.
    assert (len(runs("search")), len(runs("trial"))) == (1, 9)


def test_a_study_without_a_group_search_says_so(folder, monkeypatch, capsys):
    YAML().dump(tiny.params(), Path("params.yaml"))
    with pytest.raises(SystemExit):
        call(monkeypatch)
    assert (
        "error: params.yaml has no group 'search', which says what is tried; see docs/search.md"
        in capsys.readouterr().err
    )


def test_labels_that_were_propagated_are_nothing_to_search_by(folder, monkeypatch, capsys):
    raw = YAML().load(Path("params.yaml"))
    raw["datasets"]["other"] = {"kind": "virtual", "rows": "checklists", "propagation": {"k": 3}}
    raw["datasets"]["virtual"] = {"like": "other"}
    YAML().dump(raw, Path("params.yaml"))
    with pytest.raises(SystemExit):
        call(monkeypatch)
    assert "datasets.virtual.propagation: must be null for a search, which judges by" in capsys.readouterr().err


def test_without_data_it_says_what_makes_them(folder, monkeypatch, capsys):
    shutil.rmtree("data")
    with pytest.raises(SystemExit):
        call(monkeypatch)
    assert "is missing; run `dvc repro`" in capsys.readouterr().err
