"""The Boyce index against plain loops."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from presence_only.common.boyce_index import boyce_index


def by_loops(recorded, background):
    low, high = min([*recorded, *background]), max([*recorded, *background])
    width = (high - low) / 10
    ratios = []
    for step in range(101):
        start = low + step * (high - low - width) / 100
        end = high if step == 100 else start + width
        expected = sum(start <= x <= end for x in background) / len(background)
        if expected > 0:
            ratios.append(sum(start <= x <= end for x in recorded) / len(recorded) / expected)
    return spearmanr(ratios, range(len(ratios))).statistic


@pytest.mark.parametrize("seed", range(4))
def test_it_is_that_of_plain_loops(seed):
    rng = np.random.default_rng(seed)
    recorded, background = rng.beta(1 + seed, 2, 30), rng.beta(1, 3, 200)
    before = recorded.copy()
    assert boyce_index(recorded, background) == pytest.approx(by_loops(recorded, background), abs=1e-9)
    np.testing.assert_array_equal(recorded, before)


def test_presences_that_become_more_frequent_with_suitability_have_one():
    background = np.linspace(0, 1, 10_001)
    recorded = np.sqrt(np.linspace(0, 1, 100_001))
    assert boyce_index(recorded, background) == pytest.approx(1.0, abs=1e-3)
    assert boyce_index(1 - recorded, background) == pytest.approx(-1.0, abs=1e-3)


def test_it_is_undefined_where_nothing_differs():
    for background in (np.empty(0), np.full(9, 0.5)):
        assert np.isnan(boyce_index(np.full(3, 0.5), background))
