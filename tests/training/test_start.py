"""Species that start at their prevalence: the log odds, and the loss and gradients that training begins with."""

import numpy as np
import pytest
import torch
from support import tiny

from presence_only.losses.base import TrainingCounts, parse_variant
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.model.settings import EncoderSettings
from presence_only.training.fit import fit
from presence_only.training.loss_computation import Batch, make_loss_computation
from presence_only.training.settings import TrainingSettings
from presence_only.training.start import begin, prevalence_logits

# Species weights of such an encoder start at 0: its logits are the start and nothing else.
BLANK = EncoderSettings(input="coordinates", kind="additive", expansion="hinge", start="prevalence")
NETWORK = EncoderSettings(input="coordinates", width=8, depth=1, dropout=0.0, start="prevalence")
WAYS = pytest.mark.parametrize("way", ["all_logits", "chunks", "sampled"])
DATA = tiny.dataset(rows=60, species=5, per_row=2).training
COUNTS = DATA.records.records_per_species()


def loss(name="bce"):
    return parse_variant({"loss": name}, "v").build(TrainingCounts(60, torch.from_numpy(COUNTS).double()))


def blank_model():
    return begin(RangeModel(Features(BLANK, 2).fit(DATA), 5), DATA.records)


def all_rows(model):
    records = DATA.records
    x_NF = model.features(records.sites_N2, records.covariates_NC)
    return Batch(x_NF, torch.from_numpy(records.row_P), torch.from_numpy(records.species_P), None, None, None)


def test_prevalence_logits_are_log_odds_and_finite_at_the_ends():
    got = prevalence_logits(torch.tensor([0, 1, 25, 99, 100]), 100)
    share = np.array([0.005, 0.01, 0.25, 0.99, 0.995])
    np.testing.assert_allclose(got, np.log(share / (1 - share)), rtol=1e-12)
    assert prevalence_logits(torch.tensor([1]), 1).tolist() == [0.0]


@WAYS
def test_the_first_loss_is_the_entropy_of_the_prevalences_and_no_species_gradient_is_constant(way):
    model = blank_model()
    computation = make_loss_computation(way, model, loss(), TrainingSettings(), 0)
    value = computation.value(all_rows(model))
    share_S = COUNTS / 60
    entropy_S = -share_S * np.log(share_S) - (1 - share_S) * np.log(1 - share_S)
    assert value.item() == pytest.approx(entropy_S.mean(), rel=1e-6)
    # With a feature that is 1 everywhere, a species' gradient along it is the sum of its slopes: 0 at the start.
    constant = Batch(torch.ones_like(all_rows(model).x_BF), *list(vars(all_rows(model)).values())[1:])
    computation.value(constant).backward()
    weight_SD = computation.species_JD if way == "sampled" else model.species_head.weight
    assert weight_SD.grad.abs().max() < 1e-7


@pytest.mark.parametrize("name", ["bce", "an_full"])
def test_training_starts_alike_whichever_way_the_loss_is_computed(name):
    """After a few steps the encoders agree, and their start is the prevalence still."""
    models = {}
    for way in ("all_logits", "chunks", "sampled"):
        settings = TrainingSettings(epochs=2, batch_size=16, background_batch_size=16, loss_computation=way)
        models[way], history = fit(DATA, parse_variant({"loss": name}, "v"), NETWORK, settings, 0)
        assert history.loss_computation == way
    expected = models.pop("all_logits")
    torch.testing.assert_close(expected.start_S.double(), prevalence_logits(torch.from_numpy(COUNTS), 60))
    for model in models.values():
        torch.testing.assert_close(model.start_S, expected.start_S, rtol=0, atol=0)
        torch.testing.assert_close(model.species_head.weight, expected.species_head.weight, rtol=1e-3, atol=1e-5)


def test_rarer_species_score_lower_before_anything_is_learned():
    model = blank_model()
    sites = DATA.records.sites_N2[:3]
    scores = model.predict(sites, np.zeros((3, 2)))
    np.testing.assert_allclose(
        scores, np.broadcast_to(prevalence_logits(torch.from_numpy(COUNTS), 60), (3, 5)), rtol=1e-6
    )
    assert (
        begin(RangeModel(Features(BLANK.model_copy(update={"start": "zero"}), 2).fit(DATA), 5), DATA.records).start_S
        is None
    )
