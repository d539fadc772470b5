"""The table of kinds of data sets: what every kind must be, and what names none."""

import inspect
from typing import get_args

import pytest

from presence_only.common.registry import resolve
from presence_only.common.settings import SettingsError
from presence_only.data.dataset import DatasetKind
from presence_only.datasets import KINDS, parse_dataset


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_settings_of_its_name_that_build(name):
    kind = resolve(KINDS[name])
    assert issubclass(kind, DatasetKind)
    assert get_args(kind.model_fields["kind"].annotation) == (name,)
    assert kind.build is not DatasetKind.build
    assert inspect.getdoc(kind)
    documented = " ".join(inspect.getdoc(base) or "" for base in kind.__mro__)
    assert [field for field in kind.model_fields if field != "kind" and f"{field}:" not in documented] == []


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (
            {"kind": "virtul"},
            r"unknown dataset kind 'virtul' in datasets\.x; known: ebird, .*, virtual",
        ),
        ({"kind": ["virtual"]}, r"unknown dataset kind \['virtual'\] in datasets\.x; known: "),
        ({"species": 3}, r"missing key 'datasets\.x\.kind'; known kinds of data set: "),
        ("virtual", r"datasets\.x = 'virtual': must be a mapping of settings"),
    ],
)
def test_what_is_no_kind_is_one_sentence(raw, sentence):
    with pytest.raises(SettingsError, match=f"^{sentence}"):
        parse_dataset(raw, "datasets.x")
