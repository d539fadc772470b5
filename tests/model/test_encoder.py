import numpy as np
import pytest
import torch
from support import tiny

from presence_only.common.errors import DataError
from presence_only.model.encoder import Blend, ByteDropout, RangeModel, load_model
from presence_only.model.features import Features
from presence_only.model.settings import EncoderSettings


def make(seed=0, dropout=0.5, weeks=False, **settings):
    torch.manual_seed(seed)
    data = tiny.dataset()
    expansion = settings.get("expansion", "none")
    features = Features("both", "sphere", 2, weeks=weeks, expansion=expansion).fit(data.training)
    return RangeModel(features, 5, EncoderSettings(width=8, depth=2, dropout=dropout, **settings)), data


def test_predict_equals_a_plain_numpy_forward():
    model, data = make()
    survey = data.survey
    logits = model.predict(survey.sites_M2, survey.covariates_MC)
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


@pytest.mark.parametrize("heads", [{}, HEADS, {"weeks": True}, {"weeks": True, "week": "film"}])
def test_save_and_load(tmp_path, heads):
    model, data = make(**heads)
    model.save(tmp_path / "encoder.pt")
    model.save(tmp_path / "again.pt")
    assert (tmp_path / "encoder.pt").read_bytes() == (tmp_path / "again.pt").read_bytes()
    again = load_model(tmp_path / "encoder.pt")
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


def test_the_week_modulates_every_block_and_does_nothing_at_the_start():
    model, data = make(dropout=0.0, weeks=True, week="film")
    survey = data.survey
    winter, summer = (np.full(len(survey.sites_M2), week) for week in (1, 25))
    first = model.predict(survey.sites_M2, survey.covariates_MC, winter)
    np.testing.assert_array_equal(first, model.predict(survey.sites_M2, survey.covariates_MC, summer))
    weight, bias = torch.randn(2, 16, 4, generator=torch.Generator().manual_seed(0)), torch.full((2, 16), 0.3)
    with torch.no_grad():
        for i, modulation in enumerate(model.modulations):
            modulation.linear.weight.copy_(weight[i])
            modulation.linear.bias.copy_(bias[i])
    x = model.features(survey.sites_M2, survey.covariates_MC, summer)
    state = {name: value.double() for name, value in model.state_dict().items()}
    place, week = x[:, :-4].double(), x[:, -4:].double()
    h = (place @ state["encoder.0.weight"].T + state["encoder.0.bias"]).clamp(min=0)
    for i, block in enumerate(("encoder.2", "encoder.3")):
        both = week @ weight[i].double().T + bias[i].double()
        h = h * (1 + both[:, :8]) + both[:, 8:]
        inner = (h @ state[f"{block}.first.weight"].T + state[f"{block}.first.bias"]).clamp(min=0)
        h = h + (inner @ state[f"{block}.second.weight"].T + state[f"{block}.second.bias"]).clamp(min=0)
    expected = (h @ state["species_head.weight"].T).numpy()
    np.testing.assert_allclose(model.predict(survey.sites_M2, survey.covariates_MC, summer), expected, atol=1e-4)


def test_embedded_sites_times_the_species_matrix_are_the_logits():
    model, data = make()
    survey = data.survey
    location_MD = model.embed_sites(survey.sites_M2, survey.covariates_MC, chunk=7)
    expected = model.predict(survey.sites_M2, survey.covariates_MC)
    species_SD = model.species_head.weight.detach().numpy()
    np.testing.assert_allclose(location_MD @ species_SD.T, expected, rtol=1e-4, atol=1e-6)


def test_a_blend_is_the_mean_of_its_members_logits(tmp_path):
    members = [make(seed=0)[0], make(seed=1, **HEADS)[0], make(seed=2, kind="additive", expansion="hinge")[0]]
    with torch.no_grad():
        members[2].species_head.weight.normal_()
    blend, survey = Blend([member.eval() for member in members]), tiny.dataset().survey
    expected = np.mean([m.predict(survey.sites_M2, survey.covariates_MC) for m in members], axis=0)
    np.testing.assert_allclose(blend.predict(survey.sites_M2, survey.covariates_MC), expected, rtol=1e-5, atol=1e-6)
    blend.save(tmp_path / "encoder.pt")
    again = load_model(tmp_path / "encoder.pt")
    np.testing.assert_allclose(again.predict(survey.sites_M2, survey.covariates_MC), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("content", ["nothing", "junk", "cut off", "of another version"])
def test_an_encoder_that_cannot_be_read_is_one_sentence(tmp_path, content):
    path = tmp_path / "encoder.pt"
    make()[0].save(path)
    if content == "of another version":
        torch.save({"members": [{"input": "coordinates"}]}, path)
    else:
        path.write_bytes({"nothing": b"", "junk": b"junk\n", "cut off": path.read_bytes()[:1000]}[content])
    with pytest.raises(DataError, match="cannot be read as an encoder of this version; `dvc repro` makes it anew"):
        load_model(path)


def test_an_additive_encoder_is_linear_in_its_features_and_starts_at_zero():
    model, data = make(kind="additive", expansion="hinge")
    survey = data.survey
    assert not model.predict(survey.sites_M2, survey.covariates_MC).any()
    with torch.no_grad():
        model.species_head.weight.normal_()
    x = model.features(survey.sites_M2, survey.covariates_MC).numpy()
    expected = x @ model.species_head.weight.detach().numpy().T
    np.testing.assert_allclose(model.predict(survey.sites_M2, survey.covariates_MC), expected, rtol=1e-4, atol=1e-4)


def test_dropout_of_features_only_while_training():
    model, data = make(dropout=0.0, input_dropout=0.5)
    x = model.features(data.survey.sites_M2, data.survey.covariates_MC)
    model.train()
    assert not torch.equal(model(x).logits_BS, model(x).logits_BS)
    model.eval()
    assert torch.equal(model(x).logits_BS, model(x).logits_BS)
