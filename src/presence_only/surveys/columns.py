"""Columns of users' survey tables: their spellings, and whether a table is wide or long.

A **wide** table has one row per survey and one column per species; a **long** one has a column of species.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from presence_only.columns.column_names import (
    COORDINATE_SPELLINGS,
    PRESENCES,
    TABLE_SPELLINGS,
    TABLE_WEAK,
    WEAK_PRESENCES,
    Columns,
    plain_name,
)
from presence_only.columns.record_words import ABSENT
from presence_only.columns.species_names import HYBRID, one_line, species_name
from presence_only.common.errors import DataError
from presence_only.surveys.truth import match_names

Layout = Literal["wide", "long"]
# Words behind the name of a species, in the header of a wide table: what its cells are then.
_COUNT_NAMES = (*PRESENCES, *WEAK_PRESENCES, *TABLE_SPELLINGS["count"])
_COUNTED = "count n number no nr total sum cover biomass density freq frequency status pres obs observations"
_COUNT_WORDS = frozenset(map(plain_name, (*_COUNT_NAMES, *_COUNTED.split())))
_OTHER = (
    "effort hours minutes duration year yr date time day month week season visit survey plot site note notes comment "
    "comments remark remarks observer recorder method id code length weight height size age sex mean sd se min max "
    "prob probability suitability prediction predicted"
)
_OTHER_WORDS = frozenset(_OTHER.split())
_ABSENT_WORDS = frozenset(word for word in ABSENT if len(word) > 2) | {"not", "non", "absences", "missing"}
_VISITS = (
    "surveyId surveyName eventID samplingEventIdentifier checklist checklistId visitId sampleId releve releveId "
    "plotObservationId"
)
_PLOTS = (
    "plot plotId plotName plotCode site siteId siteName siteCode location locationId locationName "
    "locality localityId localityName station stationId transect transectId quadrat quadratId"
)
_SPECIES = (
    "scientificName speciesName taxon taxonName acceptedName acceptedScientificName latinName binomial sciName "
    "canonicalName speciesId taxonId speciesKey taxonKey speciesCode"
)
_COUNTS = "count individualCount observationCount abundance"
_GROUPS = "groups taxonGroup taxonomicGroup speciesGroup targetGroup lookedFor"
SPELLINGS = MappingProxyType(
    {
        **{name: (*COORDINATE_SPELLINGS[name], *TABLE_SPELLINGS[name]) for name in ("longitude", "latitude")},
        "survey": (*_VISITS.split(), *_PLOTS.split()),
        "species": (*_SPECIES.split(), *TABLE_SPELLINGS["species"], *TABLE_SPELLINGS["scientificName"]),
        # In a survey a column of statuses, values or numbers beside species says nothing else.
        "present": (*PRESENCES, *WEAK_PRESENCES, *_COUNTS.split(), *TABLE_SPELLINGS["count"], "status", "value", "n"),
        "group": tuple(_GROUPS.split()),
        "date": (*TABLE_SPELLINGS["date"], *TABLE_WEAK["date"]),
        **{name: TABLE_SPELLINGS[name] for name in ("genus", "specificEpithet", "year", "month", "day", "week")},
    }
)
PLACE = ("longitude", "latitude")
TIME = ("week", "date", "year", "month", "day")
COLUMNS = Columns(PLACE, ("survey", "species", "genus", "specificEpithet", "present", "group", *TIME), SPELLINGS)


@dataclass(frozen=True)
class SpeciesColumn:
    """A column of a wide table that may be of a species.

    Args:
        header: The words of its header.
        species: The name of the species, as training spells it if training knows it.
        known: Whether training knows it.
        further: Whether the header has further words, those of a count or of a subspecies.
    """

    header: str
    species: str
    known: bool
    further: bool = False


def layout_of(names: Sequence[str], known: Collection[str], where: str) -> Layout:
    """Whether a table is wide or long.

    Args:
        names: Names of its columns.
        known: The species of the records.
        where: What error messages call it.

    Raises:
        DataError: If its columns say both or neither.
    """
    found = COLUMNS.find(names, where)
    has_species = "species" in found or {"genus", "specificEpithet"} <= {*found}
    columns = [column.header for column in species_columns(names, known, where) if column.known]
    if has_species and columns:
        raise DataError(
            f"{where}: has a column of species and columns that are named as species, such as {columns[0]!r}; "
            "set evaluation.layout to wide (a column per species) or long (a row per survey and species)"
        )
    if not has_species and not columns:
        raise DataError(
            f"{where}: no column is named 'species', and none as one of the {len(known):,} species of the records; "
            "a survey has a column of species (long), or one column per species (wide). Its columns are "
            f"{_listed(names)}"
        )
    return "long" if has_species else "wide"


def species_columns(names: Sequence[str], known: Collection[str], where: str) -> tuple[SpeciesColumn, ...]:
    """The columns of a wide table that may be of a species: those that training knows, and those that look like one.

    Args:
        names: Names of its columns.
        known: The species of the records.
        where: What error messages call it.

    Raises:
        DataError: If a column says where a species of the records is absent.
    """
    taken = set(COLUMNS.find(names, where).values())
    others = [name for place, name in enumerate(names) if place not in taken]
    spelled = {name: _of_header(name, known) for name in others}
    species = tuple(known)
    match = match_names(set(spelled.values()), species)
    found = []
    for name in others:
        place = match[spelled[name]]
        # A name of the records has no further words, whatever it is.
        whole = place >= 0 and species[place].casefold() in (name.strip().casefold(), _plain(name).casefold())
        says = "species" if whole else _says(name)
        if place >= 0 and says == "absences":
            raise DataError(
                f"{where}: the column {name!r} says where {species[place]} is absent; make it a column of presences "
                f"named {species[place]!r}, with 1 and 0 changed, or drop it"
            )
        if says in ("absences", "other"):
            continue
        if place >= 0:
            found.append(SpeciesColumn(name, species[place], True, says == "further"))
        elif _looks_like_a_species(name):
            found.append(SpeciesColumn(name, spelled[name], False))
    return tuple(found)


def survey_name(text: str, known: Collection[str]) -> str:
    """The one spelling of a species' name in a survey; a name of the records stays as it is, with its key."""
    return known_name(text, known) or species_name(one_line(text)).text


def known_name(text: str, known: Collection[str]) -> str | None:
    """A name of the records that a text is, letter by letter or apart from blanks and underscores; None: it is none."""
    return next((name for name in (text.strip(), one_line(text)) if name in known), None)


def names_a_place(header: str) -> bool:
    """Whether a column of surveys has the names of places, such as plots, that may be visited repeatedly."""
    return plain_name(header) in set(map(plain_name, _PLOTS.split()))


def unread_note(headers: Sequence[str], what: str) -> tuple[str, ...]:
    """The note that names columns which were not read, if there are any."""
    if not headers:
        return ()
    return (f"Columns of the survey that were {what} ({len(headers):,}): {some(headers)}.",)


def some(texts: Sequence[str]) -> str:
    """The first texts, and how many more there are."""
    return ", ".join(map(repr, texts[:5])) + (f" and {len(texts) - 5:,} more" if len(texts) > 5 else "")


def _of_header(header: str, known: Collection[str]) -> str:
    """The species of a column; R writes points for blanks and other signs."""
    if header not in known and _says(header) == "absences":
        # With these words it would be the name of no species.
        header = " ".join(_words(header)[:2])
    name = survey_name(header, known)
    if name not in known and "." in header and " " not in header.strip():
        name = survey_name(header.replace(".", " "), known)
    return name


def _plain(header: str) -> str:
    """The words of a header; R writes points for blanks and other signs."""
    return one_line(header if " " in header.strip() else header.replace(".", " "))


def _words(header: str) -> list[str]:
    """The words of a header without signs of hybrids, genus and epithet first."""
    return [word for word in _plain(header).split() if word not in (HYBRID, "x", "X")]


def _says(header: str) -> Literal["species", "further", "absences", "other"]:
    """What the words behind a binomial say: nothing or an author, a count or subspecies, absences, or something else.

    A number is none of an author where it stands before any: R and people number repeated columns, or name years.
    """
    words = _words(header)[2:]
    plain = [word for word in (plain_name(word) for word in words) if word.isalnum()]
    if not plain or "".join(plain) in _COUNT_WORDS:
        return "further" if plain else "species"
    if any(word in _ABSENT_WORDS for word in plain):
        return "absences"
    is_author = words[0].lstrip("([")[:1].isupper() and plain[0] not in _COUNT_WORDS
    if any(word in _OTHER_WORDS or (word.isdigit() and not is_author) for word in plain):
        return "other"
    below = species_name(" ".join(["Genus", "epithet", *words])).kind == "infraspecific"
    return "further" if below or plain[0] in _COUNT_WORDS else "species"


def _looks_like_a_species(header: str) -> bool:
    """Whether a header is written as the name of a species: a capital letter, and a second word in small letters."""
    words = one_line(header.replace(".", " ")).split()
    if len(words) < 2 or not words[0][:1].isupper() or not words[1][:1].islower():
        return False
    return species_name(" ".join(words)).kind in ("species", "infraspecific")


def _listed(names: Sequence[str]) -> str:
    """The first names."""
    more = f" and {len(names) - 8:,} more" if len(names) > 8 else ""
    return ", ".join(repr(name[:40]) for name in names[:8]) + more
