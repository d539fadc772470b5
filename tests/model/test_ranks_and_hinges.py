import numpy as np
import pytest
from presence_only.model.ranks_and_hinges import KNOTS, Hinges, RankGauss
from scipy.stats import norm, rankdata


def test_ranks_are_normal_deviates_of_the_share_below():
    rng = np.random.default_rng(0)
    values = np.column_stack([rng.lognormal(size=4000), np.round(rng.normal(size=4000), 1)])
    ranks = RankGauss(2).fit(values)
    out = ranks(values, np.zeros_like(values))
    for column in range(2):
        share = (rankdata(values[:, column]) - 0.5) / len(values)
        inner = (share > 0.01) & (share < 0.99)
        np.testing.assert_allclose(norm.cdf(out[inner, column]), share[inner], atol=3e-3)
    # Units do not matter, outliers do not either.
    far = ranks(np.array([[1e9, 1e9], [-1e9, -1e9]]), np.zeros((2, 2)))
    assert np.abs(far).max() == pytest.approx(norm.ppf(1000 / 1001), abs=1e-6)


def test_an_unknown_value_is_the_middle_and_a_level_stays_standardised():
    values = np.column_stack([np.arange(100.0), np.arange(100) % 2])
    values[3, 0] = np.nan
    standard = (values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0)
    out = RankGauss(2).fit(values)(values, standard)
    assert out[3, 0] == 0
    np.testing.assert_array_equal(out[:, 1], standard[:, 1])


def test_hinges_are_the_column_its_square_and_ramps_of_unit_variance():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 2))
    hinges = Hinges(2).fit(x)
    out = hinges(x)
    assert out.shape == (500, hinges.size) == (500, 2 * (2 + KNOTS))
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=0), 1, atol=1e-12)
    knots = np.quantile(x, np.linspace(0, 1, KNOTS + 2), axis=0)
    for i in range(KNOTS):
        ramp = np.maximum(x - knots[i + 1], 0)
        expected = (ramp - ramp.mean(axis=0)) / ramp.std(axis=0)
        np.testing.assert_allclose(out[:, 4 + 2 * i : 6 + 2 * i], expected, atol=1e-12)
    # Beyond the range that was seen, nothing changes any more.
    np.testing.assert_array_equal(hinges(np.full((1, 2), 99.0)), hinges(x.max(axis=0, keepdims=True)))
    assert np.isfinite(hinges(np.array([[np.nan, 0.0]]))).all()


def test_a_constant_column_is_harmless():
    hinges = Hinges(1).fit(np.zeros((10, 1)))
    assert not hinges(np.zeros((3, 1))).any()
