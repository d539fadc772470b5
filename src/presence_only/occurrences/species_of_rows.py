"""Species of the rows of a file: told apart by keys, where it has any, and else by names.

Shape legend: C combinations of name, key and group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Ints


class Taxon(NamedTuple):
    """What a row says of its species; the key is None where it says none."""

    name: str
    key: str | None
    group: str


def merged_taxa(coded: Sequence[Taxon], counts_C: Ints) -> tuple[NDArray[np.int32], tuple[Taxon, ...]]:
    """Every (name, key, group) that was met, as the species that it is of, and the species by name.

    A key is one species, whatever groups its rows say; a row without a key is of the species of its
    name, where only one key has this name.
    """
    keys_of: dict[str, set[str]] = {}
    for name, key, _ in coded:
        keys_of.setdefault(name, set()).update({key} if key is not None else ())
    identities = []
    for name, key, _ in coded:
        only = next(iter(keys_of[name])) if len(keys_of[name]) == 1 else None
        shown = key if key is not None else only
        identities.append((name, None) if shown is None else (shown, shown))
    groups: dict[tuple[str, str | None], Counter[str]] = {}
    names: dict[tuple[str, str | None], Counter[str]] = {}
    for identity, (name, _, group), count in zip(identities, coded, counts_C.tolist(), strict=True):
        groups.setdefault(identity, Counter())[group] += count
        names.setdefault(identity, Counter())[name] += count
    entries = {identity: Taxon(_most(names[identity]), identity[1], _most(groups[identity])) for identity in groups}
    order = sorted(entries, key=lambda identity: (entries[identity].name, identity[1] or ""))
    place = {identity: i for i, identity in enumerate(order)}
    index_C = np.array([place[identity] for identity in identities], dtype=np.int32)
    return index_C, tuple(entries[identity] for identity in order)


def _most(counts: Counter[str]) -> str:
    """The most frequent value, the first in the alphabet of equals."""
    return min(counts, key=lambda value: (-counts[value], value))
