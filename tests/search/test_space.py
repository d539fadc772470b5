"""Spaces: what is wrong with one is told in a sentence before anything runs."""

from itertools import pairwise
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from support import tiny
from support.search import SEARCH, SPACE, searched, tree

from presence_only.common.settings import SettingsError
from presence_only.losses.registry import LOSSES
from presence_only.search.settings import SearchSettings
from presence_only.search.space import MOST_CORNERS, Choices, Range, Searched, _corners, check_search
from presence_only.study.params import Tree
from presence_only.training.variant import Variant

ROOT = Path(__file__).parents[2]
RATE = {"low": 0.001, "high": 0.1, "log": True}


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        (
            {"training.learning_rte": RATE},
            "search.spaces.bce names 'training.learning_rte', which is no setting of a variant of this loss; "
            "nearest: training.learning_rate",
        ),
        ({"learning_rate": RATE}, "nearest: training.learning_rate"),
        ({"gamma": RATE}, "search.spaces.bce names 'gamma', which is no setting of a variant of this loss"),
        ({"loss": ["bce", "asl"]}, "search.spaces.bce names 'loss', which is no setting of a variant of this loss"),
        ({"training.beta2": {"low": 0.9}}, "missing key 'search.spaces.bce.training.beta2.high'; it has no default"),
        (
            {"training.beta2": {"low": 0.9, "high": 0.99, "step": 0.1}},
            "unknown key 'step' in search.spaces.bce.training.beta2; known: high, log, low",
        ),
        (
            {"training.beta2": {"low": 0.99, "high": 0.9}},
            "search.spaces.bce.training.beta2: must be settings with low less than high: 0.99 and 0.9",
        ),
        (
            {"training.weight_decay": {"low": 0, "high": 0.9, "log": True}},
            "search.spaces.bce.training.weight_decay: must be settings with low greater than 0 if log is true: 0",
        ),
        (
            {"training.epochs": {"low": 2.5, "high": 9}},
            "search.spaces.bce.training.epochs: must have whole numbers as low and high: 2.5 and 9",
        ),
        (
            {"training.beta2": 0.9},
            "search.spaces.bce.training.beta2 = 0.9: must be a range with low and high, or a list",
        ),
        (
            {"training.beta2": [0.9]},
            "search.spaces.bce.training.beta2 = [0.9]: must be a range with low and high, or a",
        ),
        ({"training.beta2": [0.9, 0.9]}, "search.spaces.bce.training.beta2 has 0.9 twice"),
        ({"training.beta2": [[0.9], 0.8]}, "search.spaces.bce.training.beta2.0 = [0.9]: must be a number, a word"),
        (
            {"training.beta2": {"low": 0.9, "high": 1.0}},
            "search.spaces.bce.training.beta2 = 1.0: must be less than 1",
        ),
        (
            {"training.learning_rate": {"low": -1.0, "high": 1.0}},
            "search.spaces.bce.training.learning_rate = -1.0: must be greater than 0",
        ),
        (
            {"training.optimizer": ["adam", "lion"]},
            "search.spaces.bce.training.optimizer = 'lion': must be one of 'adam', 'adamw', 'sgd' or 'rmsprop'",
        ),
        ({"encoder.width": [8, 16.5]}, "search.spaces.bce.encoder.width = 16.5: must be a valid integer"),
        ({"pos_weight": [False, "yes"]}, "search.spaces.bce.pos_weight = 'yes': must be a valid boolean"),
        # No value is wrong, but two together are.
        (
            {"encoder.input": ["coordinates", "both"], "encoder.expansion": ["none", "rank"]},
            "must be settings with input 'covariates' or 'both' if expansion is 'rank'",
        ),
        (
            {"training.epochs": {"low": 2, "high": 3}, "training.steps": {"low": 9, "high": 99}},
            "search.spaces.bce names both training.epochs and training.steps: must be one of them",
        ),
        ({}, "search.spaces.bce = {}: must be a mapping from settings to what is tried, one at least"),
    ],
)
def test_a_wrong_space_is_one_sentence(space, sentence):
    with pytest.raises(SettingsError) as caught:
        searched(space)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("search", "sentence"),
    [
        ({"criterion": "ap"}, "search.criterion = 'ap': must be one of 'ap_target_group', 'ap_uniform_effort'"),
        ({"trial": 3}, "unknown key 'trial' in search; known: criterion, held_out, parallel"),
        ({"trials": 0}, "search.trials = 0: must be greater than or equal to 1"),
        ({"held_out": {"fold": 1}}, "unknown key 'fold' in search.held_out; known: effort_resolution, folds"),
        ({"held_out": {"used": 6}}, "search.held_out: must be settings with used at most folds, which is 5; it is 6"),
        ({"pruning": {"quantile": 1.0}}, "search.pruning.quantile = 1.0: must be less than 1"),
        (
            {"spaces": {"an_ful": SPACE}},
            "search.spaces names 'an_ful', which is neither a variant nor a loss; did you mean an_full",
        ),
        ({"spaces": {"bce": {"like": "asl"}}}, "search.spaces.bce.like = 'asl': must be one of bce"),
        # The space of a loss is checked with every variant of it.
        (
            {"spaces": {"an_full": {"penalty": ["bce", "nothing"]}}},
            "search.spaces.an_full.penalty = 'nothing': must be",
        ),
    ],
)
def test_a_wrong_group_is_one_sentence(search, sentence):
    with pytest.raises(SettingsError) as caught:
        check_search(tree(SEARCH | search))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_study_needs_no_search():
    assert check_search(tree(None)) is None


def test_a_variant_without_a_space_says_which_there_are():
    whole = tree()
    with pytest.raises(SettingsError, match=r"no space for the variant 'an_full'.*that of its loss, 'an_full'.*: bce$"):
        Searched.of(whole, SearchSettings.parse(whole.search, "search"), "an_full")


def test_a_variant_is_searched_in_the_space_of_its_name_or_else_of_its_loss():
    variants = {name: {"loss": "bce"} for name in ("one", "two")}
    spaces = {"bce": SPACE, "two": {"like": "bce", "training.beta2": [0.5, 0.6]}}
    whole = tree(SEARCH | {"spaces": spaces}, variants=variants, study__variants=["one", "two"])
    settings = check_search(whole)
    assert Searched.of(whole, settings, "one").space == "bce"
    two = Searched.of(whole, settings, "two")
    assert two.space == "two"
    assert two.dimensions["training.beta2"] == Choices((0.5, 0.6))
    assert two.dimensions["training.epochs"] == Range(2, 6, False, whole=True)


def test_ranges_of_settings_that_take_whole_numbers_are_whole():
    tried = {
        "training.epochs": {"low": 2, "high": 6},
        "training.sampled_species": {"low": 2, "high": 6},
        "training.weight_decay": {"low": 0, "high": 1},
    }
    whole = {"training.epochs": True, "training.sampled_species": True, "training.weight_decay": False}
    changes = {"variants__bce": {"loss": "bce", "training": {"loss_computation": "sampled"}}}
    for name, space in tried.items():
        found = searched({name: space}, **(changes if name.endswith("species") else {}))
        assert found.dimensions[name].whole == whole[name]


def test_settings_replace_those_of_the_variant_and_nothing_else():
    found = searched(variants__bce={"loss": "bce", "pos_weight": True, "encoder": {"width": 24}})
    variant = found.with_settings({"training.beta2": 0.9, "training.epochs": 5, "encoder.dropout": 0.3})
    base = Variant.parse({"loss": "bce", "pos_weight": True}, "x", found.variant.encoder, found.variant.training)
    expected = base.resolved()
    expected["training"] |= {"beta2": 0.9, "epochs": 5}
    expected["encoder"] |= {"dropout": 0.3}
    assert variant.resolved() == expected


@pytest.mark.parametrize(("own", "other"), [("epochs", "steps"), ("steps", "epochs")])
def test_a_length_of_one_kind_takes_the_place_of_one_of_the_other(own, other):
    found = searched({f"training.{own}": [3, 5]}, variants__bce={"loss": "bce", "training": {other: 7}})
    training = found.with_settings({f"training.{own}": 3}).training
    assert (getattr(training, own), getattr(training, other)) == (3, None)


def test_members_of_a_blend_take_what_is_tried():
    found = searched(variants__bce={"loss": "bce", "members": [{}, {"encoder": {"width": 4}}]})
    variant = found.with_settings({"training.beta2": 0.77})
    assert [member.training.beta2 for member in variant.members] == [0.77, 0.77]
    assert [member.encoder.width for member in variant.members] == [16, 4]


def test_what_each_member_sets_itself_cannot_be_searched_for():
    members = [{"training": {"beta2": 0.9}}, {"training": {"beta2": 0.8}}]
    with pytest.raises(SettingsError, match=r"names 'training\.beta2', which changes nothing: each member of the var"):
        searched({"training.beta2": [0.7, 0.6]}, variants__bce={"loss": "bce", "members": members})
    members[0]["training"]["learning_rate"] = 0.1
    blend = searched({"training.learning_rate": [0.7, 0.6]}, variants__bce={"loss": "bce", "members": members})
    variant = blend.with_settings({"training.learning_rate": 0.7})
    assert [member.training.learning_rate for member in variant.members] == [0.1, 0.7]


def test_trial_0_tries_the_variant_as_it_is_if_that_is_in_the_space():
    inside = {"training.beta2": [0.95, 0.9], "training.epochs": {"low": 2, "high": 6}, "pos_weight": [True, False]}
    assert searched(inside).present == {"training.beta2": 0.95, "training.epochs": 2, "pos_weight": False}
    assert searched(inside | {"training.epochs": {"low": 3, "high": 6}}).present is None
    # 1 is not true.
    assert searched({"training.weight_decay": [0.0, 1.0]}).present == {"training.weight_decay": 0.0}
    assert not Choices((1, 2)).holds(True)


def test_numbers_that_are_drawn_have_three_digits_and_stay_within():
    dimension = Range(0.00033333, 3, False, whole=False)
    assert dimension.rounded(0.0047251) == 0.00473
    assert dimension.rounded(0.00033334) == 0.00033333
    assert dimension.rounded(2.999999) == 3
    assert Range(-5.0, 5.0, False, whole=False).rounded(-0.123456) == -0.123
    assert Range(1, 2000, False, whole=True).rounded(1234) == 1234
    assert Choices((0.123456, 1)).rounded(0.123456) == 0.123456


def test_corners_are_all_combinations_or_hold_every_value_in_changing_company():
    few = {"a": Range(0, 1, False, whole=False), "b": Choices((1, 2, 3))}
    assert sorted(tuple(corner.values()) for corner in _corners(few)) == [(a, b) for a in (0, 1) for b in (1, 2, 3)]
    many = {name: Range(0, 1, False, whole=False) for name in "abcdefghij"} | {"z": Choices(tuple(range(300)))}
    corners = list(_corners(many))
    assert len(corners) >= MOST_CORNERS
    assert {corner["z"] for corner in corners} == set(range(300))
    for first, second in pairwise("abcdefghij"):
        assert {(corner[first], corner[second]) for corner in corners} == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_what_is_tried_names_every_choice_for_the_fingerprint_of_the_code():
    tried = searched({"encoder.expansion": ["none", "hinge"], "training.beta2": {"low": 0.8, "high": 0.9}}).tried()
    assert tried[0] == tiny.params()["variants"]["bce"]
    assert {"loss": "bce", "encoder": {"expansion": "hinge"}} in tried
    assert len(tried) == 5


# It trains further heads of an encoder that a study asks for.
@pytest.mark.parametrize("loss", sorted(set(LOSSES) - {"multitask"}))
def test_the_default_study_has_a_space_for_every_loss(loss):
    raw = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    whole = Tree.parse(raw | {"variants": {"tried": {"loss": loss}}}, "")
    found = Searched.of(whole, SearchSettings.parse(whole.search, "search"), "tried")
    assert found.space == loss
    assert {"training.learning_rate", "training.beta2", "training.epochs"} <= set(found.dimensions)


@pytest.mark.parametrize("own", [{"prior": 0.1}, {"priors": [0.1, 0.2]}, {"prior_factor": 3.0}, {}])
def test_a_setting_that_says_the_same_in_another_way_gives_way_to_the_one_that_is_tried(own):
    raw = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    whole = Tree.parse(raw | {"variants": {"tried": {"loss": "nnpu"} | own}}, "")
    found = Searched.of(whole, SearchSettings.parse(whole.search, "search"), "tried")
    loss = found.with_settings({"prior_factor": 4.0}).loss
    assert (loss.prior_factor, loss.prior, loss.priors) == (4.0, None, None)
