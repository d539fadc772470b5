"""Permutation importance: scikit-learn's numbers on the plain matrix, and what is permuted together."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.inspection import permutation_importance as of_sklearn
from sklearn.metrics import average_precision_score
from support import tiny

from presence_only.common.errors import DataError
from presence_only.evaluation import permutation_importance as importance
from presence_only.evaluation.permutation_importance import (
    MEAN,
    PLACE,
    WEEK,
    LabelledSites,
    permutation_importance,
    survey_sites,
    training_sites,
)

DATA = tiny.dataset(rows=80, per_row=2, covariates=3)
NAMES = DATA.training.records.covariate_names
SPECIES = np.array([3, 0])


class Plain(BaseEstimator):
    """The same scores as a function of the matrix of covariates, as scikit-learn would have it."""

    def __init__(self, models, sites, species):
        self.models, self.sites, self.species = models, sites, species

    def fit(self, x, y):
        return self

    def score_of(self, x):
        scores = [expit(m.predict(self.sites, x.astype(np.float32)).astype(float)) for m in self.models]
        return np.mean(scores, axis=0)[:, self.species]


def models(n=2, **encoder):
    return [tiny.model(DATA, seed=seed, **encoder) for seed in range(n)]


@pytest.mark.parametrize("place", [3, 0])
def test_drops_are_those_of_sklearn_on_the_matrix_of_covariates(place):
    made = models(input="both")
    at = survey_sites(DATA.survey, SPECIES, 0)
    table = permutation_importance(made, at, SPECIES, "ab", NAMES, reads_coordinates=False, seed=5, repeats=4)

    def score(estimator, x, y):
        return average_precision_score(y, estimator.score_of(x))

    truth = DATA.survey.truth.matrix()[:, place]
    estimator = Plain(made, at.sites_M2, place)
    expected = of_sklearn(estimator, at.covariates_MC, truth, scoring=score, n_repeats=4, random_state=5)
    own = table.filter(species="ab"[list(SPECIES).index(place)])
    assert own["ap"][0] == pytest.approx(score(estimator, at.covariates_MC, truth))
    for column, name in enumerate(NAMES):
        row = own.filter(input=name).row(0, named=True)
        assert row["drop"] == pytest.approx(expected.importances_mean[column], abs=1e-9)
        assert row["drop_sd"] == pytest.approx(expected.importances_std[column], abs=1e-9)
        assert (row["repeats"], row["sites"], row["presences"]) == (4, 50, truth.sum())
    assert own["drop"].is_sorted(descending=True)


def test_the_mean_over_species_is_the_mean_of_their_drops_and_comes_first():
    at = training_sites(DATA.training, SPECIES, 0)
    table = permutation_importance(models(), at, SPECIES, "ab", NAMES, reads_coordinates=True, seed=0)
    assert table["species"].unique(maintain_order=True).to_list() == [MEAN, "a", "b"]
    for name in (PLACE, *NAMES):
        drop = {row["species"]: row["drop"] for row in table.filter(input=name).iter_rows(named=True)}
        assert drop[MEAN] == pytest.approx((drop["a"] + drop["b"]) / 2)


def test_what_a_model_does_not_read_matters_nothing():
    at = training_sites(DATA.training, SPECIES, 0)
    made = models(input="covariates")
    table = permutation_importance(made, at, SPECIES, "ab", NAMES, reads_coordinates=True, seed=0)
    assert table.filter(input=PLACE)["drop"].to_list() == [0.0] * 3
    assert table.filter(input=NAMES[0])["drop"].abs().min() > 0


def test_training_rows_of_a_species_are_presences_and_background_sites_absences():
    records, background = DATA.training.records, DATA.training.background
    at = training_sites(DATA.training, SPECIES, 0)
    rows = [row for row in range(records.n_rows) if set(records.species_P[records.row_P == row]) & set(SPECIES)]
    np.testing.assert_array_equal(at.sites_M2[: len(rows)], records.sites_N2[rows])
    np.testing.assert_array_equal(at.covariates_MC[len(rows) :], background.covariates_KC)
    for place, row in enumerate(rows):
        seen = records.species_P[records.row_P == row]
        assert at.truth_MQ[place].tolist() == [1 if species in seen else -1 for species in SPECIES]
    assert (at.truth_MQ[len(rows) :] == 0).all()


def test_of_many_sites_some_are_drawn_by_the_seed(monkeypatch):
    monkeypatch.setattr(importance, "MOST_SITES", 20)
    first, again, other = (training_sites(DATA.training, np.arange(5), seed) for seed in (0, 0, 1))
    assert first.truth_MQ.shape == (40, 5)
    np.testing.assert_array_equal(first.sites_M2, again.sites_M2)
    assert not np.array_equal(first.sites_M2, other.sites_M2)
    assert len(survey_sites(DATA.survey, SPECIES, 0).sites_M2) == 20
    # The presences are those of the rows that were drawn.
    records = DATA.training.records
    for site, truth in zip(first.sites_M2[:20], first.truth_MQ[:20], strict=True):
        (row,) = np.flatnonzero((records.sites_N2 == site).all(axis=1))
        assert set(np.flatnonzero(truth == 1)) == set(records.species_P[records.row_P == row])


def test_a_week_is_an_input_where_the_model_reads_it():
    records, background, rng = DATA.training.records, DATA.training.background, np.random.default_rng(0)
    training = dataclasses.replace(
        DATA.training,
        records=dataclasses.replace(records, week_N=rng.integers(1, 49, records.n_rows)),
        background=dataclasses.replace(background, week_K=rng.integers(1, 49, len(background.sites_K2))),
    )
    at = training_sites(training, SPECIES, 0)
    table = permutation_importance(
        models(weeks=True), at, SPECIES, "ab", NAMES, reads_coordinates=True, seed=0, repeats=2
    )
    assert set(table["input"]) == {PLACE, WEEK, *NAMES}
    assert table.filter(input=WEEK)["drop"].abs().min() > 0


def test_species_without_presences_are_left_out_and_none_is_refused():
    at = survey_sites(DATA.survey, SPECIES, 0)
    truth = at.truth_MQ.copy()
    truth[:, 0] = 0
    table = permutation_importance(
        models(1), dataclasses.replace(at, truth_MQ=truth), SPECIES, "ab", NAMES, reads_coordinates=True, seed=0
    )
    assert table["species"].unique(maintain_order=True).to_list() == [MEAN, "b"]
    nothing = LabelledSites(at.sites_M2, at.covariates_MC, None, np.zeros_like(truth))
    with pytest.raises(DataError, match="no species that was asked for has both presences and absences"):
        permutation_importance(models(1), nothing, SPECIES, "ab", NAMES, reads_coordinates=True, seed=0)
