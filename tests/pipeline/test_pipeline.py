"""The whole path by DVC in a project of its own: what a user does, what a user edits, and what a user gets wrong."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress

import polars as pl
import psutil
import pytest
from ruamel.yaml import YAML
from support import tiny
from support.code_edits import EDITS, make_edit
from support.tiny_project import CELLS, ENVIRONMENT, ROOT

from presence_only.evaluation.metrics import METRICS
from presence_only.evaluation.seed_scores import SEED_NUMBERS
from presence_only.evaluation.threshold_numbers import SPECIES_NUMBERS
from presence_only.model.settings import EncoderSettings


def test_repro_makes_the_comparison(project):
    cells = {f"{stage}@virtual-{variant}" for stage in ("train", "evaluate") for variant in ("bce", "an_full")}
    assert project.first_repro == {"generate@virtual", *cells, "compare", "figures", "settings", "report"}
    table = project.comparison()
    assert table.columns == [
        "dataset", "variant", "metric", "mean", "sd", "low", "high", "n_seeds", "n_species", "n_sites", "ensemble",
    ]  # fmt: skip
    assert set(table["variant"]) == {"bce", "an_full"}
    assert set(table["metric"]) == {*METRICS, *SEED_NUMBERS, *SPECIES_NUMBERS}
    assert table["n_seeds"].unique().to_list() == [2]
    pairs = pl.read_csv(project.folder / "results/pairs.csv")
    assert set(pairs["metric"]) == {name for name, metric in METRICS.items() if metric.unit == "species"}
    assert set(pairs["first"]) | set(pairs["second"]) == {"bce", "an_full"}
    # One data set is no sample of data sets.
    assert pl.read_csv(project.folder / "results/across.csv").is_empty()
    assert pl.read_csv(project.folder / "results/across_pairs.csv").is_empty()
    # A number that is defined for a single seed has no interval.
    with_interval = table.filter(pl.col("low").is_not_nan())
    assert set(METRICS) < set(with_interval["metric"])
    assert with_interval.filter((pl.col("low") > pl.col("mean")) | (pl.col("high") < pl.col("mean"))).is_empty()
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


def test_the_figures_as_a_page_of_dvc(project, tmp_path):
    project.run("dvc", "plots", "show", "results/figures", "results/more_figures", "-o", str(tmp_path / "page"))
    page = (tmp_path / "page/index.html").read_text()
    assert page.count("<img") == 5
    # Without the template DVC's page asks a server elsewhere for its scripts.
    assert not re.search(r"(src|href)=.?https?:", page)


def test_a_run_tells_what_made_it(project):
    run = next(r for r in project.runs() if r["tags"]["cell"] == "virtual/an_full/1")
    assert run["params"]["pos_lambda"] == "16.0"
    assert run["params"]["encoder.width"] == "16"
    assert run["params"]["dataset.records"] == "600"
    assert len(run["tags"]["git_commit"]) == 40
    assert len(run["tags"]["data_hash"]) == 16
    assert {*METRICS, "training_loss"} <= set(run["metrics"])


def test_a_second_repro_runs_nothing_and_leaves_everything_as_it_is(project):
    assert project.repro() == set()
    assert [len(project.runs(kind=kind)) for kind in ("seed", "variant", "study")] == [4, 2, 1]
    assert project.run("git", "status", "--porcelain") == ""


def test_deleting_mlflow_loses_nothing(project):
    (project.folder / "mlflow.db").unlink()
    assert project.repro() == set()
    assert project.current_cells() == CELLS


def test_the_same_settings_give_the_same_bytes_without_dvc_too(project, tmp_path):
    """By a Python of its own for every stage, as users have it, where DVC ran forks of one that had imported torch."""
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


def test_an_edited_and_a_new_variant_are_trained_and_back_everything_is_restored(project):
    before = (project.folder / "results/comparison.csv").read_bytes()
    project.edit(
        variants__an_full={"loss": "an_full", "pos_lambda": 4.0},
        variants__focal={"loss": "focal"},
        study__variants=["an_full", "focal"],
    )
    assert project.repro() == {
        *(f"{stage}@virtual-{variant}" for stage in ("train", "evaluate") for variant in ("an_full", "focal")),
        *("compare", "figures", "settings", "report"),
    }
    assert set(project.comparison()["variant"]) == {"an_full", "focal"}
    assert project.current_cells() == ["virtual/an_full/0", "virtual/an_full/1", "virtual/focal/0", "virtual/focal/1"]
    assert project.current_setting("pos_lambda") == "4.0"
    assert len(project.runs()) == 8

    project.edit()
    # From DVC's cache: training is not executed, and yet MLflow follows.
    assert project.repro() == {"compare", "figures", "settings", "report"}
    assert (project.folder / "results/comparison.csv").read_bytes() == before
    assert project.current_cells() == CELLS
    assert project.current_setting("pos_lambda") == "16.0"
    assert len(project.runs()) == 8


def test_an_experiment_of_dvc_in_a_copy_leaves_the_projects_runs_current(project):
    project.run("dvc", "exp", "run", "--temp", "-n", "lambda4", "-S", "variants.an_full.pos_lambda=4.5")
    assert project.current_cells() == CELLS
    assert project.current_setting("pos_lambda") == "16.0"
    assert "4.5" in {r["params"].get("pos_lambda") for r in project.runs(current=False)}
    difference = json.loads(project.run("dvc", "metrics", "diff", "--json", "HEAD", "lambda4"))
    changed = difference["results/metrics.json"]
    assert changed["virtual.an_full.species_map"]["diff"] != 0


def seeds_in_training(dvc):
    """Processes that train a seed: children of the Python that runs the stage."""
    with suppress(psutil.NoSuchProcess):
        below = psutil.Process(dvc).children(recursive=True)
        stage = {process.pid for process in below if "presence_only.pipeline.train" in process.cmdline()}
        return [process for process in below if process.ppid() in stage]
    return []


def test_a_killed_training_is_redone_and_leaves_no_half_file(project):
    """By real Pythons, as a fork of the server is no process of DVC's to kill."""
    project.edit(variants__bce={"loss": "bce", "pos_weight": True}, training__epochs=10_000)
    environment = project.environment | {"PATH": ENVIRONMENT["PATH"]}
    options = {"cwd": project.folder, "env": environment, "stdout": subprocess.DEVNULL, "start_new_session": True}
    with subprocess.Popen(["dvc", "repro", "train@virtual-bce"], **options) as process:
        while not seeds_in_training(process.pid):
            assert process.poll() is None
            time.sleep(0.1)
        # Now it trains: importing is over when the seeds' processes start.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        os.killpg(process.pid, 9)
    assert not list(project.folder.glob("runs/virtual/bce/**/*.*"))
    project.edit()
    assert project.repro() == set()
    assert project.current_cells() == CELLS
    assert project.comparison()["variant"].unique().sort().to_list() == ["an_full", "bce"]


GENERATE = ("generate", "--dataset", "virtual")
WRONG = [
    ({"variants__bce": {"loss": "bcee"}}, ("code",), "unknown loss 'bcee' in variants.bce; known: "),
    ({"training__epoch": 3}, ("code",), "unknown key 'epoch' in training; known: "),
    ({"datasets__virtual__species": 700}, GENERATE, "records = 600: must be at least the number of species"),
    ({"datasets__virtual": {"kind": "nceas", "root": "/nowhere/at/all", "region": "AWT"}}, GENERATE, "/nowhere/at/all"),
]


@pytest.mark.parametrize(("change", "stage", "sentence"), WRONG, ids=[w[2][:20] for w in WRONG])
def test_wrong_settings_end_with_one_sentence_and_exit_code_1(project, change, stage, sentence):
    project.edit(**change)
    done = project.stage(*stage)
    project.edit()
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_cell_outside_of_the_study_is_one_sentence(project):
    done = project.stage("train", "--dataset", "virtual", "--variant", "nothing")
    assert (done.returncode, done.stderr) == (1, "error: unknown variant 'nothing'; the study has: bce, an_full\n")


def test_a_missing_file_says_what_makes_it(project, tmp_path):
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    done = project.stage("train", "--dataset", "world_1", "--variant", "bce", folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "dvc repro" in done.stderr
    assert "Traceback" not in done.stderr


NOTHING = [kind for kind, (_, entries) in EDITS.items() if not entries]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (NOTHING, set()),
        (["a label of a figure"], {"figures", "report"}),
        (["a loss"], {"train@virtual-bce", "settings"}),
        (
            ["a metric"],
            {"evaluate@virtual-bce", "evaluate@virtual-an_full", "compare", "figures", "report"},
        ),
        (["the grid of the Earth"], {"generate@virtual", "settings", "figures", "report"}),
    ],
    ids=["nothing", "figure", "loss", "metric", "earth"],
)
def test_dvc_reruns_what_an_edit_can_change_and_no_more(project, kinds, expected):
    """Results stay as they are, so that nothing follows from a stage that was executed again; edits add up.

    The stage `settings` writes every setting and the curves of penalties down, so that it follows losses and data sets.
    test_code_edits.py has the kinds that are not here.
    """
    assert len(NOTHING) == 8
    for kind in kinds:
        make_edit(project.folder / "src/presence_only", kind)
    assert project.repro() == expected


STUDY = "experiments/small"


@pytest.fixture(scope="module")
def study(project):
    """A study below experiments/ that names what differs: one variant and one seed, in steps."""
    folder = project.folder / STUDY
    folder.mkdir(parents=True)
    shutil.copy(project.folder / "dvc.yaml", folder / "dvc.yaml")
    raw = tiny.params(study__name="small", study__variants=["an_full"], study__seeds=[3])
    del raw["encoder"], raw["variants"]["bce"]
    raw["training"] = {"steps": 5}
    YAML().dump(raw, folder / "params.yaml")
    project.commit("a study")
    return project


def test_a_study_below_experiments_runs_by_the_same_pipeline_and_leaves_the_root_alone(study):
    root = (study.folder / "results/comparison.csv").read_bytes()
    ran = study.repro(f"{STUDY}/dvc.yaml")
    assert f"{STUDY}/dvc.yaml:train@virtual-an_full" in ran
    assert not [name for name in ran if not name.startswith(STUDY)]
    assert set(study.comparison(STUDY)["variant"]) == {"an_full"}
    assert (study.folder / "results/comparison.csv").read_bytes() == root
    settings = YAML(typ="safe").load(study.folder / STUDY / "results/settings.yaml")
    assert (settings["variants"]["an_full"]["training"]["steps"], settings["study"]["seeds"]) == (5, [3])
    assert settings["variants"]["an_full"]["encoder"]["width"] == EncoderSettings().width
    # Nothing of DVC's or git's lies there, and what git must not hold is ignored by the one file at the root.
    assert not list((study.folder / "experiments").rglob(".gitignore"))
    assert not (study.folder / STUDY / ".dvc").exists()
    untracked = study.run("git", "status", "--porcelain", "--untracked-files=all").split()
    assert not [path for path in untracked if path.endswith((".pt", ".parquet", ".html", "code.yaml"))]
    study.commit("its results")
    assert study.repro("-R", ".") == set()
    assert study.run("git", "status", "--porcelain") == ""


def test_a_queued_experiment_of_a_study_runs_in_a_copy(study):
    before = study.comparison(STUDY)
    settings = ("-S", "variants.an_full.pos_lambda=3.5", "-S", "+training.beta2=0.9")
    study.run("dvc", "exp", "run", "--queue", *settings, "compare", folder=STUDY)
    study.run("dvc", "exp", "run", "--run-all", folder=STUDY)
    table = json.loads(study.run("dvc", "exp", "show", "--json"))
    (experiment,) = [found for line in table for found in line.get("experiments") or []]
    (state,) = [revision["data"] for revision in experiment["revs"]]
    params = state["params"][f"{STUDY}/params.yaml"]["data"]
    assert (params["variants"]["an_full"]["pos_lambda"], params["training"]["beta2"]) == (3.5, 0.9)
    assert state["metrics"][f"{STUDY}/results/metrics.json"]["data"]
    # The folder is as before.
    assert study.comparison(STUDY).equals(before)
    assert study.run("git", "status", "--porcelain") == ""


def test_an_experiment_of_a_study_in_its_folder(study):
    before = study.comparison(STUDY)
    study.run("dvc", "exp", "run", "-S", "variants.an_full.pos_lambda=2.5", "compare", folder=STUDY)
    assert not study.comparison(STUDY).equals(before)
    difference = json.loads(study.run("dvc", "metrics", "diff", "--json"))
    assert list(difference) == [f"{STUDY}/results/metrics.json"], difference
