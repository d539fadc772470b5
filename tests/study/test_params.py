from pathlib import Path

import pytest
from support import tiny

from presence_only.common.settings import SettingsError
from presence_only.study.params import Params, load_params

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted([ROOT / "params.yaml", *ROOT.glob("experiments/*/params.yaml")]), ids=str)
def test_every_study_of_the_repository_reads(path):
    params = load_params(path)
    assert params.study.seeds
    assert set(params.study.variants) <= set(params.variants)


def test_numbers_keep_their_names():
    params = Params.parse(tiny.params())
    assert params.variant("an_full").loss.pos_lambda == 16.0
    assert params.dataset("virtual").species == 12
    assert params.training.learning_rate == 1e-3


def test_yaml_reads_exponents_as_numbers(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    path = tmp_path / "params.yaml"
    path.write_text(text.replace("learning_rate: 0.005", "learning_rate: 1e-4"))
    assert "1e-4" in path.read_text()
    assert load_params(path).training.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"trainng": {}}, "unknown key 'trainng' in params.yaml; known: datasets, encoder, study, training, variants"),
        ({"variants__bce": {"loss": "bcee"}}, "unknown loss 'bcee' in variants.bce; known: "),
        ({"variants__an_full": {"loss": "an_full", "lambda": 2}}, "unknown key 'lambda' in variants.an_full; known: "),
        ({"variants__an_full": {"loss": "an_full", "pos_lambda": -1.0}}, "variants.an_full.pos_lambda = -1.0: must be"),
        ({"datasets__virtual__kind": "virtul"}, "unknown dataset kind 'virtul' in datasets.virtual; known: "),
        (
            {"study__variants": ["bce", "asl"]},
            "study.variants names 'asl', which variants does not define; defined: an_full, bce",
        ),
        ({"study__variants": ["bce", "bce"]}, "study.variants = ['bce', 'bce']: must be a list without repeated"),
        ({"study__seeds": []}, "study.seeds = []: must be a list of at least 1"),
        ({"study__datasets": "virtual"}, "study.datasets = 'virtual': must be a list"),
        ({"study": None}, "study = None: must be a mapping of settings"),
        ({"encoder": [1]}, "encoder = [1]: must be a mapping of settings"),
        ({"training__optimizer": "sgd"}, "training.optimizer = 'sgd': must be one of 'adam' or 'adamw'"),
        ({"variants__an-full": {"loss": "bce"}}, "variants has the name 'an-full': must be lower-case letters, digits"),
        ({"study__datasets": ["nowhere"]}, "study.datasets names 'nowhere', which datasets does not define"),
        ({"study__name": "a.b"}, "study.name = 'a.b': must be lower-case letters, digits and underscores"),
        ({"training__steps": 5}, "training: must be settings with either epochs or steps, not both: 2 and 5"),
        ({"study__seeds": [0, 2**32]}, "study.seeds.1 = 4294967296: must be less than 4294967296"),
        ({"encoder__dropout": 1.0}, "encoder.dropout = 1.0: must be less than 1"),
        ({"encoder__habitat_head": True}, "must be settings with environment_head: true"),
        ({"encoder__environment_head": True}, "variants.bce: loss 'bce' with encoder.environment_head = True"),
        ({"variants__bce": {"loss": "multitask"}}, "must be true for a loss that trains this head"),
        (
            {"variants__bce": {"loss": "multitask", "habitat_weight": 0.5, "encoder": {"environment_head": True}}},
            "loss 'multitask' trains a habitat head; needs encoder.habitat_head: true",
        ),
        ({"variants__bce": {"loss": "bce", "encoder": {"widht": 2}}}, "unknown key 'widht' in variants.bce.encoder"),
        ({"variants__bce": {"loss": "bce", "training": 3}}, "variants.bce.training = 3: must be a mapping"),
        ({"variants__bce": {"loss": "bce", "members": [{}]}}, "variants.bce.members = [{}]: must be a list of two"),
        (
            {"variants__bce": {"loss": "bce", "members": [{}, {"encoder": {"widht": 2}}]}},
            "unknown key 'widht' in variants.bce.members[1].encoder",
        ),
    ],
)
def test_a_mistake_is_one_sentence(change, sentence):
    with pytest.raises(SettingsError) as caught:
        Params.parse(tiny.params(**change))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_folder(tmp_path):
    with pytest.raises(SettingsError, match=r"no params.yaml in .*; run from a study's folder"):
        load_params(tmp_path / "params.yaml")


def test_broken_yaml_is_one_sentence(tmp_path):
    (tmp_path / "params.yaml").write_text("study: [1, 2\nencoder: {")
    with pytest.raises(SettingsError, match=r"params\.yaml is not valid YAML") as caught:
        load_params(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_a_cell_that_the_study_lacks_is_refused():
    params = Params.parse(tiny.params(study__variants=["bce"]))
    with pytest.raises(SettingsError, match="unknown variant 'an_full'; the study has: bce"):
        params.variant("an_full")


def test_a_variant_may_replace_single_settings_of_encoder_and_training():
    heads = {"environment_head": True}
    variant = {"loss": "multitask", "encoder": heads, "training": {"epochs": None, "steps": 7}}
    params = Params.parse(tiny.params(variants__bce=variant))
    own, other = params.variant("bce"), params.variant("an_full")
    assert (own.encoder.environment_head, own.encoder.width) == (True, 16)
    assert (own.training.steps, own.training.batch_size) == (7, 128)
    assert (other.encoder, other.training) == (params.encoder, params.training)
    assert not other.encoder.environment_head


def test_members_of_a_blend_inherit_the_variant_and_replace_some_of_it():
    members = [{"encoder": {"width": 4}}, {"loss": "focal", "training": {"learning_rate": 0.5}}]
    variant = {"loss": "bce", "encoder": {"depth": 3}, "members": members}
    parsed = Params.parse(tiny.params(variants__bce=variant)).variant("bce")
    first, second = parsed.members
    assert (first.loss.loss, first.encoder.width, first.encoder.depth) == ("bce", 4, 3)
    assert (second.loss.loss, second.encoder.width, second.encoder.depth) == ("focal", 16, 3)
    assert (first.training.learning_rate, second.training.learning_rate) == (1e-3, 0.5)
