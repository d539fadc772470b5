"""Records from GBIF: a simple CSV, a Darwin Core Archive or a parquet snapshot.

Source: https://techdocs.gbif.org/en/data-use/download-formats; flags:
https://techdocs.gbif.org/en/data-use/occurrence-issues-and-flags

- A simple CSV is tab-separated and unquoted; plain, .gz, or in the zip that GBIF delivers.
- A record is of the species in the column ``species``, which GBIF fills for subspecies and below too;
  ``speciesKey`` tells homonyms apart. Publishers' own archives have ``genus`` and ``specificEpithet``
  instead, of which a name is made.
- ``distanceFromCentroidInMeters`` is in Darwin Core Archives only. For a simple CSV, GBIF's catalogue of
  centroids can be given as a table; the package ships none, for its sources' licences differ.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field

from presence_only.common.errors import DataError
from presence_only.data.dataset import Dataset, DatasetKind
from presence_only.occurrences import darwin_core
from presence_only.occurrences.assemble import RecordsSettings, assemble
from presence_only.occurrences.cleaning import CleaningSettings, ReaderRules, Rule, clean
from presence_only.occurrences.records import RecordTable
from presence_only.occurrences.table_reading import Columns, read_archive, read_table
from presence_only.occurrences.unpacking import LIMITS, Archive, Limits, first_bytes, is_zip

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
_HIGHER = ("class", "phylum", "kingdom")
_COLUMNS = Columns(
    required=("decimalLongitude", "decimalLatitude"),
    optional=(
        "species",
        "speciesKey",
        "genus",
        "specificEpithet",
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
)

Words = Annotated[tuple[str, ...], Field(strict=False)]


class DatasetSettings(RecordsSettings, CleaningSettings, DatasetKind):
    """A download of GBIF, and which of its records to use.

    Args:
        path: The download: a simple CSV (.csv, .gz or .zip), a Darwin Core Archive (.zip, or its
            unpacked folder), a parquet file, or a folder of parquet files; ``~`` is the home folder.
        group: The rank whose taxon is a species' group; where a record has none, the next higher.
        issues: Records with one of these flags are dropped.
        basis_of_record: The kinds of record that are kept; empty: all.
        absences: What becomes of records with the status ABSENT or a count of 0.
        infraspecific: Whether subspecies, varieties and forms count for their species.
    """

    kind: Literal["gbif"]
    path: str
    group: Literal["family", "order", "class", "phylum", "kingdom"] = "class"
    issues: Words = GEOSPATIAL_ISSUES
    basis_of_record: Words = OBSERVED
    absences: Literal["drop", "keep"] = "drop"
    infraspecific: Literal["roll_up", "drop"] = "roll_up"

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
    path = Path(settings.path).expanduser()
    with closing(_batches(path, limits)) as batches:
        return clean(
            (_standard(batch, settings, path) for batch in batches),
            settings,
            _rules(settings),
            settings.weeks,
            str(path),
        )


def _batches(path: Path, limits: Limits) -> Generator[pl.DataFrame, None, None]:
    """The rows of any of GBIF's formats."""
    if (path / darwin_core.METAFILE).is_file():
        yield from darwin_core.read_folder(path, _COLUMNS)
    elif not path.is_dir() and is_zip(first_bytes(path)):
        with Archive(path, limits) as archive:
            metafile = darwin_core.metafile_of(archive.names)
            if metafile is None:
                yield from read_archive(archive, _COLUMNS)
            else:
                yield from darwin_core.read_zip(archive, metafile, _COLUMNS)
    else:
        yield from read_table(path, _COLUMNS, limits)


def _standard(batch: pl.DataFrame, settings: DatasetSettings, path: Path) -> pl.DataFrame:
    """A batch with the columns of a table of records, of those that the file has."""
    columns = {name: pl.col(name) for name in batch.columns}
    ranks = [rank for rank in ("family", "order", *_HIGHER) if rank in columns]
    ranks = [rank for rank in ranks if _order(rank) >= _order(settings.group)]
    found: dict[str, Any] = {
        "longitude": _number(columns["decimalLongitude"]),
        "latitude": _number(columns["decimalLatitude"]),
        "species": _species(columns, path),
    }
    if ranks:
        found["group"] = pl.coalesce(_word(columns[rank]) for rank in ranks)
    for name, column in (
        ("uncertainty_m", "coordinateUncertaintyInMeters"),
        ("from_centroid_m", "distanceFromCentroidInMeters"),
        ("count", "individualCount"),
    ):
        if column in columns:
            found[name] = _number(columns[column])
    if "speciesKey" in columns:
        found["key"] = _word(columns["speciesKey"])
    if "issue" in columns:
        found["issue"] = _flags(batch.schema["issue"])
    for column in ("basisOfRecord", "occurrenceStatus", "taxonRank"):
        if column in columns:
            # Publishers write HumanObservation where GBIF writes HUMAN_OBSERVATION.
            found[column] = _word(columns[column]).str.to_lowercase().str.replace_all("[_ ]", "")
    found |= _dates(columns)
    return batch.select(expression.alias(name) for name, expression in found.items())


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
        allowed = [value.lower().replace("_", "") for value in settings.basis_of_record]
        basis.append(Rule("basisOfRecord is allowed", pl.col("basisOfRecord").is_in(allowed), "basisOfRecord"))
    status = []
    if settings.absences == "drop":
        # A record without a status is one of a presence.
        keep = (pl.col("occurrenceStatus") == "present").fill_null(True)
        status.append(Rule("occurrenceStatus is PRESENT", keep, "occurrenceStatus"))
        status.append(Rule("individualCount is not 0", (pl.col("count") != 0).fill_null(True), "count"))
    taxon = []
    if settings.infraspecific == "drop":
        taxon.append(Rule("taxonRank is SPECIES", pl.col("taxonRank") == "species", "taxonRank"))
    return ReaderRules(tuple(issues), tuple(basis), tuple(status), tuple(taxon))


def _species(columns: dict[str, pl.Expr], path: Path) -> pl.Expr:
    """The species of a row, null where it is of a higher rank."""
    if "species" in columns:
        return _word(columns["species"])
    if "genus" in columns and "specificEpithet" in columns:
        return pl.format("{} {}", _word(columns["genus"]), _word(columns["specificEpithet"]))
    raise DataError(
        f"{path}: no column 'species', nor 'genus' and 'specificEpithet'; one of both is needed to name a species"
    )


def _dates(columns: dict[str, pl.Expr]) -> dict[str, pl.Expr]:
    """Year, month and day, from their columns or else from ``eventDate``."""
    names = ("year", "month", "day")
    found: dict[str, pl.Expr] = {
        name: _number(columns[name]).cast(pl.Int32, strict=False) for name in names if name in columns
    }
    if "eventDate" in columns:
        text = columns["eventDate"].cast(pl.String)
        # A span of days is not a date, but it begins in a year.
        single = ~text.str.contains("/", literal=True)
        # GBIF writes ISO 8601: 2019, 2019-05, 2019-05-03 or 2019-05-03T12:00:00.
        for name, start, length in (("year", 0, 4), ("month", 5, 2), ("day", 8, 2)):
            part = text.str.slice(start, length).cast(pl.Int32, strict=False)
            read = part if name == "year" else pl.when(single).then(part)
            found[name] = pl.coalesce(found[name], read) if name in found else read
    return found


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


def _order(rank: str) -> int:
    """How high a rank is."""
    return ("family", "order", *_HIGHER).index(rank)


def _number(column: pl.Expr) -> pl.Expr:
    """A column as a number, null where it is none."""
    return column.cast(pl.Float64, strict=False)


def _word(column: pl.Expr) -> pl.Expr:
    """A column as text, null where it is blank."""
    text = column.cast(pl.String).str.strip_chars()
    return pl.when(text != "").then(text)
