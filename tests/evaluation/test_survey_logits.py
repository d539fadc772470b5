"""The mean of the logits of several models, bit for bit that of their blend."""

import numpy as np
import pytest
import torch
from support import tiny

from presence_only.common.matrices import ArrayMatrix
from presence_only.evaluation import survey_logits
from presence_only.evaluation.survey_logits import MeanLogits, SurveyLogits
from presence_only.model.blend import Blend


@pytest.fixture(scope="module")
def dataset():
    """More than a dozen species: fewer columns of a product are rounded in another way."""
    return tiny.dataset(species=40, rows=200)


def models(dataset, n, **settings):
    found = []
    for seed in range(n):
        found.append(tiny.model(dataset, seed=seed, **settings))
        with torch.no_grad():
            found[-1].species_head.weight += 0.3 * torch.randn(40, 8)
    return found


def mean_of(members, survey):
    mean = MeanLogits(survey, len(members))
    for member in members:
        mean.add(SurveyLogits.of(member, survey))
    return mean.matrix().columns(slice(None))


def blended(members, survey):
    return Blend(members).scores(survey.sites_M2, survey.covariates_MC, survey.week_M).columns(slice(None))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8])
def test_the_mean_is_that_of_the_blend_to_the_last_bit(dataset, n):
    members = models(dataset, n)
    np.testing.assert_array_equal(mean_of(members, dataset.survey), blended(members, dataset.survey))
    slow = np.mean([SurveyLogits.of(model, dataset.survey).matrix.columns(slice(None)) for model in members], axis=0)
    np.testing.assert_allclose(mean_of(members, dataset.survey), slow, rtol=1e-5, atol=1e-6)


def test_over_the_weeks_of_a_year_the_blend_averages_first(dataset):
    members = models(dataset, 3, weeks=True)
    np.testing.assert_array_equal(mean_of(members, dataset.survey), blended(members, dataset.survey))


def test_few_logits_are_made_once_and_many_when_asked_for(dataset, monkeypatch):
    members, survey = models(dataset, 2), dataset.survey
    few = SurveyLogits.of(members[0], survey)
    assert isinstance(few.matrix, ArrayMatrix)
    expected_MS, mean_MS = members[0].predict(survey.sites_M2, survey.covariates_MC), mean_of(members, survey)
    np.testing.assert_array_equal(few.matrix.columns(slice(None)), expected_MS)
    monkeypatch.setattr(survey_logits, "WHOLE", 50 * 40 - 1)
    many = SurveyLogits.of(members[0], survey)
    assert many.matrix is many.scores
    np.testing.assert_array_equal(many.matrix.columns(slice(None)), expected_MS)
    np.testing.assert_array_equal(mean_of(members, survey), mean_MS)
    monkeypatch.undo()

    def made_again(*_):
        raise AssertionError("the logits of the models are made again")

    mean = MeanLogits(survey, 2)
    for member in members:
        mean.add(SurveyLogits.of(member, survey))
    monkeypatch.setattr(survey_logits, "Blend", made_again)
    np.testing.assert_array_equal(mean.matrix().columns(slice(None)), mean_MS)
