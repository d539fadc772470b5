"""The start of training: the logits that are asked for, and the loss and gradients that training begins with."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support import tiny

from presence_only.common.errors import TrainingError
from presence_only.losses.base import TrainingCounts, parse_variant
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.model.settings import EncoderSettings
from presence_only.training.batches import Batch, RowBatches, distinct_pairs
from presence_only.training.fit import fit
from presence_only.training.loss_computation import make_loss_computation
from presence_only.training.settings import TrainingSettings
from presence_only.training.start import sites_per_species, start_logits

# Species weights of such an encoder start at 0: its logits are the start and nothing else.
BLANK = EncoderSettings(input="coordinates", kind="additive", expansion="hinge", start="balance")
NETWORK = EncoderSettings(input="coordinates", width=8, depth=1, dropout=0.0, start="balance")
DATA = tiny.dataset(rows=60, species=5, per_row=2).training
RECORDS_S = torch.from_numpy(DATA.records.records_per_species()).double()
COUNTS = TrainingCounts(60, RECORDS_S)
every_way = pytest.mark.parametrize("way", ["all_logits", "chunks", "sampled"])


def variant(loss, **parameters):
    return parse_variant({"loss": loss} | parameters, "v")


def start(name, settings, data=DATA, **training):
    return start_logits(name, data, settings, COUNTS, TrainingSettings(**training))


def blank_model(settings):
    return RangeModel(Features(BLANK, 2).fit(DATA), 5, start_S=start("balance", settings))


def batch(x_BF, far_KF=None):
    drawn = next(iter(RowBatches(60, *distinct_pairs(DATA.records), 60, torch.Generator())))
    if far_KF is None:
        return Batch(drawn, x_BF[drawn.index_B])
    n_sites = len(far_KF)
    return Batch(drawn, x_BF[drawn.index_B], None, torch.arange(n_sites), slice(0, n_sites), far_KF)


def test_each_name_gives_its_logits():
    odds_S = torch.log(RECORDS_S / (60 - RECORDS_S))
    assert start("zero", variant("bce")) is None
    for settings in (variant("bce"), variant("an_full"), variant("maxent")):
        torch.testing.assert_close(start("prevalence", settings), odds_S)
    torch.testing.assert_close(start("balance", variant("bce")), odds_S)
    assert start("balance", variant("maxent")).tolist() == [0.0] * 5
    # Background sites as rows count by how many a batch has for each of its own: 30 for 60, of 20 asked for.
    balanced_S = start("balance", variant("bce", background_weight=2.0), background_batch_size=30)
    torch.testing.assert_close(balanced_S, torch.log(RECORDS_S / (60 - RECORDS_S + 60 * 2.0 * 0.5)))


def test_background_sites_count_by_group():
    records = replace(DATA.records, groups=("birds", "birds", "moths", "ferns", "moths"))
    groups = ("birds",) * 4 + ("moths",) * 24 + ("",) * 12
    data = replace(DATA, records=records, background=replace(DATA.background, groups_K=groups))
    np.testing.assert_allclose(sites_per_species(data), [0.4, 0.4, 0.9, 0.3, 0.9])
    assert sites_per_species(DATA).tolist() == [1.0] * 5


@every_way
def test_the_first_loss_is_the_entropy_of_the_prevalences(way):
    settings = variant("bce")
    model = blank_model(settings)
    x_BF = model.features(DATA.records.sites_N2, DATA.records.covariates_NC)
    value = make_loss_computation(way, model, settings.build(COUNTS), TrainingSettings(), 0).value(batch(x_BF))
    p_S = (RECORDS_S / 60).numpy()
    assert value.item() == pytest.approx(np.mean(-p_S * np.log(p_S) - (1 - p_S) * np.log(1 - p_S)), rel=1e-6)


@every_way
@pytest.mark.parametrize("loss", ["bce", "focal", "asl", "an_full", "an_full_me"])
def test_nothing_pulls_at_a_species_as_a_whole(way, loss):
    """Its gradient along a feature that is 1 everywhere is 0 at the balance, and large at zero."""
    settings = variant(loss)
    gradients = []
    for model in (blank_model(settings), RangeModel(blank_model(settings).features, 5, start_S=torch.zeros(5))):
        x_BF = torch.ones(60, model.species_head.weight.shape[1])
        computation = make_loss_computation(way, model, settings.build(COUNTS), TrainingSettings(), 0)
        far_KF = x_BF[:20] if settings.build(COUNTS).needs_background else None
        computation.value(batch(x_BF, far_KF)).backward()
        weight_SD = computation.species_JD if way == "sampled" else model.species_head.weight
        gradients.append(weight_SD.grad.abs().max().item())
    assert gradients[0] < 1e-5 * gradients[1]


@pytest.mark.parametrize("loss", ["bce", "an_full"])
def test_training_from_a_start_is_the_same_whichever_way_the_loss_is_computed(loss):
    models = {}
    for way in ("all_logits", "chunks", "sampled"):
        settings = TrainingSettings(epochs=2, batch_size=16, background_batch_size=16, loss_computation=way)
        models[way], history = fit(DATA, variant(loss), NETWORK, settings, 0)
        assert history.loss_computation == way
        assert torch.equal(models[way].start_S, start("balance", variant(loss)).float())
    expected = models.pop("all_logits")
    for model in models.values():
        torch.testing.assert_close(model.species_head.weight, expected.species_head.weight, rtol=1e-3, atol=1e-5)


def own(**changes):
    return NETWORK.model_copy(update={"learn_start": True, "dropout": 0.1} | changes)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
@pytest.mark.parametrize("loss", ["bce", "an_full", "softmax"])
def test_a_learned_start_is_the_same_whichever_way_the_loss_is_computed(loss, optimizer):
    models = {}
    for way in ("all_logits", "chunks", "sampled"):
        rate = {"adam": 0.005, "sgd": 0.1, "rmsprop": 0.002}[optimizer]
        settings = TrainingSettings(
            epochs=2,
            batch_size=16,
            background_batch_size=16,
            loss_computation=way,
            learning_rate=rate,
            optimizer=optimizer,
        )
        models[way], _ = fit(DATA, variant(loss), own(), settings, 0)
    expected = models.pop("all_logits")
    moved_S = expected.start_S.detach() - start("balance", variant(loss))
    assert moved_S.abs().min() > 1e-4
    for model in models.values():
        for name in ("species_head.weight", "start_S"):
            torch.testing.assert_close(model.state_dict()[name], expected.state_dict()[name], rtol=1e-3, atol=2e-5)


@every_way
@pytest.mark.parametrize("name", ["zero", "prevalence"])
def test_a_learned_start_is_an_encoder_with_a_feature_that_is_one(way, name):
    """One step of SGD: its own gradient times the learning rate, by automatic differentiation of the whole."""
    encoder = own(start=name, dropout=0.0)
    how = {"steps": 1, "batch_size": 60, "schedule": "constant", "learning_rate": 2.0, "optimizer": "sgd"}
    model, _ = fit(DATA, variant("bce"), encoder, TrainingSettings(**how, loss_computation=way), 0)
    begun, _ = fit(DATA, variant("bce"), encoder, TrainingSettings(**how | {"learning_rate": 1e-30}), 0)
    x_BF = begun.features(DATA.records.sites_N2, DATA.records.covariates_NC)
    logits_BS = begun(x_BF).logits_BS
    present_BS = torch.zeros(60, 5)
    present_BS[DATA.records.row_P, DATA.records.species_P] = 1
    value = torch.nn.functional.binary_cross_entropy_with_logits(logits_BS, present_BS)
    (slope_S,) = torch.autograd.grad(value, [begun.start_S])
    torch.testing.assert_close(model.start_S.detach(), (begun.start_S - 2.0 * slope_S).detach())


def test_learning_the_start_predicts_by_it_and_changes_no_draw():
    settings = TrainingSettings(epochs=1, batch_size=16, learning_rate=1e-12)
    fixed, learned = (fit(DATA, variant("bce"), own(learn_start=asked), settings, 0)[0] for asked in (False, True))
    given = DATA.records.sites_N2, DATA.records.covariates_NC
    np.testing.assert_allclose(fixed.predict(*given), learned.predict(*given), atol=1e-6)
    with torch.no_grad():
        learned.start_S += torch.arange(5)
    np.testing.assert_allclose(fixed.predict(*given) + np.arange(5), learned.predict(*given), atol=1e-5)


def test_a_warm_up_that_does_not_end_is_one_sentence():
    settings = TrainingSettings(epochs=2, batch_size=16, warmup_steps=8)
    with pytest.raises(TrainingError, match=r"^training\.warmup_steps = 8: must be less than the 8 steps$"):
        fit(DATA, variant("bce"), NETWORK, settings, 0)


def test_a_model_without_its_start_is_refused_and_one_too_many_is():
    features = Features(BLANK, 2).fit(DATA)
    with pytest.raises(
        ValueError, match=r"start_S is missing: must be given unless encoder\.start, 'balance', is 'zero'"
    ):
        RangeModel(features, 5)
    features = Features(BLANK.model_copy(update={"start": "zero"}), 2).fit(DATA)
    with pytest.raises(ValueError, match="start_S is given: must be given unless"):
        RangeModel(features, 5, start_S=torch.zeros(5))


@every_way
def test_a_logit_adjustment_moves_the_level_of_a_species_and_not_what_is_learned(way):
    """From the balance on, what is penalised is the same, and the model predicts it without the shift."""
    settings = TrainingSettings(epochs=3, batch_size=16, loss_computation=way, device="cpu")
    plain, adjusted = (fit(DATA, variant("bce", logit_adjustment=tau), NETWORK, settings, 0)[0] for tau in (0.0, 0.8))
    x_BF = plain.features(DATA.records.sites_N2, DATA.records.covariates_NC)
    with torch.no_grad():
        lower_BS = plain.outputs(plain.embed(x_BF)).logits_BS - adjusted.outputs(adjusted.embed(x_BF)).logits_BS
    shift_S = 0.8 * torch.log(RECORDS_S / (60 - RECORDS_S)).float()
    torch.testing.assert_close(lower_BS, shift_S.expand_as(lower_BS), rtol=0, atol=1e-4)
