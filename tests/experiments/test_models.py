"""Baselines on species whose niches are plain to see."""

import sys
from pathlib import Path

import models
import numpy as np
import pytest
from models import BaselineFiles, fit_baseline, random_sites, score_species, target_group_sites
from ruamel.yaml import YAML

import presence_only
from presence_only.common.errors import DataError, UserError
from presence_only.data.records import Background, PresenceRecords
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.data.truth import SurveyTruth
from presence_only.evaluation.metrics import auc_roc
from presence_only.pipeline.fingerprint import Fingerprints

OPTIMUM = {"low": -1.0, "middle": 0.0, "high": 1.0}

ROOT = Path(__file__).parents[2]


def data(*, unknown=False, groups=("bird", "bird", "plant"), background="given"):
    """Three species, each recorded near its own value of the first of two covariates."""
    rng = np.random.default_rng(0)
    species_P = np.repeat(np.arange(3), 30)
    covariates_NC = rng.normal(size=(90, 2))
    covariates_NC[:, 0] = np.array(list(OPTIMUM.values()))[species_P] + rng.normal(scale=0.2, size=90)
    if unknown:
        covariates_NC[::10, 1] = np.nan
    sites_N2 = np.stack([np.arange(90.0), np.zeros(90)], axis=1)
    # The second record lies where the first does, and a plant grows where a bird was seen.
    sites_N2[1], sites_N2[60] = sites_N2[0], sites_N2[0]
    records = PresenceRecords(sites_N2, covariates_NC, np.arange(90), species_P, tuple(OPTIMUM), groups, ("t", "noise"))
    random_K2 = np.stack([np.linspace(-90, -1, 200), np.ones(200)], axis=1)
    random_KC = np.stack([rng.uniform(-2, 2, 200), rng.normal(size=200)], axis=1)
    sites, covariates = [random_K2], [random_KC]
    if background == "mixed":
        sites, covariates = [sites_N2, random_K2, random_K2], [covariates_NC, random_KC, random_KC]
    if background == "target_group":
        sites, covariates = [sites_N2], [covariates_NC]
    return TrainingData(records, Background(background, np.concatenate(sites), np.concatenate(covariates)))


def survey():
    """Sites within what the records span: a model may say anything beyond."""
    rng = np.random.default_rng(1)
    covariates_MC = np.stack([rng.uniform(-1.4, 1.4, 150), rng.normal(size=150)], axis=1)
    truth_MS = (np.abs(covariates_MC[:, :1] - list(OPTIMUM.values())) < 0.35).astype(np.int8)
    truth_MS[:40, 2] = -1
    sites_M2 = np.stack([np.linspace(0, 9, 150), np.zeros(150)], axis=1)
    return Survey(sites_M2, covariates_MC, SurveyTruth.of_matrix(truth_MS), tuple(OPTIMUM), ("t", "noise"))


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(models, "TREES", 25)


def needs(method):
    if method == "maxent":
        pytest.importorskip("elapid", reason="maxent needs elapid: pip install presence-only[maxent]")


@pytest.mark.parametrize("background", ["random", "target_group"])
@pytest.mark.parametrize("method", models.METHODS)
def test_a_plain_niche_is_recovered(method, background):
    needs(method)
    # All species in one group: else its sites hold nothing that tells where a lone plant is not.
    baseline = fit_baseline(method, data(unknown=True, groups=("all",) * 3), background, 0)
    truth = survey()
    auc_S = auc_roc(baseline.scores(truth.covariates_MC), truth.truth)
    # The penalty flattens a quadratic of 30 records.
    assert (auc_S > 0.85).all(), auc_S


@pytest.mark.parametrize("method", models.METHODS)
def test_the_same_seed_gives_the_same_scores_and_inputs_stay(method):
    needs(method)
    training = data(unknown=True)
    before = training.records.covariates_NC.copy()
    covariates = survey().covariates_MC
    first, second, third = (fit_baseline(method, training, "random", s).scores(covariates) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, second)
    # Maxent's solver draws the order of its steps.
    assert (first != third).any() == (method != "logistic")
    np.testing.assert_array_equal(training.records.covariates_NC, before)


@pytest.mark.parametrize("method", models.METHODS)
def test_two_records_are_enough(method):
    needs(method)
    rng = np.random.default_rng(0)
    scorer = models.METHODS[method](np.array([[1.0, 0.0], [1.2, 0.1]]), rng.normal(size=(50, 2)), rng)
    scores_M = scorer(np.array([[1.1, 0.05], [-2.0, 0.05]]))
    assert np.isfinite(scores_M).all()
    assert scores_M[0] > scores_M[1]


@pytest.mark.parametrize(("n_present", "expected"), [(7, 7), (40, 20)])
def test_every_tree_sees_as_many_background_sites_as_presences(monkeypatch, n_present, expected):
    monkeypatch.setattr(models, "TREE_PRESENCES", 20)
    rng = np.random.default_rng(0)
    forest = models.random_forest(rng.normal(size=(n_present, 2)), rng.normal(size=(500, 2)), rng)
    assert len(forest.trees) == 25
    for tree in forest.trees:
        assert tree.tree_.n_node_samples[0] == 2 * expected
        np.testing.assert_allclose(tree.tree_.value[0, 0], [0.5, 0.5])
    roots = {tree.tree_.threshold[0] for tree in forest.trees}
    assert len(roots) > 1, "trees must be grown on different draws"


def test_presences_and_background_weigh_alike_in_the_logistic_regression():
    rng = np.random.default_rng(0)
    present, background = rng.normal(1, 1, (20, 2)), rng.normal(0, 1, (60, 2))
    sites = rng.normal(size=(30, 2))
    once = models.logistic(present, background, rng)(sites)
    copied = models.logistic(present, np.repeat(background, 5, axis=0), rng)(sites)
    # Standardisation sees the copies, so the fit moves a little; the intercept would move by log 5 = 1.6.
    assert abs(np.mean(once - copied)) < 0.3


@pytest.mark.parametrize("kind", ["given", "mixed"])
def test_random_sites_are_the_background_without_sites_of_records(kind):
    training = data(background=kind)
    sites = training.background.sites_K2[random_sites(training)]
    np.testing.assert_array_equal(sites, data().background.sites_K2)


def test_target_group_sites_are_those_of_the_group_each_once():
    rows = target_group_sites(data(), "bird")
    assert rows.tolist() == [0, *range(2, 60)]
    assert target_group_sites(data(), "plant").tolist() == list(range(60, 90))


def test_unknown_covariates_count_as_the_mean_of_the_training_data():
    training = data(unknown=True)
    both = np.concatenate([training.records.covariates_NC, training.background.covariates_KC])
    mean = np.nanmean(both, axis=0)
    baseline = fit_baseline("logistic", training, "random", 0)
    np.testing.assert_allclose(
        baseline.scores(np.array([[0.5, np.nan]])), baseline.scores(np.array([[0.5, mean[1]]])), rtol=1e-12
    )


def test_species_are_scored_where_they_were_surveyed():
    baseline, truth = fit_baseline("logistic", data(), "random", 0), survey()
    table = score_species(baseline, truth)
    assert table.columns == ["species", "ap", "auc_roc"]
    assert table["species"].to_list() == list(OPTIMUM)
    scores_M = baseline.scores(truth.covariates_MC)[40:, 2]
    present_M = truth.truth.matrix()[40:, 2] == 1
    pairs = scores_M[present_M][:, None] - scores_M[~present_M]
    assert table["auc_roc"][2] == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        (
            lambda: fit_baseline("gbm", data(), "random", 0),
            ValueError,
            "unknown method 'gbm'; known: random_forest",
        ),
        (
            lambda: fit_baseline("logistic", data(), "land", 0),
            ValueError,
            "unknown background 'land'; known: random",
        ),
        (
            lambda: fit_baseline("logistic", data(background="target_group"), "random", 0),
            DataError,
            "background = 'random': all sites of the data set's target_group background are sites of records",
        ),
        (
            lambda: fit_baseline("logistic", data(), "random", 0).scores(np.zeros((3, 5))),
            ValueError,
            r"covariates have shape \(3, 5\); \(sites, 2\) expected",
        ),
        (lambda: fit_baseline("maxent", data(), "random", 0), UserError, "method = 'maxent' needs elapid: pip install"),
    ],
)
def test_bad_input_is_one_sentence(asked, error, message, monkeypatch):
    monkeypatch.setitem(sys.modules, "elapid", None)
    with pytest.raises(error, match=f"^{message}"):
        asked()


def test_files_lie_below_results():
    files = BaselineFiles("nceas_awt", "logistic", "random")
    assert files.scores.as_posix() == "results/baselines/nceas_awt/logistic_random.parquet"
    assert files.timing.as_posix() == "timing/baselines/nceas_awt/logistic_random.json"


@pytest.mark.parametrize(
    ("script", "stage", "name"), [("fit", "fit", "fit_baseline"), ("table", "methods", "methods_table")]
)
def test_the_pipeline_looks_at_the_code_of_its_scripts(script, stage, name):
    folder = ROOT / "experiments/nceas/baselines"
    stages = YAML(typ="safe").load(folder / "dvc.yaml")["stages"]
    assert f"baselines/{script}.py" in stages["code"]["cmd"].split("--scripts ")[1].split()
    assert {"baselines/code.yaml": [f"code.{script}"]} in stages[stage]["params"]
    prints = Fingerprints(Path(presence_only.__file__).parent)
    assert name in {found for _, found in prints.reached(prints.add_script(folder / f"{script}.py"))}
