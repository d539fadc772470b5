import numpy as np
import pytest
from support import tiny

from presence_only.model.blend import Blend
from presence_only.model.range_map import MapError, suitability

DATA = tiny.dataset()
SITES = np.array([[0.0, 50.0], [-40.0, 30.0], [10.0, -20.0]])
COVARIATES = np.array([[0.5, 1.0], [np.nan, np.nan], [np.nan, -1.0]], np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(float)))


def sample(sites):
    np.testing.assert_array_equal(sites, SITES)
    return COVARIATES


def test_it_is_the_mean_sigmoid_over_the_models():
    models = [tiny.model(DATA, seed=seed, input="coordinates") for seed in (0, 1)]
    found = suitability(models, SITES, None, slice(1, 3), None)
    expected = np.mean([sigmoid(model.predict(SITES, COVARIATES)[:, 1:3]) for model in models], axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("reads", [("both",), ("coordinates", "covariates")], ids=["alone", "a blend's second member"])
def test_it_is_unknown_where_most_covariates_are_that_any_member_reads(reads):
    members = [tiny.model(DATA, seed=i, input=name) for i, name in enumerate(reads)]
    model = Blend(members) if len(members) > 1 else members[0]
    found = suitability([model], SITES, sample, slice(None), None)
    assert np.isnan(found).all(axis=1).tolist() == [False, True, False]
    np.testing.assert_allclose(found[[0, 2]], sigmoid(model.predict(SITES, COVARIATES))[[0, 2]], atol=1e-6)


@pytest.mark.parametrize(
    ("weeks", "week", "sentence"),
    [
        (False, 3, "week = 3: the run was trained without weeks; leave the week out"),
        (True, 49, "week = 49: must lie within 1..48, four weeks a month"),
    ],
)
def test_a_week_that_cannot_be_asked_for_is_one_sentence(weeks, week, sentence):
    with pytest.raises(MapError, match=sentence):
        suitability([tiny.model(DATA, weeks=weeks)], SITES, sample, slice(None), week)
