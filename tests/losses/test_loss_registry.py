"""Variants of params.yaml: what they may say, and what is said when they are wrong."""

from importlib import import_module
from inspect import isabstract
from pkgutil import iter_modules
from typing import get_args

import pytest
import torch
from presence_only.losses.batch import TrainingCounts
from presence_only.losses.elementwise import Asymmetric, Focal, MaximumEntropy

import presence_only.losses
from presence_only.common.registry import resolve
from presence_only.common.settings import SettingsError
from presence_only.losses.registry import LOSSES, LossSettings, build_loss, parse_variant

COUNTS = TrainingCounts(10, torch.tensor([1.0, 4.0, 0.0], dtype=torch.float64))


def test_every_settings_class_has_its_lines():
    """The table names every class that says how a loss is set, under each of its names."""
    declared = {}
    for module in iter_modules(presence_only.losses.__path__):
        for value in vars(import_module(f"presence_only.losses.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, LossSettings) and not isabstract(value):
                declared |= dict.fromkeys(get_args(value.model_fields["loss"].annotation), value)
    assert len(declared) > 12
    assert {name: resolve(reference) for name, reference in LOSSES.items()} == declared


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"loss": "anfull"}, r"unknown loss 'anfull' in variants\.x; known: an_full, an_full_me, .*maxent"),
        ({"loss": 3}, r"unknown loss 3 in variants\.x"),
        ({"gamma": 2.0}, r"missing key 'variants\.x\.loss'"),
        ("asl", r"variants\.x = 'asl': must be a mapping"),
        (
            {"loss": "asl", "margin": 0.05},
            r"unknown key 'margin' in variants\.x; known: background_weight, clip, gamma_neg",
        ),
        ({"loss": "asl", "clip": 1.0}, r"variants\.x\.clip = 1\.0: must be less than 1"),
        ({"loss": "focal", "gamma": -1}, r"variants\.x\.gamma = -1: must be greater than or equal to 0"),
        ({"loss": "focal", "alpha": float("nan")}, r"variants\.x\.alpha = nan"),
        ({"loss": "bce", "pos_weight": 1}, r"variants\.x\.pos_weight = 1: must be a valid boolean"),
        ({"loss": "bce", "background_weight": -1.0}, r"variants\.x\.background_weight = -1\.0"),
        ({"loss": "assume_negative", "neg_samples": 1.5}, r"variants\.x\.neg_samples = 1\.5"),
        ({"loss": "assume_negative", "label_smoothing": 0.5}, r"variants\.x\.label_smoothing = 0\.5"),
        (
            {"loss": "assume_negative", "spatial": "all"},
            r"variants\.x\.spatial = 'all': must be one of 'none' or 'batch'",
        ),
        ({"loss": "an_full", "pos_lambda": 0.0}, r"variants\.x\.pos_lambda = 0\.0: must be greater than 0"),
        ({"loss": "an_slds", "pos_lambda": 4.0}, r"unknown key 'pos_lambda'"),
        ({"loss": "an_full", "clip": 0.1}, r"variants\.x\.clip = 0\.1: must be left out with penalty 'bce'"),
        ({"loss": "an_full", "penalty": "asl", "gamma": 1.0}, r"gamma = 1\.0: must be left out .* penalty 'focal'"),
        ({"loss": "full_weighted", "lambda2": 1.1}, r"variants\.x\.lambda2 = 1\.1"),
        (
            {"loss": "an_full", "penalty": "mse"},
            r"variants\.x\.penalty = 'mse': must be one of 'bce', 'focal', 'asl'",
        ),
        ({"loss": "an_full", "penalty": "entropy", "clip": 0.1}, r"clip = 0\.1: must be left out .* penalty 'asl'"),
        (
            {"loss": "multitask", "focal_gamma": 1.0},
            r"variants\.x\.focal_gamma = 1\.0: must be left out with species_loss 'bce'; .* species_loss 'focal'",
        ),
        (
            {"loss": "multitask", "species_loss": "asl", "pos_lambda": 4.0},
            r"pos_lambda = 4\.0: must be left out with species_loss 'asl'; .* species_loss 'an'",
        ),
        ({"loss": "multitask", "species_loss": "focal", "pos_weight": True}, r"variants\.x\.pos_weight = True"),
        (
            {"loss": "maxent", "weighting": "log"},
            r"variants\.x\.weighting = 'log': must be one of 'uniform', 'sqrt' or 'records'",
        ),
    ],
)
def test_a_wrong_variant_is_refused_in_one_sentence(raw, message):
    with pytest.raises(SettingsError, match=message):
        parse_variant(raw, "variants.x")


def test_any_penalty_goes_with_any_negatives():
    settings = parse_variant({"loss": "an_full", "penalty": "asl", "gamma_neg": 4, "clip": 0.1}, "variants.x")
    assert build_loss(settings, COUNTS).penalty == Asymmetric(0.0, 4.0, 0.1)
    settings = parse_variant({"loss": "full_weighted", "penalty": "focal", "alpha": None}, "variants.x")
    assert build_loss(settings, COUNTS).penalty == Focal(None, 2.0)
    settings = parse_variant({"loss": "an_full", "penalty": "entropy"}, "variants.x")
    assert build_loss(settings, COUNTS).penalty == MaximumEntropy()


@pytest.mark.parametrize("name", ["an_full", "an_slds", "an_ssdl"])
def test_the_maximum_entropy_names_are_the_penalty_entropy(name):
    alias, spelt = (parse_variant(raw, "x") for raw in ({"loss": name + "_me"}, {"loss": name, "penalty": "entropy"}))
    assert build_loss(alias, COUNTS) == build_loss(spelt, COUNTS)


@pytest.mark.parametrize(
    "variant", [{"loss": "an_slds"}, {"loss": "an_slds_me"}, {"loss": "an_slds", "penalty": "asl"}]
)
def test_slds_of_one_species_is_refused_when_it_is_built(variant):
    one = TrainingCounts(10, torch.ones(1, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"loss 'an_slds\w*' with 1 species: SLDS needs at least 2 species"):
        build_loss(parse_variant(variant, "variants.x"), one)


def test_background_is_needed_where_it_is_weighed():
    for variant, needed in (
        ({"loss": "bce"}, False),
        ({"loss": "bce", "background_weight": 0.1}, True),
        ({"loss": "assume_negative"}, False),
        ({"loss": "assume_negative", "background_weight": 1.0}, True),
        ({"loss": "full_weighted", "lambda2": 1.0}, False),
        ({"loss": "an_ssdl"}, True),
        ({"loss": "an_slds"}, False),
    ):
        assert build_loss(parse_variant(variant, "variants.x"), COUNTS).needs_background is needed


def test_a_species_without_records_has_no_infinite_weight():
    for variant in ({"loss": "maxent"}, {"loss": "full_weighted"}):
        loss = build_loss(parse_variant(variant, "variants.x"), COUNTS)
        weights = [value for value in vars(loss).values() if isinstance(value, torch.Tensor)]
        assert weights
        assert all(weight.isfinite().all() for weight in weights)
