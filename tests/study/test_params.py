from pathlib import Path

import pytest
from support import tiny

from presence_only.common.settings import SettingsError
from presence_only.common.yaml_files import read_yaml
from presence_only.study.params import Params, load_params, save_settings

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
        (
            {"trainng": {}},
            "unknown key 'trainng' in params.yaml; known: datasets, encoder, search, study, training, variants",
        ),
        ({"variants__bce": {"loss": "bcee"}}, "unknown loss 'bcee' in variants.bce; known: "),
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
        ({"training__optimizer": "lion"}, "training.optimizer = 'lion': must be one of 'adam', 'adamw', 'sgd' or 'r"),
        ({"variants__an-full": {"loss": "bce"}}, "variants has the name 'an-full': must be lower-case letters, digits"),
        ({"study__datasets": ["nowhere"]}, "study.datasets names 'nowhere', which datasets does not define"),
        ({"study__name": "a.b"}, "study.name = 'a.b': must be lower-case letters, digits and underscores"),
        ({"training__steps": 5}, "training: must be settings with either epochs or steps, not both: 2 and 5"),
        ({"study__seeds": [0, 2**32]}, "study.seeds.1 = 4294967296: must be less than 4294967296"),
        ({"encoder__dropout": 1.0}, "encoder.dropout = 1.0: must be less than 1"),
        ({"encoder__environment_head": True}, "variants.bce: loss 'bce' with encoder.environment_head = True"),
        ({"variants__bce": {"loss": "bce", "encoder": {"widht": 2}}}, "unknown key 'widht' in variants.bce.encoder"),
        (
            {"datasets__virtual__input": "both"},
            "datasets.virtual.input = 'both': is a setting of the encoder; write encoder.input",
        ),
        (
            {"datasets__virtual__coordinates": "local"},
            "datasets.virtual.coordinates = 'local': is a setting of the encoder; write encoder.coordinates",
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


def test_variants_take_over_the_studys_encoder_and_training():
    raw = tiny.params(variants__bce={"loss": "bce", "encoder": {"input": "both"}, "training": {"steps": 7}})
    params = Params.parse(raw)
    own, other = params.variant("bce"), params.variant("an_full")
    assert (own.encoder.input, own.encoder.width, own.training.steps, own.training.batch_size) == ("both", 16, 7, 128)
    assert (other.encoder, other.training) == (params.encoder, params.training)


def test_the_file_of_all_settings_holds_every_one_of_what_the_study_names(tmp_path):
    blend = {"loss": "bce", "members": [{}, {"encoder": {}}]}
    params = Params.parse(tiny.params(study__variants=["bce"], variants__bce=blend))
    save_settings(params, tmp_path / "settings.yaml")
    written = read_yaml(tmp_path / "settings.yaml")
    assert (set(written), set(written["variants"])) == ({"study", "datasets", "variants"}, {"bce"})
    for group in (written["variants"]["bce"], *written["variants"]["bce"]["members"]):
        assert set(group["encoder"]) == set(type(params.encoder).model_fields)
        assert set(group["training"]) == set(type(params.training).model_fields)
        assert (group["loss"], group["encoder"]["width"], group["training"]["epochs"]) == ("bce", 16, 2)
    assert set(written["datasets"]["virtual"]) == set(type(params.dataset("virtual")).model_fields)
