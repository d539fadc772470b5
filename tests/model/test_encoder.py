import numpy as np
import pytest
import torch
from support import tiny

from presence_only.model.encoder import ByteDropout

HEADS = {"environment_head": True, "habitat_head": True}


def make(dropout=0.5, **settings):
    data = tiny.dataset()
    return tiny.model(data, depth=2, dropout=dropout, **settings), data.survey


def test_predict_equals_a_plain_numpy_forward():
    model, survey = make()
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
    model, survey = make()
    first = model.train().predict(survey.sites_M2, survey.covariates_MC)
    np.testing.assert_array_equal(first, model.predict(survey.sites_M2, survey.covariates_MC))
    assert model.training
    model.embed_sites(survey.sites_M2, survey.covariates_MC)
    assert model.training


def test_the_gate_starts_with_the_direct_logits_and_mixes_both_heads():
    model, survey = make(**HEADS)
    x = model.features(survey.sites_M2, survey.covariates_MC)
    with torch.no_grad():
        out, direct = model(x), model.species_head(model.encoder(x)).numpy()
        share = 1 / (1 + np.exp(-3.0))
        np.testing.assert_allclose(out.logits_BS, share * direct + (1 - share) * out.habitat_BS.numpy(), atol=1e-6)
        model.gate_S.fill_(-30.0)
        np.testing.assert_allclose(model(x).logits_BS, out.habitat_BS, atol=1e-6)
        model.gate_S[1] = 30.0
        np.testing.assert_allclose(model(x).logits_BS[:, 1], direct[:, 1], atol=1e-6)


@pytest.mark.parametrize("more", [{}, HEADS, {"kind": "additive", "expansion": "hinge"}, {"weeks": True}])
def test_a_start_adds_its_logits_to_those_of_a_twin_without(more):
    twin, survey = make(**more)
    start_S = torch.tensor([-7.0, -2.0, 0.0, 1.0, 30.0])
    model, _ = make(**more, start_S=start_S)
    assert all(
        torch.equal(twin.state_dict()[name], value) for name, value in model.state_dict().items() if name != "start_S"
    )
    sites = survey.sites_M2, survey.covariates_MC, np.full(len(survey.sites_M2), 7) if more.get("weeks") else None
    expected = twin.predict(*sites) + start_S.numpy()
    np.testing.assert_allclose(model.predict(*sites), expected, rtol=1e-5, atol=1e-5)
    some = torch.tensor([4, 1])
    np.testing.assert_allclose(
        model.species_logits(model.hidden(*sites), some), expected[:, some], rtol=1e-5, atol=1e-5
    )
    out, plain = (m(m.features(*sites)) for m in (model, twin))
    torch.testing.assert_close(out.logits_BS, plain.logits_BS + start_S, rtol=1e-5, atol=1e-5)
    if "habitat_head" in more:
        torch.testing.assert_close(out.habitat_BS, plain.habitat_BS + start_S, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        one_by_one = model.embed(model.features(*sites))
        assert torch.equal(one_by_one, twin.embed(twin.features(*sites)))


def test_a_smaller_head_scales_the_species_weights_and_draws_the_same():
    model, smaller, blank = (make(head_scale=scale)[0].state_dict() for scale in (1.0, 0.25, 0.0))
    weights = (state.pop("species_head.weight") for state in (model, smaller, blank))
    whole_SD, quarter_SD, nothing_SD = weights
    assert torch.equal(quarter_SD, 0.25 * whole_SD)
    assert nothing_SD.eq(0).all()
    assert all(torch.equal(model[name], smaller[name]) for name in model)


def test_species_do_not_bend_the_predicted_environment():
    model, survey = make(**HEADS)
    out = model(model.features(survey.sites_M2, survey.covariates_MC))
    out.habitat_BS.sum().backward()
    assert model.environment_head.weight.grad is None
    assert model.encoder[0].weight.grad is None
    assert model.habitat_head[0].weight.grad.abs().sum() > 0


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


def test_features_are_silenced_while_training_only():
    model, survey = make(dropout=0.0, input_dropout=0.5)
    x = model.features(survey.sites_M2, survey.covariates_MC)
    seen = []
    model.encoder[1].register_forward_hook(lambda module, given, out: seen.append(given[0]))
    torch.manual_seed(0)
    model.train()(x)
    model.eval()(x)
    silenced, whole = seen
    assert torch.equal(whole, x)
    kept = silenced != 0
    assert 0.3 < kept.float().mean() < 0.7
    assert torch.equal(silenced[kept], 2 * x[kept])


def test_the_week_modulates_every_block_and_does_nothing_at_the_start():
    model, survey = make(weeks=True, week="film")
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
    model, survey = make()
    location_MD = model.embed_sites(survey.sites_M2, survey.covariates_MC, chunk=7)
    expected = model.predict(survey.sites_M2, survey.covariates_MC)
    species_SD = model.species_head.weight.detach().numpy()
    np.testing.assert_allclose(location_MD @ species_SD.T, expected, rtol=1e-4, atol=1e-6)


def test_an_additive_encoder_is_linear_in_its_features_and_starts_at_zero():
    model, survey = make(kind="additive", expansion="hinge")
    assert not model.predict(survey.sites_M2, survey.covariates_MC).any()
    with torch.no_grad():
        model.species_head.weight.normal_()
    x = model.features(survey.sites_M2, survey.covariates_MC).numpy()
    expected = x @ model.species_head.weight.detach().numpy().T
    np.testing.assert_allclose(model.predict(survey.sites_M2, survey.covariates_MC), expected, rtol=1e-4, atol=1e-4)
