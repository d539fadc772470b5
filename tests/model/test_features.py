import numpy as np
import pytest
import torch
from support import tiny

from presence_only.common.errors import DataError
from presence_only.model.coordinates import coordinate_features, week_features
from presence_only.model.features import Features
from presence_only.model.settings import EncoderSettings


def features(data=None, n_covariates=2, weeks=False, **settings):
    """Features, measured on a data set where there is one."""
    made = Features(EncoderSettings(**settings), n_covariates, weeks=weeks)
    return made if data is None else made.fit(data.training)


def test_coordinates_close_at_the_date_line_and_hold_the_poles_apart():
    west, east = coordinate_features(np.array([[-180.0, 10.0], [180.0, 10.0]]))
    np.testing.assert_allclose(west, east, atol=1e-12)
    # SINR: longitude and latitude are scaled to -1..1 and multiplied by pi.
    np.testing.assert_allclose(coordinate_features(np.array([[90.0, 45.0]])), [[1, 0, 1, 0]], atol=1e-12)


def test_the_encoder_reads_what_its_input_says():
    data = tiny.dataset()
    given = data.survey.sites_M2, data.survey.covariates_MC
    place, environment, both = (
        features(data, input=name)(*given).numpy() for name in ("coordinates", "covariates", "both")
    )
    assert (place.shape, environment.shape) == ((50, 4), (50, 2))
    np.testing.assert_array_equal(both, np.concatenate([place, environment], axis=1))
    np.testing.assert_allclose(place, coordinate_features(given[0]), atol=1e-6)


def test_features_are_standardised_on_training_data_alone():
    data = tiny.dataset(rows=200)
    data.training.records.covariates_NC[:, 0] = data.training.records.covariates_NC[:, 0] * 100 + 7
    made = features(data, input="covariates")
    records, background = data.training.records, data.training.background
    known = np.concatenate([records.covariates_NC, background.covariates_KC]).astype(float)
    before = data.survey.covariates_MC.copy()
    np.testing.assert_allclose(
        made(data.survey.sites_M2, data.survey.covariates_MC), (before - known.mean(0)) / known.std(0), atol=1e-6
    )
    np.testing.assert_array_equal(before, data.survey.covariates_MC)


def test_an_unknown_covariate_is_the_mean_and_a_constant_one_is_harmless():
    data = tiny.dataset()
    for covariates in (data.training.records.covariates_NC, data.training.background.covariates_KC):
        covariates[:, 1] = 3.0
        covariates[0, 0] = np.nan
    out = features(data, input="covariates")(np.zeros((2, 2)), np.array([[np.nan, 3.0], [0.0, np.nan]]))
    assert torch.isfinite(out).all()
    assert out[0].tolist() == [0.0, 0.0]
    assert out[1, 1] == 0


def test_local_coordinates_are_standardised_degrees_also_across_the_date_line():
    rng = np.random.default_rng(0)
    data = tiny.dataset()
    records, background = data.training.records, data.training.background
    east_N, east_K = rng.normal(size=60) * 0.01, rng.normal(size=40) * 0.01
    north_N, north_K = rng.normal(size=60) * 0.02, rng.normal(size=40) * 0.02
    for sites, east, north in ((records.sites_N2, east_N, north_N), (background.sites_K2, east_K, north_K)):
        sites[:, 0] = (180.0 + east + 180.0) % 360.0 - 180.0
        sites[:, 1] = 47.0 + north
    place = np.concatenate([np.stack([east_N, north_N], axis=1), np.stack([east_K, north_K], axis=1)])
    expected = (place[:60] - place.mean(0)) / place.std(0)
    found = features(data, coordinates="local")(records.sites_N2, records.covariates_NC)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    # Where sines and cosines hardly vary.
    assert features(data)(records.sites_N2, records.covariates_NC).std(0).max() < 2e-3


def test_the_environment_is_standardised_and_keeps_what_is_unknown():
    data = tiny.dataset()
    records, background = data.training.records, data.training.background
    records.covariates_NC[0, 0] = np.nan
    known = np.concatenate([records.covariates_NC, background.covariates_KC]).astype(float)
    expected = (records.covariates_NC - np.nanmean(known, axis=0)) / np.nanstd(known, axis=0)
    np.testing.assert_allclose(features(data).environment(records.covariates_NC), expected, atol=1e-6)
    assert np.isnan(expected).sum() == 1


def test_the_wrong_number_of_covariates_is_refused():
    with pytest.raises(ValueError, match="covariates_BC has 3 columns; the encoder was made for 2"):
        features()(np.zeros((1, 2)), np.zeros((1, 3)))


def test_the_year_closes_and_opposite_weeks_differ():
    first, last, middle = week_features(np.array([1, 49, 25]))
    np.testing.assert_allclose(first, last, atol=1e-12)
    assert np.abs(first - middle).max() > 1.9
    # A quarter of a year on: sin, cos of 90 degrees, sin, cos of 180.
    np.testing.assert_allclose(week_features(np.array([12])), [[1, 0, 0, -1]], atol=1e-12)


def test_weeks_are_the_last_features_and_must_be_given_where_the_encoder_has_them():
    made = features(input="both", weeks=True)
    sites, covariates = np.zeros((3, 2)), np.zeros((3, 2))
    x = made(sites, covariates, np.array([1, 13, 48]))
    assert x.shape == (3, made.size) == (3, 10)
    np.testing.assert_allclose(x[:, -4:].numpy(), week_features(np.array([1, 13, 48])), atol=1e-6)
    with pytest.raises(ValueError, match="week_B is missing: the encoder was made with weeks"):
        made(sites, covariates)
    with pytest.raises(ValueError, match="week_B is given: the encoder was made without weeks"):
        features(input="both")(sites, covariates, np.array([1, 2, 3]))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"input": "covariates"}, "encoder.input = 'covariates': the data set has no covariates; give it some, as"),
        ({"input": "both"}, "encoder.input = 'both': the data set has no covariates; give it some, as"),
        ({"environment_head": True}, "encoder.environment_head = true: the data set has no covariates to predict"),
        ({"week": "film"}, "encoder.week = 'film': the data set has no weeks; give it some, as weeks: true does"),
    ],
)
def test_settings_that_the_data_cannot_serve_are_one_sentence(settings, sentence):
    with pytest.raises(DataError) as caught:
        features(n_covariates=0, **settings)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
