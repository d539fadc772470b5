"""Names that may be meant by one that is unknown, the likest first."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence


def suggestions(asked: str, species: Sequence[str]) -> list[str]:
    """Up to three names that may be meant by one that is unknown, the likest first.

    Letter case, leading zeros and what stands between words count for nothing. Names that are then
    equal come alone; else those that hold the same numbers, else those that begin with ``asked``, else
    those that contain it, else those that look alike.
    """
    wanted, keys = _key(asked), [_key(name) for name in species]
    numbers = re.findall("[0-9]+", wanted)
    matcher = difflib.SequenceMatcher(b=wanted)

    def likeness(index: int) -> float:
        matcher.set_seq1(keys[index])
        return matcher.ratio()

    rules: tuple[Callable[[int], bool], ...] = (
        lambda index: keys[index] == wanted,
        lambda index: bool(numbers) and re.findall("[0-9]+", keys[index]) == numbers,
        lambda index: bool(wanted) and keys[index].startswith(wanted),
        lambda index: bool(wanted) and wanted in keys[index],
        lambda index: likeness(index) >= 0.5,
    )
    for rule in rules:
        if found := [index for index in range(len(species)) if rule(index)]:
            return [species[index] for index in sorted(found, key=likeness, reverse=True)[:3]]
    return []


def _key(name: str) -> str:
    """A name without what people write in different ways: ``Virtual-0001`` as ``virtual 1``."""
    words = re.sub(r"[\W_]+", " ", name.casefold()).strip()
    return re.sub("0*([0-9]+)", r"\1", words)
