"""Presence-absence surveys of GeoPlant: tables of one row per survey and species found, and labels of test surveys.

A survey is a ``surveyId``; in 2023 it is a ``patchID`` on a day of the year. Whoever surveyed a place listed all plants
there, so that a species that other surveys found is absent where it is not listed. Rows of one survey that disagree in
place say nothing certain, and the survey is left out; rows that disagree in area are counted, for the area is no more
than a filter. Test tables have one row per survey and no species; these are in a table of labels, where there is one.

Shape legend: V surveys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import polars as pl

from presence_only.columns.column_names import COORDINATE_SPELLINGS, Columns, plain_name
from presence_only.columns.coordinates import unread_coordinates
from presence_only.columns.date_parts import date_columns
from presence_only.columns.numbers import number
from presence_only.columns.unread_words import listed
from presence_only.common.errors import DataError
from presence_only.data.sites import week_of
from presence_only.datasets.geoplant.records import dated, species_names
from presence_only.occurrences.predictor_tables import visit_numbers
from presence_only.tables.reading import read_names, read_table

# Degrees that rows of one survey may differ by: a metre.
SAME_PLACE = 1e-5
_COLUMNS = Columns(
    required=("longitude", "latitude"),
    optional=(
        "surveyId",
        "patchID",
        "speciesId",
        "year",
        "month",
        "day",
        "date",
        "dayOfYear",
        "areaInM2",
        "region",
        "country",
    ),
    spellings=COORDINATE_SPELLINGS,
)
_LABELS = Columns(
    required=("surveyId", "speciesIds"), spellings={"speciesIds": ("speciesIds", "predictions", "speciesId")}
)
_MOST_DAYS = 1000
# Batches whose surveys are kept apart.
_PARTS = 8


@dataclass(frozen=True)
class Wanted:
    """Which surveys are the truth.

    Args:
        countries: Of these alone, in any case; empty: of all.
        regions: Of these biogeographical regions alone; empty: of all.
        area_m2: Of at least and at most this area, in square metres; None: of any, also an unknown one.
        longitudes: How the file counts them.
        ragged_rows: What becomes of rows with too few cells.
    """

    countries: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    area_m2: tuple[float, float] | None = None
    longitudes: Literal["-180..180", "0..360"] = "-180..180"
    ragged_rows: Literal["refuse", "mend"] = "refuse"


@dataclass(frozen=True, eq=False)
class Surveys:
    """What was surveyed and what was found.

    Args:
        surveys: ``survey`` (Int64), ``longitude``, ``latitude``, ``visit`` (Int64, by which predictors are joined), and
            ``week`` (1..48, null where unknown) if the file has dates; in the order of the file.
        presences: ``survey`` and ``species`` (String), each pair once.
        filters: Each rule with the surveys that remained after it.
        facts: Counts of rows and surveys.
        notes: Sentences that whoever reads the results must know.
    """

    surveys: pl.DataFrame
    presences: pl.DataFrame
    filters: tuple[tuple[str, int], ...]
    facts: dict[str, int | float]
    notes: tuple[str, ...] = ()


def read_surveys(path: Path, labels: Path | None, wanted: Wanted) -> Surveys:
    """Read the surveys, batch by batch.

    Args:
        path: The table of surveys.
        labels: The table of what was found, if ``path`` does not say it.
        wanted: Which surveys count.

    Raises:
        DataError: If a file is missing, damaged or no such table, says not what was found, or no survey is left.
    """
    read = _Rows()
    columns = replace(_COLUMNS, ragged_rows=wanted.ragged_rows)
    with closing(read_table(path, columns)) as batches:
        for batch in batches:
            read.add(batch, path, wanted, labels is not None)
    surveys, presences, facts, notes = read.surveys(), read.presences(), read.facts, read.notes(path)
    if labels is None and len(presences) == 0:
        raise DataError(_without_species(path))
    if labels is not None:
        presences, more = _read_labels(labels, surveys)
        facts |= more
    filters = [("surveys read", len(surveys))]
    for name, keep in _rules(surveys, presences if labels is not None else None, wanted, facts):
        surveys = surveys.filter(keep)
        filters.append((name, len(surveys)))
    if len(surveys) == 0:
        steps = "; ".join(f"{rule}: {left:,}" for rule, left in filters)
        raise DataError(f"{path}: no survey is left (surveys left by each rule - {steps})")
    found = presences.drop_nulls().join(surveys.select("survey"), on="survey", how="semi", maintain_order="left")
    kept = [name for name in ("survey", "longitude", "latitude", "visit", "week") if name in surveys.columns]
    return Surveys(surveys.select(kept), found, tuple(filters), facts, tuple(notes))


def names_species(path: Path) -> bool:
    """Whether a table of surveys has a column of species.

    Raises:
        DataError: If it cannot be read.
    """
    return "speciesid" in map(plain_name, read_names(path, _COLUMNS))


@dataclass(eq=False)
class _Rows:
    """What is kept of the rows of a table of surveys while it is read: a part per batch."""

    facts: dict[str, int | float] = field(
        default_factory=lambda: dict.fromkeys(
            ("survey_rows", "survey_rows_without_id", "survey_rows_without_species", "survey_rows_repeated"), 0
        )
    )
    words: Counter[str] = field(default_factory=Counter)
    parts: list[pl.DataFrame] = field(default_factory=list)
    pairs: list[pl.DataFrame] = field(default_factory=list)
    n_pairs: int = 0

    def add(self, batch: pl.DataFrame, path: Path, wanted: Wanted, labelled: bool) -> None:
        """Take the rows of a batch."""
        if "speciesId" not in batch.columns and not labelled:
            raise DataError(_without_species(path))
        rows = _standard(batch, path, wanted)
        words = unread_coordinates(batch, "longitude", "latitude").drop_nulls()
        self.words.update(dict(words.value_counts().iter_rows()) if len(words) else {})
        self.facts["survey_rows"] += len(rows)
        self.facts["survey_rows_without_id"] += rows["survey"].null_count()
        rows = rows.filter(pl.col("survey").is_not_null())
        others = [name for name in rows.columns if name not in ("survey", "species")]
        self.parts.append(
            rows.group_by("survey", maintain_order=True).agg(
                *(pl.col(name).drop_nulls().first().alias(name) for name in others),
                *(pl.col(name).min().alias(f"least {name}") for name in ("longitude", "latitude", "area")),
                *(pl.col(name).max().alias(f"most {name}") for name in ("longitude", "latitude", "area")),
            )
        )
        if not labelled:
            self.facts["survey_rows_without_species"] += rows["species"].null_count()
            self.pairs.append(rows.select("survey", "species").drop_nulls())
            self.n_pairs += len(self.pairs[-1])
        if len(self.parts) == _PARTS:
            # Rows of a survey may lie anywhere in the file; what is kept must not grow with its rows.
            self.parts, self.pairs = [self.surveys()], [self.presences()]

    def surveys(self) -> pl.DataFrame:
        """One row per survey, in the order of the file."""
        every = pl.concat(self.parts)
        ends = [name for name in every.columns if name.startswith(("least ", "most "))]
        others = [name for name in every.columns if name not in (*ends, "survey")]
        return every.group_by("survey", maintain_order=True).agg(
            *(pl.col(name).drop_nulls().first() for name in others),
            *(pl.col(name).min() if name.startswith("least ") else pl.col(name).max() for name in ends),
        )

    def presences(self) -> pl.DataFrame:
        """What was found, each pair once."""
        if not self.pairs:
            return pl.DataFrame(schema={"survey": pl.Int64, "species": pl.String})
        once = pl.concat(self.pairs).unique(maintain_order=True)
        self.facts["survey_rows_repeated"] = self.n_pairs - len(once)
        return once

    def notes(self, path: Path) -> list[str]:
        """What was not understood."""
        if not self.words:
            return []
        return [f"Coordinates of {path.name} that are no degrees: {listed(self.words)}."]


def _without_species(path: Path) -> str:
    """The sentence for surveys that do not say what they found."""
    return (
        f"{path}: has no column 'speciesId' with species: it says what was surveyed, not what was found; set truth to "
        "other surveys, such as train, or labels_file to a table of surveyId and speciesIds"
    )


def _standard(batch: pl.DataFrame, path: Path, wanted: Wanted) -> pl.DataFrame:
    """A batch with the columns of this module, of those that the file has."""
    longitude = number(pl.col("longitude"))
    if wanted.longitudes == "0..360":
        longitude = pl.when(longitude > 180).then(longitude - 360).otherwise(longitude)
    area: Any = pl.lit(None, pl.Float64)
    if "areaInM2" in batch.columns:
        given = number(pl.col("areaInM2"))
        # Some are -inf, some 0.
        area = pl.when(given.is_finite() & (given > 0)).then(given)
    survey, visit = _ids(batch, path)
    columns = {
        "survey": survey,
        "visit": visit,
        "longitude": longitude,
        "latitude": number(pl.col("latitude")),
        "area": area,
    }
    columns |= {name: pl.col(name).cast(pl.String) for name in ("region", "country") if name in batch.columns}
    if "speciesId" in batch.columns:
        columns["species"] = species_names(pl.col("speciesId"))
    found = batch.select(column.alias(name) for name, column in columns.items())
    if {"date", "dayOfYear", "month"} & {*batch.columns}:
        dates = date_columns(dated(batch), "date")
        month, day = dates["month"], dates["day"]
        week = week_of(month.fill_null(1).to_numpy(), day.fill_null(1).to_numpy())
        known = month.is_not_null() & day.is_not_null()
        found = found.with_columns(pl.Series("week", week, dtype=pl.Int64).set(~known, None))
    return found


def _ids(batch: pl.DataFrame, path: Path) -> tuple[pl.Expr, pl.Expr]:
    """The number of a row's survey, and that of its visit, by which predictors are joined."""
    if "surveyId" in batch.columns:
        survey = visit_numbers(pl.col("surveyId"))
        return survey, survey
    if "patchID" not in batch.columns or "dayOfYear" not in batch.columns:
        raise DataError(
            f"{path}: has neither a column 'surveyId', nor 'patchID' and 'dayOfYear' as in 2023; a survey needs an id"
        )
    place = visit_numbers(pl.col("patchID"))
    day = visit_numbers(pl.col("dayOfYear"))
    return pl.when(day.is_between(1, 366)).then(place * _MOST_DAYS + day), place


def _read_labels(path: Path, surveys: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int | float]]:
    """What was found in the surveys, each pair once, and counts."""
    with closing(read_table(path, _LABELS)) as batches:
        table = pl.concat(_pairs(batches))
    known = table.join(surveys.select("survey"), on="survey", how="semi", maintain_order="left")
    named = known.drop_nulls()
    pairs = named.unique(maintain_order=True)
    facts: dict[str, int | float] = {
        "labels_of_unknown_surveys": table["survey"].n_unique() - known["survey"].n_unique(),
        "survey_rows_repeated": len(named) - len(pairs),
    }
    # A survey whose list is empty has a label too: nothing was found.
    empty = known.filter(~pl.col("survey").is_in(pairs["survey"].unique().implode())).unique(maintain_order=True)
    return pl.concat([pairs, empty]), facts


def _pairs(batches: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Survey and species of the lists in a table of labels; the species of an empty list is null."""
    for batch in batches:
        species = pl.col("speciesIds").cast(pl.String).fill_null("").str.extract_all(r"[^\s,;\[\]]+")
        lists = batch.select(
            visit_numbers(pl.col("surveyId")).alias("survey"),
            # Of an empty list, versions of polars make a row or none.
            pl.when(species.list.len() > 0).then(species).alias("species"),
        )
        rows = lists.explode("species")
        yield rows.select("survey", species_names(pl.col("species")).alias("species"))


def _rules(
    surveys: pl.DataFrame, labels: pl.DataFrame | None, wanted: Wanted, facts: dict[str, int | float]
) -> Iterator[tuple[str, pl.Expr]]:
    """The rules on surveys, each with its name; counts what they do not drop."""
    spread = [(pl.col(f"most {name}") - pl.col(f"least {name}")).fill_null(0) for name in ("longitude", "latitude")]
    yield "rows agree in place", (spread[0] <= SAME_PLACE) & (spread[1] <= SAME_PLACE)
    facts["surveys_with_several_areas"] = int(surveys.select((pl.col("most area") > pl.col("least area")).sum()).item())
    facts["surveys_without_area"] = surveys["area"].null_count()
    if labels is not None:
        yield "found in the table of labels", pl.col("survey").is_in(labels["survey"].unique().implode())
    for column, setting, names in (
        ("country", "survey_countries", wanted.countries),
        ("region", "survey_regions", wanted.regions),
    ):
        if not names:
            continue
        given = {} if column not in surveys.columns else {name.casefold() for name in surveys[column].drop_nulls()}
        for name in names:
            if name.casefold() not in given:
                known = ", ".join(sorted(surveys[column].drop_nulls().unique())) if given else f"no {column} at all"
                raise DataError(f"{setting}: no survey has the {column} {name!r}; they have {known}")
        chosen = [name.casefold() for name in names]
        text = pl.col(column).str.to_lowercase()
        yield f"{column} is {', '.join(names)}", text.is_in([*chosen, *(name.lower() for name in names)])
    if wanted.area_m2 is not None:
        low, high = wanted.area_m2
        yield f"area {low:g}..{high:g} m2", pl.col("least area").ge(low) & pl.col("most area").le(high)
