"""Groups of species in users' survey tables: which a survey looked for, and which species belong to one.

A group's species are those of its rows. A species whose taxon group in the records is one of the survey's groups
belongs to that one alone, so that a bird noted on a visit for plants does not make all birds absent on such visits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

# Between several groups in one cell.
_BETWEEN = re.compile(r"[;|]")


@lru_cache(maxsize=2**12)
def groups_of_cell(text: str | None) -> frozenset[str]:
    """The groups that a cell names, in small letters; none where it is empty, which stands for all."""
    names = (name.strip().casefold() for name in _BETWEEN.split(text or ""))
    return frozenset(name for name in names if name)


def members(
    found: Mapping[str, Iterable[str]], groups: frozenset[str], known: Mapping[str, str]
) -> dict[str, list[str]]:
    """The groups of every species, sorted.

    Args:
        found: Species to the groups whose rows have it.
        groups: All groups of the survey.
        known: Taxon group of every species of the records.
    """
    belongs = {}
    for species, names in found.items():
        own = known[species].casefold() if species in known else None
        belongs[species] = [own] if own is not None and own in groups else sorted(set(names))
    return belongs
