import numpy as np
import pytest

from presence_only.evaluation.record_quarters import COMMON, QUARTERS, RARE, ap_of_quarters


def test_quarters_by_a_sort_of_pairs():
    rng = np.random.default_rng(0)
    ap_S, n_records_S = rng.random(41), rng.integers(0, 9, 41)
    ap_S[::6] = np.nan
    known = sorted((n, s) for s, n in enumerate(n_records_S.tolist()) if not np.isnan(ap_S[s]))
    size = -(-len(known) // 4)
    found = ap_of_quarters(ap_S, n_records_S)
    for name, chosen in ((RARE, known[:size]), (COMMON, known[-size:])):
        index = [s for _, s in chosen]
        expected_S = [ap if s in index else np.nan for s, ap in enumerate(ap_S.tolist())]
        np.testing.assert_array_equal(found[name], expected_S)


def test_equal_numbers_of_records_stand_in_the_order_of_the_vocabulary():
    found = ap_of_quarters(np.array([0.1, 0.2, 0.3, 0.4]), np.ones(4, dtype=int))
    np.testing.assert_array_equal(found[RARE], [0.1, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(found[COMMON], [np.nan, np.nan, np.nan, 0.4])


def test_few_species():
    found = ap_of_quarters(np.array([np.nan, 0.2]), np.array([3, 5]))
    assert list(found) == list(QUARTERS)
    for name in QUARTERS:
        np.testing.assert_array_equal(found[name], [np.nan, 0.2])
    assert np.isnan(ap_of_quarters(np.full(3, np.nan), np.arange(3))[RARE]).all()


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"^ap has shape \(2,\) and n_records \(3,\): both must be \(species,\)$"):
        ap_of_quarters(np.zeros(2), np.zeros(3))
