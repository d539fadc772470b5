"""Settings: read, frozen, and every mistake one sentence."""

import pytest
from pydantic import Field

from presence_only.common.settings import Settings, SettingsError


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
