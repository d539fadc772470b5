"""The whole path by DVC in a project of its own: what a user does, and what a user gets wrong."""

import ast
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tiny
from ruamel.yaml import YAML

from presence_only.params import EncoderSettings
from presence_only.stages.evaluate import OBSERVER_NUMBERS

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "MLFLOW_", "GIT_"))},
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
# They run each time: the code is looked at, and MLflow.
ALWAYS = {"code", "publish"}


class Project:
    """A copy of the project in a git repository of its own, with the code that its stages run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.environment = {**ENVIRONMENT, "PYTHONPATH": str(folder / "src")}
        shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(ROOT / name, folder / name)
        self.run("git", "init", "-q")
        self.run("dvc", "init", "-q")
        for name in ("config", "plots.html"):
            shutil.copy(ROOT / ".dvc" / name, folder / ".dvc" / name)
        self.edit()
        self.commit("start")

    def edit(self, **changes) -> None:
        YAML().dump(tiny.params(**changes), self.folder / "params.yaml")

    def edit_code(self, file, place) -> None:
        """Edit the package as a person would: ``place`` is a function, or a text and what takes its place."""
        path = self.folder / "src/presence_only" / file
        text = path.read_text()
        if isinstance(place, tuple):
            assert place[0] in text
            path.write_text(text.replace(*place, 1))
            return
        found = ast.parse(text)
        for name in place.split("."):
            (found,) = [node for node in found.body if getattr(node, "name", "") == name]
        first = next(node for node in found.body if not isinstance(node, ast.Expr))
        lines = text.splitlines()
        # A statement that changes the code, and no result.
        lines.insert(first.lineno - 1, " " * first.col_offset + "assert True")
        path.write_text("\n".join(lines) + "\n")

    def commit(self, message) -> None:
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", message)

    def try_run(self, *command):
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def run(self, *command) -> str:
        done = self.try_run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stage(self, name, *arguments):
        return self.try_run(sys.executable, "-m", f"presence_only.stages.{name}", *arguments)

    def repro(self, *targets) -> set[str]:
        """Reproduce; returns the stages that were executed, but for those that always are."""
        out = self.run("dvc", "repro", *targets)
        ran = {line.split("'")[1] for line in out.splitlines() if line.startswith("Running stage")}
        assert {name.split(":")[-1] for name in ran} >= ALWAYS
        return {name for name in ran if name.split(":")[-1] not in ALWAYS}

    def comparison(self, study="") -> pl.DataFrame:
        return pl.read_csv(self.folder / study / "results/comparison.csv")

    def runs(self, current=None, kind="seed"):
        """Runs of seeds, variants or the study, read from the tables: a client would keep a deleted file open."""
        runs = {}
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as store:
            for table in ("tags", "params", "metrics"):
                rows = store.execute(
                    f"select t.run_uuid, t.key, t.value from {table} t join runs r using (run_uuid) "
                    "join experiments e using (experiment_id) "
                    "where e.name = 'tiny' and r.lifecycle_stage = 'active'"
                )
                for run, key, value in rows:
                    runs.setdefault(run, {"id": run, "tags": {}, "params": {}, "metrics": {}})[table][key] = value
        of_kind = [r for r in runs.values() if r["tags"]["kind"] == kind]
        return [r for r in of_kind if current is None or (r["tags"]["current"] == "true") == current]

    def current_cells(self):
        """The cells of the current seeds, each below the one current run of its variant."""
        assert len(self.runs(current=True, kind="study")) == 1
        variants = {run["tags"]["cell"]: run["id"] for run in self.runs(current=True, kind="variant")}
        runs = self.runs(current=True)
        below = {run["tags"]["cell"].rpartition("/")[0]: run["tags"]["mlflow.parentRunId"] for run in runs}
        assert below == variants
        assert len(self.runs(current=True, kind="variant")) == len(variants)
        return sorted(run["tags"]["cell"] for run in runs)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("study") / "project")
    project.first_repro = project.repro()
    project.commit("results")
    return project


CELLS = ["virtual/an_full/0", "virtual/an_full/1", "virtual/bce/0", "virtual/bce/1"]


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
        "results/figures/records_virtual.png",
    ):
        assert (project.folder / file).stat().st_size > 1000
    assert project.current_cells() == CELLS
    (parent,) = project.folder.glob("mlartifacts/tiny/*/artifacts/report.html")
    assert parent.read_bytes() == (project.folder / "results/report.html").read_bytes()
    assert (parent.parent / "figures/species_map_virtual.png").exists()


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
        module = f"presence_only.stages.{stage[0]}"
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


TRAINING = {"train.bce", "train.an_full"}
NEW_LOSS = """from typing import Literal

from presence_only.losses.pointwise import BceSettings


class NewSettings(BceSettings):
    loss: Literal["new"]
"""
# File of the package and place in it, by the kind of edit; and the entries of code.yaml that it changes.
EDITS = {
    "a comment": ([("losses/pointwise.py", ("class BceSettings", "# A comment.\nclass BceSettings"))], set()),
    "a docstring": ([("training.py", ("Train one encoder.", "Train an encoder."))], set()),
    "a new loss": (
        [
            ("losses/new.py", NEW_LOSS),
            ("losses/registry.py", ("LOSSES = {", 'LOSSES = {\n    "new": "presence_only.losses.new:NewSettings",')),
        ],
        set(),
    ),
    "a data set of another kind": ([("datasets/gbif.py", "build")], set()),
    "a label of a figure": ([("figures/__init__.py", ("training rows per hexagon", "rows per hexagon"))], {"figures"}),
    "a loss": ([("losses/pointwise.py", "BceSettings.build")], {"train.bce", "report"}),
    "a penalty of neither loss": ([("losses/elementwise.py", "Asymmetric.negative")], {"report"}),
    "a helper of one loss": ([("losses/assume_negative.py", "assume_negative")], {"train.an_full", "report"}),
    "a helper of both losses": ([("losses/checks.py", "check_batch")], TRAINING | {"report"}),
    "the training loop": ([("training.py", "take_steps")], TRAINING),
    "the encoder": ([("encoder.py", "ResidualBlock.forward")], TRAINING | {"evaluate", "report"}),
    "a metric": ([("metrics.py", "_average_precision")], {"evaluate", "compare", "figures", "report"}),
    "the data set": ([("datasets/virtual.py", "build")], {"generate.virtual", "report"}),
    "the grid of the Earth": ([("earth/earth_1deg.npz", None)], {"generate.virtual", "report"}),
}


def make_edit(project, kind):
    for file, place in EDITS[kind][0]:
        path = project.folder / "src/presence_only" / file
        if place is None:
            with np.load(path) as stored:
                arrays = dict(stored)
            np.savez(path, **arrays)
        elif not path.exists():
            path.write_text(place)
        else:
            project.edit_code(file, place)


def code_entries(project):
    """The entries of code.yaml, as they are now."""
    assert project.stage("code").returncode == 0
    code = YAML(typ="safe").load(project.folder / "code.yaml")["code"]
    return {
        f"{stage}.{name}" if isinstance(entry, dict) else stage: value
        for stage, entry in code.items()
        # It runs each time, and reads its entry to know whether anything is new.
        if stage != "publish"
        for name, value in (entry.items() if isinstance(entry, dict) else [("", entry)])
    }


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_changes_the_entries_of_the_stages_that_it_concerns(project, kind):
    before = code_entries(project)
    make_edit(project, kind)
    after = code_entries(project)
    project.run("git", "checkout", "-q", "src")
    project.run("git", "clean", "-fdq", "src")
    assert {entry for entry in before if before[entry] != after[entry]} == EDITS[kind][1]


NOTHING = [kind for kind, (_, entries) in EDITS.items() if not entries]


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (NOTHING, set()),
        (["a label of a figure"], {"figures", "report"}),
        (["a loss"], {"train@virtual-bce", "report"}),
        (
            ["a metric"],
            {"evaluate@virtual-bce", "evaluate@virtual-an_full", "compare", "figures", "report"},
        ),
        (["the grid of the Earth"], {"generate@virtual", "report"}),
    ],
    ids=["nothing", "figure", "loss", "metric", "earth"],
)
def test_dvc_reruns_what_an_edit_can_change_and_no_more(project, kinds, expected):
    """Results stay as they are, so that nothing follows from a stage that was executed again; edits add up.

    The report draws the curves of penalties and writes every setting down, so that it follows losses and data sets.
    """
    assert len(NOTHING) == 4
    for kind in kinds:
        make_edit(project, kind)
    assert project.repro() == expected


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
            if "presence_only.stages.train" in line:
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


STUDY = "experiments/small"


@pytest.fixture(scope="module")
def study(project):
    """A study below experiments/ that names what differs: one variant and one seed, in steps."""
    project.edit()
    project.repro()
    folder = project.folder / STUDY
    folder.mkdir(parents=True)
    shutil.copy(project.folder / "dvc.yaml", folder / "dvc.yaml")
    raw = tiny.params(study__name="small", study__variants=["an_full"], study__seeds=[3])
    del raw["encoder"], raw["variants"]["bce"]
    raw["training"] = {"steps": 5}
    YAML().dump(raw, folder / "params.yaml")
    project.commit("a study")
    return project


def in_study(project, *command):
    done = subprocess.run(
        command, cwd=project.folder / STUDY, env=project.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


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
    assert study.repro("-R", "experiments") == set()
    assert study.repro() == set()
    assert study.run("git", "status", "--porcelain") == ""


def test_experiments_of_dvc_work_in_a_study(study):
    before = study.comparison(STUDY)
    in_study(study, "dvc", "exp", "run", "-S", "variants.an_full.pos_lambda=2.5")
    assert not study.comparison(STUDY).equals(before)
    difference = json.loads(study.run("dvc", "metrics", "diff", "--json"))
    assert list(difference) == [f"{STUDY}/results/metrics.json"], difference
    study.run("git", "checkout", "-q", ".")
    study.repro(f"{STUDY}/dvc.yaml")
    assert study.comparison(STUDY).equals(before)
    for value in ("3.5", "+4.5"):
        key = "variants.an_full.pos_lambda" if value == "3.5" else "+training.beta2"
        setting = f"{key}={value.replace('+4.5', '0.9')}"
        in_study(study, "dvc", "exp", "run", "--queue", "-S", setting)
    in_study(study, "dvc", "exp", "run", "--run-all")
    table = json.loads(study.run("dvc", "exp", "show", "--json"))
    found = [experiment for line in table for experiment in line.get("experiments") or []]
    states = [revision["data"] for experiment in found for revision in experiment["revs"]]
    read = [state["params"][f"{STUDY}/params.yaml"]["data"] for state in states]
    assert {3.5} < {params["variants"]["an_full"]["pos_lambda"] for params in read}
    assert 0.9 in {params["training"].get("beta2") for params in read}
    # They ran in copies: the folder, and what MLflow calls current, is as before.
    assert study.comparison(STUDY).equals(before)
    assert study.run("git", "status", "--porcelain") == ""


def test_the_figures_as_a_page_of_dvc(study, tmp_path):
    study.run("dvc", "plots", "show", "results/figures", "-o", str(tmp_path / "page"))
    page = (tmp_path / "page/index.html").read_text()
    assert page.count("<img") == 5
    # Without the template DVC's page asks a server elsewhere for its scripts.
    assert not re.search(r"(src|href)=.?https?:", page)


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
    command = [sys.executable, "-m", "presence_only.stages.train", "--dataset", "virtual", "--variant", "bce"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "dvc repro" in done.stderr
    assert "Traceback" not in done.stderr
