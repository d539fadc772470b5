"""Presence-only records of GeoPlant: one row per record, as metadata tables of 2023 to 2026 have them.

Numbers of species, years, months and days may be written as floats. The table of 2023 has its dates as texts, and the
place ``patchID`` in the stead of ``surveyId``.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import polars as pl

from presence_only.columns.column_names import COORDINATE_SPELLINGS, Columns
from presence_only.columns.coordinates import unread_coordinates
from presence_only.columns.date_parts import date_columns
from presence_only.columns.numbers import amount, identifier, number, unread_numbers
from presence_only.columns.species_names import HIGHER_RANKS
from presence_only.occurrences.cleaning import clean
from presence_only.occurrences.cleaning_settings import CleaningSettings
from presence_only.occurrences.predictor_tables import visit_numbers
from presence_only.occurrences.quality_rules import ReaderRules, Rule
from presence_only.occurrences.records import RecordTable
from presence_only.tables.reading import read_table

# All species are plants, which the same observers look for.
GROUP = "plants"
_COLUMNS = Columns(
    required=("longitude", "latitude", "speciesId"),
    optional=(
        "surveyId",
        "patchID",
        "geoUncertaintyInM",
        "taxonRank",
        "year",
        "month",
        "day",
        "date",
        "dayOfYear",
    ),
    spellings=COORDINATE_SPELLINGS,
)


def read_records(path: Path, settings: CleaningSettings, *, weeks: bool, visits: bool) -> RecordTable:
    """Read and clean the records.

    Args:
        path: The table.
        settings: The rules.
        weeks: Whether every record needs its week of the year.
        visits: Whether the records keep the number of their visit, for predictors.

    Raises:
        DataError: If the file is missing, damaged or no such table, or no record is left.
    """
    columns = replace(_COLUMNS, ragged_rows=settings.ragged_rows)
    rank = Rule(
        "taxonRank is not above the species",
        ~pl.col("rank").is_in(list(HIGHER_RANKS)).fill_null(False),
        "rank",
        words=pl.col("rank"),
        words_of="dropped",
        words_are="higher ranks",
        quiet=True,
    )
    with closing(read_table(path, columns)) as batches:
        standard = (_standard(batch, visits) for batch in batches)
        return clean(standard, settings, ReaderRules(taxon=(rank,)), weeks, str(path))


def species_names(column: pl.Expr) -> pl.Expr:
    """Numbers of species as their names: ``12``, ``12.0`` and 12 are ``12``."""
    return identifier(column)


def dated(batch: pl.DataFrame) -> pl.DataFrame:
    """A batch whose column ``date`` has a text for every row that has some date.

    The dates of the surveys of 2023 are seconds since 1970; a day of the year and its year are a date too.
    """
    texts = []
    if "date" in batch.columns:
        text = pl.col("date").cast(pl.String)
        seconds = number(pl.col("date"))
        # A number of few digits is a year, one of eight a day; seconds of eight digits lie before 1974.
        is_time = seconds.abs() >= 1e8
        day = pl.from_epoch(pl.when(is_time & (seconds.abs() < 1e11)).then(seconds).cast(pl.Int64), time_unit="s")
        texts += [day.dt.strftime("%Y-%m-%d"), text]
    if "dayOfYear" in batch.columns and "year" in batch.columns:
        year, day_of_year = (number(pl.col(name)).cast(pl.Int32, strict=False) for name in ("year", "dayOfYear"))
        texts.append(pl.format("{}-{}", year, day_of_year.cast(pl.String).str.zfill(3)))
    return batch.with_columns(pl.coalesce(texts).alias("date")) if texts else batch


def _standard(batch: pl.DataFrame, visits: bool) -> pl.DataFrame:
    """A batch with the columns of a table of records, of those that the file has."""
    columns = [
        number(pl.col("longitude")),
        number(pl.col("latitude")),
        unread_coordinates(batch, "longitude", "latitude"),
        species_names(pl.col("speciesId")).alias("species"),
        pl.lit(GROUP).alias("group"),
    ]
    if "geoUncertaintyInM" in batch.columns:
        columns += [
            amount(pl.col("geoUncertaintyInM")).alias("uncertainty_m"),
            unread_numbers(batch, ("geoUncertaintyInM",), "unread_uncertainty", amount),
        ]
    if "taxonRank" in batch.columns:
        columns.append(pl.col("taxonRank").cast(pl.String).str.to_lowercase().alias("rank"))
    if visits:
        visit = next((name for name in ("surveyId", "patchID") if name in batch.columns), None)
        columns.append(visit_numbers(pl.col(visit) if visit else pl.lit(None, pl.String)).alias("visit"))
    columns += [column.alias(name) for name, column in date_columns(dated(batch), "date").items()]
    return batch.select(columns)
