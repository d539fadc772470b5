"""The ways to rank presences against each other and against counting; means of units against numpy's."""

from itertools import pairwise

import numpy as np
import pytest

from presence_only.evaluation import ranks_of_presences as ranking
from presence_only.evaluation.ranks_of_presences import Block, mean_of_each
from presence_only.evaluation.units import Units


def block_of(scores_UN, truth_UN, **how):
    return Block(scores_UN, Units.of(truth_UN), slice(0, len(scores_UN)), **how)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("decimals", [0, 9])
@pytest.mark.parametrize("n_ranked", [1, 63, 64, 65])
def test_all_ways_count_the_same(monkeypatch, dtype, holes, decimals, n_ranked):
    rng = np.random.default_rng(n_ranked)
    scores_UN = rng.standard_normal((50, n_ranked)).round(decimals).astype(dtype)
    scores_UN[rng.random(scores_UN.shape) < 0.05] = np.inf
    scores_UN[rng.random(scores_UN.shape) < 0.05] = -np.inf
    truth_UN = (rng.random(scores_UN.shape) < rng.random((50, 1))).astype(np.int8)
    if holes:
        unsurveyed_UN = rng.random(scores_UN.shape) < 0.3
        truth_UN[unsurveyed_UN], scores_UN[unsurveyed_UN] = -1, np.nan
    together, in_order = block_of(scores_UN, truth_UN), block_of(scores_UN, truth_UN, in_order=True)
    ways = [together.ranks, in_order.ranks]
    monkeypatch.setattr(ranking, "_SHORT", 0)
    ways.append(block_of(scores_UN, truth_UN).ranks)
    for ranks in ways:
        up_to_P = ranks.up_to()
        for place, u in enumerate(np.flatnonzero((truth_UN == 1).any(axis=1)).tolist()):
            own = slice(ranks.start_U1[place], ranks.start_U1[place + 1])
            surveyed = scores_UN[u][truth_UN[u] >= 0]
            rising = np.sort(scores_UN[u][truth_UN[u] == 1])
            assert ranks.n_surveyed_U[place] == len(surveyed)
            assert ranks.below_P[own].tolist() == [(surveyed < score).sum() for score in rising]
            assert up_to_P[own].tolist() == [(surveyed <= score).sum() for score in rising]
            found = [(rising >= score).sum() for score in rising]
            expected = found / (len(surveyed) - ranks.below_P[own])
            np.testing.assert_array_equal(ranks.precision()[own], expected)


@pytest.mark.parametrize("many", [False, True], ids=["of different lengths", "many of a length"])
def test_means_of_units_are_numpys_to_the_last_bit(many):
    rng = np.random.default_rng(0)
    length_U = np.concatenate([rng.integers(1, 400, 60), [5000, 1, 1, 2]])
    if many:
        length_U = np.concatenate([rng.integers(1, 12, 3000), length_U])
    values_P = rng.random(length_U.sum())
    start_U1 = np.cumsum([0, *length_U])
    expected = [float(values_P[a:b].sum()) / (b - a) for a, b in pairwise(start_U1)]
    np.testing.assert_array_equal(mean_of_each(values_P, start_U1), expected)
    assert mean_of_each(values_P[:0], np.zeros(1, dtype=np.int64)).shape == (0,)
