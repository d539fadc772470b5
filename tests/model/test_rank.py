import numpy as np
import pytest
from scipy.stats import norm, rankdata

from presence_only.model.expansions.base import Columns
from presence_only.model.expansions.rank import RankGauss


def columns(values, standard=None, n_place=0):
    return Columns(np.zeros((len(values), n_place)), values, np.zeros_like(values) if standard is None else standard)


def ranks(values):
    made = RankGauss(0, values.shape[1])
    made.fit(columns(values), ())
    return made


def test_ranks_are_normal_deviates_of_the_share_below():
    rng = np.random.default_rng(0)
    values = np.column_stack([rng.lognormal(size=4000), np.round(rng.normal(size=4000), 1)])
    made = ranks(values)
    out = made(columns(values))
    for column in range(2):
        share = (rankdata(values[:, column]) - 0.5) / len(values)
        inner = (share > 0.01) & (share < 0.99)
        np.testing.assert_allclose(norm.cdf(out[inner, column]), share[inner], atol=3e-3)
    # Units do not matter, outliers do not either.
    far = made(columns(np.array([[1e9, 1e9], [-1e9, -1e9]])))
    assert np.abs(far).max() == pytest.approx(norm.ppf(1000 / 1001), abs=1e-6)
    np.testing.assert_allclose(ranks(values * 1000 + 3)(columns(values * 1000 + 3)), out, atol=1e-9)


def test_an_unknown_value_is_the_middle_and_a_level_stays_standardised():
    values = np.column_stack([np.arange(100.0), np.arange(100) % 2])
    values[3, 0] = np.nan
    standard = (values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0)
    out = ranks(values)(columns(values, standard))
    assert out[3, 0] == 0
    np.testing.assert_array_equal(out[:, 1], standard[:, 1])


def test_coordinates_are_left_alone():
    values = np.arange(10.0)[:, None]
    made = RankGauss(2, 1)
    place = np.random.default_rng(0).normal(size=(10, 2))
    given = Columns(place, values, values)
    made.fit(given, ())
    np.testing.assert_array_equal(made(given)[:, :2], place)
