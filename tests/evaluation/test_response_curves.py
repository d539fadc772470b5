"""Response curves: scikit-learn's partial dependence, and the values at which it is taken."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.inspection import partial_dependence
from support import tiny

from presence_only.evaluation import response_curves as module
from presence_only.evaluation.response_curves import GRID_LENGTH, grid_of, reference_sites, response_curves

DATA = tiny.dataset(covariates=3)
BACKGROUND, NAMES = DATA.training.background, DATA.training.records.covariate_names


class Regressor(RegressorMixin, BaseEstimator):
    """The score of one species as scikit-learn would have it."""

    def __init__(self, models, species):
        self.models, self.species = models, species

    def fit(self, x, y):
        self.fitted_ = True
        return self

    def predict(self, x):
        logits = [m.predict(BACKGROUND.sites_K2, x.astype(np.float32))[:, self.species] for m in self.models]
        return np.mean(expit(np.array(logits, dtype=float)), axis=0)


def test_curves_are_the_partial_dependence_of_sklearn():
    models = [tiny.model(DATA, seed=seed) for seed in (0, 1)]
    table = response_curves(models, BACKGROUND, np.array([2, 4]), ["two", "four"], NAMES, seed=0)
    for name, species in (("two", 2), ("four", 4)):
        for column, covariate in enumerate(NAMES):
            own = table.filter(species=name, covariate=covariate)
            estimator = Regressor(models, species).fit(None, None)
            expected = partial_dependence(estimator, BACKGROUND.covariates_KC, [column], method="brute")
            # There are fewer sites than values of a grid: both take all values.
            np.testing.assert_allclose(own["value"], expected["grid_values"][0], rtol=1e-6)
            np.testing.assert_allclose(own["suitability"], expected["average"][0], atol=1e-6)
            each = [
                partial_dependence(
                    Regressor([m], species).fit(None, None), BACKGROUND.covariates_KC, [column], method="brute"
                )["average"][0]
                for m in models
            ]
            np.testing.assert_allclose(own["spread"], np.abs(each[0] - each[1]) / np.sqrt(2), atol=1e-6)


def test_a_grid_goes_from_the_5th_to_the_95th_percentile_or_takes_all_values():
    values = np.random.default_rng(0).normal(size=2000)
    values[::7] = np.nan
    grid = grid_of(values)
    assert len(grid) == GRID_LENGTH
    assert grid[[0, -1]] == pytest.approx(np.nanquantile(values, [0.05, 0.95]))
    np.testing.assert_allclose(np.diff(grid, 2), 0, atol=1e-12)
    assert grid_of(np.array([1.0, np.nan, 0.0, 1.0])).tolist() == [0.0, 1.0]
    assert grid_of(np.full(3, np.nan)).tolist() == []


def test_one_model_has_no_spread_and_a_covariate_that_is_nowhere_known_no_curve():
    covariates = BACKGROUND.covariates_KC.copy()
    covariates[:, 1] = np.nan
    background = dataclasses.replace(BACKGROUND, covariates_KC=covariates)
    table = response_curves([tiny.model(DATA)], background, np.array([0]), ["one"], NAMES, seed=0)
    assert set(table["covariate"]) == {NAMES[0], NAMES[2]}
    assert table["spread"].null_count() == len(table)


def test_of_many_background_sites_some_are_drawn_by_the_seed(monkeypatch):
    assert reference_sites(BACKGROUND, 0).tolist() == list(range(40))
    monkeypatch.setattr(module, "REFERENCE_SITES", 9)
    first = reference_sites(BACKGROUND, 0)
    assert len(set(first)) == 9
    assert first.tolist() == reference_sites(BACKGROUND, 0).tolist() != reference_sites(BACKGROUND, 1).tolist()
