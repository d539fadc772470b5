"""What an edit of the code reruns, and studies below experiments/, by DVC in a project of its own."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from ruamel.yaml import YAML
from support import tiny

from presence_only.model.settings import EncoderSettings

TRAINING = {"train.bce", "train.an_full"}
NEW_LOSS = """from typing import Literal

from presence_only.losses.pointwise import BceSettings


class NewSettings(BceSettings):
    loss: Literal["new"]
"""
# File of the package and place in it, by the kind of edit; and the entries of code.yaml that it changes.
EDITS = {
    "a comment": ([("losses/pointwise.py", ("class BceSettings", "# A comment.\nclass BceSettings"))], set()),
    "a docstring": ([("training/fit.py", ("Train one encoder.", "Train an encoder."))], set()),
    "a new loss": (
        [
            ("losses/new.py", NEW_LOSS),
            ("losses/registry.py", ("LOSSES = {", 'LOSSES = {\n    "new": "presence_only.losses.new:NewSettings",')),
        ],
        set(),
    ),
    "a data set of another kind": ([("datasets/gbif.py", "build")], set()),
    "a label of a figure": (
        [("reporting/figures/__init__.py", ("training rows per hexagon", "rows per hexagon"))],
        {"figures"},
    ),
    "a loss": ([("losses/pointwise.py", "BceSettings.build")], {"train.bce", "report"}),
    "a penalty of neither loss": ([("losses/elementwise.py", "Asymmetric.negative")], {"report"}),
    "a helper of one loss": ([("losses/assume_negative.py", "assume_negative")], {"train.an_full", "report"}),
    "a helper of both losses": ([("losses/checks.py", "check_batch")], TRAINING | {"report"}),
    "the training loop": ([("training/fit.py", "take_steps")], TRAINING),
    "the encoder": ([("model/encoder.py", "ResidualBlock.forward")], TRAINING | {"evaluate", "report"}),
    "a metric": ([("evaluation/metrics.py", "_average_precision")], {"evaluate", "compare", "figures", "report"}),
    "the data set": ([("datasets/virtual.py", "build")], {"generate.virtual", "report"}),
    "the grid of the Earth": ([("geography/earth_grid/earth_1deg.npz", None)], {"generate.virtual", "report"}),
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
    study.run("dvc", "plots", "show", "results/figures", "results/more_figures", "-o", str(tmp_path / "page"))
    page = (tmp_path / "page/index.html").read_text()
    assert page.count("<img") == 5
    # Without the template DVC's page asks a server elsewhere for its scripts.
    assert not re.search(r"(src|href)=.?https?:", page)
