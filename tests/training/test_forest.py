"""Forests: what scikit-learn's trees say, one forest a taxon group, and the same model from a file and as a graph."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesRegressor
from support import tiny

from presence_only.common.errors import DataError, SettingsError
from presence_only.export.onnx_file import TOLERANCE, Places, export_onnx
from presence_only.model.files import load_model, save_model
from presence_only.model.forest import ForestSettings
from presence_only.model.settings import EncoderSettings
from presence_only.training.fit import fit_variant
from presence_only.training.forest import fit_forest
from presence_only.training.settings import TrainingSettings
from presence_only.training.variant import Variant

READS = EncoderSettings(input="both")
SETTINGS = ForestSettings(trees=15, min_leaf=3)
DATA = tiny.dataset(rows=200, per_row=2, groups=("a", "a", "a", "b", "b"))
SITES, COVARIATES = DATA.survey.sites_M2, DATA.survey.covariates_MC


def forest(data=DATA, seed=0, **settings):
    return fit_forest(data.training, READS, SETTINGS.model_copy(update=settings), seed)[0]


def test_logits_are_the_log_odds_of_the_mean_share_in_scikit_learns_leaves(monkeypatch):
    fitted = []
    plain = ExtraTreesRegressor.fit

    def kept(self, features_RF, target_RX):
        fitted.append((plain(self, features_RF, target_RX), features_RF, target_RX))
        return self

    monkeypatch.setattr(ExtraTreesRegressor, "fit", kept)
    own = forest()
    logits_MS = own.predict(SITES, COVARIATES)
    features_MF = own.features(SITES, COVARIATES).numpy()
    assert len(fitted) == 2
    for (sklearn_forest, _, target_RX), species in zip(fitted, (slice(0, 3), slice(3, 5)), strict=True):
        scale_X = target_RX.max(axis=0)  # a presence is 1 times the scale
        share_MX = sklearn_forest.predict(features_MF) / scale_X
        least = 0.25 / SETTINGS.min_leaf / SETTINGS.trees
        share_MX = np.clip(share_MX, least, 1 - least)
        # Shares are kept in half precision.
        np.testing.assert_allclose(
            1 / (1 + np.exp(-logits_MS[:, species].astype(np.float64))), share_MX, rtol=2e-3, atol=1e-5
        )


def test_rows_of_a_group_are_those_with_its_species_and_background_without_records(monkeypatch):
    seen = []
    plain = ExtraTreesRegressor.fit
    monkeypatch.setattr(ExtraTreesRegressor, "fit", lambda self, x, y: (seen.append((x, y > 0)), plain(self, x, y))[1])
    forest(background_share=0.1)
    records = DATA.training.records
    for (features_RF, present_RX), species in zip(seen, ([0, 1, 2], [3, 4]), strict=True):
        counts = [np.count_nonzero(records.species_P == s) for s in species]
        assert present_RX.sum(axis=0).tolist() == counts
        rows = len({r for r, s in zip(records.row_P, records.species_P, strict=True) if s in species})
        assert len(features_RF) == rows + min(round(rows / 9), 40)
        assert not present_RX[rows:].any()


def test_a_group_is_untouched_by_the_records_of_another():
    changed = tiny.dataset(rows=200, per_row=2, groups=("a", "a", "a", "b", "b"))
    species_P = changed.training.records.species_P
    swapped = np.where(species_P == 3, 4, np.where(species_P == 4, 3, species_P))
    object.__setattr__(changed.training.records, "species_P", swapped)
    before, after = (forest(data).predict(SITES, COVARIATES) for data in (DATA, changed))
    np.testing.assert_array_equal(after[:, :3], before[:, :3])
    assert not np.array_equal(after[:, 3:], before[:, 3:])


def test_a_species_lives_where_it_was_recorded():
    data = tiny.dataset(rows=600, species=5)
    logits_MS = forest(data, trees=50).predict(data.survey.sites_M2, data.survey.covariates_MC)
    band_M = data.survey.truth.rows(slice(None)).argmax(axis=1)
    assert np.mean(logits_MS.argmax(axis=1) == band_M) > 0.8


def test_the_same_seed_gives_the_same_bytes_and_the_file_gives_the_model(tmp_path):
    first, second, other = forest(), forest(), forest(seed=1)
    for name, model in (("first", first), ("second", second)):
        save_model(model, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert not np.array_equal(first.predict(SITES, COVARIATES), other.predict(SITES, COVARIATES))
    loaded = load_model(tmp_path / "first")
    np.testing.assert_array_equal(loaded.predict(SITES, COVARIATES), first.predict(SITES, COVARIATES))
    some = loaded.scores(SITES, COVARIATES, species_Q=np.array([4, 0]))
    np.testing.assert_array_equal(some.columns(slice(None)), first.predict(SITES, COVARIATES)[:, [4, 0]])
    assert loaded.embed_sites(SITES, COVARIATES).shape == (50, 5)


@pytest.mark.parametrize("name", ["left_N", "feature_N", "leaf_N", "root_T", "group_S"])
def test_a_forged_tree_is_refused(tmp_path, name):
    content = forest().content()
    content["state"][name] = content["state"][name] + 10**6
    torch.save(content, tmp_path / "encoder.pt")
    with pytest.raises(DataError, match=r"encoder\.pt"):
        load_model(tmp_path / "encoder.pt")


def test_a_member_of_a_blend_may_be_a_forest():
    raw = {"loss": "bce", "members": [{}, {"forest": {"trees": 5}}]}
    variant = Variant.parse(raw, "variants.v", READS, TrainingSettings(epochs=2, batch_size=64))
    assert variant.resolved()["members"][1].keys() == {"forest", "encoder"}
    done = []
    model, histories = fit_variant(DATA.training, variant, 0, lambda epoch, epochs, loss: done.append((epoch, epochs)))
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert [history.loss_computation for history in histories] == ["all_logits", "forest"]
    logits = [member.predict(SITES, COVARIATES) for member in model.members]
    np.testing.assert_allclose(model.predict(SITES, COVARIATES), np.mean(logits, axis=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({"forest": {"trees": 0}}, r"forest.trees"),
        ({"forest": 7}, r"members\[1\]\.forest = 7: must be a mapping"),
        ({"forest": {}, "training": {"steps": 3}}, r"members\[1\]\.training .* no loss and no training"),
        ({"forest": {}, "encoder": {"width": 3}}, r"members\[1\]\.encoder\.width = 3: must be left out"),
    ],
)
def test_settings_of_a_forest_that_mean_nothing_are_refused(member, message):
    with pytest.raises(SettingsError, match=message):
        Variant.parse({"loss": "bce", "members": [{}, member]}, "variants.v", READS, TrainingSettings())


def test_one_species_is_told_from_the_background_alone():
    data = tiny.dataset(species=1)
    logits_M1 = forest(data, background_share=0.5).predict(data.survey.sites_M2, data.survey.covariates_MC)
    assert np.isfinite(logits_M1).all()
    assert logits_M1.std() > 0


def test_onnx_has_the_forests_logits(tmp_path):
    pytest.importorskip("onnxruntime")
    sites = np.concatenate([SITES, DATA.training.records.sites_N2])
    covariates = np.concatenate([COVARIATES, DATA.training.records.covariates_NC])
    checked = export_onnx([forest(), forest(seed=1)], tmp_path / "m.onnx", Places(sites, covariates, None), {})
    assert checked.error <= TOLERANCE
    assert checked.n_places == 250
