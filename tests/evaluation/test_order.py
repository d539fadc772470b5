"""The order of scores and their ties against numpy's sort, scipy's ranks and loops."""

import numpy as np
import pytest
from scipy.stats import rankdata

from presence_only.evaluation.order import Ordered, members, order_of
from presence_only.evaluation.units import Units


def hard_scores(rng, n, dtype=np.float32):
    """Ties, both zeros, infinities, and numbers of every size."""
    scores_N = rng.standard_normal(n) * 10.0 ** rng.integers(-36, 36, n)
    special_N = rng.choice([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, 2e-38, -2e-38], n)
    scores_N = np.where(rng.random(n) < 0.3, special_N, scores_N)
    some = rng.random(n) < 0.2
    return np.where(some, rng.integers(-2, 3, n), scores_N).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(5))
def test_the_order_is_that_of_a_stable_sort(seed, dtype):
    rng = np.random.default_rng(seed)
    for n in (1, 2, 7, 3000):
        scores_N = hard_scores(rng, n, dtype)
        before = scores_N.copy()
        expected = np.argsort(scores_N, kind="stable")
        out = np.empty(n, dtype=np.int64)
        np.testing.assert_array_equal(order_of(scores_N), expected)
        assert order_of(scores_N, out=out) is out
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(scores_N, before)


def test_close_floats_are_told_apart():
    scores_N = np.float32(-3.7) + np.zeros(50, np.float32)
    for i in range(1, 50):
        scores_N[i] = np.nextafter(scores_N[i - 1], np.float32(9))
    shuffled = np.random.default_rng(0).permutation(50)
    np.testing.assert_array_equal(order_of(scores_N[shuffled]), np.argsort(shuffled))


def test_members_of_ranges():
    number, index = members(np.array([3, 7, 7]), np.array([5, 7, 10]))
    assert number.tolist() == [3, 4, 7, 8, 9]
    assert index.tolist() == [0, 0, 2, 2, 2]
    assert [len(found) for found in members(*np.zeros((2, 0), dtype=np.int64))] == [0, 0]


@pytest.fixture(params=[0.0, 0.4, 1.0], ids=["all surveyed", "some surveyed", "some species nowhere"])
def block(request):
    """Scores of 30 species with ties, NaN where nothing was surveyed; two are present everywhere and nowhere."""
    rng = np.random.default_rng(1)
    scores_UN = rng.integers(-4, 4, (30, 40)).astype(np.float32)
    scores_UN[::3] += rng.standard_normal((10, 40)).astype(np.float32)
    truth_UN = (rng.random((30, 40)) < 0.3).astype(np.int8)
    truth_UN[4], truth_UN[5] = 0, 1
    scores_UN[6] = 2.5
    scores_UN[7], truth_UN[7] = np.where(np.arange(40) < 3, 1, 2), np.arange(40) < 3
    if request.param:
        unsurveyed_UN = rng.random((30, 40)) < 0.4
        unsurveyed_UN[::7] = request.param == 1
        truth_UN[unsurveyed_UN] = -1
        scores_UN[unsurveyed_UN] = np.nan
    return scores_UN, truth_UN


def test_everything_of_each_species_by_itself(block):
    scores_UN, truth_UN = block
    ordered = Ordered.of(scores_UN, Units.of(truth_UN))
    first_P, end_P = ordered.bounds
    place_T, shift_T = ordered.shifts()
    rank_F = np.arange(len(ordered.site_F), dtype=float)
    rank_F[place_T] += shift_T
    unit_P = ordered.unit_of(ordered.place_P)
    square_U, vary_U = ordered.squares(), ordered.absences_vary()
    for u, (scores_N, truth_N) in enumerate(zip(scores_UN, truth_UN, strict=True)):
        start, stop = ordered.start_U1[u : u + 2]
        sites = ordered.site_F[start:stop]
        assert sorted(sites) == np.flatnonzero(truth_N >= 0).tolist()
        assert (np.diff(scores_N[sites]) >= 0).all()
        own = unit_P == u
        assert ordered.place_P[own].tolist() == (start + np.flatnonzero(truth_N[sites] == 1)).tolist()
        surveyed = scores_N[truth_N >= 0]
        for place, first, end in zip(ordered.place_P[own], first_P[own], end_P[own], strict=True):
            score = scores_N[ordered.site_F[place]]
            assert (first - start, end - start) == ((surveyed < score).sum(), (surveyed <= score).sum())
        np.testing.assert_array_equal(rank_F[start:stop] - start + 1, rankdata(scores_N[sites]))
        assert square_U[u] == ((rankdata(surveyed) - (len(surveyed) + 1) / 2) ** 2).sum()
        assert vary_U[u] == (len(set(scores_N[truth_N == 0].tolist())) > 1)
    assert len(set(vary_U.tolist())) == 2
