import numpy as np
import pytest
from scipy import stats

from presence_only.statistics.paired import (
    complete,
    crossed_test,
    holm,
    mean_squares,
    rank_biserial,
    signed_rank_test,
    variance_of_mean,
)


def test_complete_keeps_the_units_that_every_run_has():
    a, b = np.array([[1.0, np.nan, 3.0]]), np.array([[1.0, 2.0, 5.0]])
    names, values_KVU = complete({"a": a, "b": b})
    assert names == ("a", "b")
    np.testing.assert_array_equal(values_KVU, [[[1.0, 3.0]], [[1.0, 5.0]]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": np.zeros((1, 2))}, "1 variants are given; a comparison needs at least two"),
        ({"a": np.zeros((1, 2)), "b": np.zeros((2, 2))}, r"values have shapes .* every variant needs the same"),
        ({"a": np.zeros((1, 2)), "b": np.full((1, 2), np.nan)}, "no seed, or no unit with a value"),
    ],
)
def test_complete_refuses(values, message):
    with pytest.raises(ValueError, match=message):
        complete(values)


def test_mean_squares_by_loops():
    x = np.random.default_rng(2).random((3, 5))
    mean, rows, columns = x.mean(), x.mean(axis=1), x.mean(axis=0)
    seeds = sum(5 * (rows[v] - mean) ** 2 for v in range(3)) / 2
    units = sum(3 * (columns[u] - mean) ** 2 for u in range(5)) / 4
    rest = sum((x[v, u] - rows[v] - columns[u] + mean) ** 2 for v in range(3) for u in range(5)) / 8
    assert mean_squares(x) == pytest.approx((seeds, units, rest))


def test_one_seed_is_a_t_test_over_units():
    x = np.random.default_rng(3).normal(0.2, 1, (1, 40))
    assert crossed_test(x) == pytest.approx(stats.ttest_1samp(x[0], 0).pvalue)


def test_units_all_alike_is_a_t_test_over_seeds():
    seeds = np.random.default_rng(4).normal(0.5, 1, (6, 1))
    x = np.repeat(seeds, 50, axis=1)
    assert variance_of_mean(x)[1] == pytest.approx(1.0)
    assert crossed_test(x) == pytest.approx(stats.ttest_1samp(seeds[:, 0], 0).pvalue)


@pytest.mark.parametrize(("n_seeds", "spread"), [(3, 0.0), (3, 0.01), (4, 0.1)])
def test_a_difference_of_nothing_is_seldom_found(n_seeds, spread):
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(600):
        x = rng.normal(0, spread, (n_seeds, 1)) + rng.normal(0, 0.1, (1, 100)) + rng.normal(0, 0.1, (n_seeds, 100))
        wrong += crossed_test(x) <= 0.05
    # 5 % of 600 are 30, with a standard deviation of 5.
    assert wrong <= 48


def test_constant_differences():
    assert crossed_test(np.zeros((2, 3))) == 1.0
    assert crossed_test(np.full((2, 3), 0.5)) == 0.0
    assert np.isnan(crossed_test(np.full((2, 1), 0.5)))


def test_signed_ranks():
    rng = np.random.default_rng(6)
    x = rng.normal(0.3, 1, 60)
    assert signed_rank_test(x) == pytest.approx(stats.wilcoxon(x).pvalue)
    assert signed_rank_test(np.r_[x, np.zeros(20)]) == signed_rank_test(x)
    assert signed_rank_test(np.zeros(5)) == 1.0
    # Every assignment of signs to three ranks, by hand: +1 +2 +3 is one of eight, twice for two sides.
    assert signed_rank_test(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / 8)


def test_rank_biserial_by_hand():
    # Ranks of |x|: 1, 2.5, 2.5, 4; signs + - + +; ties share ranks and zeros are left out.
    assert rank_biserial(np.array([0.1, -0.2, 0.2, 0.5, 0.0])) == pytest.approx((1 - 2.5 + 2.5 + 4) / 10)
    assert rank_biserial(np.array([1.0, 2.0])) == 1.0
    assert rank_biserial(np.zeros(3)) == 0.0


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([float("nan"), 0.01]) == pytest.approx([1.0, 0.02])
    assert holm([]) == []
