"""The Geo Feature against loops and a ridge regression written out."""

import dataclasses

import numpy as np
import pytest

from presence_only.data.geo_feature import GeoFeatureLayers
from presence_only.evaluation.geo_feature import GeoFeature, ridge_r2
from presence_only.evaluation.tasks import load_further


class Fixed:
    """A model whose embedding is a fixed function of the site, and of the week if it reads one."""

    def __init__(self, weeks=False):
        self.weeks = weeks

    def embed_sites(self, sites_M2, covariates_MC, week_M=None):
        x, y = np.radians(sites_M2).T
        columns = [np.sin(x), np.cos(x), np.sin(y), x * y]
        if self.weeks:
            columns[0] = columns[0] * week_M
        else:
            assert week_M is None
        return np.stack(columns, axis=1).astype(np.float32)


def feature(rng, n=400):
    sites = np.stack([rng.uniform(-120, -70, n), rng.uniform(25, 50, n)], axis=1)
    first = sites[:, 0] / 50 + rng.normal(size=n) / 150
    second = rng.uniform(size=n)
    second[rng.uniform(size=n) < 0.2] = np.nan
    return GeoFeatureLayers(
        sites_P2=sites,
        covariates_PC=np.zeros((n, 0), dtype=np.float32),
        values_RP=np.stack([first, second]),
        test_P=rng.uniform(size=n) < 0.5,
        names=("elevation", "snow_cover"),
    )


def ridge(train_x, train_y, alpha):
    """Weights and intercept in closed form; the intercept is not penalised."""
    mean_x, mean_y = train_x.mean(axis=0), train_y.mean()
    x = train_x - mean_x
    weights = np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T @ (train_y - mean_y))
    return weights, mean_y - mean_x @ weights


def r2(x, y, weights, intercept):
    return 1 - np.sum((y - x @ weights - intercept) ** 2) / np.sum((y - y.mean()) ** 2)


@pytest.mark.parametrize("noise", [0.01, 0.3, 3.0])
def test_ridge_equals_the_closed_form_with_folds_of_consecutive_rows(noise):
    rng = np.random.default_rng(3)
    train, test = rng.normal(size=(93, 6)), rng.normal(size=(60, 6))
    weights = rng.normal(size=6)
    train_y, test_y = (x @ weights + noise * rng.normal(size=len(x)) for x in (train, test))
    low, high = train.min(axis=0), train.max(axis=0)
    x_train, x_test = (train - low) / (high - low), (test - low) / (high - low)
    means = {}
    # 93 rows in 10 folds: the first three have one more.
    for alpha in (0.1, 1.0, 10.0):
        found, start = [], 0
        for fold in range(10):
            held = np.arange(start, start + (10 if fold < 3 else 9))
            rest = np.setdiff1d(np.arange(93), held)
            found.append(r2(x_train[held], train_y[held], *ridge(x_train[rest], train_y[rest], alpha)))
            start = held[-1] + 1
        means[alpha] = np.mean(found)
    best = ridge(x_train, train_y, max(means, key=means.get))
    expected = r2(x_train, train_y, *best), r2(x_test, test_y, *best)
    np.testing.assert_allclose(ridge_r2(train, train_y, test, test_y), expected, rtol=1e-8)


def test_the_number_is_the_mean_over_layers_on_the_test_pixels():
    layers = feature(np.random.default_rng(0))
    numbers = GeoFeature(layers).score(Fixed(), ("wren",))
    embedding = Fixed().embed_sites(layers.sites_P2, layers.covariates_PC)
    expected = []
    for values in layers.values_RP:
        known = ~np.isnan(values)
        fit, test = known & ~layers.test_P, known & layers.test_P
        expected.append(ridge_r2(embedding[fit], values[fit], embedding[test], values[test]))
    assert numbers["r2_elevation"] == pytest.approx(expected[0][1])
    assert numbers["r2_snow_cover"] == pytest.approx(expected[1][1])
    assert numbers["r2"] == pytest.approx((expected[0][1] + expected[1][1]) / 2)
    assert numbers["r2_train"] == pytest.approx((expected[0][0] + expected[1][0]) / 2)
    assert numbers["n_pixels"] == 400
    # Longitude is in the embedding; noise is not.
    assert numbers["r2_elevation"] > 0.95
    assert numbers["r2_snow_cover"] < 0.2


def test_a_model_that_reads_the_week_is_embedded_over_a_year():
    layers = feature(np.random.default_rng(1))
    mean = np.mean([Fixed(weeks=True).embed_sites(layers.sites_P2, None, week) for week in range(2, 49, 4)], axis=0)

    class Mean(Fixed):
        def embed_sites(self, sites_M2, covariates_MC, week_M=None):
            return mean

    assert GeoFeature(layers).score(Fixed(weeks=True), ())["r2"] == pytest.approx(
        GeoFeature(layers).score(Mean(), ())["r2"]
    )


def test_it_comes_back_from_disk(tmp_path):
    layers = feature(np.random.default_rng(2))
    layers.save(tmp_path / "further" / "land" / "geo_feature")
    loaded = load_further(tmp_path)["land"]
    assert isinstance(loaded, GeoFeature)
    for field in dataclasses.fields(layers):
        np.testing.assert_array_equal(getattr(loaded.layers, field.name), getattr(layers, field.name))
    assert loaded.score(Fixed(), ()) == GeoFeature(layers).score(Fixed(), ())
