"""Training that diverged, seen in its loss, its weights and its scores, and the setting that is named."""

import math

import pytest
import torch
from support import tiny

from presence_only.common.errors import DivergenceError
from presence_only.losses.base import parse_variant
from presence_only.model.settings import EncoderSettings
from presence_only.training.divergence import DivergenceCheck
from presence_only.training.fit import fit
from presence_only.training.settings import TrainingSettings


def check(loss=None, encoder=None, first=0.7, **training):
    made = DivergenceCheck(
        parse_variant(loss or {"loss": "bce"}, "x"), EncoderSettings(**encoder or {}), TrainingSettings(**training)
    )
    made.begin(first)
    return made


@pytest.mark.parametrize(("first", "loss"), [(0.7, 0.1), (0.7, 9e5), (-5.0, -4e6), (300.0, 2e8), (0.0, 1.0)])
def test_a_loss_may_rise_a_million_times(first, loss):
    check(first=first).look(loss, 1, 2)


@pytest.mark.parametrize(("first", "loss"), [(0.7, 1e26), (0.7, math.nan), (0.7, -math.inf), (300.0, 4e8), (-5, -1e7)])
def test_a_loss_far_above_its_start_is_no_result(first, loss):
    with pytest.raises(DivergenceError, match=r"the training loss is .* in epoch 1 of 2: lower training.learning_rate"):
        check(first=first).look(loss, 1, 2)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "training.learning_rate, which is 0.005"),
        ({"learning_rate": 10.0}, "training.learning_rate, which is 10"),
        ({"loss": {"loss": "assume_negative", "pos_lambda": 1e12}}, "pos_lambda, which is 1e+12"),
        ({"loss": {"loss": "assume_negative", "pos_lambda": 1e12}, "learning_rate": 1e20}, "training.learning_rate"),
        ({"loss": {"loss": "assume_negative", "pos_lambda": 16.0}}, "training.learning_rate"),
        ({"loss": {"loss": "bce", "background_weight": 1e9}}, "background_weight, which is 1e+09"),
        ({"weight_decay": 1e5}, "training.weight_decay, which is 100000"),
        ({"species_l1": 1e5}, "training.species_l1, which is 100000"),
        ({"encoder": {"head_scale": 1e5}, "first": 1e20}, "encoder.head_scale, which is 100000"),
        ({"encoder": {"head_scale": 1e5}, "first": 1e20, "learning_rate": 1e20}, "encoder.head_scale"),
    ],
)
def test_the_setting_that_did_it_is_named(settings, named):
    assert check(**settings).advice().startswith(f"lower {named}")


def train(loss=None, encoder=None, **training):
    settings = TrainingSettings(**{"epochs": 3, "batch_size": 16, "device": "cpu", "schedule": "constant"} | training)
    made = EncoderSettings(**{"width": 16, "depth": 1, "dropout": 0.0} | (encoder or {}))
    return fit(tiny.dataset().training, parse_variant(loss or {"loss": "bce"}, "x"), made, settings, 0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"learning_rate": 1e25, "optimizer": "sgd"}, "lower training.learning_rate, which is 1e\\+25"),
        ({"learning_rate": 1e6}, "lower training.learning_rate, which is 1e\\+06"),
        ({"loss": {"loss": "full_weighted", "lambda1": 1e20}, "optimizer": "sgd"}, "lower lambda1, which is 1e\\+20"),
        ({"learning_rate": 1e-30, "encoder": {"head_scale": 0.0}}, "same score.*raise training.learning_rate"),
    ],
)
def test_a_run_that_diverges_ends_in_a_sentence(settings, sentence):
    with pytest.raises(DivergenceError, match=sentence):
        train(**settings)


def test_a_model_with_dead_units_gives_every_site_the_same_score():
    model, _ = train()
    features = torch.randn(8, 4)
    check().end(model, features)
    with torch.no_grad():
        model.species_head.weight.zero_()
    with pytest.raises(DivergenceError, match="gives every site the same score"):
        check().end(model, features)
    check().end(model, features[:1].expand(8, 4))  # sites that are the same have the same score


def test_weights_that_are_not_finite_are_no_result():
    model, _ = train()
    with torch.no_grad():
        model.encoder[0].bias[0] = math.nan
    with pytest.raises(DivergenceError, match=r"weights .* are not finite \(encoder.0.bias\)"):
        check().end(model, torch.zeros(2, 4))
