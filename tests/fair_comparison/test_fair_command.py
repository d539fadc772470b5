"""A small fair comparison, run for real: resumed, extended by a variant, and blind to the truth while it chooses."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from ruamel.yaml import YAML

from presence_only.fair_comparison.tuning import choose
from presence_only.model.settings import EncoderSettings
from presence_only.pipeline import fair_tables
from presence_only.training.settings import TrainingSettings
from presence_only.training.variant import Variant

SPACE = {"training.learning_rate": {"low": 0.001, "high": 0.02, "log": True}}
RAW = {
    "study": {"name": "fair", "datasets": ["few", "biased"], "variants": ["bce", "asl"], "seeds": [0]},
    "datasets": {
        "few": {
            "kind": "virtual",
            "species": 12,
            "records": 300,
            "background_sites": 300,
            "survey_resolution": 1,
        },
        "biased": {"like": "few", "bias": 2.0},
    },
    "encoder": {"width": 8, "depth": 1},
    "training": {"steps": 6, "batch_size": 64, "background_batch_size": 64, "device": "cpu"},
    "variants": {"bce": {"loss": "bce"}, "asl": {"loss": "asl"}, "focal": {"loss": "focal"}},
    "search": {
        "trials": 3,
        "held_out": {"resolution": 0, "folds": 3},
        "pruning": {"checks": 1},
        "spaces": {"bce": SPACE, "asl": {"like": "bce"}, "focal": {"like": "bce"}},
    },
    "fair": {
        "tuning_seed": 9,
        "world_seeds": [1, 2],
        "tuned_in": {"biased": "few"},
        "default_in": ["few"],
        "lengths": [3],
        "lengths_in": "few",
        "titles": {"few": "few records"},
        "gains": {"few": "biased"},
    },
}


def run(folder, *arguments):
    command = [sys.executable, "-m", "presence_only.pipeline.fair", "--workers", "1", *arguments]
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write(folder, **changes):
    folder.mkdir(exist_ok=True)
    YAML().dump(RAW | changes, folder / "design.yaml")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fair") / "study"
    write(folder)
    run(folder)
    return folder


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.json")}


def test_the_tables_have_every_trial_and_every_run(compared):
    trials = pl.read_csv(compared / "results/trials.csv")
    assert trials.group_by("scenario", "variant").len().sort("variant")["len"].to_list() == [3, 3]
    assert trials["truth_species_map"].is_between(0, 1).all()
    scores = pl.read_csv(compared / "results/scores.csv")
    # 2 worlds x (2 scenarios tuned + 1 default) x 2 variants, and a length in one world.
    assert len(scores) == 2 * 3 * 2 + 2
    assert scores["species_map"].is_between(0, 1).all()
    assert (scores["cpu_seconds"] > 0).all()
    assert scores.filter(pl.col("settings") == "steps_3")["steps"].to_list() == [3, 3]


def test_the_settings_of_a_run_are_those_that_the_held_out_records_chose(compared):
    trials = pl.read_csv(compared / "results/trials.csv").filter(pl.col("variant") == "bce")
    for criterion in ("ap_target_group", "boyce"):
        best = trials.sort(criterion, descending=True, nulls_last=True, maintain_order=True).row(0, named=True)
        chosen = choose(compared / "work/tuned/few/bce", criterion)
        assert chosen == {"training.learning_rate": pytest.approx(best["training.learning_rate"])}


@pytest.mark.parametrize(
    ("group", "table", "figure"),
    [
        ("answers", "means", "map_by_scenario"),
        ("selection", "regret", "regret"),
        ("truths", "few_to_biased", None),
    ],
)
def test_any_design_gets_its_tables_and_figures(group, table, figure, compared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    getattr(fair_tables, group)(compared / "results")
    made = pl.read_csv(tmp_path / f"results/answers/{table}.csv", infer_schema_length=None)
    assert made.filter(pl.col("variant") == "asl").height if "variant" in made.columns else made.height
    assert figure is None or (tmp_path / f"results/figures/{figure}.png").stat().st_size > 1000


def test_the_recommended_variants_are_valid_and_have_the_chosen_settings(compared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fair_tables.answers(compared / "results")
    groups = YAML(typ="safe").load(tmp_path / "results/answers/recommended.yaml")
    assert set(groups) == {"few"}
    for name in ("bce", "asl"):
        variant = Variant.parse(groups["few"][name], name, EncoderSettings(), TrainingSettings())
        best = choose(compared / f"work/tuned/few/{name}", "ap_background")
        assert variant.training.learning_rate == pytest.approx(best["training.learning_rate"])
        assert groups["few"][name]["loss"] == name


def test_a_second_run_does_nothing_and_a_lost_run_is_made_again_with_the_same_bytes(compared, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(compared, folder, copy_function=shutil.copy2)
    table = (folder / "results/scores.csv").read_text()
    before = stamps(folder / "work")
    run(folder)
    assert stamps(folder / "work") == before
    shutil.rmtree(folder / "work/runs/biased/2")
    run(folder)

    def without_time(text):
        return pl.read_csv(text.encode()).drop("cpu_seconds")

    assert without_time((folder / "results/scores.csv").read_text()).equals(without_time(table))


def test_a_further_variant_runs_alone(compared, tmp_path):
    folder = tmp_path / "further"
    shutil.copytree(compared, folder, copy_function=shutil.copy2)
    before = stamps(folder / "work")
    write(folder, study=RAW["study"] | {"variants": ["bce", "asl", "focal"]})
    run(folder)
    after = stamps(folder / "work")
    assert {path for path in after if path not in before and "/focal" not in str(path)} == set()
    assert {path: after[path] for path in before} == before


def test_a_mistake_is_one_sentence(tmp_path):
    write(tmp_path / "wrong", fair=RAW["fair"] | {"tuning_seed": 1})
    command = [sys.executable, "-m", "presence_only.pipeline.fair"]
    done = subprocess.run(command, cwd=Path(tmp_path / "wrong"), capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "fair.tuning_seed = 1" in done.stderr
