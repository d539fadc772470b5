"""Occurrence cubes of GBIF: numbers of occurrences by species, grid cell and year or month.

A cube is what GBIF's SQL downloads (``SQL_TSV_ZIP``) give: a table with tabs, whose columns the query names.
A row becomes a record at the centre of its cell, which is uncertain by half the cell's diagonal.

Source: https://techdocs.gbif.org/en/data-use/data-cubes and the specification of cubes by Desmet et al. (2023),
https://docs.b-cubed.eu/guides/occurrence-cube/

Shape legend: N rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from pydantic import BeforeValidator, Field, model_validator

from presence_only.columns.column_names import CUBE_SPELLINGS, CUBE_WEAK, Columns
from presence_only.columns.coordinates import unread_coordinates
from presence_only.columns.date_parts import date_columns
from presence_only.columns.numbers import amount, identifier, number, unread_numbers
from presence_only.columns.record_words import with_statuses
from presence_only.columns.taxa import GROUP_RANKS, GroupRank, Infraspecific, taxon_columns, taxon_group
from presence_only.common.errors import DataError
from presence_only.common.settings import Need
from presence_only.data.dataset import Dataset, DatasetKind
from presence_only.geography.cell_codes import cells_of_codes
from presence_only.occurrences.assemble import assemble
from presence_only.occurrences.assembly_settings import RecordsSettings
from presence_only.occurrences.cleaning import clean
from presence_only.occurrences.cleaning_settings import CleaningSettings, Metres
from presence_only.occurrences.quality_rules import ReaderRules, Rule
from presence_only.occurrences.records import RecordTable
from presence_only.tables.batches import ROWS_A_BATCH
from presence_only.tables.paths import one_or_more, table_paths
from presence_only.tables.reading import read_table
from presence_only.tables.unpacking import LIMITS, Limits

ColumnName = Literal[
    "cell",
    "longitude",
    "latitude",
    "species",
    "scientificName",
    "taxonRank",
    "speciesKey",
    "occurrences",
    "uncertainty",
    "yearMonth",
    "eventDate",
    "year",
    "month",
    "day",
    "occurrenceStatus",
]
_OPTIONAL = (
    *("cell", "longitude", "latitude", "species", "scientificName", "taxonRank", "speciesKey", *GROUP_RANKS),
    *("occurrences", "uncertainty", "yearMonth", "eventDate", "year", "month", "day", "occurrenceStatus"),
)


class DatasetSettings(RecordsSettings, CleaningSettings, DatasetKind):
    """An occurrence cube, and what its rows stand for.

    Args:
        path: The cube: a table with tabs or commas (plain, .gz or .zip) or parquet; a list of these, or patterns such
            as ``cubes/*.csv``; ``~`` is the home folder.
        columns: Which column is which, where its name is not among the usual ones: ``{cell: my_grid}``.
        group: The rank whose taxon is a species' group; where a row has none, the next higher.
        infraspecific: Whether subspecies, varieties and forms count for their species.
        records_per_row: ``one``: a row is one record: the species was seen in the cell at that time.
            ``occurrences``: it is as many records as it has occurrences, all at the centre of the cell; needs
            ``drop_duplicates: false``, for they have one species, place and date.
        most_per_row: At most so many records of one row; of ``occurrences``.
        max_uncertainty_m: Null by default: who asked for a cube chose the size of its cells.
    """

    needs: ClassVar[Mapping[str, Need]] = {
        "most_per_row": Need(lambda cube: cube.records_per_row == "occurrences", "records_per_row is 'occurrences'"),
    }

    kind: Literal["gbif_cube"]
    path: Annotated[tuple[str, ...], BeforeValidator(one_or_more), Field(strict=False, min_length=1)]
    columns: Annotated[dict[ColumnName, str], Field(default_factory=dict)]
    group: GroupRank = "class"
    infraspecific: Infraspecific = "roll_up"
    records_per_row: Literal["one", "occurrences"] = "one"
    most_per_row: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    max_uncertainty_m: Metres | None = None

    @model_validator(mode="after")
    def _repeated_records_are_no_duplicates(self) -> Self:
        if self.records_per_row == "occurrences" and self.drop_duplicates:
            raise ValueError(
                "settings with drop_duplicates: false, as records_per_row is 'occurrences' and the records of a row "
                "have one species, place and date"
            )
        return self

    def build(self) -> Dataset:
        """Read, clean and assemble the cube."""
        records, counts = _read(self, LIMITS)
        dataset = assemble(records, self)
        facts = {"cube_rows": counts.rows, "cube_occurrences": counts.occurrences}
        if self.records_per_row == "one":
            note = (
                f"A row of the cube is one record: {counts.rows:,} rows stand for {counts.occurrences:,} occurrences, "
                "each at the centre of its cell."
            )
        else:
            facts["cube_occurrences_beyond_most_per_row"] = counts.left_out
            note = (
                f"{counts.rows:,} rows of the cube are as many records as they have occurrences, each at the centre of "
                f"its cell and at most {self.most_per_row:,} a row; {counts.left_out:,} occurrences are beyond that."
            )
        return replace(dataset, facts={**dataset.facts, **facts}, notes=(*dataset.notes, note))


def read_records(settings: DatasetSettings, limits: Limits = LIMITS) -> RecordTable:
    """Read and clean a cube.

    Args:
        settings: The files and the rules.
        limits: How much a packed file may unpack to.

    Raises:
        DataError: If a file is missing, damaged, unsafe or no such table, no code of a cell is understood, or no record
            is left.
    """
    return _read(settings, limits)[0]


@dataclass
class _Counts:
    """Rows of the cube, the occurrences that they stand for, and those beyond the most of a row."""

    rows: int = 0
    occurrences: int = 0
    left_out: int = 0


def _read(settings: DatasetSettings, limits: Limits) -> tuple[RecordTable, _Counts]:
    """The records of a cube, and what was counted."""
    columns = Columns(
        (),
        _OPTIONAL,
        CUBE_SPELLINGS,
        weak=CUBE_WEAK,
        given=dict(settings.columns.items()),
        setting="columns",
        statuses=("occurrenceStatus",),
        ragged_rows=settings.ragged_rows,
    )
    counts = _Counts()
    batches = _batches(settings, columns, limits, counts)
    return clean(batches, settings, _rules(), settings.weeks, ", ".join(settings.path)), counts


def _batches(settings: DatasetSettings, columns: Columns, limits: Limits, counts: _Counts) -> Iterator[pl.DataFrame]:
    """The rows of all files as records, with the columns of a table of records."""
    for path in table_paths(settings.path):
        with closing(read_table(path, columns, limits)) as tables:
            for index, table in enumerate(tables):
                batch = _standard(table, settings, str(path), first=index == 0)
                yield from _repeated(batch, settings, counts)


def _repeated(batch: pl.DataFrame, settings: DatasetSettings, counts: _Counts) -> Iterator[pl.DataFrame]:
    """Rows, or as many copies of each as it has occurrences, in batches of bounded size."""
    known_N = batch["count"].fill_null(1).to_numpy() if "count" in batch.columns else np.ones(len(batch))
    number_N = np.where(np.isfinite(known_N) & (known_N >= 1), known_N, 1).astype(np.int64)
    # Where there is no occurrence, the row stays for the rule that drops it.
    counts.rows += len(batch)
    counts.occurrences += int(number_N[known_N != 0].sum())
    if settings.records_per_row == "one":
        yield batch
        return
    copies_N = np.minimum(number_N, settings.most_per_row)
    counts.left_out += int((number_N - copies_N).sum())
    rows = np.repeat(np.arange(len(batch)), copies_N)
    for start in range(0, len(rows), ROWS_A_BATCH):
        yield batch[rows[start : start + ROWS_A_BATCH]]


def _standard(batch: pl.DataFrame, settings: DatasetSettings, where: str, first: bool) -> pl.DataFrame:
    """A batch with the columns of a table of records.

    Args:
        batch: Rows of one file.
        settings: The rules.
        where: What error messages call the file.
        first: Whether these are its first rows.
    """
    if "occurrenceStatus" in batch.columns:
        batch = with_statuses(batch, "occurrenceStatus")
    found: dict[str, Any] = _places(batch, where, first)
    if {"species", "scientificName"} & set(batch.columns):
        found |= taxon_columns(batch, settings.infraspecific, where)
    elif "speciesKey" in batch.columns:
        # A key is all that an older cube says of its species.
        found["species"] = identifier(pl.col("speciesKey"))
    else:
        raise DataError(
            f"{where}: no column 'species' and no 'specieskey'; a cube of species has one of them, or say which column "
            "it is: columns: {species: NAME}"
        )
    if "speciesKey" in batch.columns:
        found["key"] = identifier(pl.col("speciesKey"))
    group = taxon_group(batch, settings.group)
    if group is not None:
        found["group"] = group
    if "occurrences" in batch.columns:
        found["count"] = amount(pl.col("occurrences"))
        found["unread_count"] = unread_numbers(batch, ("occurrences",), "unread_count", amount)
    found |= {name: pl.col(name) for name in ("absent", "unread_status") if name in batch.columns}
    found |= date_columns(_with_dates(batch), "eventDate")
    return batch.select(*(expression.alias(name) for name, expression in found.items()))


def _places(batch: pl.DataFrame, where: str, first: bool) -> dict[str, pl.Series]:
    """Centre and uncertainty of every row: of its cell or, where the cube has no cells, of its coordinates."""
    own = amount(pl.col("uncertainty") if "uncertainty" in batch.columns else pl.lit(None))
    batch = batch.with_columns(own.alias("own"))
    found: dict[str, pl.Series] = {}
    if "uncertainty" in batch.columns:
        found["unread_uncertainty"] = unread_numbers(batch, ("uncertainty",), "unread_uncertainty", amount)
    if "cell" not in batch.columns:
        if not {"longitude", "latitude"} <= set(batch.columns):
            raise DataError(
                f"{where}: no column of cells, such as 'eeacellcode', 'eqdcellcode', 'mgrscellcode' or "
                "'isea3hcellcode', and no coordinates; say which column it is: columns: {cell: NAME}"
            )
        sites = batch.select(
            longitude=number(pl.col("longitude")), latitude=number(pl.col("latitude")), uncertainty_m="own"
        )
        found["unread_coordinates"] = unread_coordinates(batch, "longitude", "latitude")
        return found | {column.name: column for column in sites.iter_columns()}
    cells = cells_of_codes(batch["cell"])
    code = batch["cell"].cast(pl.String)
    unknown = cells["longitude"].is_null() & code.is_not_null()
    if first and unknown.any() and cells["longitude"].null_count() == len(cells):
        raise DataError(
            f"{where}: no code of a cell is understood, as in {code.filter(unknown)[0]!r}; known are codes such as "
            "1kmE4203N3614 (EEA), CRS3035RES1000mN3614000E4203000 (Eurostat), E008N54BA (extended quarter degree), "
            "32UNC6861 (military grid), 345573994011250000 (ISEA3H) and CRS4326RES0-15-0LON10-45-0LAT52-15-0"
        )
    words = pl.DataFrame({"code": code, "unknown": unknown}).select(
        unread_coordinates=pl.when("unknown").then(pl.format("cell {}", "code"))
    )
    half = pl.col("half_diagonal_m")
    places = cells.with_columns(batch["own"]).select(
        "longitude", "latitude", half.alias("cell_m"), uncertainty_m=pl.max_horizontal(half, "own"), own_m="own"
    )
    return found | {column.name: column for column in (*places.iter_columns(), *words.iter_columns())}


def _with_dates(batch: pl.DataFrame) -> pl.DataFrame:
    """A batch whose ``eventDate`` has the months of the column ``yearMonth`` too, such as ``2020-05`` or ``202005``."""
    if "yearMonth" not in batch.columns:
        return batch
    month = pl.col("yearMonth").cast(pl.String).str.replace(r"^(\d{4})(\d{2})$", "${1}-${2}")
    date = pl.col("eventDate").cast(pl.String) if "eventDate" in batch.columns else pl.lit(None, dtype=pl.String)
    return batch.with_columns(eventDate=pl.coalesce(date, month))


def _rules() -> ReaderRules:
    """The rules on what a cube's rows say beside their species, place and time."""
    wide = Rule(
        "minimum coordinate uncertainty not beyond the cell",
        (pl.col("own_m") <= pl.col("cell_m")).fill_null(True),
        "cell_m",
        quiet=True,
        drops=False,
    )
    status = (
        Rule(
            "occurrenceStatus is PRESENT",
            ~pl.col("absent").fill_null(False),
            "absent",
            words=pl.col("unread_status"),
            quiet=True,
        ),
        Rule("occurrences is not 0", (pl.col("count") != 0).fill_null(True), "count", words=pl.col("unread_count")),
    )
    return ReaderRules(issues=(wide,), status=status)
