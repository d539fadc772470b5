"""A study's settings in words, and its penalties."""

from support import tiny

from presence_only.losses.penalties import Asymmetric, CrossEntropy
from presence_only.study.description import describe, penalties
from presence_only.study.params import Params


def test_settings_in_words_are_those_that_the_loss_uses_or_the_study_lacks():
    variants = {
        "bce": {"loss": "bce", "training": {"epochs": 5}},
        "an_full": {"loss": "an_full", "pos_lambda": 16.0},
        "an": {"loss": "assume_negative", "penalty": "asl", "clip": 0.2},
        "slds": {"loss": "an_slds", "encoder": {"width": 32}},
    }
    params = Params.parse(tiny.params(variants=variants, study__variants=list(variants)))
    words = describe(params)["variants"]
    assert list(words) == list(variants)
    assert words["bce"].startswith("loss bce, ")
    assert words["bce"].endswith(", epochs 5")
    assert "width" not in words["bce"]
    assert words["slds"].endswith(", width 32")
    assert "pos_lambda 16.0" in words["an_full"]
    # Parameters of the penalty asl, and of no other.
    assert "clip 0.2" in words["an"]
    assert "alpha" not in words["an"]
    assert "clip" not in words["an_full"]


def test_settings_that_all_variants_share():
    common = describe(Params.parse(tiny.params()))["common"]
    assert common["seeds"] == "0, 1"
    assert (common["encoder width"], common["training epochs"]) == ("16", "2")


def test_variants_that_penalise_alike_are_drawn_once():
    variants = {
        "bce": {"loss": "bce"},
        "an": {"loss": "assume_negative", "penalty": "asl", "clip": 0.2},
        "asl": {"loss": "asl", "gamma_pos": 0.0, "gamma_neg": 2.0, "clip": 0.2},
        "slds": {"loss": "an_slds"},
        "ssdl": {"loss": "an_ssdl"},
    }
    params = Params.parse(tiny.params(variants=variants, study__variants=list(variants)))
    assert penalties(params) == {"bce and 2 others": CrossEntropy(), "an, asl": Asymmetric(0.0, 2.0, 0.2)}
