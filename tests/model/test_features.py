import numpy as np
import pytest
import torch
from support import tiny

from presence_only.model.features import Features, coordinate_features, week_features


def test_coordinates_close_at_the_date_line_and_hold_the_poles_apart():
    west, east = coordinate_features(np.array([[-180.0, 10.0], [180.0, 10.0]]))
    np.testing.assert_allclose(west, east, atol=1e-12)
    # SINR: longitude and latitude are scaled to -1..1 and multiplied by pi.
    np.testing.assert_allclose(coordinate_features(np.array([[90.0, 45.0]])), [[1, 0, 1, 0]], atol=1e-12)


def test_features_are_standardised_on_training_data_alone():
    data = tiny.dataset(rows=200)
    data.training.records.covariates_NC[:, 0] = data.training.records.covariates_NC[:, 0] * 100 + 7
    features = Features("covariates", "sphere", 2).fit(data.training)
    records, background = data.training.records, data.training.background
    both = torch.cat(
        [
            features(records.sites_N2, records.covariates_NC),
            features(background.sites_K2, background.covariates_KC),
        ]
    )
    torch.testing.assert_close(both.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(both.std(0, correction=0), torch.ones(2), atol=1e-5, rtol=0)
    before = records.covariates_NC.copy()
    features(records.sites_N2, records.covariates_NC)
    np.testing.assert_array_equal(before, records.covariates_NC)


def test_an_unknown_covariate_is_the_mean_and_a_constant_one_is_harmless():
    data = tiny.dataset()
    for covariates in (data.training.records.covariates_NC, data.training.background.covariates_KC):
        covariates[:, 1] = 3.0
        covariates[0, 0] = np.nan
    features = Features("covariates", "sphere", 2).fit(data.training)
    out = features(np.zeros((2, 2)), np.array([[np.nan, 3.0], [0.0, np.nan]]))
    assert torch.isfinite(out).all()
    assert out[0].tolist() == [0.0, 0.0]


def test_local_coordinates_vary_where_the_sphere_does_not():
    rng = np.random.default_rng(0)
    data = tiny.dataset(input="coordinates")
    data.training.records.sites_N2[:] = [8.0, 47.0] + rng.normal(size=(60, 2)) * 0.01
    data.training.background.sites_K2[:] = [8.0, 47.0] + rng.normal(size=(40, 2)) * 0.01
    spread = {}
    for scale in ("sphere", "local"):
        features = Features("coordinates", scale, 2).fit(data.training)
        spread[scale] = float(features(data.training.records.sites_N2, np.zeros((60, 2))).std(0).min())
    assert spread["sphere"] < 1e-3
    assert 0.5 < spread["local"] < 2.0


def test_the_environment_is_standardised_and_keeps_what_is_unknown():
    data = tiny.dataset()
    data.training.records.covariates_NC[0, 0] = np.nan
    features = Features("coordinates", "sphere", 2).fit(data.training)
    environment = features.environment(data.training.records.covariates_NC)
    assert environment[0, 0].isnan()
    assert environment.isnan().sum() == 1
    assert features(data.training.records.sites_N2, data.training.records.covariates_NC).shape == (60, 4)


def test_the_year_closes_and_opposite_weeks_differ():
    first, last, middle = week_features(np.array([1, 49, 25]))
    np.testing.assert_allclose(first, last, atol=1e-12)
    assert np.abs(first - middle).max() > 1.9
    # A quarter of a year on: sin, cos of 90 degrees, sin, cos of 180.
    np.testing.assert_allclose(week_features(np.array([12])), [[1, 0, 0, -1]], atol=1e-12)


def test_weeks_are_the_last_features_and_must_be_given_where_the_encoder_has_them():
    features = Features("both", "sphere", 2, weeks=True)
    sites, covariates = np.zeros((3, 2)), np.zeros((3, 2))
    x = features(sites, covariates, np.array([1, 13, 48]))
    assert x.shape == (3, features.size) == (3, 10)
    np.testing.assert_allclose(x[:, -4:].numpy(), week_features(np.array([1, 13, 48])), atol=1e-6)
    with pytest.raises(ValueError, match="week_B is missing: the encoder was made with weeks"):
        features(sites, covariates)
    with pytest.raises(ValueError, match="week_B is given: the encoder was made without weeks"):
        Features("both", "sphere", 2)(sites, covariates, np.array([1, 2, 3]))
