"""The truth of some species or sites by loops, and when it is kept."""

import numpy as np
import pytest

from presence_only.data.truth import SurveyTruth
from presence_only.evaluation import units as module
from presence_only.evaluation.units import TruthUnits, contiguous


def truth_of(seed=0, shape=(7, 5)):
    return np.random.default_rng(seed).choice([-1, 0, 1], size=shape, p=[0.3, 0.4, 0.3]).astype(np.int8)


@pytest.mark.parametrize("holes", [False, True])
def test_units_by_loops(holes):
    truth_MS = truth_of() if holes else np.maximum(truth_of(), 0)
    truth = TruthUnits(SurveyTruth.of_matrix(truth_MS))
    for unit, whole_UN in (("species", truth_MS.T), ("site", truth_MS)):
        for part in (slice(0, 5), slice(1, 3), slice(2, 2)):
            units, expected_UN = truth.of(unit, part), whole_UN[part]
            np.testing.assert_array_equal(units.truth_UN, expected_UN)
            assert units.truth_UN.flags.c_contiguous
            assert (units.surveyed_UN is None) == (not (expected_UN < 0).any())
            assert units.n_surveyed_U.tolist() == [int((row >= 0).sum()) for row in expected_UN]
            assert units.present_U.tolist() == [u for u, row in enumerate(expected_UN) if (row == 1).any()]
            for u, row in enumerate(expected_UN):
                places = units.place_P[units.start_U1[u] : units.start_U1[u + 1]] - u * expected_UN.shape[1]
                assert places.tolist() == np.flatnonzero(row == 1).tolist()
                assert units.surveyed(u, row).tolist() == row[row >= 0].tolist()
    np.testing.assert_array_equal(truth.n_presences_S, (truth_MS == 1).sum(axis=0))
    np.testing.assert_array_equal(truth.n_surveyed_S, (truth_MS >= 0).sum(axis=0))


def test_units_are_kept_where_asked_for_and_where_they_are_few(monkeypatch):
    truth = SurveyTruth.of_matrix(truth_of())
    kept = TruthUnits(truth, keep=True)
    assert kept.species(slice(0, 2)) is kept.species(slice(0, 2))
    assert kept.species(slice(0, 2)) is not kept.sites(slice(0, 2))
    assert kept.species(slice(0, 2)) is not kept.species(slice(0, 3))
    passing = TruthUnits(truth)
    assert passing.species(slice(0, 2)) is not passing.species(slice(0, 2))
    monkeypatch.setattr(module, "WHOLE", 34)
    large = TruthUnits(truth, keep=True)
    assert not large.keeps
    assert large.species(slice(0, 2)) is not large.species(slice(0, 2))


def test_a_copy_in_tiles_is_a_copy():
    whole = np.random.default_rng(0).random((1100, 3), dtype=np.float32)
    np.testing.assert_array_equal(contiguous(whole.T), whole.T)
    assert contiguous(whole.T).flags.c_contiguous
    assert contiguous(whole) is whole
