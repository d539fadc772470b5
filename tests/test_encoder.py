import numpy as np
import pytest
import tiny
import torch

from presence_only.encoder import ByteDropout, Features, RangeModel, coordinate_features
from presence_only.nouns import DataError
from presence_only.params import EncoderSettings


def test_coordinates_close_at_the_date_line_and_hold_the_poles_apart():
    west, east = coordinate_features(np.array([[-180.0, 10.0], [180.0, 10.0]]))
    np.testing.assert_allclose(west, east, atol=1e-12)
    # SINR: longitude and latitude are scaled to -1..1 and multiplied by pi.
    np.testing.assert_allclose(coordinate_features(np.array([[90.0, 45.0]])), [[1, 0, 1, 0]], atol=1e-12)


def test_features_are_standardised_on_training_data_alone():
    data = tiny.dataset(rows=200)
    data.training.records.covariates_NC[:, 0] = data.training.records.covariates_NC[:, 0] * 100 + 7
    features = Features("covariates", "sphere", 2).fit(data.training)
    records, background = data.training.records, data.training.background
    both = torch.cat(
        [
            features(records.sites_N2, records.covariates_NC),
            features(background.sites_K2, background.covariates_KC),
        ]
    )
    torch.testing.assert_close(both.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(both.std(0, correction=0), torch.ones(2), atol=1e-5, rtol=0)
    before = records.covariates_NC.copy()
    features(records.sites_N2, records.covariates_NC)
    np.testing.assert_array_equal(before, records.covariates_NC)


def test_an_unknown_covariate_is_the_mean_and_a_constant_one_is_harmless():
    data = tiny.dataset()
    for covariates in (data.training.records.covariates_NC, data.training.background.covariates_KC):
        covariates[:, 1] = 3.0
        covariates[0, 0] = np.nan
    features = Features("covariates", "sphere", 2).fit(data.training)
    out = features(np.zeros((2, 2)), np.array([[np.nan, 3.0], [0.0, np.nan]]))
    assert torch.isfinite(out).all()
    assert out[0].tolist() == [0.0, 0.0]


def test_local_coordinates_vary_where_the_sphere_does_not():
    rng = np.random.default_rng(0)
    data = tiny.dataset(input="coordinates")
    data.training.records.sites_N2[:] = [8.0, 47.0] + rng.normal(size=(60, 2)) * 0.01
    data.training.background.sites_K2[:] = [8.0, 47.0] + rng.normal(size=(40, 2)) * 0.01
    spread = {}
    for scale in ("sphere", "local"):
        features = Features("coordinates", scale, 2).fit(data.training)
        spread[scale] = float(features(data.training.records.sites_N2, np.zeros((60, 2))).std(0).min())
    assert spread["sphere"] < 1e-3
    assert 0.5 < spread["local"] < 2.0


def make(seed=0, dropout=0.5, **heads):
    torch.manual_seed(seed)
    data = tiny.dataset()
    features = Features("both", "sphere", 2).fit(data.training)
    return RangeModel(features, 5, EncoderSettings(width=8, depth=2, dropout=dropout, **heads)), data


def test_predict_equals_a_plain_numpy_forward():
    model, data = make()
    survey = data.survey
    logits = model.predict(survey.sites_M2, survey.covariates_MC, chunk=7)
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    x = model.features(survey.sites_M2, survey.covariates_MC).numpy()
    x = np.maximum(x @ state["encoder.0.weight"].T + state["encoder.0.bias"], 0)
    for block in ("encoder.2", "encoder.3"):
        hidden = np.maximum(x @ state[f"{block}.first.weight"].T + state[f"{block}.first.bias"], 0)
        x = x + np.maximum(hidden @ state[f"{block}.second.weight"].T + state[f"{block}.second.bias"], 0)
    np.testing.assert_allclose(logits, x @ state["species_head.weight"].T, rtol=1e-4, atol=1e-5)
    assert "species_head.bias" not in state


def test_dropout_is_off_when_predicting_and_on_again_after():
    model, data = make()
    survey = data.survey
    first = model.predict(survey.sites_M2, survey.covariates_MC)
    np.testing.assert_array_equal(first, model.predict(survey.sites_M2, survey.covariates_MC))
    assert model.training


HEADS = {"environment_head": True, "habitat_head": True}


@pytest.mark.parametrize("heads", [{}, HEADS])
def test_save_and_load(tmp_path, heads):
    model, data = make(**heads)
    model.save(tmp_path / "encoder.pt")
    model.save(tmp_path / "again.pt")
    assert (tmp_path / "encoder.pt").read_bytes() == (tmp_path / "again.pt").read_bytes()
    again = RangeModel.load(tmp_path / "encoder.pt")
    survey = data.survey
    np.testing.assert_array_equal(
        model.predict(survey.sites_M2, survey.covariates_MC), again.predict(survey.sites_M2, survey.covariates_MC)
    )


def test_the_wrong_number_of_covariates_is_refused():
    model, _ = make()
    with pytest.raises(ValueError, match="covariates_BC has 3 columns; the encoder was made for 2"):
        model.features(np.zeros((1, 2)), np.zeros((1, 3)))


def test_the_gate_starts_with_the_direct_logits_and_mixes_both_heads():
    model, data = make(dropout=0.0, **HEADS)
    survey = data.survey
    x = model.features(survey.sites_M2, survey.covariates_MC)
    out = model(x)
    assert torch.sigmoid(model.gate_S).detach().numpy() == pytest.approx(np.full(5, 0.9526), abs=1e-4)
    direct = model.species_head(model.encoder(x))
    share = 1 / (1 + np.exp(-3.0))
    torch.testing.assert_close(out.logits_BS, share * direct + (1 - share) * out.habitat_BS)
    with torch.no_grad():
        model.gate_S.fill_(-30.0)
    torch.testing.assert_close(model(x).logits_BS, out.habitat_BS)


def test_species_do_not_bend_the_predicted_environment():
    model, data = make(dropout=0.0, **HEADS)
    out = model(model.features(data.survey.sites_M2, data.survey.covariates_MC))
    out.habitat_BS.sum().backward()
    assert model.environment_head.weight.grad is None
    assert model.encoder[0].weight.grad is None
    assert model.habitat_head[0].weight.grad.abs().sum() > 0


def test_the_environment_is_standardised_and_keeps_what_is_unknown():
    data = tiny.dataset()
    data.training.records.covariates_NC[0, 0] = np.nan
    features = Features("coordinates", "sphere", 2).fit(data.training)
    environment = features.environment(data.training.records.covariates_NC)
    assert environment[0, 0].isnan()
    assert environment.isnan().sum() == 1
    assert features(data.training.records.sites_N2, data.training.records.covariates_NC).shape == (60, 4)


def test_an_environment_head_needs_covariates():
    features = Features("coordinates", "sphere", 0)
    with pytest.raises(DataError, match="the data set has no covariates to predict"):
        RangeModel(features, 3, EncoderSettings(width=4, depth=0, environment_head=True))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.5, 0.9])
def test_dropout_silences_its_share_and_keeps_the_mean(share):
    torch.manual_seed(0)
    dropout = ByteDropout(share)
    x = torch.ones(400, 501)
    out = dropout(x)
    kept = out != 0
    exact = round(share * 256) / 256
    n = x.numel()
    assert abs(kept.double().mean().item() - (1 - exact)) < 5 * (exact * (1 - exact) / n) ** 0.5 + 1e-12
    assert abs(exact - share) <= 1 / 512
    assert torch.unique(out[kept]).tolist() == pytest.approx([1 / (1 - exact)])
    # Neighbours are independent, along rows and across.
    for a, b in ((kept[:, 1:], kept[:, :-1]), (kept[1:], kept[:-1])):
        both = (a & b).double().mean().item()
        assert abs(both - (1 - exact) ** 2) < 0.01
    assert torch.equal(dropout.eval()(x), x)


def test_dropout_draws_anew_and_by_the_seed():
    dropout = ByteDropout(0.5)
    x = torch.ones(7, 3)
    torch.manual_seed(1)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(1)
    assert torch.equal(first, dropout(x))
    assert not torch.equal(first, second)
