"""What every stage does with a mistake, and the small computations of the stages."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from rich.console import Console
from ruamel.yaml import YAML
from support import tiny

from presence_only.common.atomic_files import read_json, write_json
from presence_only.common.errors import DataError, TrainingError
from presence_only.common.settings import SettingsError
from presence_only.data.truth import SurveyTruth
from presence_only.evaluation import metrics
from presence_only.evaluation.survey import evaluate_survey
from presence_only.model.files import load_model, save_model
from presence_only.pipeline import compare, evaluate, figures, show
from presence_only.pipeline.command import run_stage
from presence_only.pipeline.evaluate import score_further, summarise
from presence_only.pipeline.generate import explain, funnel
from presence_only.pipeline.generate import summarise as summarise_dataset
from presence_only.statistics import comparison
from presence_only.study.paths import COMPARISON, FIGURES, MORE_FIGURES, CellFiles, DatasetFiles
from presence_only.study.results import MissingResultsError, StudyResults


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (SettingsError("unknown loss 'bcee'"), "error: unknown loss 'bcee'\n"),
        (DataError("record 3 has longitude 200"), "error: record 3 has longitude 200\n"),
        (TrainingError("the training loss is nan"), "error: the training loss is nan\n"),
        (
            FileNotFoundError(2, "no such file", "data/x"),
            "error: data/x is missing; run `dvc repro`, which makes what is absent\n",
        ),
        (
            FileNotFoundError("No such file (os error 2): x.parquet"),
            "error: No such file (os error 2): x.parquet; run `dvc repro`, which makes what is absent\n",
        ),
    ],
)
def test_a_mistake_of_the_user_is_one_sentence_and_exit_code_1(error, sentence, capsys):
    def main():
        raise error

    with pytest.raises(SystemExit) as stopped:
        run_stage(main)
    assert stopped.value.code == 1
    assert capsys.readouterr().err == sentence


def test_a_mistake_of_ours_keeps_its_traceback():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_stage(main)


def test_metrics_are_means_over_seeds_and_keep_every_seed():
    counts = {"n_species": 5, "n_species_without_presences": 1, "n_sites": 9}
    first = {"species_map": 0.2, "sample_map": 0.3, "auc_roc": 0.6} | counts
    second = {"species_map": 0.4, "sample_map": 0.5, "auc_roc": 0.8} | counts
    summary = summarise([first, second], (7, 8))
    assert summary["species_map"] == pytest.approx(0.3)
    assert summary["n_species"] == 5
    assert summary["seed_8"] == {"species_map": 0.4, "sample_map": 0.5, "auc_roc": 0.8}


def test_further_numbers_are_named_after_their_evaluation():
    class Task:
        def score(self, model, species):
            by_species = np.array([0.5, np.nan, 0.1])
            return {
                "species_map": by_species,
                "gain": 0.25,
                "n_sites": 9,
                "r2": float("nan"),
                "none": by_species * np.nan,
            }

    numbers, by_species = score_further(None, ("a", "b", "c"), {"iucn": Task()})
    assert list(by_species) == ["iucn_species_map", "iucn_none"]
    assert numbers["iucn_species_map"] == pytest.approx(0.3)
    assert (numbers["iucn_gain"], numbers["n_iucn_sites"]) == (0.25, 9)
    assert np.isnan([numbers["iucn_r2"], numbers["iucn_none"]]).all()
    summary = summarise([{"species_map": 0.2, "n_sites": 3} | numbers] * 2, (7, 8))
    assert summary["n_iucn_sites"] == 9
    assert set(summary["seed_7"]) == {"species_map", "iucn_species_map", "iucn_gain", "iucn_r2", "iucn_none"}


def one_after_the_other(task, seeds, label):
    return {seed: task(seed, lambda done, total, note: None) for seed in seeds}


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
    monkeypatch.setattr(evaluate, "run_side_by_side", one_after_the_other)
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
    assert set(result.per_seed) == {"iucn_sample_map", *evaluate.OBSERVER_NUMBERS}
    table = comparison.compare([replace(result, n_sites_of=result.n_sites_of | {"iucn_auc_roc": 7})], resamples=20)
    rows = {row["metric"]: row for row in table.iter_rows(named=True)}
    assert (rows["iucn_species_map"]["n_species"], rows["iucn_species_map"]["n_sites"]) == (2, 50)
    assert rows["iucn_auc_roc"]["n_sites"] == 7
    assert rows["species_map"]["n_species"] == 5

    table.write_csv(COMPARISON)
    figures.main()
    assert [path.name for path in FIGURES.iterdir()] == ["species_map_virtual.png"]
    metrics = ("auc_roc", "sample_map", *(f"iucn_{metric}" for metric in ("auc_roc", "sample_map", "species_map")))
    more = {f"{name}_virtual.png" for name in (*metrics, "records", "training_loss")}
    assert {path.name for path in MORE_FIGURES.iterdir()} == more


def test_the_evaluation_keeps_mean_scores_records_curves_and_the_ensemble(tmp_path, monkeypatch):
    dataset, cell = further_study(tmp_path, monkeypatch)
    monkeypatch.setattr("sys.argv", ["evaluate", "--dataset", "virtual", "--variant", "bce"])
    evaluate.main()
    survey = dataset.survey
    logits = [load_model(cell.encoder(seed)).predict(survey.sites_M2, survey.covariates_MC) for seed in (0, 1)]
    species = pl.read_parquet(cell.per_species)
    expected = np.concatenate([1 / (1 + np.exp(-x.astype(float))) for x in logits], axis=1).mean(axis=0)
    np.testing.assert_allclose(species["mean_score"].to_numpy(), expected, atol=1e-6)
    counts = dataset.training.records.records_per_species()
    np.testing.assert_array_equal(species["n_records"].to_numpy(), np.tile(counts, 2))
    mean = metrics.evaluate(np.mean(logits, axis=0), survey.truth)
    kept = read_json(cell.metrics)["ensemble"]
    assert kept == pytest.approx({name: mean.summary[name] for name in metrics.METRICS}, abs=1e-6)
    curves = pl.read_parquet(cell.curves)
    assert curves.columns == ["seed", "curve", "x", "y", "n"]
    assert set(curves["curve"]) == {"precision_recall", "calibration"}
    table = compare.with_ensembles(
        comparison.compare([StudyResults().cell("virtual", "bce")], resamples=20), StudyResults()
    )
    row = table.row(by_predicate=pl.col("metric") == "auc_roc", named=True)
    assert row["ensemble"] == kept["auc_roc"]


def test_one_seed_is_no_ensemble():
    # Nothing is read for it: there are no such files.
    assert evaluate.ensemble(CellFiles("virtual", "bce"), (0,)) == {}


def test_the_funnel_and_what_to_know_are_printed_and_written_only_where_there_are_any(capsys):
    plain = tiny.dataset()
    assert explain(plain) == {}
    filters = (("read", 1000), ("coordinates, uncertainty", 900), ("nothing", 900))
    full = replace(plain, filters=filters, notes=("Spatial blocks are no survey.",), facts={"coverage": 0.5})
    told = explain(replace(full, further={"iucn": plain.survey}))
    assert told["filters"][1] == {"rule": "coordinates, uncertainty", "rows_left": 900}
    assert (told["facts"], told["further"]) == ({"coverage": 0.5}, {"iucn": "survey"})
    Console(width=100).print(funnel(filters, "virtual"))
    printed = capsys.readouterr().out
    for text in ("1,000", "coordinates, uncertainty", "900", "100", "10.00", "0.00"):
        assert text in printed


def test_a_survey_of_lists_is_summed_up_like_its_matrix():
    dataset = tiny.dataset(species=5)
    truth_MS = dataset.survey.truth.matrix()
    truth_MS[:, 3] = -1
    presences = {s: np.flatnonzero(truth_MS[:, s] == 1) for s in (0, 1, 2, 4)}
    listed = replace(dataset.survey, truth=SurveyTruth.of_presences(50, 5, presences))
    assert summarise_dataset(replace(dataset, survey=listed)) == summarise_dataset(dataset)


def test_species_that_were_surveyed_nowhere_are_undefined_and_change_no_other():
    dataset = tiny.dataset(species=5)
    survey = dataset.survey
    truth_MS = survey.truth.matrix().copy()
    truth_MS[:, [0, 3]] = -1
    model = tiny.model(dataset)
    some = evaluate_survey(model, replace(survey, truth=SurveyTruth.of_matrix(truth_MS)), survey.species)
    whole = metrics.evaluate(model.predict(survey.sites_M2, survey.covariates_MC), truth_MS)
    assert some.summary == pytest.approx(whole.summary, rel=1e-6)
    assert list(some.per_species) == list(whole.per_species)
    for name, values in whole.per_species.items():
        assert some.per_species[name].dtype == values.dtype
        np.testing.assert_allclose(some.per_species[name], values, rtol=1e-6)


def test_a_data_set_is_summed_up():
    dataset = tiny.dataset(rows=50, species=5, per_row=2)
    dataset.survey.truth.matrix()[:10] = -1
    dataset.survey.truth.matrix()[:, 0] = 0
    summary = summarise_dataset(dataset)
    assert (summary["species"], summary["rows"], summary["records"]) == (5, 50, 100)
    assert summary["records_per_species_max"] == np.bincount(dataset.training.records.species_P).max()
    assert summary["surveyed_share"] == pytest.approx((40 * 5 + 10) / 250)
    assert summary["species_without_presences"] == 1
    assert summary["prevalence_min"] == 0


def test_an_empty_table_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results/comparison.csv").touch()
    with pytest.raises(MissingResultsError, match=r"results/comparison\.csv is empty; `make study` makes it anew"):
        show.main()
