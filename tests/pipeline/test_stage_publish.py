"""What the publish stage reads from a study's files, and puts into MLflow."""

import os
import re
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH
from ruamel.yaml import YAML
from support import tiny

from presence_only.common.atomic_files import content_hash, write_json
from presence_only.pipeline import mlflow_mirror as tracking
from presence_only.pipeline import mlflow_rows, publish
from presence_only.pipeline.command import run_stage
from presence_only.pipeline.mlflow_mirror import RunRecord, StoreError
from presence_only.study.params import Params, save_settings
from presence_only.study.paths import (
    COMPARISON,
    FIGURES,
    MORE_FIGURES,
    PAIRS,
    REPORT,
    SETTINGS,
    CellFiles,
    DatasetFiles,
)

EARLIER = RunRecord("virtual/bce/0", "seed", "bce", "f", {}, started=900.0, finished=1_000.0)
LATER = RunRecord("virtual/bce/1", "seed", "bce", "f", {}, started=950.0, finished=4_000_000_000.0)


def write_settings(tree):
    """params.yaml, and all settings as the stage ``settings`` writes them."""
    YAML().dump(tree, Path("params.yaml"))
    save_settings(Params.parse(tree), SETTINGS)


def write_study(folder):
    """A study as the evaluation leaves it, before the comparison and the report; the working directory becomes it."""
    folder.mkdir()
    os.chdir(folder)
    write_settings(tiny.params(study__variants=["bce"]))
    for part in (DatasetFiles("virtual").training, DatasetFiles("virtual").survey):
        part.mkdir(parents=True)
        (part / "table").write_text("data")
    cell = CellFiles("virtual", "bce")
    for seed in (0, 1):
        write_json(cell.history(seed), {"loss": [0.5 + seed, 0.25]})
        cell.encoder(seed).write_text(f"weights {seed}")
    means = {"species_map": 0.5, "geoscore": None, "n_species": 12.0, "effort_correlation_of_truth": 0.25}
    of_seeds = {f"seed_{seed}": {"species_map": 0.4 + 0.2 * seed, "geoscore": None} for seed in (0, 1)}
    write_json(cell.metrics, means | of_seeds | {"ensemble": {"species_map": 0.75}})


@pytest.fixture(scope="module")
def made_once(tmp_path_factory, empty_store):
    """A study that was published: to make it takes longer than a test."""
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        outside_of_dvc_and_git(patch, folder)
        write_study(folder / "study")
        shutil.copy(empty_store, "mlflow.db")
        publish.main()
    return folder


def outside_of_dvc_and_git(patch, folder):
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
        patch.delenv(name, raising=False)
    patch.setenv("GIT_CEILING_DIRECTORIES", str(folder))


@pytest.fixture
def folder(tmp_path, empty_store, monkeypatch):
    """A study that was not published."""
    monkeypatch.chdir(tmp_path)
    outside_of_dvc_and_git(monkeypatch, tmp_path)
    write_study(tmp_path / "study")
    shutil.copy(empty_store, "mlflow.db")
    return tmp_path / "study"


@pytest.fixture
def published(tmp_path, made_once, monkeypatch):
    """A study that was published and is as it was then."""
    shutil.copytree(made_once / "study", tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")
    outside_of_dvc_and_git(monkeypatch, tmp_path)
    return tmp_path / "study"


def report_on_it():
    """Write what the comparison and the report add."""
    FIGURES.mkdir(parents=True)
    MORE_FIGURES.mkdir()
    for path in (REPORT, COMPARISON, PAIRS, FIGURES / "map.png", MORE_FIGURES / "auc.svg"):
        path.write_text(path.name)


def search(project, text):
    client = MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")
    return client, client.search_runs([client.get_experiment_by_name("tiny").experiment_id], text)


def shown(project):
    """Artifacts of the current report, the current seeds below the current variant, and the number of all runs."""
    client, (report,) = search(project, 'tags.current = "true" and tags.kind = "study" and tags.study = "tiny"')
    assert report.info.run_name == "report"
    artifacts = [
        a.path
        for part in ("", "figures", "more_figures")
        for a in client.list_artifacts(report.info.run_id, part)
        if not a.is_dir
    ]
    _, (variant,) = search(project, 'tags.current = "true" and tags.kind = "variant"')
    _, seeds = search(project, f'tags.current = "true" and tags.mlflow.parentRunId = "{variant.info.run_id}"')
    return artifacts, sorted(seed.data.tags["cell"] for seed in seeds), len(search(project, "")[1])


RUNS = ["virtual/bce/0", "virtual/bce/1"]
FILES = ["comparison.csv", "pairs.csv", "report.html", "figures/map.png", "more_figures/auc.svg"]


def test_a_study_is_published_with_what_is_there_and_again_when_there_is_more(folder, monkeypatch, capsys):
    publish.main()
    assert shown(folder) == ([], RUNS, 4)
    report_on_it()
    publish.main()
    assert shown(folder) == (FILES, RUNS, 5)
    said = capsys.readouterr().out
    assert f"1 run logged, 3 already there, in sqlite:///{folder}/mlflow.db\n" in said
    assert re.search(rf"mlflow ui --workers 1 --backend-store-uri sqlite:///{folder}/mlflow\.db\n", said)
    assert re.search(r"then open http://127\.0\.0\.1:5000/#/experiments/\d+/runs\?workflowType=\S+\n", said)
    publish.main()
    assert shown(folder) == (FILES, RUNS, 5)
    there = f"MLflow: nothing to log; the 4 current runs are those of results/, in sqlite:///{folder}/mlflow.db\n"
    assert capsys.readouterr().out == there

    REPORT.write_text("changed")
    publish.main()
    assert "MLflow: 1 run logged, 3 already there" in capsys.readouterr().out
    REPORT.write_text(REPORT.name)
    publish.main()

    # As `dvc exp run --temp` does: a copy of the project, below its .dvc/tmp.
    copy = folder / ".dvc/tmp/exps/temp"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".dvc", "mlflow.db*", "mlartifacts"))
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    CellFiles("virtual", "bce").encoder(1).write_text("other weights")
    REPORT.write_text("other report")
    publish.main()
    assert not (copy / "mlflow.db").exists()
    # Besides the project's own six: a seed, its variant and the report.
    assert shown(folder) == (FILES, RUNS, 9)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT")
    capsys.readouterr()
    publish.main()
    assert capsys.readouterr().out == there


def test_a_variant_shows_its_means_and_what_it_was_trained_with(folder):
    write_json(CellFiles("virtual", "bce").history(1), {"loss": [1.5, None]})
    cell = CellFiles("virtual", "bce")
    write_json(cell.timing, {"runs": content_hash(cell.runs), "seconds": {"0": 2.0, "1": 4.0}})
    publish.main()
    client, (variant,) = search(folder, 'tags.kind = "variant"')
    assert (variant.info.run_name, variant.data.tags["dataset"]) == ("bce", "virtual")
    assert variant.data.metrics == {"species_map": 0.5, "training_seconds": 3.0, "training_loss": 1.0}
    curve = client.get_metric_history(variant.info.run_id, "training_loss")
    # A mean over seeds is told only where every seed has a value.
    assert [(m.step, m.value) for m in curve] == [(1, 1.0)]
    settings = {"loss": "bce", "training.epochs": "2", "seeds": "0, 1", "n_species": "12"}
    assert (settings | {"effort_correlation_of_truth": "0.25"}).items() <= variant.data.params.items()
    _, seeds = search(folder, 'tags.kind = "seed"')
    by_seed = {s.data.tags["seed"]: s.data.metrics for s in seeds}
    assert by_seed["0"] == {"species_map": 0.4, "training_seconds": 2.0, "training_loss": 0.25}
    starts = [s.info.start_time for s in seeds]
    assert variant.info.start_time == min(starts)
    # So that mlflow ui, which puts what was started last on top, has the report at the bottom.
    assert search(folder, 'tags.kind = "study"')[1][0].info.start_time < min(starts)


def test_of_several_data_sets_a_variant_names_its_own(folder):
    tree = tiny.params(study__variants=["bce"], study__datasets=["virtual", "other"])
    write_settings(tree | {"datasets": dict.fromkeys(["virtual", "other"], tree["datasets"]["virtual"])})
    for path in ("data", "runs", "results/metrics"):
        shutil.copytree(Path(path, "virtual"), Path(path, "other"))
    publish.main()
    assert {v.info.run_name for v in search(folder, 'tags.kind = "variant"')[1]} == {"virtual / bce", "other / bce"}
    client, _ = search(folder, "")
    note = client.get_experiment_by_name("tiny").tags["mlflow.note.content"]
    assert "Highest species_map on other: `bce` 0.500" in note


PROBE = """
import sys
from presence_only.pipeline import mlflow_mirror, publish
# What it would hand to MLflow, the import of which takes as long as that of torch.
mlflow_mirror.publish = lambda study, records, *_, **options: (len(records), options["ranking"], "1")
for change in (None, "timing/virtual/bce.json", "runs/virtual/bce/seed_0/encoder.pt"):
    if change:
        # Times of training differ between equal results.
        with open(change, "w") as file:
            file.write('{"runs": "", "seconds": {}}')
    publish.main()
    print("loaded:", *sorted({"mlflow", "torch", "polars", "numpy", "pydantic"} & sys.modules.keys()))
"""


def test_nothing_slow_is_loaded_by_what_looks_for_changes_and_reads_the_runs(published):
    CellFiles("virtual", "bce").timing.parent.mkdir(parents=True)
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    said = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert [line.startswith("MLflow: nothing to log; the 4 current runs") for line in said[:4:2]] == [True, True]
    assert said[4].startswith("MLflow: 4 runs logged, species_map already there")
    # Settings come as plain values: their classes need torch.
    assert said[1::2] == ["loaded:"] * 3


def change_study(folder, what):
    """Change what was published, or what it was published from; returns how many runs are then logged and found."""
    match what:
        case "a seed is deleted" | "a variant is deleted":
            client, runs = search(folder, f'tags.kind = "{what.split()[1]}"')
            client.delete_run(runs[0].info.run_id)
            return 1, 3
        case "a setting is changed":
            write_settings(tiny.params(study__variants=["bce"], training__epochs=3))
            return 3, 1
        case "a data set is changed":
            (DatasetFiles("virtual").survey / "table").write_text("other")
            return 3, 1
        case "a metric is changed":
            write_json(CellFiles("virtual", "bce").metrics, {f"seed_{s}": {"species_map": 0.1} for s in (0, 1)})
            return 3, 1
        case "a figure is drawn":
            report_on_it()
            return 1, 3
        case "older results are restored":
            encoder = CellFiles("virtual", "bce").encoder(0)
            before = encoder.read_text()
            encoder.write_text("other")
            publish.main()
            encoder.write_text(before)
            return 0, 4


@pytest.mark.parametrize(
    "what",
    [
        "a seed is deleted",
        "a variant is deleted",
        "a setting is changed",
        "a data set is changed",
        "a metric is changed",
        "a figure is drawn",
        "older results are restored",
    ],
)
def test_whatever_changes_there_is_one_current_run_of_every_cell_again(published, capsys, what):
    logged, found = change_study(published, what)
    capsys.readouterr()
    publish.main()
    assert f"{logged} run{'s' * (logged != 1)} logged, {found} already there" in capsys.readouterr().out
    assert shown(published)[1] == RUNS
    assert len(search(published, 'tags.current = "true"')[1]) == 4
    publish.main()
    assert "nothing to log; the 4 current runs" in capsys.readouterr().out


@pytest.mark.parametrize("path", [REPORT, COMPARISON, PAIRS, FIGURES / "map.png", MORE_FIGURES / "auc.svg"])
def test_the_report_is_another_run_where_any_of_its_files_is(folder, path):
    report_on_it()
    settings = mlflow_rows.read_settings()
    before = mlflow_rows.study_record(settings, [EARLIER], {})
    assert mlflow_rows.study_record(settings, [EARLIER, LATER], {"git_commit": "x"}).fingerprint == before.fingerprint
    path.write_text("changed")
    changed = mlflow_rows.study_record(settings, [EARLIER], {}).fingerprint
    path.unlink()
    assert len({before.fingerprint, changed, mlflow_rows.study_record(settings, [EARLIER], {}).fingerprint}) == 3


def test_the_report_names_what_the_study_compares_and_spans_its_runs(folder):
    record = mlflow_rows.study_record(mlflow_rows.read_settings(), [EARLIER, LATER], {"study": "tiny"})
    assert record.params == {"datasets": "virtual", "variants": "bce", "seeds": "0, 1"}
    assert (record.cell, record.artifacts, record.started, record.finished) == ("", [], 899.0, LATER.finished)
    report_on_it()
    record = mlflow_rows.study_record(mlflow_rows.read_settings(), [EARLIER], {})
    assert set(record.artifacts) == {REPORT, COMPARISON, PAIRS, FIGURES, MORE_FIGURES}
    assert record.finished == max(path.stat().st_mtime for path in record.artifacts)


def with_variants(settings, names):
    return settings | {"study": settings["study"] | {"variants": names}}


@pytest.mark.parametrize("n", [10, 600, 5000])
def test_a_report_of_many_variants_names_as_many_as_mlflow_keeps(folder, n):
    names = [f"an_full_weight_{i:04d}" for i in range(n)]
    settings = mlflow_rows.read_settings()
    text = mlflow_rows.study_record(with_variants(settings, names), [EARLIER], {}).params["variants"]
    if n == 10:
        assert text == ", ".join(names)
        return
    assert MAX_PARAM_VAL_LENGTH - len(names[0]) - 2 < len(text) <= MAX_PARAM_VAL_LENGTH
    start, named = re.fullmatch(r"(\d+) in all: (.*), \.\.\.", text).groups()
    assert int(start) == n
    assert named.split(", ") == names[: len(named.split(", "))]


def test_reports_differ_by_a_variant_that_is_not_named(folder):
    settings = mlflow_rows.read_settings()

    def fingerprint(*last):
        names = [*(f"an_full_weight_{i:04d}" for i in range(600)), *last]
        return mlflow_rows.study_record(with_variants(settings, names), [EARLIER], {}).fingerprint

    assert fingerprint("a") != fingerprint("b")


@pytest.mark.parametrize(("items", "text"), [("abc", "a, b, c"), ("abcdefgh", "8 in all: a, b, ...")])
def test_a_list_that_fits_is_whole(items, text):
    assert mlflow_rows.fitting(items, 20) == text


def database():
    return sqlite3.connect("mlflow.db", isolation_level=None)


def set_schema(version):
    with closing(database()) as store:
        store.execute("update alembic_version set version_num = ?", [version])


def damage():
    size = Path("mlflow.db").stat().st_size
    Path("mlflow.db").write_bytes(b"garbage " * (size // 8))


def damage_tables():
    """Leave the header, and so what tells a database from another file."""
    head = Path("mlflow.db").read_bytes()[:4096]
    Path("mlflow.db").write_bytes(head + b"garbage " * 50_000)


def needs_logging():
    CellFiles("virtual", "bce").encoder(0).write_text("other")


BROKEN = [
    (
        lambda: set_schema("451aebb31d03"),
        r"written by an older mlflow; back it up, run `\S*mlflow db upgrade sqlite:\S+` ",
    ),
    (lambda: set_schema("ffffffffffff"), "written by a newer mlflow; install that one, or move the database away"),
    (damage, "is damaged; move the file away and run `dvc repro`"),
    (damage_tables, "is damaged; move the file away and run `dvc repro`"),
]


@pytest.mark.parametrize(("breaks", "sentence"), BROKEN, ids=["older", "newer", "damaged", "damaged tables"])
def test_a_database_that_cannot_be_used_is_told_with_the_remedy(published, breaks, sentence):
    needs_logging()
    breaks()
    before = Path("mlflow.db").read_bytes()
    with pytest.raises(StoreError, match=f"^the study's results are complete, but .*{sentence}") as told:
        publish.main()
    assert "\n" not in str(told.value)
    assert Path("mlflow.db").read_bytes() == before


def test_a_locked_database_is_told_after_seconds(published, monkeypatch):
    needs_logging()
    monkeypatch.setattr(tracking, "BUSY", 0.1)
    with closing(database()) as other:
        other.execute("begin exclusive")
        with pytest.raises(StoreError, match="is locked by another program; close that program and run `dvc repro`"):
            publish.main()
        other.execute("rollback")
    publish.main()
    assert shown(published)[1] == RUNS


def test_a_deleted_experiment_is_restored_by_the_command_that_is_told(published):
    needs_logging()
    client, _ = search(published, "")
    client.delete_experiment(client.get_experiment_by_name("tiny").experiment_id)
    with pytest.raises(StoreError, match="its experiment 'tiny' was deleted; restore it with `") as told:
        publish.main()
    _, command, *_ = str(told.value).split("`")
    assert shlex.split(command)[1:4] == [tracking._program(), "experiments", "restore"]
    # As that program does, without the seconds that it takes to start.
    assignment, *_, experiment = shlex.split(command)
    MlflowClient(tracking_uri=assignment.removeprefix("MLFLOW_TRACKING_URI=")).restore_experiment(experiment)
    publish.main()
    assert shown(published)[1] == RUNS


def test_a_server_that_is_down_is_told_after_seconds(published, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{taken.getsockname()[1]}"
        # Bound and not listening, so that the system refuses to connect.
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        start = time.monotonic()
        with pytest.raises(StoreError, match=f"no server answers at {uri}; start it, or unset MLFLOW_TRACKING_URI"):
            publish.main()
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("uri", ["nothing://at/all", "postgresql+nodriver://u@127.0.0.1/db"])
def test_a_store_that_mlflow_does_not_take_is_one_sentence(published, monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(StoreError) as told:
        publish.main()
    assert re.fullmatch(r"the study's results are complete, .*; mend that and run `dvc repro` again", str(told.value))


@pytest.mark.parametrize("path", [CellFiles("virtual", "bce").metrics, SETTINGS], ids=str)
def test_a_missing_result_is_told_by_its_name(published, path):
    path.unlink()
    with pytest.raises(FileNotFoundError, match=path.name):
        publish.main()


@pytest.mark.parametrize("down", [False, True], ids=["damaged database", "server down"])
def test_the_stage_ends_with_exit_code_1_and_one_line(published, monkeypatch, capfd, down):
    needs_logging()
    damage()
    if down:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    capfd.readouterr()
    with pytest.raises(SystemExit) as stopped:
        run_stage(publish.main)
    assert stopped.value.code == 1
    said = capfd.readouterr()
    assert said.out == ""
    # Nor do MLflow and what it calls say anything.
    assert re.fullmatch(r"error: the study's results are complete, .*\n", said.err)
