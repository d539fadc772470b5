"""What every stage does with a mistake, and how the stages hand on what they made."""

import gc
import importlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from ruamel.yaml import YAML
from support import tiny

from presence_only.common.atomic_files import read_json, write_json
from presence_only.common.errors import DataError, SettingsError, TrainingError
from presence_only.data.truth import SurveyTruth
from presence_only.evaluation.metrics import METRICS
from presence_only.evaluation.seed_scores import SEED_NUMBERS
from presence_only.evaluation.survey import SCALE
from presence_only.model.files import save_model
from presence_only.pipeline import evaluate, figures, show, workers
from presence_only.pipeline.command import importing, run_stage
from presence_only.statistics import comparison_table as comparison
from presence_only.statistics import tables
from presence_only.study.paths import COMPARISON, FIGURES, MORE_FIGURES, CellFiles, DatasetFiles
from presence_only.study.results import MissingResultsError, StudyResults

EXTRA = "error: this command needs the extra 'study': pip install 'presence-only[study]'\n"


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (SettingsError("unknown loss 'bcee'"), 1, "error: unknown loss 'bcee'\n"),
        (DataError("record 3 has longitude 200"), 1, "error: record 3 has longitude 200\n"),
        (TrainingError("the training loss is nan"), 1, "error: the training loss is nan\n"),
        (
            FileNotFoundError(2, "no such file", "data/x"),
            1,
            "error: data/x is missing; run `dvc repro`, which makes what is absent\n",
        ),
        (
            FileNotFoundError("No such file (os error 2): x.parquet"),
            1,
            "error: No such file (os error 2): x.parquet; run `dvc repro`, which makes what is absent\n",
        ),
        (ModuleNotFoundError("No module named 'ruamel.yaml'", name="ruamel.yaml"), 1, EXTRA),
        (ModuleNotFoundError("No module named 'polars'", name="polars"), 1, EXTRA),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to go on with this stage\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_a_mistake_of_the_user_is_one_sentence_and_an_exit_code(error, code, sentence, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as stopped:
        run_stage(main)
    assert stopped.value.code == code
    assert capsys.readouterr().err == sentence


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), ModuleNotFoundError("No module named 'presence_onl'", name="presence_onl")]
)
def test_a_mistake_of_ours_keeps_its_traceback(error):
    def main():
        raise error

    with pytest.raises(type(error)):
        run_stage(main)


def test_a_command_without_the_extra_says_so(tmp_path):
    program = (
        "import sys; sys.modules['ruamel'] = None; sys.argv = ['code']\n"
        "import runpy; runpy.run_module('presence_only.pipeline.code', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", EXTRA)


COMMANDS = (
    *("code", "generate", "train", "evaluate", "compare", "figures", "settings", "report", "publish", "show"),
    *("notebook", "predict"),
)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_runs_nothing(name, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    command = importlib.import_module(f"presence_only.pipeline.{name}")
    with pytest.raises(SystemExit, match="0"):
        run_stage(command.main, command.__doc__)
    said = " ".join(capsys.readouterr().out.split())
    assert " ".join(command.__doc__.split()).splitlines()[0][:60] in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("enabled", [True, False])
def test_importing_leaves_the_collector_as_it_was_and_freezes_what_is_there_once(enabled, monkeypatch):
    frozen = []
    monkeypatch.setattr(gc, "get_freeze_count", lambda: len(frozen))
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(gc.isenabled()))
    if not enabled:
        gc.disable()
    try:
        for _ in range(2):
            with importing():
                assert not gc.isenabled()
            assert gc.isenabled() == enabled
    finally:
        gc.enable()
    assert frozen == [False]


def one_after_the_other(tasks, title):
    for task in tasks:
        task.output.mkdir(parents=True)
    return {task.key: task.work(task.inputs, task.output, lambda done, total, number: None) for task in tasks}


def further_study(folder, monkeypatch):
    """One trained cell of a data set with further evaluations: a survey of two species, and one number."""
    monkeypatch.chdir(folder)
    YAML().dump(tiny.params(study__variants=["bce"]), folder / "params.yaml")
    dataset = tiny.dataset(species=5)
    listed = SurveyTruth.of_presences(50, 2, {0: np.arange(20), 1: np.arange(10, 40)})
    iucn = replace(dataset.survey, species=("species_4", "species_1"), truth=listed)
    replace(dataset, further={"iucn": iucn}).save_survey(DatasetFiles("virtual").survey)
    dataset.training.save(DatasetFiles("virtual").training)
    cell = CellFiles("virtual", "bce")
    model = tiny.model(dataset)
    # A process that used polars must not fork; the stages' own have not.
    monkeypatch.setattr(workers, "run_side_by_side", one_after_the_other)
    for seed in (0, 1):
        with torch.no_grad():
            model.species_head.weight += 0.3
        save_model(model, cell.encoder(seed))
        write_json(cell.history(seed), {"loss": [0.5, 0.25]})
    return dataset, cell


def test_further_evaluations_go_from_the_data_set_to_the_comparison(tmp_path, monkeypatch):
    _, cell = further_study(tmp_path, monkeypatch)
    monkeypatch.setattr("sys.argv", ["evaluate", "--dataset", "virtual", "--variant", "bce"])
    evaluate.main()
    metrics = read_json(cell.metrics)
    assert (metrics["n_iucn_sites"], metrics["n_iucn_species"], metrics["n_species"]) == (50, 2, 5)
    assert 0 < metrics["seed_0"]["iucn_species_map"] <= 1
    result = StudyResults().cell("virtual", "bce")
    assert result.per_species["iucn_species_map"].shape == (2, 5)
    assert np.isnan(result.per_species["iucn_species_map"][:, [0, 2, 3]]).all()
    assert result.per_species["iucn_species_map"][0, [1, 4]].mean() == metrics["seed_0"]["iucn_species_map"]
    assert set(result.per_seed) == {"iucn_sample_map", *(f"iucn_{name}" for name in SCALE), *SEED_NUMBERS}
    table = comparison.compare([replace(result, n_sites_of=result.n_sites_of | {"iucn_auc_roc": 7})], resamples=20)
    rows = {row["metric"]: row for row in table.iter_rows(named=True)}
    assert (rows["iucn_species_map"]["n_species"], rows["iucn_species_map"]["n_sites"]) == (2, 50)
    assert rows["iucn_auc_roc"]["n_sites"] == 7
    assert rows["species_map"]["n_species"] == 5
    # A quarter of five species, rounded up, of the study's own survey.
    assert (rows["species_map_rare"]["n_species"], rows["species_map_rare"]["n_sites"]) == (2, result.n_sites)
    assert rows["f1_best"]["n_species"] is None

    table.write_csv(COMPARISON)
    figures.main()
    assert [path.name for path in FIGURES.iterdir()] == ["species_map_virtual.png"]
    drawn = {*METRICS, *(f"iucn_{name}" for name in METRICS), "records", "training_loss"}
    more = {f"{name}_virtual.png" for name in drawn - {"species_map"}}
    assert {path.name for path in MORE_FIGURES.iterdir()} == more


def test_the_stage_writes_what_every_seed_gave(tmp_path, monkeypatch):
    _, cell = further_study(tmp_path, monkeypatch)
    monkeypatch.setattr("sys.argv", ["evaluate", "--dataset", "virtual", "--variant", "bce"])
    evaluate.main()
    for path, seeds in ((cell.per_species, [0, 1]), (cell.per_site, [0, 1]), (cell.curves, [0])):
        assert pl.read_parquet(path)["seed"].unique().to_list() == seeds
    assert StudyResults().maps("virtual", "bce").keys() == set(pl.read_parquet(cell.maps)["species"])
    kept = read_json(cell.metrics)
    assert kept["seed_0"]["species_map"] != kept["seed_1"]["species_map"]
    table = tables.with_ensembles(
        comparison.compare([StudyResults().cell("virtual", "bce")], resamples=20), StudyResults().ensemble
    )
    row = table.row(by_predicate=pl.col("metric") == "auc_roc", named=True)
    assert row["ensemble"] == kept["ensemble"]["auc_roc"]


def test_an_empty_table_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/comparison.csv").touch()
    with pytest.raises(MissingResultsError, match=r"results/comparison\.csv is empty; `make study` makes it anew"):
        show.main()
