"""Plain tables of records: species, longitude, latitude and, where there are such columns, date, uncertainty and more.

A table is text with tabs, commas, semicolons or bars, plain or as .gz or .zip, or parquet; or several of these. Columns
are found by the usual spellings of their names (``TABLE_SPELLINGS`` in
:mod:`~presence_only.columns.column_names`), or by the names that the settings give.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Annotated, Any, Literal, Self, get_args

import polars as pl
from pydantic import BeforeValidator, Field, field_validator, model_validator

from presence_only.columns.column_names import TABLE_SPELLINGS, TABLE_WEAK, Columns
from presence_only.columns.coordinate_systems import check_decimals, with_sites
from presence_only.columns.date_parts import date_columns
from presence_only.columns.numbers import amount, identifier, number, unread_numbers
from presence_only.columns.record_words import with_statuses
from presence_only.columns.taxa import GROUP_RANKS, Infraspecific, one_case, taxon_columns, taxon_group
from presence_only.columns.week_numbers import WeekNumbers, with_week_numbers
from presence_only.common.errors import DataError
from presence_only.data.dataset import Dataset, DatasetKind
from presence_only.geography.projected_sites import ToDegrees, known_crs
from presence_only.occurrences.assemble import assemble
from presence_only.occurrences.assembly_settings import RecordsSettings
from presence_only.occurrences.cleaning import clean
from presence_only.occurrences.cleaning_settings import CleaningSettings
from presence_only.occurrences.quality_rules import ReaderRules, Rule
from presence_only.occurrences.records import RecordTable
from presence_only.tables.paths import name_in_file_name, one_or_more, table_paths
from presence_only.tables.reading import read_table
from presence_only.tables.unpacking import LIMITS, Limits

ColumnName = Literal[
    "longitude",
    "latitude",
    "species",
    "scientificName",
    "genus",
    "specificEpithet",
    "taxonRank",
    "speciesKey",
    "group",
    "date",
    "year",
    "month",
    "day",
    "week",
    "uncertainty",
    "count",
    "status",
]
_REQUIRED = ("longitude", "latitude")
_OPTIONAL = (
    *("species", "scientificName", "genus", "specificEpithet", "taxonRank", "speciesKey", "group", *GROUP_RANKS),
    *("date", "year", "month", "day", "week", "uncertainty", "count", "status"),
)
_NUMBERS = ("longitude", "latitude", "uncertainty", "count")


class DatasetSettings(RecordsSettings, CleaningSettings, DatasetKind):
    """A table of records or several, and how it is written.

    Args:
        path: The table: text (.csv, .tsv, .txt, plain, .gz or .zip) or parquet; a list of tables, or patterns such as
            ``records/*.csv``; ``~`` is the home folder.
        columns: Which column is which, where its name is not among the usual ones: ``{species: sp_name}``.
        species_from: ``file_name``: a table without a column of species is of the species that its file is named
            after, such as ``Parus_major.csv``.
        names: ``scientific``: names are brought into one spelling, subspecies count for their species, and what is not
            identified to a species is dropped. ``as_given``: vernacular names, codes and names of subspecies stay as
            they are written, apart from blanks.
        infraspecific: Whether subspecies, varieties and forms count for their species; of scientific names.
        crs: What the coordinates are, such as ``EPSG:3035``, as x, y; null: longitude and latitude in degrees WGS84.
        decimal: What stands before the decimals of a number: ``point``, or ``comma`` as in ``8,54``.
        week_numbers: What the numbers of a column of weeks are: ``four_a_month``, 1..48; ``iso``, 1..53. Null: they
            tell visits apart, and dates alone give the week that an encoder reads.
    """

    kind: Literal["table"]
    path: Annotated[tuple[str, ...], BeforeValidator(one_or_more), Field(strict=False, min_length=1)]
    columns: Annotated[dict[ColumnName, str], Field(default_factory=dict)]
    species_from: Literal["column", "file_name"] = "column"
    names: Literal["scientific", "as_given"] = "scientific"
    infraspecific: Infraspecific = "roll_up"
    crs: str | None = None
    decimal: Literal["point", "comma"] = "point"
    week_numbers: WeekNumbers | None = None

    @field_validator("crs")
    @classmethod
    def _known_crs(cls, crs: str | None) -> str | None:
        if crs is not None:
            known_crs(crs)
        return crs

    @model_validator(mode="after")
    def _names_have_ranks(self) -> Self:
        if self.names == "as_given" and self.infraspecific == "drop":
            raise ValueError("settings with names 'scientific', as infraspecific is 'drop' and needs their words")
        return self

    def build(self) -> Dataset:
        """Read, clean and assemble the tables."""
        return assemble(read_records(self), self)


def read_records(settings: DatasetSettings, limits: Limits = LIMITS) -> RecordTable:
    """Read and clean the tables, one after the other.

    Args:
        settings: The tables and the rules.
        limits: How much a packed file may unpack to.

    Raises:
        DataError: If a file is missing, damaged, unsafe or no such table, two columns may both be a wanted one,
            coordinates are clearly no degrees or not of the given system, or no record is left.
    """
    columns = Columns(
        _REQUIRED,
        _OPTIONAL,
        TABLE_SPELLINGS,
        weak=TABLE_WEAK,
        given=dict(settings.columns.items()),
        setting="columns",
        statuses=("status",),
        ragged_rows=settings.ragged_rows,
    )
    where = ", ".join(settings.path)
    return clean(_batches(settings, columns, limits), settings, _rules(settings), settings.weeks, where)


def _batches(settings: DatasetSettings, columns: Columns, limits: Limits) -> Iterator[pl.DataFrame]:
    """The rows of all tables, with the columns of a table of records."""
    to_degrees = None if settings.crs is None else ToDegrees(settings.crs)
    for path in table_paths(settings.path):
        with closing(read_table(path, columns, limits)) as batches:
            for index, batch in enumerate(batches):
                if settings.species_from == "file_name" and not {"species", "scientificName"} & set(batch.columns):
                    batch = batch.with_columns(pl.lit(name_in_file_name(path)).alias("species"))
                yield _standard(batch, settings, str(path), to_degrees, first=index == 0)


def _standard(
    batch: pl.DataFrame, settings: DatasetSettings, where: str, to_degrees: ToDegrees | None, first: bool
) -> pl.DataFrame:
    """A batch with the columns of a table of records.

    Args:
        batch: Rows of one table.
        settings: How it is written.
        where: What error messages call it.
        to_degrees: From x, y to degrees; None where they are degrees.
        first: Whether these are the table's first rows, by which it is told what its coordinates are.
    """
    if settings.decimal == "comma":
        texts = [name for name in _NUMBERS if batch.schema.get(name) == pl.String]
        batch = batch.with_columns(pl.col(name).str.replace(",", ".", literal=True) for name in texts)
    elif first:
        check_decimals(batch, where)
    batch = with_sites(batch, to_degrees, where, first)
    if "status" in batch.columns:
        batch = with_statuses(batch, "status")
    found: dict[str, Any] = {name: pl.col(name) for name in ("longitude", "latitude", "unread_coordinates")}
    found |= _species(batch, settings, where, first)
    if "speciesKey" in batch.columns:
        found["key"] = identifier(pl.col("speciesKey"))
    if (group := _group(batch)) is not None:
        found["group"] = group
    for name, column in (("uncertainty_m", "uncertainty"), ("count", "count")):
        if column in batch.columns:
            found[name] = amount(pl.col(column))
            found[f"unread_{column}"] = unread_numbers(batch, (column,), f"unread_{column}", amount)
    found |= {name: pl.col(name) for name in ("absent", "unread_status") if name in batch.columns}
    if (
        settings.weeks
        and settings.week_numbers is None
        and "week" in batch.columns
        and not {"date", "day"} & set(batch.columns)
    ):
        raise DataError(
            f"{where}: has weeks and no dates; say what the weeks' numbers are: week_numbers: four_a_month for 1..48, "
            "or week_numbers: iso for 1..53"
        )
    dates = date_columns(batch, "date")
    found |= dates if "week" not in batch.columns else with_week_numbers(dates, batch["week"], settings.week_numbers)
    return batch.select(*(expression.alias(name) for name, expression in found.items()))


def _species(batch: pl.DataFrame, settings: DatasetSettings, where: str, first: bool) -> dict[str, pl.Series]:
    """The species of every row and, of scientific names, open names and ranks."""
    named = [name for name in ("species", "scientificName") if name in batch.columns]
    if not named and not {"genus", "specificEpithet"} <= set(batch.columns):
        raise DataError(f"{where}: {_no_species(settings)}")
    if settings.names == "as_given":
        return {"species": _names_as_given(batch)}
    # R turns blanks into points where it makes names: `Parus.major`.
    mangled = r"^\p{Lu}\p{Ll}{2,}(?:\.\p{Ll}{3,})+$"
    texts = (pl.col(name).cast(pl.String) for name in named)
    batch = batch.with_columns(
        pl.when(text.str.contains(mangled)).then(text.str.replace_all(".", " ", literal=True)).otherwise(text)
        for text in texts
    )
    found = taxon_columns(batch, settings.infraspecific, where)
    names, said = found["species"], found["open_name"].drop_nulls()
    if first and len(said) and names.null_count() == len(names):
        raise DataError(
            f"{where}: no name identifies a species, as in {said[0]!r}; set names: as_given if these are vernacular "
            "names or codes, or say which column has the species: columns: {species: NAME}"
        )
    return found


def _names_as_given(batch: pl.DataFrame) -> pl.Series:
    """The names of species as they are written, apart from blanks; an epithet alone has its genus before it."""
    columns = {name: pl.col(name).cast(pl.String) for name in batch.columns if name in get_args(ColumnName)}
    sources = [columns[name] for name in ("species", "scientificName") if name in columns]
    if "genus" in columns:
        epithet = columns.get("specificEpithet", pl.lit(None, dtype=pl.String))
        whole = pl.format("{} {}", columns["genus"], epithet)
        if "species" in columns:
            alone = columns["species"].str.contains(r"^\p{Ll}[\p{Ll}-]*$")
            sources.insert(0, pl.when(alone).then(pl.format("{} {}", columns["genus"], columns["species"])))
        sources.append(whole)
    # White space, and characters that have no width; numbers are one whether they have decimals or not.
    text = pl.coalesce(sources).str.replace_all(r"\p{Cf}", "").str.replace_all(r"[\s\p{Z}]+", " ")
    return batch.select(species=identifier(text)).to_series()


def _no_species(settings: DatasetSettings) -> str:
    """The sentence for a table without species."""
    file_name = (
        "" if settings.species_from == "file_name" else ", or set species_from: file_name if each file is of one"
    )
    return f"no column 'species'; say which column it is: columns: {{species: NAME}}{file_name}"


def _group(batch: pl.DataFrame) -> pl.Series | None:
    """The taxon group of every row: of its column or, without one, the class or the next rank that is there."""
    if "group" in batch.columns:
        return one_case(batch["group"].cast(pl.String))
    # Numbers in such a column are no taxa: `order` may count the rows.
    numbers = [
        rank for rank in GROUP_RANKS if rank in batch.columns and batch.select(number(pl.col(rank)).count()).item()
    ]
    batch = batch.drop(numbers)
    found = (taxon_group(batch, lowest) for lowest in ("class", "order", "family"))
    return next((group for group in found if group is not None), None)


def _rules(settings: DatasetSettings) -> ReaderRules:
    """The rules on absences, and on names below the species."""
    present = ~pl.col("absent").fill_null(False)
    status = (
        # A record without a status is one of a presence.
        Rule("status is a presence", present, "absent", words=pl.col("unread_status"), quiet=True),
        Rule(
            "count is not 0", (pl.col("count") != 0).fill_null(True), "count", words=pl.col("unread_count"), quiet=True
        ),
    )
    taxon: tuple[Rule, ...] = ()
    if settings.infraspecific == "drop":
        taxon = (Rule("name is of a species", pl.col("taxonRank") == "species", "taxonRank"),)
    return ReaderRules(status=status, taxon=taxon)
