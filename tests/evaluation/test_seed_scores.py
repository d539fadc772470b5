"""The evaluation of a cell: its numbers, tables, curves, maps and ensemble."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from scipy.special import expit
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve
from support import tiny

from presence_only.common.atomic_files import read_json
from presence_only.data.truth import SurveyTruth
from presence_only.evaluation import metrics, passes, seed_scores, survey_logits, units
from presence_only.evaluation.curves import RECALLS, calibration
from presence_only.evaluation.dataset_facts import DatasetFacts
from presence_only.evaluation.geoscore import geoscore
from presence_only.evaluation.mapped_species import choose_by_prevalence
from presence_only.evaluation.observer_effort import records_nearby
from presence_only.evaluation.score_histogram import scale_numbers
from presence_only.evaluation.seed_scores import (
    OBSERVER_NUMBERS,
    SEED_NUMBERS,
    TABLES,
    score_cell,
    score_further,
    score_model,
    summarise,
)
from presence_only.evaluation.survey import FurtherSurvey
from presence_only.evaluation.threshold_numbers import SPECIES_NUMBERS
from presence_only.model.files import load_model, save_model

SEEDS = (7, 3)


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


@pytest.fixture
def cell(tmp_path):
    """A data set in files and an encoder per seed, as the inputs of score_cell; the data set, and an empty folder."""
    dataset = tiny.dataset(species=5, rows=4000)
    dataset.training.save(tmp_path / "training")
    dataset.save_survey(tmp_path / "survey")
    model = tiny.model(dataset)
    for seed in SEEDS:
        with torch.no_grad():
            model.species_head.weight += torch.randn(model.species_head.weight.shape)
        save_model(model, tmp_path / f"seed_{seed}" / "encoder.pt")
    (tmp_path / "output").mkdir()
    inputs = {name: tmp_path / name for name in ("training", "survey")}
    return inputs | {f"encoder_{seed}": tmp_path / f"seed_{seed}" for seed in SEEDS}, dataset, tmp_path / "output"


def facts_of(dataset, survey, **further):
    return DatasetFacts.of(dataset.training.records, dataset.training.background, survey, further)


def logits_of(cell, seed):
    survey = cell[1].survey
    return load_model(cell[0][f"encoder_{seed}"] / "encoder.pt").predict(survey.sites_M2, survey.covariates_MC)


def evaluate(cell, seeds=SEEDS):
    """The metrics and tables of a cell."""
    reported = []
    score_cell(seeds, cell[0], cell[2], lambda *arguments: reported.append(arguments))
    written = read_json(cell[2] / "metrics.json")
    assert [done for *done, _ in reported] == [[i + 1, len(seeds)] for i in range(len(seeds))]
    scores = [written[f"seed_{seed}"]["species_map"] for seed in seeds]
    np.testing.assert_array_equal([score for *_, score in reported], np.array(scores, dtype=float))
    assert {file.name for file in cell[2].iterdir()} == {f"{name}.parquet" for name in TABLES} | {"metrics.json"}
    return written, {name: pl.read_parquet(cell[2] / f"{name}.parquet") for name in TABLES}


def test_metrics_and_one_row_per_seed_and_species_and_site(cell):
    written, tables = evaluate(cell)
    survey = cell[1].survey
    for seed in SEEDS:
        logits_MS = logits_of(cell, seed)
        plain = metrics.evaluate(logits_MS, survey.truth)
        assert {name: written[f"seed_{seed}"][name] for name in metrics.METRICS} == {
            name: plain.summary[name] for name in metrics.METRICS
        }
        per_species, per_site = (tables[name].filter(pl.col("seed") == seed) for name in ("per_species", "per_site"))
        assert per_species["species"].to_list() == list(survey.species)
        for name, values in plain.per_species.items():
            np.testing.assert_array_equal(per_species[name], values)
        np.testing.assert_array_equal(per_site["ap"], plain.per_site["ap"])
        np.testing.assert_array_equal(per_species["n_records"], cell[1].training.records.records_per_species())
        expected_S = (1 / (1 + np.exp(-logits_MS.astype(float)))).mean(axis=0)
        np.testing.assert_allclose(per_species["mean_score"], expected_S, atol=1e-6)
    for name in ("per_species", "per_site"):
        assert tables[name]["seed"].unique(maintain_order=True).to_list() == list(SEEDS)
    assert (written["n_species"], written["n_sites"]) == (5, 50)


def test_observer_numbers_by_loops(cell):
    written, _ = evaluate(cell)
    dataset, records = cell[1], cell[1].training.records
    effort_M = records_nearby(dataset.survey.sites_M2, records.sites_N2, records.row_P)
    truth_MS = dataset.survey.truth.matrix()
    low, high = np.quantile(effort_M, [0.25, 0.75], method="inverted_cdf")
    assert low < high
    for seed in SEEDS:
        logits_MS, found = logits_of(cell, seed), written[f"seed_{seed}"]
        assert set(OBSERVER_NUMBERS) < set(found)
        for name, values_MS in (("effort_correlation", logits_MS), ("effort_correlation_of_truth", truth_MS)):
            expected = np.mean([spearmanr(values_M, effort_M).statistic for values_M in values_MS.T])
            assert found[name] == pytest.approx(expected, abs=1e-12)
        composite = geoscore(logits_MS, truth_MS, effort_M)
        assert found["geoscore"] == pytest.approx(composite.value, abs=1e-12)
        for part in ("f1", "list_ratio", "density_ratio", "density_correlation"):
            expected = composite.raw[part]
            assert found[f"geoscore_{part}"] == pytest.approx(None if np.isnan(expected) else expected, abs=1e-12)
        ends = {"species_map_sparse": effort_M <= low, "species_map_dense": effort_M > high}
        both = [s for s in range(5) if all(truth_MS[own, s].any() for own in ends.values())]
        assert both
        for name, own in ends.items():
            expected = np.mean([average_precision_score(truth_MS[own, s], logits_MS[own, s]) for s in both])
            assert found[name] == pytest.approx(expected, abs=1e-12)


def test_length_of_lists_calibration_and_quarters_of_species_by_loops(cell):
    written, tables = evaluate(cell)
    truth_MS, n_records_S = cell[1].survey.truth.matrix(), cell[1].training.records.records_per_species()
    # Two of five species are a quarter, rounded up.
    ends = {"species_map_rare": np.argsort(n_records_S, kind="stable")[:2]}
    ends["species_map_common"] = np.argsort(n_records_S, kind="stable")[-2:]
    for seed in SEEDS:
        logits_MS, found = logits_of(cell, seed), written[f"seed_{seed}"]
        assert set(found) == {*metrics.METRICS, *SEED_NUMBERS, *SPECIES_NUMBERS}
        scale = scale_numbers(logits_MS, truth_MS)
        assert {name: found[name] for name in scale} == scale
        predicted_MS = expit(logits_MS.astype(float)) > found["threshold_best"]
        assert found["f1_best"] == pytest.approx(f1_score(truth_MS.ravel(), predicted_MS.ravel()))
        present_M = truth_MS.sum(axis=1)
        ratios_M = predicted_MS[present_M > 0].sum(axis=1) / present_M[present_M > 0]
        assert found["list_ratio_best"] == pytest.approx(ratios_M.mean())
        of_seed = tables["per_species"].filter(pl.col("seed") == seed)
        for name, index in ends.items():
            values_S = of_seed[name].to_numpy()
            assert np.flatnonzero(~np.isnan(values_S)).tolist() == sorted(index)
            assert found[name] == np.mean(of_seed["ap"].to_numpy()[sorted(index)])


def test_curves_and_maps_are_those_of_the_first_seed(cell):
    _, tables = evaluate(cell)
    survey, logits_MS = cell[1].survey, logits_of(cell, SEEDS[0])
    curves, truth_MS = tables["curves"], survey.truth.matrix()
    assert curves.columns == ["seed", "curve", "x", "y", "n"]
    assert curves["seed"].unique().to_list() == [SEEDS[0]]
    by_recall = curves.filter(pl.col("curve") == "precision_recall")
    expected = []
    for s in range(5):
        precision, recall, _ = precision_recall_curve(truth_MS[:, s], logits_MS[:, s])
        expected.append([precision[np.flatnonzero(recall >= r - 1e-12)[-1]] for r in RECALLS])
    np.testing.assert_allclose(by_recall["y"], np.mean(expected, axis=0))
    shares = curves.filter(pl.col("curve") == "calibration")
    np.testing.assert_allclose(shares["y"], calibration(logits_MS, truth_MS).y)
    mapped = tables["maps"]["species"].unique(maintain_order=True).to_list()
    assert tuple(mapped) == choose_by_prevalence((truth_MS == 1).mean(axis=0))
    scores_MS = 1 / (1 + np.exp(-logits_MS.astype(float)))
    for s in mapped:
        score_M = tables["maps"].filter(pl.col("species") == s)["score"].to_numpy()
        np.testing.assert_allclose(score_M, scores_MS[:, s], atol=1e-6)


def test_a_survey_without_presences_has_no_species_to_map(cell):
    dataset = cell[1]
    nobody = replace(dataset.survey, truth=SurveyTruth.of_matrix(np.zeros_like(dataset.survey.truth.matrix())))
    replace(dataset, survey=nobody).save_survey(cell[0]["survey"])
    assert evaluate(cell)[1]["maps"].schema == {"species": pl.Int64, "score": pl.Float32}


def test_the_ensemble_is_the_mean_of_all_seeds_logits(cell):
    mean = np.mean([logits_of(cell, seed) for seed in SEEDS], axis=0)
    expected = metrics.evaluate(mean, cell[1].survey.truth).summary
    found = evaluate(cell)[0]["ensemble"]
    assert found == pytest.approx({name: expected[name] for name in metrics.METRICS}, abs=1e-6)


def test_one_seed_is_no_ensemble(cell):
    written, tables = evaluate(cell, SEEDS[1:])
    assert "ensemble" not in written
    assert tables["curves"]["seed"].unique().to_list() == [SEEDS[1]]


def test_species_that_were_surveyed_nowhere_are_undefined_and_change_no_other(cell):
    dataset, model = cell[1], load_model(cell[0]["encoder_7"] / "encoder.pt")
    truth_MS = dataset.survey.truth.matrix().copy()
    truth_MS[:, [0, 3]] = -1
    some = replace(dataset.survey, truth=SurveyTruth.of_matrix(truth_MS))
    facts = facts_of(dataset, some)
    result = score_model(model, facts, 7, first=False)
    expected = metrics.evaluate(logits_of(cell, 7), truth_MS)
    assert {name: result.numbers[name] for name in expected.summary} == expected.summary
    assert np.isnan(result.tables["per_species"]["ap"].to_numpy()).tolist() == [True, False, False, True, False]
    assert not np.isnan(result.tables["per_species"]["mean_score"].to_numpy()).any()


def test_a_large_survey_in_parts_gives_the_same(monkeypatch):
    """Logits that are not held, and truth that is not kept: only a product of few columns is rounded otherwise."""
    dataset = tiny.dataset(species=60, rows=900)
    facts = facts_of(dataset, dataset.survey, again=FurtherSurvey(dataset.survey))
    model = tiny.model(dataset)
    whole = score_model(model, facts, 0, first=True)
    for module in (units, survey_logits, passes):
        monkeypatch.setattr(module, "WHOLE", 1)
    monkeypatch.setattr(passes, "_PART", 50 * 20)
    facts = facts_of(dataset, dataset.survey, again=FurtherSurvey(dataset.survey))
    assert not facts.truth.keeps
    parts = score_model(model, facts, 0, first=True)
    assert parts.numbers == pytest.approx(whole.numbers, rel=0, abs=0, nan_ok=True)
    assert list(parts.tables) == list(whole.tables)
    for name, table in whole.tables.items():
        # The sums of a calibration curve are made part by part.
        assert_frame_equal(parts.tables[name], table, check_exact=name != "curves", rel_tol=1e-12)


def test_a_grid_of_the_world_keeps_no_values_per_site(cell, monkeypatch):
    whole, _ = evaluate(cell)
    for module in (metrics, seed_scores):
        monkeypatch.setattr(module, "SITES_LIMIT", 49)
    limited, tables = evaluate(cell)
    assert limited["sample_map"] is None
    assert limited["ensemble"]["sample_map"] is None
    assert np.isnan(tables["per_site"]["ap"].to_numpy()).all()
    for name in ("species_map", "geoscore", "effort_correlation"):
        assert limited[name] == whole[name]
