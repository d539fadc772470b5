import numpy as np
import pytest
import torch
from support import tiny

from presence_only.model import interface as module
from presence_only.model.interface import WEEKS_OF_A_YEAR, Scores

HEADS = {"environment_head": True, "habitat_head": True}


def make(weeks=False, **settings):
    data = tiny.dataset()
    model = tiny.model(data, weeks=weeks, depth=2, **settings)
    if settings.get("week") == "film":
        for modulation in model.modulations:
            torch.nn.init.normal_(modulation.linear.weight)
    return model, data.survey.sites_M2, data.survey.covariates_MC


@pytest.mark.parametrize("settings", [{}, HEADS])
@pytest.mark.parametrize("kept", [0, 500, 2**30])
def test_parts_are_those_of_the_whole(settings, kept, monkeypatch):
    monkeypatch.setattr(module, "KEPT_BYTES", kept)
    model, sites, covariates = make(**settings)
    whole = model(model.features(sites, covariates)).logits_BS.detach().numpy()
    scores = Scores(model, sites, covariates, chunk=7)
    assert scores.shape == whole.shape == (50, 5)
    for _ in range(2):
        np.testing.assert_allclose(scores.columns(slice(1, 4)), whole[:, 1:4], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(scores.rows(slice(5, 23)), whole[5:23], rtol=1e-5, atol=1e-6)
    assert scores.rows(slice(3, 3)).shape == (0, 5)
    some = Scores(model, sites, covariates, species_Q=np.array([4, 1, 2]), chunk=7)
    assert some.shape == (50, 3)
    assert some.rows(slice(3, 3)).shape == (0, 3)
    np.testing.assert_allclose(some.columns(slice(1, 3)), whole[:, [1, 2]], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(some.rows(slice(5, 23)), whole[5:23, [4, 1, 2]], rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="without a step"):
        scores.rows(slice(0, 10, 2))


@pytest.mark.parametrize("week", ["features", "film"])
def test_without_a_week_it_is_the_mean_suitability_over_the_months(week):
    model, sites, covariates = make(weeks=True, week=week)
    by_month = [model.predict(sites, covariates, np.full(len(sites), w)).astype(np.float64) for w in WEEKS_OF_A_YEAR]
    assert len(by_month) == 12
    assert np.ptp(by_month, axis=0).max() > 1e-3
    p = np.mean(1 / (1 + np.exp(-np.array(by_month))), axis=0)
    np.testing.assert_allclose(model.scores(sites, covariates).columns(slice(None)), np.log(p / (1 - p)), atol=1e-4)


def test_the_yearly_mean_holds_where_the_sigmoid_saturates():
    model, sites, covariates = make(weeks=True)
    with torch.no_grad():
        model.species_head.weight.mul_(1e4)
    assert np.isfinite(model.predict(sites, covariates)).all()
