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
# What tables and surveys call the column that says whether a species was there. The weak ones often say something else,
# such as who observed it, and count only where a table has none of the first.
PRESENCES = (
    *(
        "presence",
        "present",
        "presenceAbsence",
        "presAbs",
        "presentAbsent",
        "occurrenceStatus",
        "detected",
        "detection",
    ),
    *("speciesObserved", "speciesPresent", "isPresent", "isDetected", "pbOcc", "pb"),
)
WEAK_PRESENCES = (
    *("PA", "occurrence", "occ", "observed", "found", "seen", "detections", "observedStatus"),
    *("detectionStatus", "presenceStatus", "occupancy", "occupied", "presences"),
)
# What plain tables call their columns: names that say what they are, and weak ones that may be something else and count
# only where a table has none of the first.
TABLE_SPELLINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "longitude": (
            *("decimalLongitude", "lon", "long", "lng", "lonWGS84", "longitudeWGS84", "longWGS84", "WGS84lon"),
            *("lonDD", "longDD", "longitudeDD", "decimalLon", "decimalLong", "decLon", "decLong", "lonDec", "longDec"),
            *("decLongitude", "longitudeDec", "longitudeDecimal", "lonDegrees", "longitudeDegrees", "longitudes"),
            *("longitud", "longitudine", "Längengrad", "Laengengrad", "coordsLon", "geoLon", "pointLon", "xLon"),
            "xWGS84",
        ),
        "latitude": (
            *("decimalLatitude", "lat", "latWGS84", "latitudeWGS84", "WGS84lat"),
            *("latDD", "latitudeDD", "decimalLat", "decLat", "latDec", "decLatitude", "latitudeDec"),
            *("latitudeDecimal", "latDegrees", "latitudeDegrees", "latitudes"),
            *("latitud", "latitudine", "Breitengrad", "coordsLat", "geoLat", "pointLat", "yLat", "yWGS84"),
        ),
        "species": ("speciesName", "spName", "binomial", "binomialName", "binomen", "latinName", "nameOfSpecies"),
        "scientificName": ("sciName", "scientific", "nombreCientifico", "acceptedScientificName"),
        "genus": ("genusName",),
        "specificEpithet": ("speciesEpithet", "epithet"),
        "date": (
            *("eventDate", "observedOn", "observationDate", "dateObserved", "obsDate", "dateObs", "dateOfObservation"),
            *("surveyDate", "sampleDate", "samplingDate", "collectionDate", "dateCollected", "recordDate", "visitDate"),
            *("sightingDate", "observedAt", "fecha"),
        ),
        "year": ("yr", "obsYear", "yearObserved", "yearCollected", "collectionYear", "eventYear"),
        "month": ("obsMonth", "monthObserved", "monthCollected", "eventMonth"),
        "day": ("obsDay", "dayOfMonth", "dayCollected", "eventDay"),
        "week": ("weekNumber", "weekOfYear", "obsWeek"),
        "uncertainty": (
            *("coordinateUncertaintyInMeters", "coordinateUncertaintyInMetres", "coordinateUncertainty"),
            *("uncertaintyM", "uncertaintyInMeters", "uncertaintyInMetres", "uncertaintyMeters", "coordUncertainty"),
            *("coordUncertaintyM", "positionalAccuracy", "accuracyM", "geoUncertaintyInM", "locationUncertainty"),
            *("coordinateAccuracy", "locationAccuracy", "gpsAccuracy"),
        ),
        "group": ("taxonGroup", "taxonomicGroup", "targetGroup", "speciesGroup", "iconicTaxonName", "taxaGroup"),
        "count": ("individualCount", "abundance", "numberOfIndividuals", "nIndividuals", "individuals", "counts"),
        "status": PRESENCES,
    }
)
TABLE_WEAK: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "longitude": ("x", "xcoord", "coordX", "coordsX", "pointX", "easting", "eastings", "UTMx"),
        "latitude": ("y", "ycoord", "coordY", "coordsY", "pointY", "northing", "northings", "UTMy"),
        "species": (
            "taxon",
            "taxonName",
            "name",
            "sp",
            "spp",
            "spec",
            "organism",
            "organismName",
            "speciesCode",
            "spCode",
        ),
        "uncertainty": ("uncertainty", "accuracy"),
        "count": ("quantity", "number"),
        "date": ("datetime", "timestamp"),
        "status": WEAK_PRESENCES,
    }
)
# What the queries of occurrence cubes call their columns.
CUBE_SPELLINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cell": (
            *("cellCode", "eeaCellCode", "eeargCellCode", "eeaCode", "eeargCode", "euroStatCellCode", "euroStatCode"),
            *("eqdCellCode", "eqdgCellCode", "eqdgcCellCode", "eqdgCode", "eqdgcCode", "mgrsCellCode", "mgrsCode"),
            *("isea3hCellCode", "isea3hCode", "dmsgCellCode", "dmsgCode", "gridCellCode", "gridCode", "gridCell"),
            *("mgrs", "eqdgc", "isea3h", "cellName", "cellId"),
        ),
        "longitude": ("decimalLongitude",),
        "latitude": ("decimalLatitude",),
        "species": ("speciesName",),
        "scientificName": ("acceptedScientificName",),
        "occurrences": ("occurrenceCount", "occurrencesCount", "numberOfOccurrences", "countOfOccurrences"),
        "uncertainty": (
            *("minCoordinateUncertaintyInMeters", "minCoordinateUncertaintyInMetres", "minCoordinateUncertainty"),
            "minimumCoordinateUncertaintyInMeters",
        ),
        "yearMonth": ("monthYear",),
        "eventDate": ("date", "yearMonthDay"),
    }
)
CUBE_WEAK: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cell": ("grid",),
        "longitude": LONGITUDES[2:],
        "latitude": LATITUDES[2:],
        "speciesKey": ("taxonKey", "acceptedTaxonKey"),
        "occurrences": ("count", "n", "obs", "records"),
        "uncertainty": ("coordinateUncertaintyInMeters",),
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
        weak: Further names, such as ``x``, which count only where the file has none of the others.
        given: Names that the user gave for wanted columns; no other name counts for these.
        setting: The setting by which the user gives them, such as ``columns``. With it, two columns that may both be
            a wanted one are refused; empty: the first name counts.
        statuses: Columns of presence words, in which ``none`` is one and stands for no missing value.
        any_type: Columns that a parquet file may have in any type, such as lists; others are numbers or become text.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    spellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ragged_rows: Literal["refuse", "mend"] | None = None
    exact: Mapping[str, str] = field(default_factory=dict)
    weak: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    setting: str = ""
    statuses: tuple[str, ...] = ()
    any_type: tuple[str, ...] = ()

    def find(self, header: Sequence[str], where: str) -> dict[str, int]:
        """Position in ``header`` of every wanted column that is there.

        Raises:
            DataError: If a required column is missing, a wanted one is there twice, or one column is given for two.
        """
        places: dict[str, list[int]] = {}
        for place, name in enumerate(header):
            places.setdefault(plain_name(name), []).append(place)
        found = {name: _given(self.setting, name, given, header, where) for name, given in self.given.items()}
        taken = set(found.values())
        if len(taken) < len(found):
            _refuse_twice(self.setting, self.given, found, where)
        # A column that the user gave for something else is not a candidate.
        places = {plain: left for plain, all_of in places.items() if (left := [at for at in all_of if at not in taken])}
        missing = []
        for name in dict.fromkeys(self.required + self.optional):
            if name in found:
                continue
            candidates = [one for one in self._strong(name) if one in places]
            candidates = candidates or [one for one in map(plain_name, self.weak.get(name, ())) if one in places]
            if not candidates:
                missing += [name] if name in self.required else []
                continue
            if self.setting and len(candidates) > 1:
                raise self._ambiguous(name, [header[places[one][0]] for one in candidates[:2]], where)
            spelling = candidates[0]
            if self.setting and len(places[spelling]) > 1:
                raise self._ambiguous(name, [header[place] for place in places[spelling][:2]], where)
            if len(places[spelling]) > 1:
                raise DataError(f"{where}: {len(places[spelling])} columns are named {name!r}; there must be one")
            found[name] = places[spelling][0]
        if missing:
            hint = f"; or say which column it is: {self.setting}: {{{missing[0]}: NAME}}" if self.setting else ""
            raise DataError(f"{where}: no column {', '.join(map(repr, missing))}; {_alike(missing, header)}{hint}")
        if self.exact:
            words: dict[str, list[int]] = {}
            for place, text in enumerate(header):
                words.setdefault(text.strip(), []).append(place)
            for name, text in self.exact.items():
                at = words.get(text.strip(), [])
                if len(at) != 1:
                    raise DataError(f"{where}: {len(at)} columns are named {text!r}; there must be one")
                found[name] = at[0]
        self._check_second_pair(found, header, places, where)
        return {
            name: found[name] for name in (*self.required, *self.optional, *self.given, *self.exact) if name in found
        }

    def names_of(self, name: str) -> tuple[str, ...]:
        """All plain names of a wanted column, its own first."""
        if name in self.given:
            return (plain_name(self.given[name]),)
        return tuple(dict.fromkeys([*self._strong(name), *map(plain_name, self.weak.get(name, ()))]))

    def _strong(self, name: str) -> tuple[str, ...]:
        """The plain names of a wanted column that count whatever else the file has."""
        return tuple(dict.fromkeys(plain_name(one) for one in (name, *self.spellings.get(name, ()))))

    def _check_second_pair(
        self, found: Mapping[str, int], header: Sequence[str], places: Mapping[str, list[int]], where: str
    ) -> None:
        """Refuse ``x`` and ``y`` beside ``lon`` and ``lat``; ``X`` alone numbers the rows, as R writes it."""
        if not self.setting or any(name in self.given for name in self.required):
            return
        second = {
            name: places[one][0]
            for name in self.required
            for one in map(plain_name, self.weak.get(name, ()))
            if one in places and places[one][0] != found[name]
        }
        if len(second) == len(self.required) > 1:
            name = self.required[0]
            raise self._ambiguous(name, [header[found[name]], header[second[name]]], where)

    def _ambiguous(self, name: str, both: Sequence[str], where: str) -> DataError:
        """The sentence for two columns that may be one wanted column."""
        first, second = (text.strip() for text in both)
        return DataError(
            f"{where}: the columns {first!r} and {second!r} may both be the {name}; say which it is: "
            f"{self.setting}: {{{name}: {first}}}"
        )


def plain_name(name: str) -> str:
    """A column's name without what differs between formats: case, signs, and the prefix or address of a vocabulary."""
    name = _PREFIX.sub("", name.strip())
    if "://" in name:
        name = re.split(r"[/#]", name)[-1]
    plain = "".join(character for character in name.lower() if character.isalnum())
    return plain or name


def _given(setting: str, name: str, given: str, header: Sequence[str], where: str) -> int:
    """The place of the column that the user gave for a wanted one: of this very name, or else of its plain name."""
    exact = [place for place, text in enumerate(header) if text.strip() == given.strip()]
    found = exact or [place for place, text in enumerate(header) if plain_name(text) == plain_name(given)]
    if len(found) != 1:
        have = ", ".join(repr(text.strip()[:40]) for text in header[:12])
        raise DataError(
            f"{where}: {setting}.{name} = {given!r}: {len(found) or 'no'} columns have this name, and one must; "
            f"the columns are {have}"
        )
    return found[0]


def _refuse_twice(setting: str, given: Mapping[str, str], found: Mapping[str, int], where: str) -> None:
    """Say which column the user gave for two wanted ones."""
    first, second = next(
        (one, other) for one in found for other in found if one != other and found[one] == found[other]
    )
    raise DataError(
        f"{where}: {setting}.{first} = {given[first]!r} and {setting}.{second} = {given[second]!r} are one column; "
        "each must have its own"
    )


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
