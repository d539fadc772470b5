"""Expected F1 of species lists by going through all lists and all outcomes."""

from itertools import combinations, product

import numpy as np
import pytest

from presence_only.evaluation.expected_f1 import best_lengths, expected_f1


def by_outcomes(p, listed):
    """Expected F1 of a set of species over all 2^S outcomes of independent presence."""
    total = 0.0
    for outcome in product((0, 1), repeat=len(p)):
        chance = np.prod([q if y else 1 - q for q, y in zip(p, outcome, strict=True)])
        n_present, n_hit = sum(outcome), sum(outcome[s] for s in listed)
        size = len(listed) + n_present
        total += chance * (2 * n_hit / size if size else 1.0)
    return total


@pytest.mark.parametrize("seed", range(6))
def test_no_other_set_has_a_higher_expected_f1(seed):
    rng = np.random.default_rng(seed)
    p = np.sort(rng.beta(0.4, 0.6 + seed, 6))[::-1]
    found = expected_f1(p)
    for k in range(7):
        assert found[k] == pytest.approx(by_outcomes(p, range(k)), abs=1e-12)
    best = max(by_outcomes(p, subset) for k in range(7) for subset in combinations(range(6), k))
    (length,) = best_lengths(p[None])
    assert found[length] == pytest.approx(best, abs=1e-12)


def test_closed_forms():
    # One species: its list has F1 p, the empty one 1 - p.
    np.testing.assert_allclose(expected_f1([0.3]), [0.7, 0.3])
    # Certain species are listed, and no others.
    np.testing.assert_allclose(expected_f1([1.0, 1.0, 0.0]), [0, 2 / 3, 1, 4 / 5])
    # Of one common probability and many species, the list of k finds 2 p k / (k + p S) of large numbers.
    found = expected_f1(np.full(400, 0.25))
    lengths = np.arange(1, 401)
    np.testing.assert_allclose(found[1:], 2 * 0.25 * lengths / (lengths + 100), atol=0.003)
    assert np.argmax(found) == 400


def test_places_are_independent_of_each_other_and_inputs_come_back():
    rng = np.random.default_rng(3)
    p = -np.sort(-rng.beta(0.3, 1, (50, 30)), axis=1)
    before = p.copy()
    assert best_lengths(p).tolist() == [int(np.argmax(expected_f1(own))) for own in p]
    np.testing.assert_array_equal(p, before)
    assert best_lengths(np.empty((0, 4))).tolist() == []
    assert best_lengths(np.empty((2, 0))).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("p", "sentence"),
    [
        ([0.1, 0.2], "probabilities must stand in falling order, the highest first"),
        ([1.2, 0.2], "probabilities must lie within 0..1, none missing"),
        ([np.nan, 0.2], "probabilities must lie within 0..1, none missing"),
    ],
)
def test_what_is_no_probability_is_told(p, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        expected_f1(p)
