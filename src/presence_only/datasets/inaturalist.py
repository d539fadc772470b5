"""iNaturalist's open data: observations and taxa, tab-separated and unquoted, as .csv.gz or unpacked.

Source: https://github.com/inaturalist/inaturalist-open-data/tree/main/Metadata

An observation is of a taxon of any rank. Subspecies, varieties and forms count for the species in their
ancestry; observations of higher ranks are dropped and counted. Observations that linger on inactive
taxa have no current name and are dropped and counted too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, get_args

import polars as pl
from pydantic import Field

from presence_only.columns.column_names import Columns
from presence_only.columns.coordinates import unread_coordinates
from presence_only.columns.date_parts import date_columns
from presence_only.columns.numbers import amount, number, numeric_key, unread_numbers
from presence_only.common.errors import DataError
from presence_only.common.user_paths import user_path
from presence_only.data.dataset import Dataset, DatasetKind
from presence_only.occurrences.assemble import assemble
from presence_only.occurrences.assembly_settings import RecordsSettings
from presence_only.occurrences.cleaning import clean
from presence_only.occurrences.cleaning_settings import CleaningSettings
from presence_only.occurrences.quality_rules import ReaderRules, Rule
from presence_only.occurrences.records import RecordTable
from presence_only.tables.reading import read_table
from presence_only.tables.unpacking import LIMITS, Limits

Grade = Literal["research", "needs_id", "casual"]

SPECIES_LEVEL = 10.0
_OBSERVATIONS = Columns(
    required=("latitude", "longitude", "taxon_id", "quality_grade"),
    optional=("positional_accuracy", "observed_on"),
)
_TAXA = Columns(required=("taxon_id", "ancestry", "rank_level", "rank", "name"), optional=("active",))
# Where a species is in no taxon of the wanted rank.
_HIGHER = ("phylum", "kingdom")


class DatasetSettings(RecordsSettings, CleaningSettings, DatasetKind):
    """A download of iNaturalist's open data, and which of its observations to use.

    Args:
        root: Folder of ``observations.csv.gz`` and ``taxa.csv.gz``, or of the same without .gz; ``~`` is
            the home folder.
        quality_grades: The grades that are kept: ``research``, ``needs_id``, ``casual``.
        group: The rank of the ancestor that is a species' group; a species without one has the group
            of its phylum or kingdom.
        inactive_taxa: What becomes of observations of taxa that iNaturalist has retired.
        min_anomaly_score: Observations with a lower score, which iNaturalist's Geomodel did not expect at their place,
            are not trained on; below 1 the place is outside of the range that it predicts. The held-out survey keeps
            them, for a range model must not choose what range models are judged by. null: no such rule; observations
            without a score pass.
        default_uncertainties_m: None by default: iNaturalist's observers place their own.
    """

    kind: Literal["inaturalist"]
    root: str
    quality_grades: Annotated[tuple[Grade, ...], Field(strict=False, min_length=1)] = ("research",)
    group: Literal["family", "order", "class", "phylum", "kingdom"] = "class"
    inactive_taxa: Literal["drop", "keep"] = "drop"
    min_anomaly_score: Annotated[float, Field(gt=0.0)] | None = None
    default_uncertainties_m: Annotated[tuple[float, ...], Field(strict=False)] = ()

    def build(self) -> Dataset:
        """Read, clean and assemble the download."""
        return assemble(read_records(self), self)


def read_records(settings: DatasetSettings, limits: Limits = LIMITS) -> RecordTable:
    """Read and clean a download.

    Args:
        settings: The folder and the rules.
        limits: How much a packed file may unpack to.

    Raises:
        DataError: If a file is missing, damaged, unsafe or no such table, or no record is left.
    """
    root = user_path(settings.root)
    path, taxa_path = _file(root, "observations"), _file(root, "taxa")
    taxa = _read_taxa(taxa_path, settings.group, limits)
    columns = replace(_OBSERVATIONS, ragged_rows=settings.ragged_rows)
    if settings.min_anomaly_score is not None:
        columns = replace(columns, required=(*columns.required, "anomaly_score"))
    with closing(read_table(path, columns, limits)) as batches:
        standard = _standard(batches, taxa, settings.min_anomaly_score)
        records = clean(standard, settings, _rules(settings), settings.weeks, str(path))
    return replace(records, training_rule=f"anomaly_score at least {settings.min_anomaly_score or 0:g}")


def _file(root: Path, name: str) -> Path:
    """A table of the download, packed or not."""
    if not root.is_dir():
        raise DataError(f"root = {str(root)!r}: there is no such folder; it must hold {name}.csv.gz")
    for path in (root / f"{name}.csv.gz", root / f"{name}.csv"):
        if path.is_file():
            return path
    raise DataError(f"{root}: there is no {name}.csv.gz nor {name}.csv in this folder")


def _standard(
    batches: Iterator[pl.DataFrame], taxa: pl.DataFrame, min_anomaly_score: float | None
) -> Iterator[pl.DataFrame]:
    """Observations with the columns of a table of records."""
    for batch in batches:
        columns = [
            number(pl.col("longitude")),
            number(pl.col("latitude")),
            unread_coordinates(batch, "longitude", "latitude"),
            numeric_key(pl.col("taxon_id")).alias("taxon"),
            grade_words(),
        ]
        if "positional_accuracy" in batch.columns:
            columns += [
                amount(pl.col("positional_accuracy")).alias("uncertainty_m"),
                unread_numbers(batch, ("positional_accuracy",), "unread_uncertainty", amount),
            ]
        columns += [column.alias(name) for name, column in date_columns(batch, "observed_on").items()]
        if min_anomaly_score is not None:
            columns += [
                (number(pl.col("anomaly_score")) < min_anomaly_score).alias("suspect"),
                unread_numbers(batch, ("anomaly_score",), "unread_score"),
            ]
        yield batch.select(columns).join(taxa, on="taxon", how="left", maintain_order="left")


def grade_words() -> pl.Expr:
    """The column ``quality_grade`` in one spelling; the website says `Research Grade`."""
    words = pl.col("quality_grade").cast(pl.String).str.to_lowercase()
    return words.str.replace_all(r"[\W_]+", "_").str.strip_suffix("_grade")


def grade_rule(grades: Sequence[Grade]) -> Rule:
    """Observations of other grades are dropped, and words that are no grade are told."""
    given = pl.col("quality_grade")
    return Rule(
        f"quality_grade is {', '.join(grades)}",
        given.is_in(list(grades)),
        "quality_grade",
        words=pl.when(~given.is_in(list(get_args(Grade)))).then(given),
    )


def _rules(settings: DatasetSettings) -> ReaderRules:
    """The rules on iNaturalist's own columns."""
    taxon = [Rule("taxon is in taxa", pl.col("active").is_not_null(), "active")]
    if settings.inactive_taxa == "drop":
        taxon.append(Rule("taxon is active", pl.col("active"), "active"))
    if settings.min_anomaly_score is not None:
        score = pl.col("unread_score")
        taxon.append(Rule("anomaly_score is a number", pl.lit(True), "suspect", words=score, quiet=True))
    return ReaderRules(basis=(grade_rule(settings.quality_grades),), taxon=tuple(taxon))


def _read_taxa(path: Path, group: str, limits: Limits) -> pl.DataFrame:
    """Every ``taxon`` with its ``species``, ``key`` and ``group``, null where it is of no species, and ``active``."""
    with closing(read_table(path, _TAXA, limits)) as batches:
        raw = pl.concat(batches)
    active = pl.col("active").str.to_lowercase().is_in(["true", "t", "1"]) if "active" in raw.columns else pl.lit(True)
    taxa = raw.select(
        numeric_key(pl.col("taxon_id")).alias("taxon"),
        pl.col("ancestry").fill_null("").str.replace_all("\\", "/", literal=True),
        pl.col("rank_level").cast(pl.Float64, strict=False).alias("level"),
        pl.col("rank").str.to_lowercase(),
        "name",
        active.alias("active"),
    )
    twice = taxa.filter(pl.col("taxon").is_duplicated())
    if len(twice) or taxa["taxon"].null_count():
        raise DataError(f"{path}: taxon_id must be a number and unique; {twice['taxon'].first()!r} is not")
    # The tree is a million taxa, of which those above the species are a tenth.
    above = {
        rank: dict(taxa.filter(pl.col("rank") == rank).select(pl.col("taxon").cast(pl.String), "name").iter_rows())
        for rank in (group, *_HIGHER)
    }
    species = taxa.filter((pl.col("rank") == "species") & pl.col("name").is_not_null())
    groups = [_group(ancestry, above) for ancestry in species["ancestry"]]
    species = species.select(
        pl.col("taxon").cast(pl.String).alias("key"), pl.col("name").alias("species"), pl.Series("group", groups)
    )
    keys = set(species["key"])
    below = taxa.filter((pl.col("level") < SPECIES_LEVEL) & (pl.col("rank") != "species"))
    parents = [next((part for part in ancestry.split("/") if part in keys), None) for ancestry in below["ancestry"]]
    of = pl.concat(
        [
            species.select(pl.col("key").cast(pl.Int64).alias("taxon"), "key"),
            pl.DataFrame({"taxon": below["taxon"], "key": pl.Series(parents, dtype=pl.String)}),
        ]
    )
    return taxa.select("taxon", "active").join(of, on="taxon", how="left").join(species, on="key", how="left")


def _group(ancestry: str, above: dict[str, dict[str, str]]) -> str:
    """The name of the lowest wanted ancestor."""
    parts = ancestry.split("/")
    for names in above.values():
        for part in parts:
            if part in names:
                return names[part]
    return "unknown"
