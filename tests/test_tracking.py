import subprocess
from dataclasses import replace

import pytest
from mlflow.tracking import MlflowClient

from presence_only import tracking
from presence_only.tracking import RunRecord, publish


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
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


def runs(root, study="tiny"):
    client = MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(study)
    return client.search_runs([experiment.experiment_id])


def current(root):
    return sorted(
        r.data.tags["cell"] + " " + r.data.tags["fingerprint"] for r in runs(root) if r.data.tags["current"] == "true"
    )


def test_a_run_holds_what_was_measured(root):
    artifact = root / "encoder.pt"
    artifact.write_text("weights")
    assert publish("tiny", [record(artifacts=[artifact])], root)[:2] == (1, 0)
    (run,) = runs(root)
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 2000
    assert run.data.params == {"loss": "bce"}
    assert run.data.metrics == {"species_map": 0.25, "training_loss": 0.5}
    client = MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")
    curve = client.get_metric_history(run.info.run_id, "training_loss")
    assert [(m.step, m.value) for m in curve] == [(1, 0.7), (2, 0.5)]
    assert [a.path for a in client.list_artifacts(run.info.run_id)] == ["encoder.pt"]


def test_publishing_again_duplicates_nothing(root):
    both = [record(), record("virtual/bce/1")]
    assert publish("tiny", both, root)[:2] == (2, 0)
    assert publish("tiny", both, root)[:2] == (0, 2)
    assert len(runs(root)) == 2
    assert current(root) == ["virtual/bce/0 f0", "virtual/bce/1 f0"]


def test_exactly_one_run_of_a_cell_is_current_through_changes_and_back(root):
    publish("tiny", [record()], root)
    publish("tiny", [record(fingerprint="f1")], root)
    assert current(root) == ["virtual/bce/0 f1"]
    # As after DVC restored the first results from its cache.
    assert publish("tiny", [record()], root)[:2] == (0, 1)
    assert current(root) == ["virtual/bce/0 f0"]
    assert len(runs(root)) == 2


def test_a_removed_variant_is_no_longer_current(root):
    publish("tiny", [record(), record("virtual/asl/0")], root)
    publish("tiny", [record()], root)
    assert current(root) == ["virtual/bce/0 f0"]


def test_an_experiment_in_a_copy_moves_nothing(root):
    publish("tiny", [record()], root)
    assert publish("tiny", [record(fingerprint="f1")], root, move_current=False)[:2] == (1, 0)
    assert current(root) == ["virtual/bce/0 f0"]


def test_a_run_cut_short_is_logged_anew(root, monkeypatch):
    publish("tiny", [record()], root)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish("tiny", [record(fingerprint="f1")], root)
    assert publish("tiny", [record(fingerprint="f1")], root)[:2] == (1, 0)
    assert current(root) == ["virtual/bce/0 f1"]
    assert len(runs(root)) == 2


def test_studies_and_foreign_runs_are_left_alone(root):
    publish("tiny", [record()], root)
    client = MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")
    foreign = client.create_run(client.get_experiment_by_name("tiny").experiment_id)
    publish("other", [record()], root)
    publish("tiny", [record()], root)
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
