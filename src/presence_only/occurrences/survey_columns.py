"""Columns of users' survey tables: their spellings, and whether a table is wide or long.

A **wide** table has one row per survey and one column per species; a **long** one has a column of species.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from presence_only.common.errors import DataError
from presence_only.occurrences.column_names import COORDINATE_SPELLINGS, Columns
from presence_only.occurrences.species_names import one_line, species_name
from presence_only.occurrences.survey_truth import match_names

Layout = Literal["wide", "long"]
_SURVEYS = (
    "surveyId surveyName eventID samplingEventIdentifier checklist checklistId visitId sampleId releve releveId "
    "plotObservationId plot plotId plotName plotCode site siteId siteName siteCode location locationId locationName "
    "locality localityId localityName station stationId transect transectId quadrat quadratId"
)
_SPECIES = (
    "scientificName speciesName taxon taxonName acceptedName acceptedScientificName latinName binomial sciName "
    "canonicalName speciesId taxonId speciesKey taxonKey speciesCode"
)
_PRESENT = (
    "presence presenceAbsence pa occurrence occurrenceStatus speciesObserved observed detected detection found "
    "count individualCount observationCount abundance"
)
_GROUPS = "groups taxonGroup taxonomicGroup speciesGroup targetGroup lookedFor"
_DATES = "eventDate observationDate observedOn surveyDate visitDate samplingDate dateObserved"
SPELLINGS = MappingProxyType(
    {
        **COORDINATE_SPELLINGS,
        "survey": tuple(_SURVEYS.split()),
        "species": tuple(_SPECIES.split()),
        "present": tuple(_PRESENT.split()),
        "group": tuple(_GROUPS.split()),
        "date": tuple(_DATES.split()),
    }
)
PLACE = ("longitude", "latitude")
TIME = ("week", "date", "year", "month", "day")
COLUMNS = Columns(PLACE, ("survey", "species", "genus", "present", "group", *TIME), SPELLINGS)


@dataclass(frozen=True)
class SpeciesColumn:
    """A column of a wide table that may be of a species.

    Args:
        header: The words of its header.
        species: The name of the species, as training spells it if training knows it.
        known: Whether training knows it.
    """

    header: str
    species: str
    known: bool


def layout_of(names: Sequence[str], known: Collection[str], where: str) -> Layout:
    """Whether a table is wide or long.

    Args:
        names: Names of its columns.
        known: The species of the records.
        where: What error messages call it.

    Raises:
        DataError: If its columns say both or neither.
    """
    has_species = "species" in COLUMNS.find(names, where)
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
    """
    taken = set(COLUMNS.find(names, where).values())
    others = [name for place, name in enumerate(names) if place not in taken]
    spelled = {name: _of_header(name, known) for name in others}
    known = tuple(known)
    match = match_names(set(spelled.values()), known)
    found = []
    for name in others:
        place = match[spelled[name]]
        if place >= 0:
            found.append(SpeciesColumn(name, known[place], True))
        elif _looks_like_a_species(name):
            found.append(SpeciesColumn(name, spelled[name], False))
    return tuple(found)


def survey_name(text: str, known: Collection[str]) -> str:
    """The one spelling of a species' name in a survey; a name of the records stays as it is, with its key."""
    plain = one_line(text)
    return plain if plain in known else species_name(plain).text


def _of_header(header: str, known: Collection[str]) -> str:
    """The species of a column; R writes points for blanks and other signs."""
    name = survey_name(header, known)
    if name not in known and "." in header and " " not in header.strip():
        name = survey_name(header.replace(".", " "), known)
    return name


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
