import numpy as np
import pytest
from scipy.special import expit
from support.matrices import Parts

from presence_only.data.truth import SurveyTruth
from presence_only.evaluation import mean_scores, passes
from presence_only.evaluation.mean_scores import MeanReader
from presence_only.evaluation.passes import read_species
from presence_only.evaluation.units import TruthUnits


@pytest.mark.parametrize("in_cache", [2**16, 50])
def test_means_are_those_of_the_whole_matrix_to_the_last_bit(monkeypatch, in_cache):
    monkeypatch.setattr(mean_scores, "_IN_CACHE", in_cache)
    monkeypatch.setattr(passes, "_PART", 700)
    logits_MS = np.random.default_rng(0).normal(-3, 4, (100, 20)).astype(np.float32)
    truth = TruthUnits(SurveyTruth.of_matrix(np.zeros((100, 20), dtype=np.int8)))
    reader = MeanReader(20)
    read_species(Parts.of(logits_MS), truth, part_readers=[reader])
    np.testing.assert_array_equal(reader.mean_S, expit(logits_MS).mean(axis=0, dtype=np.float64))
    slow = [sum(1 / (1 + np.exp(-float(logit))) for logit in column) / 100 for column in logits_MS.T]
    np.testing.assert_allclose(reader.mean_S, slow, rtol=1e-6)
