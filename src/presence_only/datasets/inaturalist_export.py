"""Exports of iNaturalist: the CSV of the website's export page, and the table of its archive for GBIF.

Source: https://www.inaturalist.org/observations/export and https://www.inaturalist.org/pages/developers

- Both are quoted CSV, with commas and line breaks in descriptions; plain, .gz, or in their zip.
- The website's has no rank. A name of two words is a species, one of three counts for its species, and one of one word
  is of a higher rank; an export with ``taxon_species_name`` says the species itself. The archive has ``taxonRank``.
- The coordinates of threatened species, and of observers who ask for it, are replaced by random ones within 0.2
  degrees. ``public_positional_accuracy`` says so, ``positional_accuracy`` is that of the true place. They are known by
  ``coordinates_obscured``, by the ``geoprivacy`` of the observation and that of its taxon, or by the archive's
  ``informationWithheld``.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field

from presence_only.columns.column_names import COORDINATE_SPELLINGS, Columns
from presence_only.columns.coordinates import unread_coordinates
from presence_only.columns.date_parts import date_columns
from presence_only.columns.numbers import amount, identifier, number, unread_numbers
from presence_only.columns.record_words import with_answers
from presence_only.columns.species_names import HIGHER_RANKS, with_names
from presence_only.common.user_paths import user_path
from presence_only.data.dataset import Dataset, DatasetKind
from presence_only.datasets.inaturalist import Grade, grade_rule, grade_words
from presence_only.occurrences.assemble import assemble
from presence_only.occurrences.assembly_settings import RecordsSettings
from presence_only.occurrences.cleaning import clean
from presence_only.occurrences.cleaning_settings import CleaningSettings
from presence_only.occurrences.quality_rules import ReaderRules, Rule
from presence_only.occurrences.records import RecordTable
from presence_only.tables.archives import read_tables
from presence_only.tables.unpacking import LIMITS, Limits

# The diagonal of 0.2 degrees at the equator: no obscured observation is farther from its public place.
OBSCURED_M = 31_500.0
# The height of 0.2 degrees: a finer accuracy is not that of an obscured place.
LEAST_OBSCURED_M = 22_000.0
_RANKS = ("family", "order", "class", "phylum", "kingdom")
_SAY_OBSCURED = ("coordinates_obscured", "geoprivacy", "taxon_geoprivacy")
_ACCURACIES = ("public_positional_accuracy", "positional_accuracy")
_COLUMNS = Columns(
    required=("latitude", "longitude", "scientific_name"),
    optional=(
        "taxon_species_name",
        "taxonRank",
        "taxon_id",
        "iconic_taxon_name",
        *_RANKS,
        "observed_on",
        "quality_grade",
        "captive_cultivated",
        *_SAY_OBSCURED,
        "informationWithheld",
        *_ACCURACIES,
    ),
    spellings={
        **COORDINATE_SPELLINGS,
        "taxonRank": ("rank",),
        "observed_on": ("eventDate",),
        "captive_cultivated": ("captive",),
        "positional_accuracy": ("coordinateUncertaintyInMeters",),
        **{rank: (f"taxon_{rank}_name",) for rank in _RANKS},
    },
)
# What the archive says of a captive or cultivated organism, beside yes and no.
_CAPTIVE = {"wild": "no", "captive": "yes", "cultivated": "yes", "captive/cultivated": "yes"}
_OBSCURED = {"open": "no", "obscured": "yes", "private": "yes", "obscured_private": "yes"}


class DatasetSettings(RecordsSettings, CleaningSettings, DatasetKind):
    """An export of iNaturalist, and which of its observations to use.

    Args:
        path: The export: .csv, .gz or .zip, or a folder of several parts; ``~`` is the home folder.
        quality_grades: The grades that are kept: ``research``, ``needs_id``, ``casual``; the archive has no column of
            grades, for all of its observations are of research grade.
        captive: What becomes of what lives in zoos and gardens.
        obscured: What becomes of observations whose coordinates are replaced by random ones. Where they are kept, their
            uncertainty is the public one, of some 28 km, so that ``max_uncertainty_m`` drops most of them.
        group: The rank of the ancestor that is a species' group; where the export lacks it the next higher, and then
            the iconic taxon.
        default_uncertainties_m: None by default: iNaturalist's observers place their own.
    """

    kind: Literal["inaturalist_export"]
    path: str
    quality_grades: Annotated[tuple[Grade, ...], Field(strict=False, min_length=1)] = ("research",)
    captive: Literal["drop", "keep"] = "drop"
    obscured: Literal["drop", "keep"] = "keep"
    group: Literal["family", "order", "class", "phylum", "kingdom"] = "class"
    default_uncertainties_m: Annotated[tuple[float, ...], Field(strict=False)] = ()

    def build(self) -> Dataset:
        """Read, clean and assemble the export."""
        return assemble(read_records(self), self)


def read_records(settings: DatasetSettings, limits: Limits = LIMITS) -> RecordTable:
    """Read and clean an export.

    Args:
        settings: The file and the rules.
        limits: How much a packed file may unpack to.

    Raises:
        DataError: If a file is missing, damaged, unsafe or no such table, or no record is left.
    """
    path = user_path(settings.path)
    columns = replace(_COLUMNS, ragged_rows=settings.ragged_rows)
    with closing(read_tables(path, columns, limits)) as batches:
        standard = (_standard(batch, settings) for batch in batches)
        return clean(standard, settings, _rules(settings), settings.weeks, str(path))


def _standard(batch: pl.DataFrame, settings: DatasetSettings) -> pl.DataFrame:
    """A batch with the columns of a table of records."""
    found: list[Any] = [
        number(pl.col("longitude")).alias("longitude"),
        number(pl.col("latitude")).alias("latitude"),
        unread_coordinates(batch, "longitude", "latitude"),
        *_names(batch).iter_columns(),
        _group(batch, settings.group),
    ]
    found += [column.alias(name) for name, column in date_columns(batch, "observed_on").items()]
    if "quality_grade" in batch.columns:
        found.append(grade_words())
    if "captive_cultivated" in batch.columns:
        words = batch.select(pl.col("captive_cultivated").cast(pl.String).str.to_lowercase().replace(_CAPTIVE))
        answers = with_answers(words, "captive_cultivated", "unread_captive")
        found += [answers["captive_cultivated"].alias("captive"), answers["unread_captive"]]
    return batch.select(*found, *_uncertainty(batch))


def _rules(settings: DatasetSettings) -> ReaderRules:
    """The rules on iNaturalist's own columns."""
    basis = [grade_rule(settings.quality_grades)]
    if settings.captive == "drop":
        wild = ~pl.col("captive").fill_null(False)
        basis.append(Rule("neither captive nor cultivated", wild, "captive", words=pl.col("unread_captive")))
    words = pl.col("unread_obscured")
    issues = [Rule("coordinates_obscured and geoprivacy", pl.lit(True), "obscured", words=words, quiet=True)]
    if settings.obscured == "drop":
        open_place = ~pl.col("obscured").fill_null(False)
        issues = [Rule("coordinates not obscured", open_place, "obscured", words=words)]
    return ReaderRules(issues=tuple(issues), basis=tuple(basis))


def _names(batch: pl.DataFrame) -> pl.DataFrame:
    """Columns ``species``, ``key`` and ``open_name``.

    Where the export says the species, it counts; elsewhere the name does, unless its rank is above the species. The key
    of a taxon below the species is not its species'.
    """
    text = {name: pl.col(name).cast(pl.String) for name in ("scientific_name", "taxon_species_name", "taxonRank")}
    rank = pl.lit(None, dtype=pl.String)
    if "taxonRank" in batch.columns:
        rank = text["taxonRank"].str.to_lowercase().str.replace_all(r"[\W_]", "")
    above = rank.is_in(list(HIGHER_RANKS)).fill_null(False)
    name = text["scientific_name"]
    if "taxon_species_name" in batch.columns:
        # Without one the taxon is of a higher rank, such as a genus or a complex of species.
        above |= text["taxon_species_name"].is_null()
        name = text["taxon_species_name"]
    given = batch.select(
        text=pl.coalesce(name, text["scientific_name"]),
        whole=text["scientific_name"],
        above=above,
        key=identifier(pl.col("taxon_id")) if "taxon_id" in batch.columns else pl.lit(None, dtype=pl.String),
        rank=rank,
    )
    rows = with_names(given, "text")
    kind, found = pl.col("name_kind"), pl.col("name")
    # A word alone, such as an epithet, is no species.
    is_open = pl.col("above") | (kind == "open") | ~found.str.contains(" ")
    of_species = (kind == "species") & pl.col("rank").is_in(["species"]).fill_null(True)
    of_species &= pl.col("whole").str.count_matches(" ") == found.str.count_matches(" ")
    return rows.select(
        species=pl.when(~is_open).then(found),
        key=pl.when(~is_open & of_species).then("key"),
        open_name=pl.when(is_open).then("whole"),
    )


def _group(batch: pl.DataFrame, group: str) -> pl.Expr:
    """The taxon group of every row, null where the export has none."""
    ranks = [rank for rank in _RANKS[_RANKS.index(group) :] if rank in batch.columns]
    names = [*ranks, *(["iconic_taxon_name"] if "iconic_taxon_name" in batch.columns else [])]
    columns = [pl.col(name).cast(pl.String) for name in names]
    return pl.coalesce(*columns, pl.lit(None, dtype=pl.String)).alias("group")


def _uncertainty(batch: pl.DataFrame) -> list[Any]:
    """``uncertainty_m`` of the public coordinates, and whether these are obscured."""
    obscured = pl.Series("obscured", [False]).new_from_index(0, len(batch))
    unread = pl.Series("unread_obscured", [None], dtype=pl.String).new_from_index(0, len(batch))
    told = [name for name in _SAY_OBSCURED if name in batch.columns]
    for name in told:
        words = batch.select(pl.col(name).cast(pl.String).str.to_lowercase().replace(_OBSCURED))
        answers = with_answers(words, name, "unread_obscured")
        obscured = obscured | answers[name].fill_null(False)
        unread = unread.zip_with(unread.is_not_null(), answers["unread_obscured"])
    if not told and "informationWithheld" in batch.columns:
        withheld = pl.col("informationWithheld").cast(pl.String).str.to_lowercase()
        obscured = batch.select(withheld.str.contains("uncertainty increased|obscured").fill_null(False)).to_series()
    names = [name for name in _ACCURACIES if name in batch.columns]
    found: list[Any] = [obscured.alias("obscured"), unread.alias("unread_obscured")]
    if not names and not obscured.any() and not told:
        return found
    # The public accuracy is never finer than the true one, and holds for both.
    accuracy = pl.max_horizontal([amount(pl.col(name)) for name in names]) if names else pl.lit(None, dtype=pl.Float64)
    public = amount(pl.col(_ACCURACIES[0])) if _ACCURACIES[0] in names else None
    if public is None and "informationWithheld" in batch.columns and not told:
        # In the archive the one column is the public accuracy.
        public = accuracy
    lacking = (
        pl.Series("obscured", obscured)
        if public is None
        else pl.lit(obscured) & (public >= LEAST_OBSCURED_M).not_().fill_null(True)
    )
    coarse = pl.max_horizontal(accuracy, pl.lit(OBSCURED_M))
    found.append(pl.when(lacking).then(coarse).otherwise(accuracy).alias("uncertainty_m"))
    found.append(unread_numbers(batch, names, "unread_uncertainty", amount))
    return found
