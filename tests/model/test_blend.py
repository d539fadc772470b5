import numpy as np
import torch
from support import tiny

from presence_only.model.blend import Blend

DATA = tiny.dataset()
SITES, COVARIATES = DATA.survey.sites_M2, DATA.survey.covariates_MC


def members():
    """One of each shape that a member may have; they read different parts of the data."""
    found = [
        tiny.model(DATA, seed=0, input="coordinates"),
        tiny.model(DATA, seed=1, width=6, environment_head=True, habitat_head=True),
        tiny.model(DATA, seed=2, kind="additive", expansion="hinge"),
    ]
    with torch.no_grad():
        found[2].species_head.weight.normal_()
    return found


def test_it_is_the_mean_of_its_members_logits():
    own = members()
    expected = np.mean([member.predict(SITES, COVARIATES) for member in own], axis=0)
    blend = Blend(own)
    np.testing.assert_allclose(blend.predict(SITES, COVARIATES), expected, rtol=1e-5, atol=1e-6)
    some = blend.scores(SITES, COVARIATES, species_Q=np.array([3, 0]))
    np.testing.assert_allclose(some.columns(slice(None)), expected[:, [3, 0]], rtol=1e-5, atol=1e-6)


def test_a_blend_of_blends_is_one_too():
    first, second, third = members()
    blend = Blend([Blend([first, second]), third])
    expected = (first.predict(SITES, COVARIATES) + second.predict(SITES, COVARIATES)) / 4
    expected += third.predict(SITES, COVARIATES) / 2
    np.testing.assert_allclose(blend.predict(SITES, COVARIATES), expected, rtol=1e-5, atol=1e-6)


def test_its_embedding_is_that_of_all_members_side_by_side():
    own = members()
    expected = np.concatenate([member.embed_sites(SITES, COVARIATES) for member in own], axis=1)
    assert expected.shape == (50, 8 + 6 + own[2].features.size)
    np.testing.assert_array_equal(Blend(own).embed_sites(SITES, COVARIATES, chunk=50), expected)


def test_it_reads_what_any_member_reads():
    first, second, _ = members()
    assert not Blend([first, first]).reads_covariates
    assert Blend([first, second]).reads_covariates
    assert Blend([first, second]).n_covariates == 2
