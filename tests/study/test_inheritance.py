"""Entries of params.yaml that are like others."""

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML
from support import tiny

from presence_only.common.errors import SettingsError
from presence_only.pipeline import code
from presence_only.study.inheritance import inherit
from presence_only.study.params import load_params


def test_an_entry_replaces_what_it_names():
    entries = {
        "a": {"kind": "x", "n": 1, "evaluation": {"kind": "blocks", "degrees": 5.0, "fold": 0}},
        "b": {"like": "a", "n": 2, "evaluation": {"fold": 1}},
        "c": {"like": "b", "evaluation": {"kind": "box", "west": 0}},
    }
    found = inherit(entries, "datasets")
    assert found["a"] == entries["a"]
    assert found["b"] == {"kind": "x", "n": 2, "evaluation": {"kind": "blocks", "degrees": 5.0, "fold": 1}}
    assert found["c"] == {"kind": "x", "n": 2, "evaluation": {"kind": "box", "west": 0}}
    assert entries["b"] == {"like": "a", "n": 2, "evaluation": {"fold": 1}}


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ({"a": {"like": "b"}}, r"datasets\.a\.like = 'b': must be one of a"),
        ({"a": {"like": 3}}, r"datasets\.a\.like = 3: must be one of a"),
        ({"a": {"like": "a"}}, r"datasets\.a\.like = 'a': leads back to 'a' itself"),
        ({"a": {"like": "b"}, "b": {"like": "a"}}, r"datasets\.b\.like = 'a': leads back to 'a' itself"),
    ],
)
def test_what_is_like_nothing_is_one_sentence(entries, sentence):
    with pytest.raises(SettingsError, match=sentence):
        inherit(entries, "datasets")


def test_a_change_by_dvc_reaches_every_entry_that_is_like_the_changed_one(tmp_path):
    """As `dvc exp run -S datasets.virtual.records=700` does it; DVC writes the file anew."""
    raw = tiny.params(study__variants=["bce", "wide"], study__datasets=["virtual", "land"])
    raw["datasets"]["land"] = {"like": "virtual", "background": "land"}
    raw["variants"]["wide"] = {"like": "bce", "encoder": {"width": 32}}
    path = tmp_path / "params.yaml"
    YAML().dump(raw, path)
    apply_overrides(path, ["datasets.virtual.records=700", "+variants.bce.pos_weight=true"])
    params = load_params(path)
    assert [params.dataset(name).records for name in ("virtual", "land")] == [700, 700]
    assert params.dataset("land").background == "land"
    assert params.variant("wide").loss.pos_weight is True
    assert params.variant("wide").encoder.width == 32
    # What DVC compares holds the setting too.
    written = code.read_settings(path)
    assert written["datasets"]["land"] == {**raw["datasets"]["virtual"], "records": 700, "background": "land"}
    assert written["variants"]["wide"] == {"loss": "bce", "pos_weight": True, "encoder": {"width": 32}}
