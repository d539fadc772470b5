import numpy as np
import pytest

from presence_only.statistics import bootstrap
from presence_only.statistics.bootstrap import bootstrap_means


def slow_bootstrap(values_KVU, resamples, rng):
    """The same by loops: widened seeds and units drawn one at a time."""
    values = values_KVU.tolist()
    n_variants, n_seeds, n_units = values_KVU.shape
    widen = (n_seeds / (n_seeds - 1)) ** 0.5
    for variant in values:
        means = [sum(row) / n_units for row in variant]
        mean = sum(means) / n_seeds
        for row, own in zip(variant, means, strict=True):
            row[:] = [x + (widen - 1) * (own - mean) for x in row]
    found = []
    for _ in range(resamples):
        seeds, units = rng.integers(n_seeds, size=n_seeds), rng.integers(n_units, size=n_units)
        found.append([np.mean([values[k][v][u] for v in seeds for u in units]) for k in range(n_variants)])
    return np.array(found)


def test_bootstrap_agrees_with_loops():
    rng = np.random.default_rng(0)
    values_KVU = rng.random((2, 3, 6)) + rng.random((2, 3, 1)) + rng.random((1, 1, 6))
    fast, slow = bootstrap_means(values_KVU, 20_000, rng), slow_bootstrap(values_KVU, 3_000, rng)
    for of in (lambda m: m[:, 0], lambda m: m[:, 0] - m[:, 1]):
        a, b = np.quantile(of(fast), [0.025, 0.975]), np.quantile(of(slow), [0.025, 0.975])
        np.testing.assert_allclose(a, b, atol=0.05 * (b[1] - b[0]))


def test_bootstrap_has_the_variance_of_the_mean():
    rng = np.random.default_rng(1)
    seeds, units = rng.normal(0, 0.3, (1, 4, 1)), rng.normal(0, 1, (1, 1, 300))
    values_KVU = np.concatenate([seeds + units] * 2)
    spread = bootstrap_means(values_KVU, 4000, rng)[:, 0].var()
    expected = seeds.var(ddof=1) / 4 + units.var() / 300
    assert spread == pytest.approx(expected, rel=0.1)


def test_undefined_units_are_left_out_of_the_means_of_their_seeds():
    values_KVU = np.random.default_rng(2).random((1, 3, 40))
    holes_KVU = values_KVU.copy()
    holes_KVU[0, 1, ::4] = np.nan
    means = bootstrap_means(holes_KVU, 4000, np.random.default_rng(3))
    expected = np.nanmean(holes_KVU[0], axis=1).mean()
    assert means.mean() == pytest.approx(expected, abs=4 * means.std() / 4000**0.5)
    # With all defined, a hole that changes no mean changes no draw.
    full = bootstrap_means(np.full((1, 2, 5), 0.25), 50, np.random.default_rng(4))
    np.testing.assert_allclose(full, 0.25, rtol=1e-14)


def test_a_resample_without_a_value_is_undefined():
    means = bootstrap_means(np.array([[[0.5, np.nan]]]), 200, np.random.default_rng(5))[:, 0]
    assert 0 < np.isnan(means).sum() < 200
    assert set(means[~np.isnan(means)]) == {0.5}


def test_parts_of_a_block_draw_the_same(monkeypatch):
    values_KVU = np.random.default_rng(15).random((2, 3, 500))
    values_KVU[0, 0, :9] = np.nan
    whole = bootstrap_means(values_KVU, 150, np.random.default_rng(6))
    monkeypatch.setattr(bootstrap, "_DRAWN", 1700)
    np.testing.assert_allclose(bootstrap_means(values_KVU, 150, np.random.default_rng(6)), whole, rtol=1e-12)
