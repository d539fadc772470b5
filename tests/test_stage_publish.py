"""What the publish stage reads from a study's files, and puts into MLflow."""

import re
import shutil
from dataclasses import replace

import pytest
import tiny
from mlflow.tracking import MlflowClient
from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH
from ruamel.yaml import YAML

from presence_only.files import write_json
from presence_only.layout import COMPARISON, FIGURES, PAIRS, REPORT, CellFiles, DatasetFiles
from presence_only.params import load_params
from presence_only.stages import publish
from presence_only.tracking import RunRecord

EARLIER = RunRecord("virtual/bce/0", "f", {}, {}, {}, finished=1_000.0)
LATER = RunRecord("virtual/bce/1", "f", {}, {}, {}, finished=4_000_000_000.0)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A study as the evaluation leaves it, before the comparison and the report."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    YAML().dump(tiny.params(study__variants=["bce"]), tmp_path / "params.yaml")
    for part in (DatasetFiles("virtual").training, DatasetFiles("virtual").survey):
        part.mkdir(parents=True)
        (part / "table").write_text("data")
    cell = CellFiles("virtual", "bce")
    for seed in (0, 1):
        write_json(cell.history(seed), {"loss": [0.5, 0.25]})
        cell.encoder(seed).write_text(f"weights {seed}")
    write_json(cell.metrics, {f"seed_{seed}": {"species_map": 0.5} for seed in (0, 1)})
    return tmp_path


def report_on_it():
    """Write what the comparison and the report add."""
    FIGURES.mkdir(parents=True)
    for path in (REPORT, COMPARISON, PAIRS, FIGURES / "map.png", FIGURES / "auc.svg"):
        path.write_text(path.name)


def shown(project):
    """Artifacts of the current parent, and the current runs below it; there is one such parent."""
    client = MlflowClient(tracking_uri=f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny").experiment_id
    (whole,) = client.search_runs([experiment], 'tags.current = "true" and tags.kind = "study" and tags.study = "tiny"')
    parent = whole.info.run_id
    assert whole.info.run_name == "tiny"
    artifacts = [a.path for part in ("", "figures") for a in client.list_artifacts(parent, part) if not a.is_dir]
    children = client.search_runs([experiment], f'tags.current = "true" and tags.mlflow.parentRunId = "{parent}"')
    return artifacts, sorted(child.data.tags["cell"] for child in children), len(client.search_runs([experiment]))


RUNS = ["virtual/bce/0", "virtual/bce/1"]
FILES = ["comparison.csv", "pairs.csv", "report.html", "figures/auc.svg", "figures/map.png"]


def test_a_study_is_published_with_what_is_there_and_again_when_there_is_more(folder, monkeypatch, capsys):
    publish.main()
    assert shown(folder) == ([], RUNS, 3)
    report_on_it()
    publish.main()
    assert shown(folder) == (FILES, RUNS, 4)
    capsys.readouterr()
    publish.main()
    assert shown(folder) == (FILES, RUNS, 4)
    said = capsys.readouterr().out
    assert f"0 runs logged, 3 already there, in sqlite:///{folder}/mlflow.db\n" in said
    assert re.search(rf"mlflow ui --workers 1 --backend-store-uri sqlite:///{folder}/mlflow\.db\n", said)
    assert re.search(r"then open http://127\.0\.0\.1:5000/#/experiments/\d+/runs\n", said)

    REPORT.write_text("changed")
    publish.main()
    assert "MLflow: 1 run logged, 2 already there" in capsys.readouterr().out
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
    assert shown(folder) == (FILES, RUNS, 7)


@pytest.mark.parametrize("path", [REPORT, COMPARISON, PAIRS, FIGURES / "map.png"])
def test_the_parent_is_another_where_any_of_its_files_is(folder, path):
    report_on_it()
    params = load_params()
    before = publish.study_record(params, [EARLIER], {})
    assert publish.study_record(params, [EARLIER, LATER], {"git_commit": "x"}).fingerprint == before.fingerprint
    path.write_text("changed")
    changed = publish.study_record(params, [EARLIER], {}).fingerprint
    path.unlink()
    assert len({before.fingerprint, changed, publish.study_record(params, [EARLIER], {}).fingerprint}) == 3


def test_the_parent_names_what_the_study_compares_and_comes_after_its_runs(folder):
    record = publish.study_record(load_params(), [EARLIER, LATER], {"study": "tiny"})
    assert record.params == {"datasets": "virtual", "variants": "bce", "seeds": "0, 1"}
    assert (record.cell, record.artifacts, record.finished) == ("", [], LATER.finished)
    report_on_it()
    record = publish.study_record(load_params(), [EARLIER], {})
    assert set(record.artifacts) == {REPORT, COMPARISON, PAIRS, FIGURES}
    assert record.finished == max(path.stat().st_mtime for path in (REPORT, COMPARISON, PAIRS, FIGURES))


@pytest.mark.parametrize("n", [10, 600, 5000])
def test_a_parent_of_many_variants_names_as_many_as_mlflow_keeps(folder, n):
    names = [f"an_full_weight_{i:04d}" for i in range(n)]
    params = load_params()
    study = params.study.model_copy(update={"variants": tuple(names)})
    text = publish.study_record(replace(params, study=study), [EARLIER], {}).params["variants"]
    if n == 10:
        assert text == ", ".join(names)
        return
    assert MAX_PARAM_VAL_LENGTH - len(names[0]) - 2 < len(text) <= MAX_PARAM_VAL_LENGTH
    start, named = re.fullmatch(r"(\d+) in all: (.*), \.\.\.", text).groups()
    assert int(start) == n
    assert named.split(", ") == names[: len(named.split(", "))]


def test_parents_differ_by_a_variant_that_is_not_named(folder):
    params = load_params()

    def fingerprint(*last):
        names = (*(f"an_full_weight_{i:04d}" for i in range(600)), *last)
        study = params.study.model_copy(update={"variants": names})
        return publish.study_record(replace(params, study=study), [EARLIER], {}).fingerprint

    assert fingerprint("a") != fingerprint("b")


@pytest.mark.parametrize(("items", "text"), [("abc", "a, b, c"), ("abcdefgh", "8 in all: a, b, ...")])
def test_a_list_that_fits_is_whole(items, text):
    assert publish.fitting(items, 20) == text
