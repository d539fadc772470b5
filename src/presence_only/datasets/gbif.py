"""Records from GBIF: a simple CSV, a Darwin Core Archive or a parquet snapshot.

Source: https://techdocs.gbif.org/en/data-use/download-formats; flags:
https://techdocs.gbif.org/en/data-use/occurrence-issues-and-flags

- A simple CSV is tab-separated and unquoted; plain, .gz, or in the zip that GBIF delivers.
- A record is of the species in the column ``species``, which GBIF fills for subspecies and below too;
  ``speciesKey`` tells homonyms apart. Publishers' own archives have ``genus`` and ``specificEpithet``, or
  ``scientificName`` instead, of which a name is made. Names come in one spelling, open names are dropped
  (:mod:`~presence_only.columns.species_names`).
- ``distanceFromCentroidInMeters`` is in Darwin Core Archives only. For a simple CSV, GBIF's catalogue of
  centroids can be given as a table; the package ships none, for its sources' licences differ.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from presence_only.columns.column_names import COORDINATE_SPELLINGS, Columns
from presence_only.columns.coordinates import unread_coordinates
from presence_only.columns.date_parts import date_columns
from presence_only.columns.numbers import amount, identifier, number, unread_numbers
from presence_only.columns.record_words import BASES, plain_word, with_bases, with_statuses
from presence_only.columns.taxa import GroupRank, Infraspecific, taxon_columns, taxon_group
from presence_only.common.settings import Need
from presence_only.common.user_paths import user_path
from presence_only.data.dataset import Dataset, DatasetKind
from presence_only.occurrences.assemble import assemble
from presence_only.occurrences.assembly_settings import RecordsSettings
from presence_only.occurrences.cleaning import clean
from presence_only.occurrences.cleaning_settings import CleaningSettings, Unknown
from presence_only.occurrences.quality_rules import ReaderRules, Rule
from presence_only.occurrences.records import RecordTable
from presence_only.tables import darwin_core
from presence_only.tables.event_core import NO_CORE_ROW
from presence_only.tables.reading import read_archive, read_table
from presence_only.tables.unpacking import LIMITS, Archive, Limits, first_bytes, is_zip

# GBIF's own geospatial issues, those that its filter hasGeospatialIssue stands for.
GEOSPATIAL_ISSUES = (
    "ZERO_COORDINATE",
    "COORDINATE_INVALID",
    "COORDINATE_OUT_OF_RANGE",
    "COUNTRY_COORDINATE_MISMATCH",
)
# Not fossils, nor what lives in zoos and gardens, nor what a text mentions.
OBSERVED = (
    "HUMAN_OBSERVATION",
    "MACHINE_OBSERVATION",
    "OBSERVATION",
    "OCCURRENCE",
    "PRESERVED_SPECIMEN",
    "MATERIAL_SAMPLE",
)
_COLUMNS = Columns(
    required=("decimalLongitude", "decimalLatitude"),
    optional=(
        "species",
        "speciesKey",
        "genus",
        "specificEpithet",
        "scientificName",
        "taxonRank",
        "kingdom",
        "phylum",
        "class",
        "order",
        "family",
        "coordinateUncertaintyInMeters",
        "distanceFromCentroidInMeters",
        "basisOfRecord",
        "occurrenceStatus",
        "individualCount",
        "eventDate",
        "year",
        "month",
        "day",
        "issue",
    ),
    spellings=COORDINATE_SPELLINGS,
    statuses=("occurrenceStatus",),
    any_type=("issue",),
)

# What the funnel says of occurrences whose coordinates should be in the core.
_NO_CORE_ROW = "id that is not in the core"

Words = Annotated[tuple[str, ...], Field(strict=False)]


class DatasetSettings(RecordsSettings, CleaningSettings, DatasetKind):
    """A download of GBIF, and which of its records to use.

    Args:
        path: The download: a simple CSV (.csv, .gz or .zip), a Darwin Core Archive (.zip, or its
            unpacked folder), a parquet file, or a folder of parquet files; ``~`` is the home folder.
        group: The rank whose taxon is a species' group; where a record has none, the next higher.
        issues: Records with one of these flags are dropped.
        basis_of_record: The kinds of record that are kept; empty: all.
        unknown_basis: What becomes of a record without a kind, or with a word that is none.
        absences: What becomes of records with the status ABSENT or a count of 0.
        infraspecific: Whether subspecies, varieties and forms count for their species.
    """

    needs: ClassVar[Mapping[str, Need]] = {
        "unknown_basis": Need(lambda gbif: gbif.basis_of_record, "basis_of_record names some"),
    }

    kind: Literal["gbif"]
    path: str
    group: GroupRank = "class"
    issues: Words = GEOSPATIAL_ISSUES
    basis_of_record: Words = OBSERVED
    unknown_basis: Unknown = "keep"
    absences: Literal["drop", "keep"] = "drop"
    infraspecific: Infraspecific = "roll_up"

    def build(self) -> Dataset:
        """Read, clean and assemble the download."""
        return assemble(read_records(self), self)


def read_records(settings: DatasetSettings, limits: Limits = LIMITS) -> RecordTable:
    """Read and clean a download.

    Args:
        settings: The file and the rules.
        limits: How much a packed file may unpack to.

    Raises:
        DataError: If a file is missing, damaged, unsafe or no such table, or no record is left.
    """
    path = user_path(settings.path)
    columns = replace(_COLUMNS, ragged_rows=settings.ragged_rows)
    with closing(_batches(path, columns, limits)) as batches:
        return clean(
            (_standard(batch, settings, path) for batch in batches),
            settings,
            _rules(settings),
            settings.weeks,
            str(path),
        )


def _batches(path: Path, columns: Columns, limits: Limits) -> Generator[pl.DataFrame, None, None]:
    """The rows of any of GBIF's formats."""
    if (path / darwin_core.METAFILE).is_file():
        yield from darwin_core.read_folder(path, columns)
    elif not path.is_dir() and is_zip(first_bytes(path)):
        with Archive(path, limits) as archive:
            metafile = darwin_core.metafile_of(archive.names)
            if metafile is None:
                yield from read_archive(archive, columns)
            else:
                yield from darwin_core.read_zip(archive, metafile, columns)
    else:
        yield from read_table(path, columns, limits)


def _standard(batch: pl.DataFrame, settings: DatasetSettings, path: Path) -> pl.DataFrame:
    """A batch with the columns of a table of records, of those that the file has."""
    if "occurrenceStatus" in batch.columns:
        batch = with_statuses(batch, "occurrenceStatus")
    if "basisOfRecord" in batch.columns:
        batch = with_bases(batch, "basisOfRecord", frozenset(map(plain_word, settings.basis_of_record)))
    columns = {name: pl.col(name) for name in batch.columns}
    found: dict[str, Any] = {
        "longitude": number(columns["decimalLongitude"]),
        "latitude": number(columns["decimalLatitude"]),
        "unread_coordinates": unread_coordinates(batch, "decimalLongitude", "decimalLatitude"),
        **taxon_columns(batch, settings.infraspecific, str(path)),
    }
    if NO_CORE_ROW in batch.columns:
        lost = pl.col(NO_CORE_ROW) & (found["longitude"].is_null() | found["latitude"].is_null())
        found["unread_coordinates"] = pl.coalesce(found["unread_coordinates"], pl.when(lost).then(pl.lit(_NO_CORE_ROW)))
    group = taxon_group(batch, settings.group)
    if group is not None:
        found["group"] = group
    for name, column in (
        ("uncertainty_m", "coordinateUncertaintyInMeters"),
        ("from_centroid_m", "distanceFromCentroidInMeters"),
        ("count", "individualCount"),
    ):
        if column in columns:
            found[name] = amount(columns[column])
    if "uncertainty_m" in found:
        found["unread_uncertainty"] = unread_numbers(
            batch, ("coordinateUncertaintyInMeters",), "unread_uncertainty", amount
        )
    if "count" in found:
        found["unread_count"] = unread_numbers(batch, ("individualCount",), "unread_count", amount)
    if "speciesKey" in columns:
        found["key"] = identifier(columns["speciesKey"])
    if "issue" in columns:
        found["issue"] = _flags(batch.schema["issue"])
    found |= {name: columns[name] for name in ("absent", "unread_status", "basis", "unread_basis") if name in columns}
    found |= date_columns(batch, "eventDate")
    return batch.select(*(expression.alias(name) for name, expression in found.items()))


def _rules(settings: DatasetSettings) -> ReaderRules:
    """The rules on GBIF's own terms."""
    issues = []
    if settings.issues:
        flags = "|".join(map(re.escape, settings.issues))
        keep = ~pl.col("issue").str.contains(rf"(?:^|\W)(?:{flags})(?:\W|$)").fill_null(False)
        issues.append(Rule("issue is no geospatial one", keep, "issue"))
    if settings.centroid_distance_m > 0:
        keep = (pl.col("from_centroid_m") >= settings.centroid_distance_m).fill_null(True)
        name = f"distanceFromCentroidInMeters at least {settings.centroid_distance_m:g}"
        issues.append(Rule(name, keep, "from_centroid_m"))
    basis = []
    if settings.basis_of_record:
        words = {plain_word(value) for value in settings.basis_of_record}
        allowed = sorted(words | {BASES[word] for word in words if word in BASES})
        keep = pl.col("basis").is_in(allowed).fill_null(settings.unknown_basis == "keep")
        basis.append(Rule("basisOfRecord is allowed", keep, "basis", words=pl.col("unread_basis")))
    status = []
    if settings.absences == "drop":
        # A record without a status is one of a presence.
        keep = ~pl.col("absent").fill_null(False)
        status.append(Rule("occurrenceStatus is PRESENT", keep, "absent", words=pl.col("unread_status")))
        keep = (pl.col("count") != 0).fill_null(True)
        status.append(Rule("individualCount is not 0", keep, "count", words=pl.col("unread_count")))
    taxon = []
    if settings.infraspecific == "drop":
        taxon.append(Rule("taxonRank is SPECIES", pl.col("taxonRank") == "species", "taxonRank"))
    return ReaderRules(tuple(issues), tuple(basis), tuple(status), tuple(taxon))


def _flags(kind: Any) -> pl.Expr:
    """The issues of a row as one text; snapshots have lists of text, or of structs of one text."""
    column = pl.col("issue")
    if isinstance(kind, pl.Struct):
        inner = kind.fields[0]
        column, kind = column.struct.field(inner.name), inner.dtype
    if isinstance(kind, pl.List):
        if isinstance(kind.inner, pl.Struct):
            column = column.list.eval(pl.element().struct.field(kind.inner.fields[0].name))
        return column.cast(pl.List(pl.String)).list.join(";")
    return column.cast(pl.String)
