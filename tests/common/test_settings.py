"""Settings: read, frozen, and every mistake one sentence."""

from typing import Literal

import pytest
from pydantic import Field, field_validator

from presence_only.common.settings import Settings, SettingsError, known_name


class Inner(Settings):
    width: int = Field(default=1, ge=1)


class Outer(Settings):
    rate: float
    inner: Inner = Inner()
    maybe: Inner | None = None


def test_reads_and_freezes():
    outer = Outer.parse({"rate": 1, "inner": {"width": 3}}, "training")
    assert (outer.rate, outer.inner.width) == (1.0, 3)
    with pytest.raises(ValueError, match="frozen"):
        outer.rate = 2.0


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"rate": 1.0, "rat": 2}, "unknown key 'rat' in training; known: inner, maybe, rate"),
        ({"rate": 1.0, "inner": {"widht": 2}}, "unknown key 'widht' in training.inner; known: width"),
        ({"rate": 1.0, "maybe": {"widht": 2}}, "unknown key 'widht' in training.maybe; known: width"),
        ({}, "missing key 'training.rate'; it has no default"),
        ({"rate": "1e-4"}, "training.rate = '1e-4': must be a valid number"),
        ({"rate": 1.0, "inner": {"width": 0}}, "training.inner.width = 0: must be greater than or equal to 1"),
        ({"rate": 1.0, "inner": {"width": True}}, "training.inner.width = True: must be a valid integer"),
        ({"rate": float("nan")}, "training.rate = nan: must be a finite number"),
        ([1], "training = [1]: must be a mapping of settings"),
    ],
)
def test_a_mistake_is_one_sentence(raw, sentence):
    with pytest.raises(SettingsError) as caught:
        Outer.parse(raw, "training")
    assert str(caught.value) == sentence


@pytest.mark.parametrize("known", [("a",), ("a", "b"), ("a", "b", "c")])
def test_a_name_of_a_table_is_refused_in_the_words_of_a_literal(known):
    class Table(Settings):
        name: str

        @field_validator("name")
        @classmethod
        def _exists(cls, value: str) -> str:
            return known_name(value, known)

    class Written(Settings):
        name: Literal[known]

    sentences = []
    for settings in (Table, Written):
        assert settings.parse({"name": "a"}, "x").name == "a"
        with pytest.raises(SettingsError) as caught:
            settings.parse({"name": "d"}, "x")
        sentences.append(str(caught.value))
    assert sentences[0] == sentences[1]
