"""A kill while MLflow's database is made breaks nothing, and a database that one has left half-made is no hindrance."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support import store_kills
from support.tiny_project import ENVIRONMENT
from support.torture import record_trials, trials

from presence_only.pipeline.mlflow_mirror import StoreError, publish

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")


@pytest.mark.parametrize(
    ("way", "what"),
    [
        ("aside", "kills of a first publish while it makes MLflow's database"),
        ("in_place", "publishes into a database that a kill of MLflow left half-made"),
    ],
)
def test_a_publish_after_a_kill_at_any_moment_holds_all_runs(tmp_path, way, what):
    number = trials(2, 150)
    command = [sys.executable, store_kills.__file__, str(tmp_path), str(number), way]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record_trials(what, number, json.loads(done.stdout.splitlines()[-1]))


def environment():
    return ENVIRONMENT | {"PYTHONPATH": str(Path(store_kills.__file__).parents[2] / "src")}


PUBLISH = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from support.store_kills import publish_study
publish_study(Path(sys.argv[1]), sys.argv[2])
"""


def test_studies_that_are_published_at_once_make_one_database(tmp_path):
    tests = str(Path(store_kills.__file__).parents[1])
    command = [sys.executable, "-c", PUBLISH, str(tmp_path)]
    options = {"env": environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([*command, f"study_{i % 2}", tests], **options) for i in range(trials(3, 12))]
    for process in running:
        _, said = process.communicate()
        assert process.returncode == 0, said
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        experiments = store.execute(
            "select e.name, count(*) from experiments e join runs using (experiment_id) group by e.name"
        ).fetchall()
    assert experiments == [("study_0", 3), ("study_1", 3)]


@pytest.fixture
def half(tmp_path, monkeypatch):
    """A database with the first of MLflow's tables, and without the version that they have."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        store.execute("create table runs (run_uuid varchar(32) primary key, experiment_id integer)")
        store.execute("create table alembic_version (version_num varchar(32) primary key)")
        store.commit()
    return tmp_path


def test_a_half_made_database_with_a_run_stays_and_one_sentence_says_what_to_do(half):
    with closing(sqlite3.connect(half / "mlflow.db")) as store:
        store.execute("insert into runs values ('a', 0)")
        store.commit()
    with pytest.raises(StoreError) as error:
        publish("tiny", store_kills.RECORDS, half)
    assert "left half-made" in str(error.value)
    assert "with 1 run in it; move the file away and run `dvc repro`" in str(error.value)
    assert "\n" not in str(error.value)
    with closing(sqlite3.connect(half / "mlflow.db")) as store:
        assert store.execute("select run_uuid from runs").fetchall() == [("a",)]


@pytest.mark.parametrize("before", ["half", "no bytes", "a journal alone"])
def test_what_holds_no_run_is_replaced_by_a_whole_database(half, before, monkeypatch):
    database = half / "mlflow.db"
    if before == "no bytes":
        database.write_bytes(b"")
    if before == "a journal alone":
        database.unlink()
        (half / "mlflow.db-journal").write_bytes(b"of a database that is gone")
        (half / "mlflow.db-wal").write_bytes(b"likewise")
    monkeypatch.setattr("presence_only.pipeline.mlflow_store.QUIET", 0.0)
    store_kills.publish_study(half)
    assert store_kills.state_of(database) == "whole"
    assert store_kills.after(half) == ""


def test_a_whole_database_without_runs_is_taken_as_it_is(tmp_path, monkeypatch):
    """As after `mlflow ui` was started first."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store_kills.make_in_place(tmp_path)
    inode = (tmp_path / "mlflow.db").stat().st_ino
    store_kills.publish_study(tmp_path)
    assert (tmp_path / "mlflow.db").stat().st_ino == inode
