import re
import shlex
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from urllib.parse import parse_qs

import pytest
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient

from presence_only.pipeline import mlflow_mirror as tracking
from presence_only.pipeline.mlflow_mirror import STATE, RunRecord, publish, published


@pytest.fixture
def root(tmp_path, empty_store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with closing(sqlite3.connect(empty_store)) as source, closing(sqlite3.connect(tmp_path / "mlflow.db")) as copy:
        source.backup(copy)
    return tmp_path


def record(cell="virtual/bce/0", fingerprint="f0", **changes):
    """A seed of a variant."""
    return replace(
        RunRecord(
            cell=cell,
            kind="seed",
            name=cell,
            fingerprint=fingerprint,
            params={"loss": "bce"},
            metrics={"species_map": 0.25},
            curves={"training_loss": [0.7, 0.5]},
            tags={"variant": "bce"},
            below=cell.rpartition("/")[0],
            started=1_699_999_998.0,
            finished=1_700_000_000.0,
        ),
        **changes,
    )


def variant(name="bce", fingerprint="v0", **changes):
    whole = RunRecord(f"virtual/{name}", "variant", name, fingerprint, {"loss": "bce"}, {"species_map": 0.3})
    return replace(whole, **changes)


def report(fingerprint="p0", **changes):
    whole = RunRecord("", "study", "report", fingerprint, {"variants": "bce"}, tags={"study": "tiny"})
    return replace(whole, finished=1_700_000_000.0, **changes)


def publish_all(root, *seeds, variants=None, study=None, name="tiny", **options):
    """Publish variants, their seeds and the report; returns how many runs were logged and found."""
    records = [*(variants or [variant()]), *seeds, study or report()]
    return publish(name, records, root, **options)[:2]


def store(root):
    return MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")


def search(root, text="", study="tiny"):
    client = store(root)
    return client.search_runs([client.get_experiment_by_name(study).experiment_id], text)


def runs(root, study="tiny"):
    """The runs of seeds."""
    return search(root, 'tags.kind = "seed"', study)


def above(root, kind):
    """Fingerprints of the runs of a kind, of the current ones in capitals."""
    found = search(root, f'tags.kind = "{kind}"')
    return sorted(
        r.data.tags["fingerprint"].upper() if r.data.tags["current"] == "true" else r.data.tags["fingerprint"]
        for r in found
    )


def current(root):
    """The current runs of seeds; each lies below the one current run of its variant, and the report has none."""
    assert len(search(root, 'tags.current = "true" and tags.kind = "study"')) == 1
    variants = {r.info.run_id: r for r in search(root, 'tags.current = "true" and tags.kind = "variant"')}
    cells = [r.data.tags["cell"] for r in variants.values()]
    assert len(cells) == len(set(cells))
    found = search(root, 'tags.current = "true" and tags.kind = "seed"')
    for run in found:
        over = variants[run.data.tags["mlflow.parentRunId"]]
        assert run.data.tags["cell"].rpartition("/")[0] == over.data.tags["cell"]
    assert len(search(root, 'tags.current = "true"')) == 1 + len(variants) + len(found)
    return sorted(r.data.tags["cell"] + " " + r.data.tags["fingerprint"] for r in found)


def test_a_run_holds_what_was_measured(root):
    artifact = root / "encoder.pt"
    artifact.write_text("weights")
    assert publish_all(root, record(artifacts=[artifact])) == (3, 0)
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
    assert publish_all(root, *both) == (4, 0)
    assert publish_all(root, *both) == (0, 4)
    assert above(root, "study") == ["P0"]
    assert len(runs(root)) == 2
    assert current(root) == ["virtual/bce/0 f0", "virtual/bce/1 f0"]


def test_exactly_one_run_of_a_cell_is_current_through_changes_and_back(root):
    publish_all(root, record())
    publish_all(root, record(fingerprint="f1"))
    assert current(root) == ["virtual/bce/0 f1"]
    # As after DVC restored the first results from its cache.
    assert publish_all(root, record()) == (0, 3)
    assert current(root) == ["virtual/bce/0 f0"]
    assert len(runs(root)) == 2


def test_a_removed_variant_is_no_longer_current(root):
    publish_all(root, record(), record("virtual/asl/0"), variants=[variant(), variant("asl", "v1")])
    publish_all(root, record())
    assert current(root) == ["virtual/bce/0 f0"]
    assert above(root, "variant") == ["V0", "v1"]


def test_an_experiment_in_a_copy_moves_nothing(root):
    publish_all(root, record())
    assert publish_all(root, record(fingerprint="f1"), move_current=False) == (1, 2)
    assert current(root) == ["virtual/bce/0 f0"]


def test_a_run_cut_short_is_logged_anew(root, monkeypatch):
    publish_all(root, record())
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish_all(root, record(fingerprint="f1"))
    assert publish_all(root, record(fingerprint="f1")) == (1, 2)
    assert current(root) == ["virtual/bce/0 f1"]
    assert len(runs(root)) == 2


@pytest.mark.parametrize("n", [2, 2500])
def test_a_run_cut_short_at_its_very_end_is_logged_anew(root, monkeypatch, n):
    """With more values than MLflow takes in one batch, too."""
    long = record(fingerprint="f1", curves={"training_loss": [1 / (1 + epoch) for epoch in range(n)]})
    publish_all(root, record())
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish_all(root, long)
    (half,) = [r for r in runs(root) if "fingerprint" not in r.data.tags]
    assert publish_all(root, long) == (1, 2)
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
        # The variant comes first, in one batch.
        if len([n for n in calls if n]) == 3:
            raise KeyboardInterrupt
        return log_batch(self, run_id, metrics, params, tags)

    with monkeypatch.context() as patch:
        patch.setattr(SqlAlchemyStore, "log_batch", second_fails)
        with pytest.raises(KeyboardInterrupt):
            publish_all(root, long)
    assert publish_all(root, long) == (2, 1)
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
        first = pool.submit(publish_all, root, *both)
        assert half_way.wait(20)
        second = pool.submit(publish_all, root, *both)
        waited = not wait([second], timeout=0.5).done
        go_on.set()
        assert first.result() == (4, 0)
        assert second.result() == (0, 4)
    assert waited
    assert capsys.readouterr().out == (
        f"MLflow: another run publishes; waiting until it lets go of {root / 'mlflow.db.lock'}\n"
    )
    assert current(root) == ["virtual/bce/0 f0", "virtual/bce/1 f0"]
    assert len(search(root)) == 4


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
        ours = pool.submit(publish_all, root, record())
        waited = not wait([ours], timeout=0.5).done
        if killed:
            other.kill()
        else:
            other.communicate("go on\n")
        assert ours.result(timeout=20) == (3, 0)
    assert waited
    assert "another run publishes; waiting" in capsys.readouterr().out


def test_a_publish_that_fails_lets_go_of_the_store(root, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", lambda *_, **__: (_ for _ in ()).throw(RuntimeError))
        with pytest.raises(RuntimeError):
            publish_all(root, record())
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(publish_all, root, record()).result(timeout=20) == (3, 0)


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


def test_a_variant_is_a_row_of_its_own_with_means_and_its_seeds_below(root):
    both = [record(), record("virtual/bce/1")]
    rows = [variant(curves={"training_loss": [0.75, float("nan"), 0.5]}), variant("asl")]
    publish_all(root, *both, variants=rows)
    found = {r.info.run_name: r for r in search(root, 'tags.kind = "variant"')}
    assert found.keys() == {"bce", "asl"}
    assert not [r for r in found.values() if "mlflow.parentRunId" in r.data.tags]
    bce = found["bce"].info.run_id
    assert found["bce"].data.metrics == {"species_map": 0.3, "training_loss": 0.5}
    # An epoch without a finite loss leaves a gap, and moves no other.
    curve = store(root).get_metric_history(bce, "training_loss")
    assert [(m.step, m.value) for m in curve] == [(1, 0.75), (3, 0.5)]
    assert {r.data.tags["mlflow.parentRunId"] for r in runs(root)} == {bce}


def test_the_report_is_a_run_of_its_own_and_holds_files_and_folders(root):
    (root / "figures").mkdir()
    for name in ("report.html", "figures/map.png"):
        (root / name).write_text(name)
    publish_all(root, record(), study=report(artifacts=[root / "report.html", root / "figures"]))
    (whole,) = search(root, 'tags.kind = "study"')
    assert (whole.info.run_name, whole.info.status) == ("report", "FINISHED")
    assert whole.data.params == {"variants": "bce"}
    assert (whole.data.tags["study"], whole.data.tags["current"]) == ("tiny", "true")
    assert not {"cell", "mlflow.parentRunId"} & whole.data.tags.keys()
    listed = [a.path for folder in ("", "figures") for a in store(root).list_artifacts(whole.info.run_id, folder)]
    assert listed == ["figures", "report.html", "figures/map.png"]
    assert current(root) == ["virtual/bce/0 f0"]


def test_exactly_one_variant_and_one_report_are_current_through_changes_and_back(root):
    both = [record(), record("virtual/bce/1")]
    publish_all(root, *both)
    assert publish_all(root, *both, variants=[variant(fingerprint="v1")], study=report("p1")) == (2, 2)
    assert (above(root, "variant"), above(root, "study")) == (["V1", "v0"], ["P1", "p0"])
    assert current(root) == ["virtual/bce/0 f0", "virtual/bce/1 f0"]
    assert publish_all(root, *both) == (0, 4)
    assert (above(root, "variant"), above(root, "study")) == (["V0", "v1"], ["P0", "p1"])
    assert current(root) == ["virtual/bce/0 f0", "virtual/bce/1 f0"]


def test_a_replaced_run_stays_below_the_variant_that_it_was_part_of(root):
    publish_all(root, record())
    publish_all(root, record(fingerprint="f1"), variants=[variant(fingerprint="v1")])
    fingerprint_of = {r.info.run_id: r.data.tags["fingerprint"] for r in search(root)}
    below = {r.data.tags["fingerprint"]: fingerprint_of[r.data.tags["mlflow.parentRunId"]] for r in runs(root)}
    assert below == {"f0": "v0", "f1": "v1"}


def test_a_variant_in_a_copy_takes_only_its_own_new_runs(root):
    publish_all(root, record(), record("virtual/bce/1"))
    note = experiment(root).tags["mlflow.note.content"]
    assert "presence_only.pipeline.explore --run runs/" in note
    changed = [record(), record("virtual/bce/1", "f1")]
    other = {"variants": [variant(fingerprint="v1")], "study": report("p1"), "note": "of the copy", "state": "copy"}
    assert publish_all(root, *changed, move_current=False, **other) == (3, 1)
    assert (above(root, "variant"), above(root, "study")) == (["V0", "v1"], ["P0", "p1"])
    assert current(root) == ["virtual/bce/0 f0", "virtual/bce/1 f0"]
    (new,) = search(root, 'tags.fingerprint = "f1"')
    assert store(root).get_run(new.data.tags["mlflow.parentRunId"]).data.tags["fingerprint"] == "v1"
    assert experiment(root).tags["mlflow.note.content"] == note
    assert published("copy", root) == 0


def test_a_report_cut_short_is_logged_anew(root, monkeypatch):
    file = root / "report.html"
    file.write_text("report")
    publish_all(root, record())
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish_all(root, record(), study=report("p1", artifacts=[file]))
    assert publish_all(root, record(), study=report("p1", artifacts=[file])) == (1, 2)
    assert above(root, "study") == ["P1", "p0"]
    assert current(root) == ["virtual/bce/0 f0"]
    assert len(search(root)) == 4


def older_run(root, tags, name=""):
    """A run as an older publish left it; returns its id."""
    client = store(root)
    if client.get_experiment_by_name("tiny") is None:
        client.create_experiment("tiny", artifact_location=(root / "mlartifacts/tiny").as_uri())
    return client.create_run(experiment(root).experiment_id, tags=tags, run_name=name).info.run_id


def experiment(root):
    return store(root).get_experiment_by_name("tiny")


def test_runs_of_a_store_from_before_there_were_parents_are_taken_in(root):
    old = older_run(root, {"cell": "virtual/bce/0", "fingerprint": "f0", "current": "true"})
    assert publish_all(root, record()) == (2, 1)
    assert current(root) == ["virtual/bce/0 f0"]
    assert [r.info.run_id for r in runs(root)] == [old]


def test_runs_of_the_layout_without_variants_are_taken_in(root):
    """In it all seeds lay below the study, which also held the report."""
    study = older_run(root, {"kind": "study", "fingerprint": "old", "current": "true"}, "tiny")
    cell = {"kind": "cell", "cell": "virtual/bce/0", "mlflow.parentRunId": study}
    old = older_run(root, cell | {"fingerprint": "f0", "current": "true"})
    assert publish_all(root, record()) == (2, 1)
    assert current(root) == ["virtual/bce/0 f0"]
    assert [r.info.run_id for r in runs(root)] == [old]
    # Nothing lies below the old study any more; its files are those of the report.
    assert above(root, "study") == ["P0"]
    assert not search(root, 'tags.kind = "cell"')


def test_replaced_runs_of_the_layout_without_variants_stay_below_their_study(root):
    study = older_run(root, {"kind": "study", "fingerprint": "old", "current": "true"}, "tiny")
    cell = {"kind": "cell", "cell": "virtual/bce/0", "mlflow.parentRunId": study}
    older_run(root, cell | {"fingerprint": "f0", "current": "false"})
    older_run(root, cell | {"fingerprint": "f1", "current": "true"})
    publish_all(root, record(fingerprint="f2"))
    assert current(root) == ["virtual/bce/0 f2"]
    assert above(root, "study") == ["P0", "old"]
    assert {r.data.tags["fingerprint"] for r in search(root, f'tags.mlflow.parentRunId = "{study}"')} == {"f0", "f1"}


def test_of_two_equal_runs_one_is_current(root):
    """As after two publishes at the same time."""
    publish_all(root, record())
    client = store(root)
    for run in search(root):
        client.create_run(run.info.experiment_id, tags=run.data.tags)
    publish_all(root, record())
    assert (above(root, "variant"), above(root, "study")) == (["V0", "v0"], ["P0", "p0"])
    assert current(root) == ["virtual/bce/0 f0"]


def test_studies_and_foreign_runs_are_left_alone(root):
    publish_all(root, record())
    client = store(root)
    foreign = client.create_run(experiment(root).experiment_id)
    publish_all(root, record(), name="other")
    publish_all(root, record())
    assert client.get_run(foreign.info.run_id).info.lifecycle_stage == "active"
    assert len(runs(root, "other")) == 1


@pytest.mark.parametrize("tags", [None, {}, {"mlflow.experimentKind": "genai_development"}])
def test_an_experiment_opens_as_training_runs(root, tags):
    if tags is not None:
        store(root).create_experiment("tiny", tags=tags)
    publish_all(root, record())
    assert experiment(root).tags["mlflow.experimentKind"] == "custom_model_development"


def test_the_description_leads_to_the_variants_and_the_report(root):
    publish_all(root, record(), ranking="species_map", note="Best: `bce`")
    text = experiment(root).tags["mlflow.note.content"]
    variants, whole = re.findall(r"\]\(#/experiments/1/runs(.*?)\)", text)
    query = parse_qs(variants.removeprefix("?"))
    assert query["orderByKey"] == ["metrics.`species_map`"]
    (found,) = search(root, query["searchFilter"][0])
    assert found.info.run_name == "bce"
    assert search(root, 'tags.kind = "study"')[0].info.run_id in whole
    assert text.endswith("Best: `bce`")
    publish_all(root, record(), note="Best: `asl`")
    assert experiment(root).tags["mlflow.note.content"].endswith("Best: `asl`")


def test_a_description_of_the_users_own_is_kept(root):
    publish_all(root, record())
    store(root).set_experiment_tag(experiment(root).experiment_id, "mlflow.note.content", "mine")
    publish_all(root, record(), note="other")
    assert experiment(root).tags["mlflow.note.content"] == "mine"


def test_what_was_published_is_known_again(root):
    assert published("s0", root) == 0
    publish_all(root, record(), state="s0")
    assert published("s0", root) == 3
    assert published("s1", root) == 0
    publish_all(root, record(fingerprint="f1"), state="s1")
    assert (published("s0", root), published("s1", root)) == (0, 3)


def change_nothing_but(root, change):
    client = store(root)
    (seed,) = runs(root)
    others = search(root, 'tags.kind = "study"')
    match change:
        case "a run is deleted":
            client.delete_run(seed.info.run_id)
        case "a run is no longer current":
            client.set_tag(seed.info.run_id, "current", "false")
        case "a run is current instead of another":
            client.delete_run(others[0].info.run_id)
            client.create_run(seed.info.experiment_id, tags={"current": "true"})
        case "the experiment is deleted":
            client.delete_experiment(seed.info.experiment_id)
        case "the state is not whole":
            client.set_experiment_tag(seed.info.experiment_id, STATE, "")
        case "a table is missing":
            with closing(sqlite3.connect(root / "mlflow.db")) as database:
                database.execute("drop table experiment_tags")
        case "the database is empty":
            (root / "mlflow.db").write_bytes(b"")
        case "the database is missing":
            (root / "mlflow.db").unlink()
        case "the database is damaged":
            (root / "mlflow.db").write_bytes(b"garbage" * 1000)


@pytest.mark.parametrize(
    "change",
    [
        "a run is deleted",
        "a run is no longer current",
        "a run is current instead of another",
        "the experiment is deleted",
        "the state is not whole",
        "a table is missing",
        "the database is empty",
        "the database is missing",
        "the database is damaged",
    ],
)
def test_a_store_that_was_changed_is_not_taken_for_published(root, change):
    publish_all(root, record(), state="s0")
    assert published("s0", root) == 3
    change_nothing_but(root, change)
    assert published("s0", root) == 0
    assert (root / "mlflow.db").exists() == (change != "the database is missing")


def test_a_locked_database_is_not_waited_for(root):
    publish_all(root, record(), state="s0")
    with closing(sqlite3.connect(root / "mlflow.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        assert published("s0", root) == 0
    assert published("s0", root) == 3


def test_a_publish_cut_short_is_not_taken_for_a_whole_one(root, monkeypatch):
    publish_all(root, record(), state="s0")
    with monkeypatch.context() as patch:
        patch.setattr(tracking, "_retire", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            publish_all(root, record(fingerprint="f1"), state="s1")
    assert (published("s0", root), published("s1", root)) == (0, 0)
    publish_all(root, record(fingerprint="f1"), state="s1")
    assert published("s1", root) == 3


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "postgresql://u@h/db", "sqlite://", "sqlite:///:memory:"])
def test_another_store_is_not_read_without_mlflow(root, monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert published("s0", root) == 0


def test_a_database_elsewhere_is_read_where_it_is(root, monkeypatch):
    publish_all(root, record(), state="s0")
    moved = root / "a folder #1" / "runs.db"
    moved.parent.mkdir()
    (root / "mlflow.db").rename(moved)
    monkeypatch.chdir(moved.parent)
    for uri in (f"sqlite:///{moved}", "sqlite:///runs.db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert published("s0", root) == 3


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
