"""Registered losses: their tables, and what a variant of params.yaml may say."""

import ast
import inspect
import math
import re
from importlib import import_module
from inspect import isabstract
from pathlib import Path
from pkgutil import iter_modules
from typing import get_args

import pytest
import torch

import presence_only.losses
from presence_only import losses
from presence_only.common.registry import resolve
from presence_only.common.settings import SettingsError
from presence_only.losses import __main__ as catalogue
from presence_only.losses import penalties, polynomial_penalties
from presence_only.losses.base import LossSettings, TrainingCounts, parse_variant
from presence_only.losses.penalties import Asymmetric, Focal, MaximumEntropy, Penalty, Smoothed
from presence_only.losses.registry import LOSSES, PENALTIES

COUNTS = TrainingCounts(10, torch.tensor([1.0, 4.0, 0.0], dtype=torch.float64))


def test_every_settings_class_has_its_line():
    """The table names every class that says how a loss is set."""
    declared = {}
    for module in iter_modules(presence_only.losses.__path__):
        for value in vars(import_module(f"presence_only.losses.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, LossSettings) and not isabstract(value):
                declared |= dict.fromkeys(get_args(value.model_fields["loss"].annotation), value)
    assert len(declared) > 12
    assert {name: resolve(reference) for name, reference in LOSSES.items()} == declared


def test_every_penalty_has_its_line():
    named = [*vars(penalties).values(), *vars(polynomial_penalties).values()]
    kinds = {value for value in named if isinstance(value, type) and issubclass(value, Penalty)}
    assert {resolve(reference) for reference in PENALTIES.values()} == kinds - {Penalty, Smoothed}


def test_no_module_outside_of_the_losses_names_a_loss():
    root = Path(presence_only.losses.__file__).parents[1]
    named = {
        (path.relative_to(root).as_posix(), node.value)
        for path in root.rglob("*.py")
        if path.parent.name != "losses"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in LOSSES
    }
    # A baseline of the same name, and the penalty of a variant that names none.
    assert named <= {("baselines.py", "maxent"), ("pipeline/code.py", "bce")}


def test_losses_and_penalties_are_printed_with_descriptions_and_parameters(capsys):
    catalogue.main()
    printed = " ".join(capsys.readouterr().out.split())
    described = [line for line in catalogue.lines() if re.match(r"\n?  \w+: ", line)]
    assert len(described) == len(LOSSES) + len(PENALTIES)
    for name in LOSSES:
        assert f" {name}: {inspect.getdoc(resolve(LOSSES[name])).splitlines()[0]} " in printed
    for part in (
        "dense; label_smoothing 0.0; logit_adjustment 0.0; background_weight 0.0; gamma_pos 0.0; gamma_neg 2.0",
        "focal: Cross-entropy times",
    ):
        assert part in printed
    assert "dense with some settings; label_smoothing 0.0; logit_adjustment 0.0; penalty bce; pos_lambda 4.0" in printed
    assert "softmax over sites. not dense; include_presences True" in printed
    assert "recorded at a site. not dense, computed in every way; normalisation 0.0" in printed


def test_every_description_is_one_sentence_of_its_own():
    first = [inspect.getdoc(resolve(reference)).splitlines()[0] for reference in LOSSES.values()]
    assert len(set(first)) == len(first)
    assert all(30 < len(line) <= 120 and line.endswith(".") for line in first)


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
        ({"loss": "softmax", "normalisation": -1}, r"variants\.x\.normalisation = -1"),
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
    assert settings.build(COUNTS).penalty == Asymmetric(0.0, 4.0, 0.1)
    settings = parse_variant({"loss": "full_weighted", "penalty": "focal", "alpha": None}, "variants.x")
    assert settings.build(COUNTS).penalty == Focal(None, 2.0)
    settings = parse_variant({"loss": "an_full", "penalty": "entropy"}, "variants.x")
    assert settings.build(COUNTS).penalty == MaximumEntropy()


@pytest.mark.parametrize("name", ["an_full", "an_slds", "an_ssdl"])
def test_the_maximum_entropy_names_are_the_penalty_entropy(name):
    alias, spelt = (parse_variant(raw, "x") for raw in ({"loss": name + "_me"}, {"loss": name, "penalty": "entropy"}))
    assert alias.build(COUNTS) == spelt.build(COUNTS)


@pytest.mark.parametrize(
    "variant", [{"loss": "an_slds"}, {"loss": "an_slds_me"}, {"loss": "an_slds", "penalty": "asl"}]
)
def test_slds_of_one_species_is_refused_when_it_is_built(variant):
    one = TrainingCounts(10, torch.ones(1, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"loss 'an_slds\w*' with 1 species: SLDS needs at least 2 species"):
        parse_variant(variant, "variants.x").build(one)


def test_a_species_without_records_has_no_infinite_weight():
    for variant in ({"loss": "maxent"}, {"loss": "full_weighted"}):
        loss = parse_variant(variant, "variants.x").build(COUNTS)
        weights = [value for value in vars(loss).values() if isinstance(value, torch.Tensor)]
        assert weights
        assert all(weight.isfinite().all() for weight in weights)


def test_defaults_and_names_of_penalties_are_those_of_the_public_functions():
    """A parameter is declared by its penalty and, since their signatures are fixed, by the public functions."""
    for name, function in (("focal", losses.focal_loss), ("asl", losses.asymmetric_loss)):
        public = {
            key: value.default
            for key, value in inspect.signature(function).parameters.items()
            if key not in ("logits", "targets", "reduction")
        }
        assert vars(resolve(PENALTIES[name])()) == public
        own = resolve(LOSSES[name]).model_fields
        assert {key: own[key].default for key in public} == public


def test_the_multi_task_settings_are_the_arguments_of_the_public_class():
    arguments = inspect.signature(losses.MultiTaskLoss).parameters
    fields = resolve(LOSSES["multitask"]).model_fields
    assert set(fields) - {"loss"} == set(arguments) - {"reduction"}
    for name in set(fields) - {"loss", "pos_weight"}:
        assert fields[name].default == arguments[name].default, name


@pytest.mark.parametrize(
    ("loss", "name"),
    [("asl", "gamma_pos"), ("asl", "gamma_neg"), ("asl", "clip"), ("focal", "alpha"), ("focal", "gamma")],
)
@pytest.mark.parametrize("value", [-0.5, -1e-9, 0.0, 0.3, 1.0, 1.5, math.nan, math.inf, "2", True, None])
def test_what_a_penalty_refuses_its_settings_refuse(loss, name, value):
    """One declaration of a range for all."""
    refused = {
        raises(resolve(PENALTIES[loss]), **{name: value}),
        raises(parse_variant, {"loss": loss, name: value}, "v"),
        raises(parse_variant, {"loss": "an_full", "penalty": loss, name: value}, "v"),
    }
    assert len(refused) == 1


def test_settings_are_written_without_parameters_of_what_is_not_chosen():
    for raw, left_out in (
        ({"loss": "an_full", "penalty": "asl", "clip": 0.1}, {"alpha", "gamma"}),
        ({"loss": "an_slds"}, {"alpha", "gamma", "gamma_pos", "gamma_neg", "clip"}),
        ({"loss": "multitask", "species_loss": "focal"}, {"pos_lambda", "asl_clip"}),
    ):
        settings = parse_variant(raw, "v")
        written = settings.model_dump(mode="json")
        assert raw.items() <= written.items()
        assert not left_out & set(written)
        assert parse_variant(written, "v") == settings


def raises(call, *arguments, **named):
    """Whether a call refuses its arguments."""
    try:
        call(*arguments, **named)
    except (TypeError, ValueError):
        return True
    return False
