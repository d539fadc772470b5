"""The whole path by DVC in a project of its own: what a user does, and what a user gets wrong."""

import json
import os
import subprocess
import sys

import polars as pl
import pytest
from ruamel.yaml import YAML
from support import tiny
from support.tiny_project import CELLS, ENVIRONMENT, ROOT

from presence_only.pipeline.evaluate import OBSERVER_NUMBERS


def test_repro_makes_the_comparison(project):
    assert {"generate@virtual", "train@virtual-bce", "evaluate@virtual-an_full", "compare"} <= project.first_repro
    table = project.comparison()
    assert table.columns == [
        "dataset", "variant", "metric", "mean", "sd", "low", "high", "n_seeds", "n_species", "n_sites", "ensemble",
    ]  # fmt: skip
    assert set(table["variant"]) == {"bce", "an_full"}
    assert set(table["metric"]) == {"species_map", "sample_map", "auc_roc", *OBSERVER_NUMBERS}
    assert table["n_seeds"].unique().to_list() == [2]
    pairs = pl.read_csv(project.folder / "results/pairs.csv")
    assert set(pairs["metric"]) == {"species_map", "auc_roc"}
    assert set(pairs["first"]) | set(pairs["second"]) == {"bce", "an_full"}
    assert table.filter((pl.col("low") > pl.col("mean")) | (pl.col("high") < pl.col("mean"))).is_empty()
    metrics = json.loads((project.folder / "results/metrics/virtual/bce.json").read_text())
    row = table.filter((pl.col("variant") == "bce") & (pl.col("metric") == "species_map"))
    assert metrics["species_map"] == pytest.approx(row["mean"][0], abs=1e-6)
    assert metrics["seed_0"]["species_map"] != metrics["seed_1"]["species_map"]
    for file in (
        "results/report.html",
        "results/figures/species_map_virtual.png",
        "results/more_figures/records_virtual.png",
    ):
        assert (project.folder / file).stat().st_size > 1000
    assert project.current_cells() == CELLS
    (parent,) = project.folder.glob("mlartifacts/tiny/*/artifacts/report.html")
    assert parent.read_bytes() == (project.folder / "results/report.html").read_bytes()
    assert (parent.parent / "figures/species_map_virtual.png").exists()
    assert (parent.parent / "more_figures/records_virtual.png").exists()


def test_show_prints_the_table_and_where_things_are(project):
    out = project.stage("show").stdout
    for text in ("an_full", "mAP", "results/report.html", "mlflow ui --workers 1", "mlflow.db"):
        assert text in out


def test_a_run_tells_what_made_it(project):
    run = next(r for r in project.runs() if r["tags"]["cell"] == "virtual/an_full/1")
    assert run["params"]["pos_lambda"] == "16.0"
    assert run["params"]["encoder.width"] == "16"
    assert run["params"]["dataset.records"] == "600"
    assert len(run["tags"]["git_commit"]) == 40
    assert len(run["tags"]["data_hash"]) == 16
    assert {"species_map", "sample_map", "auc_roc", "training_loss"} <= set(run["metrics"])


def test_a_second_repro_runs_nothing_and_leaves_everything_as_it_is(project):
    assert project.repro() == set()
    assert [len(project.runs(kind=kind)) for kind in ("seed", "variant", "study")] == [4, 2, 1]
    assert project.run("git", "status", "--porcelain") == ""


def test_deleting_mlflow_loses_nothing(project):
    (project.folder / "mlflow.db").unlink()
    assert project.repro() == set()
    assert project.current_cells() == CELLS


def test_the_same_settings_give_the_same_bytes_without_dvc_too(project, tmp_path):
    YAML().dump(tiny.params(), tmp_path / "params.yaml")
    for stage in (["generate"], ["train", "--variant", "an_full"], ["evaluate", "--variant", "an_full"]):
        module = f"presence_only.pipeline.{stage[0]}"
        command = [sys.executable, "-m", module, "--dataset", "virtual", *stage[1:]]
        subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=True)
    files = [p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) > 12
    for path in files:
        if path.parts[0] != "timing":
            assert (tmp_path / path).read_bytes() == (project.folder / path).read_bytes(), path


def test_editing_a_variant_reruns_that_variant_and_back_restores_it(project):
    before = (project.folder / "results/comparison.csv").read_bytes()
    project.edit(variants__an_full={"loss": "an_full", "pos_lambda": 4.0})
    ran = project.repro()
    assert ran == {"train@virtual-an_full", "evaluate@virtual-an_full", "compare", "figures", "report"}
    assert project.current_cells() == CELLS
    current = {r["tags"]["cell"]: r["params"] for r in project.runs(current=True)}
    assert current["virtual/an_full/0"]["pos_lambda"] == "4.0"
    assert len(project.runs()) == 6

    project.edit()
    # Restored from DVC's run cache: training is not executed, and yet MLflow follows.
    assert not {name for name in project.repro() if name.startswith("train")}
    current = {r["tags"]["cell"]: r["params"] for r in project.runs(current=True)}
    assert current["virtual/an_full/0"]["pos_lambda"] == "16.0"
    assert len(project.runs()) == 6
    assert (project.folder / "results/comparison.csv").read_bytes() == before


def test_adding_and_removing_a_variant(project):
    focal = {"loss": "focal"}
    project.edit(variants__focal=focal, study__variants=["bce", "focal"])
    ran = project.repro()
    assert {name for name in ran if name.startswith("train")} == {"train@virtual-focal"}
    assert set(project.comparison()["variant"]) == {"bce", "focal"}
    assert project.current_cells() == ["virtual/bce/0", "virtual/bce/1", "virtual/focal/0", "virtual/focal/1"]
    project.edit()
    project.repro()
    assert set(project.comparison()["variant"]) == {"bce", "an_full"}
    assert project.current_cells() == CELLS


def test_an_experiment_of_dvc_in_a_copy_leaves_the_projects_runs_current(project):
    project.repro()
    project.run("git", "checkout", "-q", ".")
    project.run("dvc", "exp", "run", "--temp", "-n", "lambda4", "-S", "variants.an_full.pos_lambda=4.5")
    assert project.current_cells() == CELLS
    current = {r["tags"]["cell"]: r["params"] for r in project.runs(current=True)}
    assert current["virtual/an_full/0"]["pos_lambda"] == "16.0"
    assert "4.5" in {r["params"].get("pos_lambda") for r in project.runs(current=False)}
    difference = json.loads(project.run("dvc", "metrics", "diff", "--json", "HEAD", "lambda4"))
    changed = difference["results/metrics.json"]
    assert changed["virtual.an_full.species_map"]["diff"] != 0


def test_a_killed_training_is_redone_and_leaves_no_half_file(project):
    project.edit(variants__bce={"loss": "bce", "pos_weight": True}, training__epochs=400)
    command = ["dvc", "repro", "train@virtual-bce"]
    options = {"cwd": project.folder, "env": project.environment, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **options) as process:
        for line in process.stdout:
            if "presence_only.pipeline.train" in line:
                break
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=6)
        os.killpg(process.pid, 9)
    assert not (project.folder / "runs/virtual/bce").exists() or not list(
        project.folder.glob("runs/virtual/bce/*/history.json")
    )
    project.edit()
    project.repro()
    assert project.current_cells() == CELLS
    assert set(project.comparison()["variant"]) == {"bce", "an_full"}


WRONG = [
    ({"variants__bce": {"loss": "bcee"}}, "generate", "unknown loss 'bcee' in variants.bce; known: "),
    ({"training__epoch": 3}, "generate", "unknown key 'epoch' in training; known: "),
    ({"datasets__virtual__species": 700}, "generate", "records = 600: must be at least the number of species"),
    (
        {"datasets__virtual": {"kind": "nceas", "root": "/nowhere/at/all", "region": "AWT"}},
        "generate",
        "/nowhere/at/all",
    ),
]


@pytest.mark.parametrize(("change", "stage", "sentence"), WRONG, ids=[w[2][:20] for w in WRONG])
def test_wrong_settings_end_with_one_sentence_and_exit_code_1(project, change, stage, sentence):
    project.edit(**change)
    done = project.stage(stage, "--dataset", "virtual")
    project.edit()
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_cell_outside_of_the_study_is_one_sentence(project):
    done = project.stage("train", "--dataset", "virtual", "--variant", "nothing")
    assert (done.returncode, done.stderr) == (1, "error: unknown variant 'nothing'; the study has: bce, an_full\n")


def test_a_missing_file_says_what_makes_it(tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    command = [sys.executable, "-m", "presence_only.pipeline.train", "--dataset", "virtual", "--variant", "bce"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "dvc repro" in done.stderr
    assert "Traceback" not in done.stderr
