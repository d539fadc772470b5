"""The BirdNET geomodel's data: lists of species by h3 cell and week, as rows to train on and as the truth.

Source: Kahl et al. (2026), https://github.com/birdnet-team/geomodel

A training row is a cell in a week with all species that were recorded there, at the cell's centre. Cells of held-out
blocks are the survey, in which a species is absent where others of its group were recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from presence_only.columns.column_names import Columns
from presence_only.columns.numbers import identifier
from presence_only.columns.species_names import with_names
from presence_only.common.errors import DataError
from presence_only.common.settings import Need
from presence_only.common.user_paths import user_path
from presence_only.data.dataset import Dataset, DatasetKind
from presence_only.datasets.geomodel.cells import CellFile, cell_layers
from presence_only.geography.rasters import Environment
from presence_only.occurrences.assemble import assemble
from presence_only.occurrences.assembly_settings import RecordsSettings
from presence_only.occurrences.cleaning import clean
from presence_only.occurrences.cleaning_settings import CleaningSettings, Metres, Year
from presence_only.occurrences.quality_rules import ReaderRules, Rule
from presence_only.occurrences.records import RecordTable
from presence_only.tables.reading import read_table

# The environment of the file's own cells.
CELLS = "cells"
_TAXONOMY = Columns(
    required=("species_code", "scientificName"),
    optional=("class",),
    spellings={"species_code": ("taxonKey",), "class": ("className", "class_name")},
)


class DatasetSettings(RecordsSettings, CleaningSettings, DatasetKind):
    """The geomodel's combined parquet file, and how it becomes rows.

    Args:
        path: The parquet file.
        taxonomy: The table of species codes with ``species_code`` and ``scientificName``; null: the file beside the
            parquet file whose name is the same with ``_taxonomy.csv``, or the one such file there is.
        environment: ``cells``: the file's own columns; or as of other records: ``earth``, the path of layers, null.
        layers: Which of the file's columns are covariates; null: all that are not the same in all cells.
        categories: Columns of the file that hold categories; each becomes one covariate of 0 and 1 per level.
        rows: ``checklists``: a training row is a cell in a week with all of its species; ``records``: it is one species
            in a cell and week.
        checklist_resolution: h3 resolution of the rows; null: that of the file; a lower one joins cells.
        weeks: Whether the encoder reads the week; if not, a row is a cell with the species of all weeks.
        max_uncertainty_m: None by default: the file has no uncertainties.
        default_uncertainties_m: None by default.
        min_year: None by default: the file has no years.
    """

    needs: ClassVar[Mapping[str, Need]] = dict.fromkeys(
        ("layers", "categories"), Need(lambda geomodel: geomodel.environment == CELLS, "environment is 'cells'")
    )

    kind: Literal["geomodel"]
    path: str
    taxonomy: str | None = None
    environment: str | None = CELLS
    layers: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = None
    categories: Annotated[tuple[str, ...], Field(strict=False)] = ("landcover_class",)
    rows: Literal["records", "checklists"] = "checklists"
    checklist_resolution: Annotated[int, Field(ge=0, le=15)] | None = None  # type: ignore[assignment]
    weeks: bool = True
    max_uncertainty_m: Metres | None = None
    default_uncertainties_m: Annotated[tuple[float, ...], Field(strict=False)] = ()
    min_year: Year | None = None

    @model_validator(mode="after")
    def _columns_once(self) -> Self:
        for setting, names in (("layers", self.layers or ()), ("categories", self.categories)):
            if len(set(names)) < len(names):
                raise ValueError(f"settings with every column of {setting} once; {setting} is {list(names)}")
        return self

    @model_validator(mode="after")
    def _cells_have_no_neighbours(self) -> Self:
        if self.environment == CELLS and self.sea == "nearest":
            raise ValueError(
                "settings with sea 'keep' or 'drop', as environment is 'cells', where a site without a cell has no "
                "nearest value"
            )
        return self

    def open_layers(self) -> Environment:
        """The environment of the file's cells, or other layers."""
        if self.environment != CELLS:
            return super().open_layers()
        return cell_layers(CellFile.open(user_path(self.path)), self.layers, self.categories)

    def build(self) -> Dataset:
        """Read, clean and assemble the file."""
        file = CellFile.open(user_path(self.path))
        settings = self
        if self.checklist_resolution is None:
            settings = self.model_copy(update={"checklist_resolution": file.resolution})
        elif self.checklist_resolution > file.resolution:
            raise DataError(
                f"checklist_resolution = {self.checklist_resolution}: must be at most {file.resolution}, the h3 "
                f"resolution of the cells of {file.path}"
            )
        dataset = assemble(read_records(self, file), settings)
        cells = {"cells_in_the_file": len(file.cells_U), "cells_that_are_none": len(file.bad)}
        return replace(dataset, facts={**dataset.facts, **cells})


def read_records(settings: DatasetSettings, file: CellFile | None = None) -> RecordTable:
    """Read and clean the lists of species, each species of a cell and week a record at the cell's centre.

    Args:
        settings: The files and the rules.
        file: The parquet file, if it is open already.

    Raises:
        DataError: If a file is missing, damaged or no such table, or no record is left.
    """
    file = CellFile.open(user_path(settings.path)) if file is None else file
    taxa = _taxa(settings, file.path)
    code = Rule(
        "code is in the taxonomy",
        pl.col("listed").fill_null(False),
        "listed",
        words=pl.col("unlisted"),
        words_are="others",
    )
    rules = ReaderRules(taxon=(code,))
    return clean(_standard(file, taxa), settings, rules, settings.weeks, str(file.path))


def _standard(file: CellFile, taxa: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The lists with the columns of a table of records; a week is four a month, and begins on its first day."""
    for batch in file.species():
        first: dict[str, Any] = {
            "month": (pl.col("week") - 1) // 4 + 1,
            "day": (pl.col("week") - 1) % 4 * 7 + 1,
        }
        rows = batch.with_columns(
            identifier(pl.col("code")).alias("key"),
            pl.format("h3_index {}", pl.col("bad_cell")).alias("unread_coordinates"),
            *(days.cast(pl.Int32).alias(name) for name, days in first.items()),
        )
        rows = rows.join(taxa, on="key", how="left", maintain_order="left")
        unlisted = pl.when(pl.col("listed").is_null()).then("key")
        yield rows.drop("week", "code", "bad_cell").with_columns(unlisted.alias("unlisted"))


def _taxa(settings: DatasetSettings, path: Path) -> pl.DataFrame:
    """Every code, ``key``, with its ``species``, ``open_name`` and ``group``, and ``listed``, which is true."""
    where = user_path(settings.taxonomy) if settings.taxonomy is not None else _beside(path)
    raw = pl.concat(read_table(where, _TAXONOMY))
    table = raw.with_columns(identifier(pl.col("species_code")).alias("key")).filter(pl.col("key").is_not_null())
    twice = table.filter(pl.col("key").is_duplicated())
    if len(twice):
        raise DataError(f"{where}: the code {twice['key'][0]!r} has several rows; every code must have one")
    rows = with_names(table, "scientificName")
    is_open = pl.col("name_kind") == "open"
    # eBird's codes, of birds, begin with letters; those of other animals are numbers.
    group = pl.when(pl.col("key").str.contains(r"^[a-z]")).then(pl.lit("Aves")).otherwise(pl.lit("unknown"))
    if "class" in rows.columns:
        group = pl.coalesce("class", group)
    return rows.select(
        "key",
        species=pl.when(~is_open).then("name"),
        open_name=pl.when(is_open).then("scientificName"),
        group=group,
        listed=pl.lit(True),
    )


def _beside(path: Path) -> Path:
    """The taxonomy beside a parquet file."""
    # By its name among those that are there, for it may be too long to be one.
    own = path.with_name(f"{path.stem}_taxonomy.csv")
    found = sorted(file for file in path.parent.glob("*taxonomy*.csv") if file.is_file())
    if own in found:
        return own
    if len(found) != 1:
        listed = f"; there are {', '.join(file.name for file in found)}" if found else ""
        raise DataError(
            f"{path}: there is no {own.name} beside it, which names the species codes{listed}; set taxonomy"
        )
    return found[0]
