"""The evaluation of a cell: its numbers, tables, curves, maps and ensemble."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from support import tiny

from presence_only.data.truth import SurveyTruth
from presence_only.evaluation import metrics
from presence_only.evaluation.mapped_species import choose_by_prevalence
from presence_only.evaluation.seed_scores import OBSERVER_NUMBERS, ensemble, evaluate_seed, score_further, summarise
from presence_only.model.files import load_model, save_model

SEEDS = (0, 1)


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
    """A data set in files, and an encoder per seed: those of evaluate_seed's arguments, and the data set."""
    dataset = tiny.dataset(species=5)
    dataset.training.save(tmp_path / "training")
    dataset.save_survey(tmp_path / "survey")
    model = tiny.model(dataset)
    for seed in SEEDS:
        with torch.no_grad():
            model.species_head.weight += 0.3
        save_model(model, tmp_path / f"{seed}.pt")
    return tmp_path / "training", tmp_path / "survey", lambda seed: tmp_path / f"{seed}.pt", dataset


def logits_of(cell, seed):
    survey = cell[3].survey
    return load_model(cell[2](seed)).predict(survey.sites_M2, survey.covariates_MC)


def evaluate(cell, seed):
    reported = []
    result = evaluate_seed(*cell[:3], SEEDS[0], seed, lambda *arguments: reported.append(arguments))
    assert reported == [(1, 1, result.numbers["species_map"])]
    return result


def test_a_seed_has_metrics_observer_numbers_and_one_row_per_species_and_site(cell):
    result, survey = evaluate(cell, 1), cell[3].survey
    plain = metrics.evaluate(logits_of(cell, 1), survey.truth)
    assert {name: result.numbers[name] for name in metrics.METRICS} == {
        name: plain.summary[name] for name in metrics.METRICS
    }
    assert set(OBSERVER_NUMBERS) < set(result.numbers)
    assert result.per_species["species"].to_list() == list(survey.species)
    assert result.per_species["seed"].unique().to_list() == result.per_site["seed"].unique().to_list() == [1]
    np.testing.assert_array_equal(result.per_species["ap"], plain.per_species["ap"])
    np.testing.assert_array_equal(result.per_site["ap"], plain.per_site["ap"])
    np.testing.assert_array_equal(result.per_species["n_records"], cell[3].training.records.records_per_species())
    expected_S = (1 / (1 + np.exp(-logits_of(cell, 1).astype(float)))).mean(axis=0)
    np.testing.assert_allclose(result.per_species["mean_score"], expected_S, atol=1e-6)


def test_curves_and_maps_are_those_of_the_first_seed(cell):
    first, second = (evaluate(cell, seed) for seed in SEEDS)
    assert second.curves is second.maps is None
    assert first.curves.columns == ["seed", "curve", "x", "y", "n"]
    assert set(first.curves["curve"]) == {"precision_recall", "calibration"}
    prevalence_S = (cell[3].survey.truth.matrix() == 1).mean(axis=0)
    mapped = first.maps["species"].unique(maintain_order=True).to_list()
    assert tuple(mapped) == choose_by_prevalence(prevalence_S)
    scores_MS = 1 / (1 + np.exp(-logits_of(cell, 0).astype(float)))
    for s in mapped:
        score_M = first.maps.filter(pl.col("species") == s)["score"].to_numpy()
        np.testing.assert_allclose(score_M, scores_MS[:, s], atol=1e-6)


def test_a_survey_without_presences_has_no_species_to_map(cell):
    dataset = cell[3]
    nobody = replace(dataset.survey, truth=SurveyTruth.of_matrix(np.zeros_like(dataset.survey.truth.matrix())))
    replace(dataset, survey=nobody).save_survey(cell[1])
    assert evaluate(cell, 0).maps.schema == {"species": pl.Int64, "score": pl.Float32}


def test_the_ensemble_is_the_mean_of_all_seeds_logits(cell):
    mean = np.mean([logits_of(cell, seed) for seed in SEEDS], axis=0)
    expected = metrics.evaluate(mean, cell[3].survey.truth).summary
    found = ensemble([cell[2](seed) for seed in SEEDS], cell[1])["ensemble"]
    assert found == pytest.approx({name: expected[name] for name in metrics.METRICS}, abs=1e-6)


def test_one_seed_is_no_ensemble(tmp_path):
    # Nothing is read for it: there are no such files.
    assert ensemble([tmp_path / "encoder.pt"], tmp_path / "survey") == {}
