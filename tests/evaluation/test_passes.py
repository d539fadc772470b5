"""Readers are handed every score once, whatever the parts, and little is held at a time."""

import tracemalloc

import numpy as np
import pytest
from support.matrices import Parts

from presence_only.common.matrices import as_matrix
from presence_only.data.truth import SurveyTruth
from presence_only.evaluation import passes
from presence_only.evaluation.effort_scores import EffortReader
from presence_only.evaluation.geoscore import ListReader
from presence_only.evaluation.mean_scores import MeanReader
from presence_only.evaluation.metrics import METRICS, formulas
from presence_only.evaluation.observer_effort import SurveyEffort
from presence_only.evaluation.passes import Values, read_sites, read_species
from presence_only.evaluation.units import TruthUnits


class Copy:
    """Writes down what it is handed."""

    def __init__(self, shape):
        self.parts, self.units = np.full(shape, np.nan), np.full(shape, np.nan)
        self.truth, self.sizes = np.full(shape, -9), []

    def read_part(self, part):
        assert np.isnan(self.parts[:, part.species]).all()
        self.parts[:, part.species] = part.scores_Ms
        self.truth[:, part.species] = part.truth_Ms

    def read(self, block):
        assert np.isnan(self.units[block.part]).all()
        assert block.scores_UN.flags.c_contiguous
        self.units[block.part] = np.where(block.units.truth_UN >= 0, block.scores_UN, 0)
        self.sizes.append(len(block.scores_UN))


@pytest.mark.parametrize("parts", [False, True])
def test_every_score_is_made_once_and_handed_to_all(monkeypatch, parts):
    monkeypatch.setattr(passes, "_PART", 120)
    monkeypatch.setattr(passes, "_LEAST_SPECIES", 1)
    monkeypatch.setattr(passes, "_SPECIES", 3)
    rng = np.random.default_rng(0)
    scores_MS = rng.standard_normal((30, 17)).astype(np.float32)
    truth_MS = rng.choice([-1, 0, 1], size=(30, 17)).astype(np.int8)
    truth = TruthUnits(SurveyTruth.of_matrix(truth_MS))
    scores = Parts.of(scores_MS) if parts else as_matrix(scores_MS)
    first, second = Copy((30, 17)), Copy((17, 30))
    read_species(scores, truth, [second], [first])
    np.testing.assert_array_equal(first.parts, scores_MS)
    np.testing.assert_array_equal(first.truth, truth_MS)
    np.testing.assert_array_equal(second.units, np.where(truth_MS >= 0, scores_MS, 0).T)
    assert max(second.sizes) == 3
    sites = Copy((30, 17))
    read_sites(scores, truth, [sites])
    np.testing.assert_array_equal(sites.units, np.where(truth_MS >= 0, scores_MS, 0))
    if parts:
        assert scores.asked == [120, 120, 120, 120, 30] + [119] * 4 + [34]


def test_no_species_and_no_sites_are_read_as_nothing():
    for shape in ((0, 4), (4, 0)):
        truth = TruthUnits(SurveyTruth.of_matrix(np.zeros(shape, dtype=np.int8)))
        scores, values = as_matrix(np.zeros(shape)), Values(shape[1], formulas("species"))
        read_species(scores, truth, [values], [MeanReader(shape[1])] if shape[0] else [])
        assert all(np.isnan(found).all() for found in values.values)
        read_sites(scores, truth, [Values(shape[0], formulas("site"))])


def test_a_nan_is_told_by_species_or_site_unless_it_was_not_surveyed():
    scores_MS, truth_MS = np.zeros((9, 80), dtype=np.float32), np.zeros((9, 80), dtype=np.int8)
    scores_MS[4, 70], truth_MS[4, 70] = np.nan, -1
    scores = as_matrix(scores_MS)
    for read in (read_species, read_sites):
        read(scores, TruthUnits(SurveyTruth.of_matrix(truth_MS)), [Copy((80, 9) if read is read_species else (9, 80))])
    truth = TruthUnits(SurveyTruth.of_matrix(np.abs(truth_MS)))
    with pytest.raises(ValueError, match=r"^scores hold NaN at species 70: every surveyed score"):
        read_species(scores, truth)
    with pytest.raises(ValueError, match=r"^scores hold NaN at site 4: every surveyed score"):
        read_sites(scores, truth, [])


def test_memory_stays_far_below_the_matrix(monkeypatch):
    """5,000 sites x 2,000 species are 40 MB of scores and 10 MB of truth; everything of a seed is read of them."""
    monkeypatch.setattr(passes, "_PART", 2**18)
    monkeypatch.setattr(passes, "_BLOCK", 2**16)
    shape = n_sites, n_species = 5_000, 2_000
    rng = np.random.default_rng(0)
    scores_M = rng.standard_normal((n_sites, 1), dtype=np.float32)
    offset_S = rng.standard_normal((1, n_species), dtype=np.float32)
    scores = Parts(shape, lambda sites, species: scores_M[sites[:, 0]] * offset_S[:, species[0]])
    presences = {s: np.arange(s % 7, n_sites, 61) for s in range(0, n_species, 2)}
    truth = TruthUnits(SurveyTruth.of_presences(n_sites, n_species, presences), keep=True)
    truth.keeps = False
    effort = EffortReader(SurveyEffort(rng.integers(0, 50, n_sites), truth))
    by_species, by_site = Values(n_species, formulas("species")), Values(n_sites, formulas("site"))
    tracemalloc.start()
    read_species(scores, truth, [effort, by_species], [MeanReader(n_species)], in_order=True)
    read_sites(scores, truth, [by_site, ListReader(n_sites)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(scores.asked) <= 2**18
    assert sum(scores.asked) == 2 * n_sites * n_species
    assert effort.correlation().n_species == n_species / 2
    assert np.count_nonzero(np.isnan(by_species.values[list(METRICS).index("species_map")])) == n_species / 2
    # A part of 1 MB, its truth, what is sorted of it, and what the test makes it of.
    assert peak < 0.3 * 4 * n_sites * n_species
