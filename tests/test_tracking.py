import shlex
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace

import pytest
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient

from presence_only import tracking
from presence_only.tracking import RunRecord, publish


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """A database without runs: to make one takes longer than a test."""
    folder = tmp_path_factory.mktemp("store")
    store(folder).search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def root(tmp_path, empty_store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with closing(sqlite3.connect(empty_store)) as source, closing(sqlite3.connect(tmp_path / "mlflow.db")) as copy:
        source.backup(copy)
    return tmp_path


def record(cell="virtual/bce/0", fingerprint="f0", **changes):
    return replace(
        RunRecord(
            cell=cell,
            fingerprint=fingerprint,
            params={"loss": "bce"},
            metrics={"species_map": 0.25},
            curves={"training_loss": [0.7, 0.5]},
            tags={"variant": "bce"},
            seconds=2.0,
            finished=1_700_000_000.0,
        ),
        **changes,
    )


def parent(fingerprint="p0", **changes):
    whole = RunRecord("", fingerprint, {"variants": "bce"}, {}, {}, {"study": "tiny"}, finished=1_700_000_000.0)
    return replace(whole, **changes)


def store(root):
    return MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")


def search(root, text="", study="tiny"):
    client = store(root)
    return client.search_runs([client.get_experiment_by_name(study).experiment_id], text)


def runs(root, study="tiny"):
    """The runs of cells."""
    return search(root, 'tags.kind = "cell"', study)


def parents(root):
    """Fingerprints of the parents, the current one in capitals."""
    found = search(root, 'tags.kind = "study"')
    return sorted(
        r.data.tags["fingerprint"].upper() if r.data.tags["current"] == "true" else r.data.tags["fingerprint"]
        for r in found
    )


def current(root):
    """The current runs of cells; there is one current parent, and these and no others are its children."""
    (whole,) = search(root, 'tags.current = "true" and tags.kind = "study"')
    found = search(root, 'tags.current = "true" and tags.kind = "cell"')
    children = search(root, f'tags.mlflow.parentRunId = "{whole.info.run_id}" and tags.current = "true"')
    assert {r.info.run_id for r in found} == {r.info.run_id for r in children}
    return sorted(r.data.tags["cell"] + " " + r.data.tags["fingerprint"] for r in found)


def test_a_run_holds_what_was_measured(root):
    artifact = root / "encoder.pt"
    artifact.write_text("weights")
    assert publish("tiny", parent(), [record(artifacts=[artifact])], root)[:2] == (2, 0)
    (run,) = runs(root)
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 2000
    assert run.data.params == {"loss": "bce"}
    assert run.data.metrics == {"species_map": 0.25, "training_loss": 0.5}
    client = store(root)
    curve = client.get_metric_history(run.info.run_id, "training_loss")
    assert [(m.step, m.value) for m in curve] == [(1, 0.7), (2, 0.5)]
    assert [a.path for a in client.list_artifacts(run.info.run_id)] == ["encoder.pt"]


def test_publishing_again_duplicates_nothing(root):
    both = [record(), record("virtual/bce/1")]
    assert publish("tiny", parent(), both, root)[:2] == (3, 0)
    assert publish("tiny", parent(), both, root)[:2] == (0, 3)
    assert parents(root) == ["P0"]
    assert len(runs(root)) == 2
    assert current(root) == ["virtual/bce/0 f0", "virtual/bce/1 f0"]


def test_exactly_one_run_of_a_cell_is_current_through_changes_and_back(root):
    publish("tiny", parent(), [record()], root)
    publish("tiny", parent(), [record(fingerprint="f1")], root)
    assert current(root) == ["virtual/bce/0 f1"]
    # As after DVC restored the first results from its cache.
    assert publish("tiny", parent(), [record()], root)[:2] == (0, 2)
    assert current(root) == ["virtual/bce/0 f0"]
    assert len(runs(root)) == 2


def test_a_removed_variant_is_no_longer_current(root):
    publish("tiny", parent(), [record(), record("virtual/asl/0")], root)
    publish("tiny", parent(), [record()], root)
    assert current(root) == ["virtual/bce/0 f0"]


def test_an_experiment_in_a_copy_moves_nothing(root):
    publish("tiny", parent(), [record()], root)
    assert publish("tiny", parent(), [record(fingerprint="f1")], root, move_current=False)[:2] == (1, 1)
    assert current(root) == ["virtual/bce/0 f0"]


def test_a_run_cut_short_is_logged_anew(root, monkeypatch):
    publish("tiny", parent(), [record()], root)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish("tiny", parent(), [record(fingerprint="f1")], root)
    assert publish("tiny", parent(), [record(fingerprint="f1")], root)[:2] == (1, 1)
    assert current(root) == ["virtual/bce/0 f1"]
    assert len(runs(root)) == 2


@pytest.mark.parametrize("n", [2, 2500])
def test_a_run_cut_short_at_its_very_end_is_logged_anew(root, monkeypatch, n):
    """With more values than MLflow takes in one batch, too."""
    long = record(fingerprint="f1", curves={"training_loss": [1 / (1 + epoch) for epoch in range(n)]})
    publish("tiny", parent(), [record()], root)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish("tiny", parent(), [long], root)
    (half,) = [r for r in runs(root) if "fingerprint" not in r.data.tags]
    assert publish("tiny", parent(), [long], root)[:2] == (1, 1)
    assert current(root) == ["virtual/bce/0 f1"]
    assert half.info.run_id not in {r.info.run_id for r in runs(root)}
    (whole,) = [r for r in runs(root) if r.data.tags["fingerprint"] == "f1"]
    assert whole.info.status == "FINISHED"
    assert len(store(root).get_metric_history(whole.info.run_id, "training_loss")) == n


def test_a_run_cut_short_between_two_batches_is_logged_anew(root, monkeypatch):
    long = record(curves={"training_loss": [0.5] * 2500})
    log_batch, calls = SqlAlchemyStore.log_batch, []

    def second_fails(self, run_id, metrics, params, tags):
        calls.append(len(metrics))
        if len([n for n in calls if n]) == 2:
            raise KeyboardInterrupt
        return log_batch(self, run_id, metrics, params, tags)

    with monkeypatch.context() as patch:
        patch.setattr(SqlAlchemyStore, "log_batch", second_fails)
        with pytest.raises(KeyboardInterrupt):
            publish("tiny", parent(), [long], root)
    assert publish("tiny", parent(), [long], root)[:2] == (1, 1)
    (run,) = runs(root)
    assert len(store(root).get_metric_history(run.info.run_id, "training_loss")) == 2500


def test_a_second_publish_waits_for_the_first(root, monkeypatch, capsys):
    """Else it takes the run that the first is about to finish for one of a killed publish, and deletes it."""
    both = [record(), record("virtual/bce/1")]
    half_way, go_on = threading.Event(), threading.Event()
    set_terminated = MlflowClient.set_terminated

    def slow(*arguments, **options):
        half_way.set()
        assert go_on.wait(20)
        return set_terminated(*arguments, **options)

    monkeypatch.setattr(MlflowClient, "set_terminated", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(publish, "tiny", parent(), both, root)
        assert half_way.wait(20)
        second = pool.submit(publish, "tiny", parent(), both, root)
        waited = not wait([second], timeout=0.5).done
        go_on.set()
        assert first.result()[:2] == (3, 0)
        assert second.result()[:2] == (0, 3)
    assert waited
    assert capsys.readouterr().out == (
        f"MLflow: another run publishes; waiting until it lets go of {root / 'mlflow.db.lock'}\n"
    )
    assert current(root) == ["virtual/bce/0 f0", "virtual/bce/1 f0"]
    assert len(search(root)) == 3


HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("killed", [False, True])
def test_another_process_is_waited_for_until_it_ends_or_is_killed(root, capsys, killed):
    command = [sys.executable, "-c", HOLD, str(root / "mlflow.db.lock")]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        assert other.stdout.readline() == "held\n"
        ours = pool.submit(publish, "tiny", parent(), [record()], root)
        waited = not wait([ours], timeout=0.5).done
        if killed:
            other.kill()
        else:
            other.communicate("go on\n")
        assert ours.result(timeout=20)[:2] == (2, 0)
    assert waited
    assert "another run publishes; waiting" in capsys.readouterr().out


def test_a_publish_that_fails_lets_go_of_the_store(root, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", lambda *_, **__: (_ for _ in ()).throw(RuntimeError))
        with pytest.raises(RuntimeError):
            publish("tiny", parent(), [record()], root)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(publish, "tiny", parent(), [record()], root).result(timeout=20)[:2] == (2, 0)


def test_the_command_to_view_runs_works_from_any_folder(tmp_path, monkeypatch):
    root = tmp_path / "my project"
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # As when called by a path from a folder below.
    monkeypatch.setattr(sys, "executable", str(root / "experiments/small/../../.venv/bin/python"))
    (root / "experiments/small").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    store = ["ui", "--workers", "1", "--backend-store-uri", f"sqlite:///{root}/mlflow.db"]
    command, address = tracking.viewing(root, "/#/experiments/1/runs")
    assert shlex.split(command) == ["mlflow", *store]
    assert address == "then open http://127.0.0.1:5000/#/experiments/1/runs"
    program = root / ".venv/bin/mlflow"
    program.parent.mkdir(parents=True)
    program.touch()
    assert shlex.split(tracking.viewing(root)[0]) == [str(program), *store]


def test_runs_on_a_server_are_viewed_there(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5001/")
    assert tracking.viewing(tmp_path, "/#/experiments/1") == ("open http://127.0.0.1:5001/#/experiments/1",)


def test_the_parent_is_named_after_the_study_and_holds_files_and_folders(root):
    (root / "figures").mkdir()
    for name in ("report.html", "figures/map.png"):
        (root / name).write_text(name)
    publish("tiny", parent(artifacts=[root / "report.html", root / "figures"]), [record()], root)
    (whole,) = search(root, 'tags.kind = "study"')
    assert (whole.info.run_name, whole.info.status) == ("tiny", "FINISHED")
    assert whole.data.params == {"variants": "bce"}
    assert (whole.data.tags["study"], whole.data.tags["current"]) == ("tiny", "true")
    assert not {"cell", "mlflow.parentRunId"} & whole.data.tags.keys()
    listed = [a.path for folder in ("", "figures") for a in store(root).list_artifacts(whole.info.run_id, folder)]
    assert listed == ["figures", "report.html", "figures/map.png"]
    assert current(root) == ["virtual/bce/0 f0"]


def test_an_empty_study_of_no_files_is_published_too(root):
    assert publish("tiny", parent(), [], root)[:2] == (1, 0)
    assert parents(root) == ["P0"]


def test_exactly_one_parent_is_current_through_changes_and_back(root):
    both = [record(), record("virtual/bce/1")]
    publish("tiny", parent(), both, root)
    assert publish("tiny", parent("p1"), both, root)[:2] == (1, 2)
    assert parents(root) == ["P1", "p0"]
    assert current(root) == ["virtual/bce/0 f0", "virtual/bce/1 f0"]
    assert publish("tiny", parent(), both, root)[:2] == (0, 3)
    assert parents(root) == ["P0", "p1"]
    assert current(root) == ["virtual/bce/0 f0", "virtual/bce/1 f0"]


def test_a_replaced_run_stays_below_the_parent_that_it_was_part_of(root):
    publish("tiny", parent(), [record()], root)
    publish("tiny", parent("p1"), [record(fingerprint="f1")], root)
    fingerprint_of = {r.info.run_id: r.data.tags["fingerprint"] for r in search(root)}
    below = {r.data.tags["fingerprint"]: fingerprint_of[r.data.tags["mlflow.parentRunId"]] for r in runs(root)}
    assert below == {"f0": "p0", "f1": "p1"}


def test_a_parent_in_a_copy_takes_only_its_own_new_runs(root):
    both = [record(), record("virtual/bce/1")]
    publish("tiny", parent(), both, root)
    changed = [record(), record("virtual/bce/1", "f1")]
    assert publish("tiny", parent("p1"), changed, root, move_current=False)[:2] == (2, 1)
    assert parents(root) == ["P0", "p1"]
    assert current(root) == ["virtual/bce/0 f0", "virtual/bce/1 f0"]
    (new,) = search(root, 'tags.fingerprint = "f1"')
    assert store(root).get_run(new.data.tags["mlflow.parentRunId"]).data.tags["fingerprint"] == "p1"


def test_a_parent_cut_short_is_logged_anew(root, monkeypatch):
    report = root / "report.html"
    report.write_text("report")
    publish("tiny", parent(), [record()], root)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish("tiny", parent("p1", artifacts=[report]), [record()], root)
    assert publish("tiny", parent("p1", artifacts=[report]), [record()], root)[:2] == (1, 1)
    assert parents(root) == ["P1", "p0"]
    assert current(root) == ["virtual/bce/0 f0"]
    assert len(search(root)) == 3


def test_runs_of_a_store_from_before_there_were_parents_are_taken_in(root):
    client = store(root)
    experiment = client.create_experiment("tiny", artifact_location=(root / "mlartifacts/tiny").as_uri())
    tags = {"cell": "virtual/bce/0", "fingerprint": "f0", "current": "true"}
    old = client.create_run(experiment, tags=tags)
    assert publish("tiny", parent(), [record()], root)[:2] == (1, 1)
    assert current(root) == ["virtual/bce/0 f0"]
    assert [r.info.run_id for r in runs(root)] == [old.info.run_id]


def test_of_two_equal_runs_one_is_current(root):
    """As after two publishes at the same time."""
    publish("tiny", parent(), [record()], root)
    client = store(root)
    for run in search(root):
        client.create_run(run.info.experiment_id, tags=run.data.tags)
    publish("tiny", parent(), [record()], root)
    assert parents(root) == ["P0", "p0"]
    assert current(root) == ["virtual/bce/0 f0"]


def test_studies_and_foreign_runs_are_left_alone(root):
    publish("tiny", parent(), [record()], root)
    client = store(root)
    foreign = client.create_run(client.get_experiment_by_name("tiny").experiment_id)
    publish("other", parent(), [record()], root)
    publish("tiny", parent(), [record()], root)
    assert client.get_run(foreign.info.run_id).info.lifecycle_stage == "active"
    assert len(runs(root, "other")) == 1


def test_the_store_may_be_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking.store_uri(tmp_path) == "http://127.0.0.1:5000"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert tracking.store_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_outside_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert tracking.git_commit(tmp_path, [tmp_path]) == ""
    assert tracking.repository_root(tmp_path) == tmp_path


def test_a_commit_is_dirty_only_by_what_makes_results(tmp_path):
    def git(*arguments):
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments], cwd=tmp_path, check=True
        )

    git("init", "-q")
    for name in ("params.yaml", "dvc.lock"):
        (tmp_path / name).write_text("a")
    git("add", ".")
    git("commit", "-qm", "x")
    (tmp_path / "dvc.lock").write_text("b")
    clean = tracking.git_commit(tmp_path, [tmp_path / "params.yaml"])
    assert len(clean) == 40
    (tmp_path / "params.yaml").write_text("b")
    assert tracking.git_commit(tmp_path, [tmp_path / "params.yaml"]) == f"{clean}-dirty"
