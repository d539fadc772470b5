import numpy as np
import pytest
import torch
from support import tiny
from torch.nn.functional import binary_cross_entropy_with_logits

from presence_only.common.errors import DataError, TrainingError
from presence_only.common.random_streams import stream
from presence_only.common.settings import SettingsError
from presence_only.evaluation.metrics import evaluate
from presence_only.losses.base import LossSettings, TrainingCounts, parse_variant
from presence_only.losses.pair_weights import PairWeights
from presence_only.losses.sinr import AnFullSettings
from presence_only.model.settings import EncoderSettings
from presence_only.training import fit as training
from presence_only.training import loss_computation
from presence_only.training.batches import RowBatches
from presence_only.training.fit import fit
from presence_only.training.pair_scores import Probe
from presence_only.training.settings import TrainingSettings
from presence_only.training.variant import Variant

PLACE = EncoderSettings(width=16, depth=1, dropout=0.1)
ENCODER = PLACE.model_copy(update={"input": "both"})


@pytest.fixture(autouse=True)
def _one_thread():
    """Small tensors: threads that wait for each other would cost ten times the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def settings(**changes):
    base = {"epochs": 3, "batch_size": 16, "background_batch_size": 16, "schedule": "constant", "device": "cpu"}
    return TrainingSettings(**base | changes)


def train(loss="bce", seed=0, data=None, encoder=ENCODER, **changes):
    data = data or tiny.dataset()
    return fit(data.training, parse_variant({"loss": loss}, "variants.x"), encoder, settings(**changes), seed)


@pytest.mark.parametrize("loss", ["bce", "an_full", "an_ssdl", "assume_negative"])
def test_a_seed_fixes_everything_bit_for_bit(loss):
    (one, history), (two, again), (other, _) = (train(loss, seed) for seed in (0, 0, 1))
    assert history.loss == again.loss
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, two.state_dict()[name])
    assert not torch.equal(one.species_head.weight, other.species_head.weight)


@pytest.mark.parametrize("loss", ["bce", "an_full"])
def test_a_watched_run_gives_the_same_bytes(loss):
    seen = []

    def watch(done, epochs, model):
        assert not model.training
        records = tiny.dataset().training.records
        seen.append((done, epochs, model.predict(records.sites_N2, records.covariates_NC)))

    data = tiny.dataset()
    alone, history = train(loss, data=data)
    watched, same = fit(data.training, parse_variant({"loss": loss}, "variants.x"), ENCODER, settings(), 0, watch=watch)
    assert history.loss == same.loss
    assert history.probes == same.probes
    for name, weight in alone.state_dict().items():
        assert torch.equal(weight, watched.state_dict()[name])
    assert [numbers[:2] for numbers in seen] == [(1, 3), (2, 3), (3, 3)]
    records = data.training.records
    np.testing.assert_array_equal(seen[-1][2], alone.predict(records.sites_N2, records.covariates_NC))
    assert not np.array_equal(seen[0][2], seen[1][2])


def test_who_watches_can_end_a_run():
    def watch(done, epochs, model):
        raise KeyError(done)

    with pytest.raises(KeyError, match="1"):
        fit(tiny.dataset().training, parse_variant({"loss": "bce"}, "x"), ENCODER, settings(), 0, watch=watch)


def test_the_callers_random_stream_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train()
    assert torch.equal(torch.rand(3), expected)


def test_training_learns_the_ranges():
    data, own = tiny.dataset(rows=400), {"encoder": PLACE, "batch_size": 50}
    # One pass at a rate of 0.0001 changes nothing to speak of.
    (untrained, _), (model, history) = (
        train("an_full", data=data, epochs=epochs, learning_rate=rate, **own)
        for epochs, rate in ((1, 1e-4), (40, 0.02))
    )
    given, truth = (data.survey.sites_M2, data.survey.covariates_MC), data.survey.truth
    before, after = (evaluate(m.predict(*given), truth).summary["species_map"] for m in (untrained, model))
    assert before < 0.75 < 0.9 < after
    assert history.loss[-1] < 0.8 * history.loss[0]
    assert not model.training


def adam_step(weights, slopes, moments, step, rate, decoupled):
    """Adam with beta2 0.95 as Kingma and Ba (2015) write it, and a decay of 0.1 of either kind; step counts from 1."""
    for weight, slope, (mean, square) in zip(weights, slopes, moments, strict=True):
        slope = slope + (0.0 if decoupled else 0.1 * weight)
        mean += 0.1 * (slope - mean)
        square += 0.05 * (slope**2 - square)
        weight *= 1 - (0.1 * rate if decoupled else 0.0)
        weight -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.95**step)) + 1e-8)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_steps_are_those_of_a_textbook_loop(name):
    """One epoch with labels as a matrix, torch's own cross-entropy, and a cosine schedule."""
    data, encoder = tiny.dataset(rows=50, per_row=2), ENCODER.model_copy(update={"dropout": 0.0, "start": "zero"})
    own = {
        "loss_computation": "all_logits",
        "optimizer": name,
        "beta2": 0.95,
        "weight_decay": 0.1,
        "schedule": "cosine",
    }
    model, _ = train(
        data=data, encoder=encoder, epochs=None, steps=1, learning_rate=1e-30, loss_computation="all_logits"
    )
    fitted, history = train(data=data, encoder=encoder, epochs=1, learning_rate=0.01, **own)
    records = data.training.records
    x_NF = model.features(records.sites_N2, records.covariates_NC)
    labels_NS = torch.zeros(50, 5)
    labels_NS[torch.from_numpy(records.row_P), torch.from_numpy(records.species_P)] = 1.0
    weights = [parameter.detach().numpy() for parameter in model.parameters()]
    moments = [(np.zeros_like(weight), np.zeros_like(weight)) for weight in weights]
    losses = []
    for step, drawn in enumerate(RowBatches(50, records.row_P, records.species_P, 16, stream(0, "batches"))):
        index_B = drawn.index_B
        logits_BS = model.species_head(model.encoder(x_NF[index_B]))
        loss = binary_cross_entropy_with_logits(logits_BS, labels_NS[index_B])
        slopes = [slope.numpy() for slope in torch.autograd.grad(loss, list(model.parameters()))]
        adam_step(weights, slopes, moments, step + 1, 0.005 * (1 + np.cos(np.pi * step / 4)), name == "adamw")
        losses.append(loss.item() * len(index_B))
    assert len(losses) == 4
    assert history.loss == pytest.approx([sum(losses) / 50], rel=1e-5)
    for weight, (key, expected) in zip(fitted.parameters(), model.named_parameters(), strict=True):
        np.testing.assert_allclose(weight.detach(), expected.detach(), rtol=1e-3, atol=1e-5, err_msg=key)


def test_steps_count_as_asked_and_epochs_report():
    data = tiny.dataset()
    reports = []
    _, history = fit(
        data.training,
        parse_variant({"loss": "bce"}, "x"),
        ENCODER,
        settings(epochs=None, steps=6),
        0,
        lambda *report: reports.append(report),
    )
    assert history.steps == 6
    assert [report[:2] for report in reports] == [(1, 2), (2, 2)]
    assert [report[2] for report in reports] == history.loss


SCALABLE = (
    {"loss": "bce", "pos_weight": True},
    {"loss": "focal", "background_weight": 1.0},
    {"loss": "asl"},
    {"loss": "an_full"},
    {"loss": "an_full_me"},
    {"loss": "full_weighted"},
    {"loss": "assume_negative", "neg_samples": 0},
    {"loss": "softmax"},
)


@pytest.mark.parametrize("variant", SCALABLE, ids=lambda v: v["loss"])
def test_all_logits_and_chunks_train_the_same_model(variant):
    groups = ("bird", "plant", "bird", "plant", "plant")
    data = tiny.dataset(rows=100, per_row=2, groups=groups)
    data.training.background.__dict__["groups_K"] = ("bird", "plant") * 20
    (one, before), (other, after) = (
        fit(data.training, parse_variant(variant, "v"), ENCODER, settings(loss_computation=how), 0)
        for how in ("all_logits", "chunks")
    )
    np.testing.assert_allclose(after.loss, before.loss, rtol=1e-5)
    for name, weight in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], weight, rtol=1e-3, atol=1e-5)


def test_all_species_sampled_train_the_same_model_again():
    data = tiny.dataset(rows=100)
    exact, sampled = (
        fit(data.training, parse_variant({"loss": "an_full"}, "v"), ENCODER, settings(**changes), 0)[0]
        for changes in ({"loss_computation": "all_logits"}, {"loss_computation": "sampled", "sampled_species": 5})
    )
    for name, weight in exact.state_dict().items():
        torch.testing.assert_close(sampled.state_dict()[name], weight, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("how", ["all_logits", "chunks", "sampled"])
def test_training_follows_an_edit_of_the_weights(how, monkeypatch):
    """What a loss states is what trains, however it is computed."""
    own = {"loss_computation": how} | ({"sampled_species": 5} if how == "sampled" else {})
    before, _ = train("an_full", **own)
    monkeypatch.setattr(
        AnFullSettings, "pair_weights", lambda self, counts: PairWeights(self.build_penalty(), 3.0, 0.5, 2.0)
    )
    edited, history = train("an_full", **own)
    assert history.loss_computation == how
    assert not torch.allclose(edited.species_head.weight, before.species_head.weight, atol=1e-3)
    same, _ = train("an_full", loss_computation="all_logits")
    torch.testing.assert_close(edited.species_head.weight, same.species_head.weight, rtol=1e-3, atol=1e-5)


def test_training_on_sampled_species_learns_and_is_fixed_by_its_seed():
    data = tiny.dataset(rows=400, species=8)
    own = {"data": data, "encoder": PLACE, "sampled_species": 2, "learning_rate": 0.03}
    own["loss_computation"] = "sampled"
    assert train("an_full", **own)[1].loss == train("an_full", **own)[1].loss
    model, _ = train("an_full", epochs=25, batch_size=40, **own)
    result = evaluate(model.predict(data.survey.sites_M2, data.survey.covariates_MC), data.survey.truth)
    assert result.summary["species_map"] > 0.8


@pytest.mark.parametrize("how", ["chunks", "sampled"])
@pytest.mark.parametrize(
    "variant",
    [{"loss": "maxent"}, {"loss": "an_slds"}, {"loss": "assume_negative", "neg_samples": 2}],
    ids=lambda v: v["loss"],
)
def test_a_loss_that_draws_or_compares_sites_cannot_be_computed_so(how, variant):
    wanted = settings(loss_computation=how, **({"sampled_species": 2} if how == "sampled" else {}))
    message = f"training.loss_computation = '{how}' with loss '{variant['loss']}': needs a loss that is a sum"
    with pytest.raises(TrainingError, match=message):
        fit(tiny.dataset().training, parse_variant(variant, "v"), ENCODER, wanted, 0)


def test_the_automatic_computation_is_the_one_that_pays():
    counts = TrainingCounts(10, torch.ones(3, dtype=torch.float64))
    bce, full, maxent = (parse_variant({"loss": name}, "v") for name in ("bce", "an_full", "maxent"))
    cpu, gpu, many = torch.device("cpu"), torch.device("cuda"), bce.sampling_pays_from
    habitat, few = EncoderSettings(environment_head=True, habitat_head=True), loss_computation.CHUNKS_PAY_FROM

    def chosen(n_species, device=cpu, loss=bce, encoder=ENCODER, **changes):
        own = settings(**changes)
        return loss_computation.choose_loss_computation(own, loss, loss.build(counts), encoder, n_species, device)

    assert chosen(few - 1) == "all_logits"
    assert chosen(few) == chosen(many - 1) == "chunks"
    assert chosen(many) == "sampled"
    # Heavy presences learn from a few species at a time.
    earlier = full.sampling_pays_from
    assert earlier < many
    assert (chosen(earlier - 1, loss=full), chosen(earlier, loss=full)) == ("chunks", "sampled")
    # Decay and penalty move every row at every step.
    assert chosen(many, weight_decay=0.1) == chosen(many, species_l1=0.1) == "chunks"
    assert chosen(many, encoder=habitat) == chosen(many, loss=maxent) == "all_logits"
    from_here = loss_computation.CHUNKS_PAY_FROM_ON_GPU
    assert (chosen(from_here - 1, gpu), chosen(from_here, gpu)) == ("all_logits", "chunks")
    # A GPU affords exact steps.
    assert chosen(10 * many, gpu) == "chunks"
    assert chosen(many, loss_computation="all_logits") == "all_logits"
    assert chosen(2, gpu, loss_computation="chunks") == "chunks"


def test_automatic_sampling_draws_the_number_that_was_measured(monkeypatch):
    monkeypatch.setattr(loss_computation, "CHUNKS_PAY_FROM", 1)
    monkeypatch.setattr(LossSettings, "sampling_pays_from", 1)
    monkeypatch.setattr(loss_computation, "SAMPLED_SPECIES", 2)
    data, loss = tiny.dataset().training, parse_variant({"loss": "bce"}, "v")
    model, history = fit(data, loss, ENCODER, settings(epochs=2), 0)
    same, asked = fit(data, loss, ENCODER, settings(epochs=2, loss_computation="sampled", sampled_species=2), 0)
    assert history.loss_computation == asked.loss_computation == "sampled"
    assert torch.equal(model.species_head.weight, same.species_head.weight)


@pytest.mark.parametrize("how", ["all_logits", "chunks", "sampled"])
def test_the_memory_of_squared_gradients_is_that_of_encoder_and_species(how):
    data, loss = tiny.dataset().training, parse_variant({"loss": "bce"}, "v")
    models = [
        fit(data, loss, ENCODER, settings(epochs=2, loss_computation=how, beta2=beta2), 0)[0] for beta2 in (0.999, 0.5)
    ]
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beta2": 1.0}, "training.beta2 = 1.0: must be less than 1"),
        ({"precision": "fp8"}, "training.precision = 'fp8': must be one of 'float32', 'tf32' or 'bf16'"),
        ({"sampled_species": 5}, "loss_computation: sampled, as sampled_species is 5"),
        (
            {"loss_computation": "sampled", "sampled_species": 5, "weight_decay": 0.1},
            "species_l1 0 if loss_computation is 'sampled'",
        ),
        (
            {"loss_computation": "quick"},
            "training.loss_computation = 'quick': must be one of 'auto', 'all_logits', 'chunks' or 'sampled'",
        ),
        # The names they had before.
        ({"head": "auto"}, "training: must be settings with loss_computation: auto in place of the former head: auto"),
        ({"head": "fused"}, "settings with loss_computation: chunks in place of the former head: fused"),
        ({"loss_computation": "plain"}, "loss_computation: all_logits in place of the former loss_computation: plain"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(SettingsError, match=message):
        TrainingSettings.parse({"epochs": 1} | changes, "training")


def test_a_run_is_probed_after_every_epoch():
    data = tiny.dataset(rows=100)
    model, history = train("bce", data=data, epochs=3, batch_size=30)
    assert set(history.probes) == {
        "observed_score",
        "unobserved_score",
        "unobserved_below_0.05",
        "unobserved_below_0.2",
    }
    assert all(len(values) == 3 for values in history.probes.values())
    records = data.training.records
    probe = Probe(
        model.features(records.sites_N2, records.covariates_NC),
        torch.from_numpy(records.row_P),
        torch.from_numpy(records.species_P),
    )
    # With fewer rows than are probed, the probe is all of them, after the last step.
    for name, value in probe.measure(model).items():
        assert history.probes[name][-1] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("how", ["all_logits", "chunks", "sampled"])
def test_rounded_products_train_nearly_the_same_model_in_float32(how):
    own = {"loss_computation": how} | ({"sampled_species": 5} if how == "sampled" else {})
    (exact, before), (rounded, after) = (
        train("an_full", data=tiny.dataset(rows=100), precision=precision, **own) for precision in ("float32", "bf16")
    )
    assert after.loss != before.loss
    assert after.loss == pytest.approx(before.loss, rel=0.01)
    for name, weight in exact.state_dict().items():
        assert rounded.state_dict()[name].dtype == weight.dtype
        torch.testing.assert_close(rounded.state_dict()[name], weight, rtol=0.1, atol=0.02)


def test_tf32_on_a_cpu_is_one_sentence():
    with pytest.raises(TrainingError, match=r"training\.precision = 'tf32': needs a GPU, and this run computes on the"):
        train(precision="tf32")


def test_a_penalty_on_the_species_head_empties_it():
    data = tiny.dataset(rows=100)
    settings = {"data": data, "epochs": 30, "encoder": EncoderSettings(kind="additive", expansion="hinge")}
    free, _ = train("bce", **settings)
    held, _ = train("bce", **settings, species_l1=10.0)
    assert held.species_head.weight.abs().sum() < 0.2 * free.species_head.weight.abs().sum()


def test_a_loss_that_explodes_is_one_sentence():
    data = tiny.dataset()
    data.training.records.covariates_NC[:] = 1.0
    with pytest.raises(
        TrainingError, match=r"the training loss is nan in epoch \d of \d+: lower training.learning_rate"
    ):
        train("bce", data=data, epochs=20, learning_rate=1e30)


def test_training_leaves_its_data_unmodified():
    data = tiny.dataset()
    before = data.training.records.covariates_NC.copy(), data.training.records.sites_N2.copy()
    train("an_full", data=data)
    np.testing.assert_array_equal(before[0], data.training.records.covariates_NC)
    np.testing.assert_array_equal(before[1], data.training.records.sites_N2)


def test_heads_learn_the_environment_and_the_habitat():
    data = tiny.dataset(rows=300)
    records = data.training.records
    records.covariates_NC[:, 0] = records.sites_N2[:, 1] * 10 + 3
    records.covariates_NC[:, 1] = np.nan
    encoder = EncoderSettings(width=32, depth=1, dropout=0.0, environment_head=True, habitat_head=True)
    loss = parse_variant({"loss": "multitask", "env_weight": 1.0, "habitat_weight": 1.0}, "variants.x")
    own = settings(epochs=60, batch_size=50, learning_rate=0.02)
    model, _ = fit(data.training, loss, encoder, own, 0)
    out = model(model.features(records.sites_N2, records.covariates_NC))
    wanted = model.features.environment(records.covariates_NC)[:, 0]
    assert (out.environment_BC[:, 0] - wanted).square().mean().item() < 0.05 * wanted.var().item()
    right = out.habitat_BS.argmax(dim=1).numpy() == records.species_P
    assert right.mean() > 0.9
    assert model.gate_S.detach().std() > 0


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"input": "both"}, "encoder.input = 'both': the data set has no covariates"),
        ({"week": "film"}, "encoder.week = 'film': the data set has no weeks"),
    ],
)
def test_an_encoder_that_the_data_cannot_serve_is_one_sentence(own, sentence):
    encoder = EncoderSettings(width=4, depth=1, **own)
    with pytest.raises(DataError, match=sentence):
        train(data=tiny.dataset(covariates=0), encoder=encoder)


def test_a_blend_reports_the_epochs_of_all_its_members():
    raw = {"loss": "bce", "members": [{"training": {"epochs": 1}}, {"encoder": {"width": 4}}]}
    variant = Variant.parse(raw, "v", ENCODER, settings(epochs=2))
    seen = []
    model, histories = training.fit_variant(
        tiny.dataset().training, variant, 0, lambda done, total, loss: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert [len(history.loss) for history in histories] == [1, 2]
    assert model.n_hidden == 2


def test_members_of_a_blend_are_trained_apart_and_by_the_seed():
    raw = {"loss": "bce", "members": [{}, {}, {"encoder": {"input": "coordinates"}}]}
    variant = Variant.parse(raw, "v", ENCODER, settings(epochs=1))
    one, again, other = (training.fit_variant(tiny.dataset().training, variant, seed)[0] for seed in (0, 0, 1))
    first, second, third = (member.species_head.weight for member in one.members)
    assert torch.equal(first, again.members[0].species_head.weight)
    assert not torch.equal(first, other.members[0].species_head.weight)
    assert not torch.equal(first, second)
    assert [member.features.size for member in one.members] == [6, 6, 4]
    assert third.shape == first.shape
    assert not one.training
