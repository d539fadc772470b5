"""Intervals over worlds against scipy, by hand, and by how often they hold the truth."""

import numpy as np
import pytest
from scipy import stats

from presence_only.statistics.world_intervals import bootstrap_over_worlds, mean_over_worlds

SEEDS, UNITS = 3, 40


@pytest.mark.parametrize("n_worlds", [2, 3, 5, 10])
def test_it_is_the_t_test_of_one_number_per_world(n_worlds):
    values_W = np.random.default_rng(n_worlds).normal(0.02, 0.03, n_worlds)
    found, expected = mean_over_worlds(values_W), stats.ttest_1samp(values_W, 0)
    interval = expected.confidence_interval(0.95)
    assert (found.mean, found.sd) == pytest.approx((values_W.mean(), values_W.std(ddof=1)))
    assert (found.low, found.high, found.p) == pytest.approx((interval.low, interval.high, expected.pvalue))
    assert found.n_worlds == n_worlds
    half = stats.t.ppf(0.975, n_worlds - 1) * values_W.std(ddof=1) * (1 + 1 / n_worlds) ** 0.5
    assert (found.new_low, found.new_high) == pytest.approx((found.mean - half, found.mean + half))
    wide = expected.confidence_interval(0.99)
    other = mean_over_worlds(values_W.tolist(), level=0.99)
    assert (other.low, other.high) == pytest.approx((wide.low, wide.high))


def test_scenarios_are_strata_of_one_variance():
    """Against least squares with a column per scenario, by matrices."""
    values_W = np.array([0.1, 0.14, 0.3, 0.33, 0.35, 0.36, -0.2])
    scenarios = ["b", "b", "a", "a", "a", "a", "c"]
    design_WG = np.array([[label == name for name in "abc"] for label in scenarios], dtype=float)
    coefficient_G, (squares,), *_ = np.linalg.lstsq(design_WG, values_W, rcond=None)
    weight_G = np.full(3, 1 / 3)
    error = (squares / 4 * weight_G @ np.linalg.inv(design_WG.T @ design_WG) @ weight_G) ** 0.5
    found = mean_over_worlds(values_W, scenarios)
    assert found.mean == pytest.approx(weight_G @ coefficient_G) == pytest.approx((0.12 + 0.335 - 0.2) / 3)
    assert found.sd == pytest.approx((squares / 4) ** 0.5)
    half = stats.t.ppf(0.975, 4) * error
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))
    assert found.p == pytest.approx(2 * stats.t.sf(found.mean / error, 4))
    assert np.isnan([found.new_low, found.new_high]).all()
    assert mean_over_worlds(values_W, ["x"] * 7) == mean_over_worlds(values_W)


def test_limits():
    one = mean_over_worlds([0.2])
    assert (one.mean, one.n_worlds) == (0.2, 1)
    assert np.isnan([one.sd, one.low, one.high, one.p]).all()
    alone = mean_over_worlds([0.2, 0.4], ["a", "b"])
    assert alone.mean == pytest.approx(0.3)
    assert np.isnan(alone.low)
    constant = mean_over_worlds([0.25] * 4)
    assert (constant.sd, constant.low, constant.high, constant.p) == (0, 0.25, 0.25, 0)
    nothing = mean_over_worlds([0.0] * 4)
    assert (nothing.low, nothing.high, nothing.p) == (0, 0, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), r"values = \[\]: one number per world is needed"),
        (([0.1, float("nan")],), r"values = \[0.1, nan\]: one number per world"),
        (([0.1, 0.2], ["a"]), "1 scenarios for 2 worlds: every world needs one"),
    ],
)
def test_wrong_input_is_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        mean_over_worlds(*arguments)
    with pytest.raises(ValueError, match=r"^level = 1.0: must lie within 0..1"):
        mean_over_worlds([0.1, 0.2], level=1.0)
    with pytest.raises(ValueError, match=r"^1 worlds are given; a bootstrap over worlds needs at least two"):
        bootstrap_over_worlds([np.zeros((1, 2))], 10, np.random.default_rng(0))


def draw_worlds(rng, n, n_worlds, sd):
    """Differences (n, W, V, U) around 0: effects of worlds, and within each of seeds, of species, and of both."""
    return (
        rng.normal(0, sd, (n, n_worlds, 1, 1))
        + rng.normal(0, 0.03, (n, n_worlds, SEEDS, 1))
        + rng.normal(0, 0.15, (n, n_worlds, 1, UNITS))
        + rng.normal(0, 0.1, (n, n_worlds, SEEDS, UNITS))
    )


def share_holding(low, high):
    """How often an interval holds the true difference, 0."""
    return float(np.mean((np.asarray(low) <= 0) & (np.asarray(high) >= 0)))


@pytest.mark.parametrize("n_worlds", [4, 5, 8])
@pytest.mark.parametrize("sd", [0.0, 0.03, 0.3])
def test_the_interval_holds_the_truth_where_a_bootstrap_of_worlds_does_not(n_worlds, sd):
    rng = np.random.default_rng(n_worlds)
    n = 1200
    # One more, which stays unseen.
    *mean_WN, new_N = draw_worlds(rng, n, n_worlds + 1, sd).mean(axis=(2, 3)).T
    mean_NW = np.transpose(mean_WN)
    found = [mean_over_worlds(mean_W) for mean_W in mean_NW]
    # 95 % with a standard deviation of 0.6 %.
    assert 0.93 < share_holding([f.low for f in found], [f.high for f in found]) < 0.97
    assert 0.93 < share_holding([f.new_low for f in found] - new_N, [f.new_high for f in found] - new_N) < 0.97
    drawn_NRW = np.stack([mean_NW[:, rng.integers(n_worlds, size=n_worlds)] for _ in range(300)], axis=1)
    low, high = np.quantile(drawn_NRW.mean(axis=2), [0.025, 0.975], axis=1)
    assert share_holding(low, high) < 0.91


def test_the_hierarchical_bootstrap_is_right_for_one_share_of_the_worlds_alone():
    """Too wide where worlds differ by their species and seeds alone, too narrow where nearly all is their own."""
    rng = np.random.default_rng(1)
    share = {}
    for sd in (0.0, 0.3):
        quantiles = [
            np.quantile(bootstrap_over_worlds(list(worlds), 150, rng), [0.025, 0.975])
            for worlds in draw_worlds(rng, 200, 4, sd)
        ]
        share[sd] = share_holding(*np.transpose(quantiles))
    assert share[0.0] > 0.97
    assert share[0.3] < 0.92


def test_the_hierarchical_bootstrap_has_the_variance_of_worlds_and_of_what_lies_within():
    rng = np.random.default_rng(2)
    worlds = list(draw_worlds(rng, 1, 5, 0.3)[0])
    mean_W = np.array([values_VU.mean() for values_VU in worlds])
    inner_W = [
        values_VU.mean(axis=1).var(ddof=1) / SEEDS + values_VU.mean(axis=0).var() / UNITS for values_VU in worlds
    ]
    means_R = bootstrap_over_worlds(worlds, 4000, rng)
    assert means_R.mean() == pytest.approx(mean_W.mean(), abs=0.01)
    assert means_R.var() == pytest.approx(mean_W.var(ddof=1) / 5 + np.mean(inner_W) / 5, rel=0.1)
