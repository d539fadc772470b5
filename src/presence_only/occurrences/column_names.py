"""Names of columns in users' tables: which columns a reader wants, and the spellings that they come in."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from presence_only.common.errors import DataError

# What tables call the coordinates in degrees, beside Darwin Core's terms; the first that a table has counts.
LONGITUDES = ("longitude", "decimalLongitude", "lon", "long", "lng", "x", "xcoord", "lonWGS84")
LATITUDES = ("latitude", "decimalLatitude", "lat", "y", "ycoord", "latWGS84")
COORDINATE_SPELLINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "longitude": LONGITUDES,
        "latitude": LATITUDES,
        "decimalLongitude": LONGITUDES,
        "decimalLatitude": LATITUDES,
    }
)
_PREFIX = re.compile(r"^(?:dwc|dwciri|dcterms|dc|gbif|iucn):", re.IGNORECASE)


@dataclass(frozen=True)
class Columns:
    """The columns that a reader wants, by their published names.

    A column is found whatever its case, underscores, blanks and points: GBIF's parquet files say ``decimallatitude``.

    Args:
        required: Without one of them the file is the wrong one.
        optional: Read where the file has them.
        spellings: Other names of a wanted column, which count in this order where the file lacks its own name.
        exact: Columns by the very words of the header, under names of the reader's own.
        ragged_rows: Whether a row with too few fields, or with further empty ones, is refused, or its missing cells
            are read as empty and its further ones cut: a choice of the user, for a cell may be lost or added in the
            middle. None: refused, and the user has no such choice.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    spellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ragged_rows: Literal["refuse", "mend"] | None = None
    exact: Mapping[str, str] = field(default_factory=dict)

    def find(self, header: Sequence[str], where: str) -> dict[str, int]:
        """Position in ``header`` of every wanted column that is there.

        Raises:
            DataError: If a required column is missing, or a wanted one is there twice.
        """
        places: dict[str, list[int]] = {}
        for place, name in enumerate(header):
            places.setdefault(plain_name(name), []).append(place)
        found: dict[str, int] = {}
        missing = []
        for name in self.required + self.optional:
            spelling = next((one for one in self.names_of(name) if one in places), None)
            if spelling is None:
                missing += [name] if name in self.required else []
                continue
            if len(places[spelling]) > 1:
                raise DataError(f"{where}: {len(places[spelling])} columns are named {name!r}; there must be one")
            found[name] = places[spelling][0]
        if missing:
            raise DataError(f"{where}: no column {', '.join(map(repr, missing))}; {_alike(missing, header)}")
        if self.exact:
            words: dict[str, list[int]] = {}
            for place, text in enumerate(header):
                words.setdefault(text.strip(), []).append(place)
            for name, text in self.exact.items():
                at = words.get(text.strip(), [])
                if len(at) != 1:
                    raise DataError(f"{where}: {len(at)} columns are named {text!r}; there must be one")
                found[name] = at[0]
        return found

    def names_of(self, name: str) -> tuple[str, ...]:
        """All plain names of a wanted column, its own first."""
        return tuple(dict.fromkeys(plain_name(one) for one in (name, *self.spellings.get(name, ()))))


def plain_name(name: str) -> str:
    """A column's name without what differs between formats: case, signs, and the prefix or address of a vocabulary."""
    name = _PREFIX.sub("", name.strip())
    if "://" in name:
        name = re.split(r"[/#]", name)[-1]
    plain = "".join(character for character in name.lower() if character.isalnum())
    return plain or name


def _alike(missing: Sequence[str], header: Sequence[str]) -> str:
    """What the header has instead of the missing columns."""
    plain = {plain_name(name): name.strip() for name in header if name.strip()}
    close: list[str] = []
    for name in missing:
        wanted = plain_name(name)
        inside = [key for key in plain if len(key) > 3 and (key in wanted or wanted in key)]
        close += [plain[key] for key in difflib.get_close_matches(wanted, plain, n=2, cutoff=0.6) + inside]
    if close:
        return f"it has {', '.join(repr(name) for name in dict.fromkeys(close))}, which look alike: rename them"
    first = ", ".join(repr(name[:40]) for name in list(plain.values())[:6])
    return f"its first columns are {first}: is this the right file?"
