"""Surveys of one's own as the truth for any kind of records: settings, and the reader of wide and long tables.

The file says where a species was found and where it was looked for in vain; training never sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from presence_only.columns.week_numbers import WeekNumbers
from presence_only.common.errors import DataError
from presence_only.common.settings import Need, Settings
from presence_only.surveys.columns import COLUMNS, layout_of
from presence_only.surveys.long_tables import read_long_survey
from presence_only.surveys.rows import SurveyRows
from presence_only.surveys.wide_tables import read_wide_survey
from presence_only.tables.paths import table_paths
from presence_only.tables.reading import read_names
from presence_only.tables.unpacking import LIMITS, Limits


class SurveyEvaluation(Settings):
    """A file of surveys that looked for species, by which a model is scored.

    Args:
        kind: ``survey``.
        path: A table, wide or long: .csv, .tsv, parquet, plain or packed; ``~`` is the home folder.
        layout: ``wide``: a row per survey and a column per species; ``long``: a row per survey and species; null: the
            columns tell.
        unlisted: Of a long table, what a species is that a survey does not list: ``absent`` or ``not_looked_for``;
            null: absent, unless the table lists absences itself.
        repeated_visits: Whether surveys of one site, or with weeks of one site and week, are merged into one, where a
            species is present if one of them found it; or each is kept as a site of its own.
        hold_out_near_km: Training records and background sites of a given file within this distance of a survey's
            site are left out, in kilometres; null: none is.
        longitudes: How the file counts them; ``0..360`` is converted, and refused if not said here.
        ragged_rows: What becomes of rows with fewer cells than the header; as for the records.
        week_numbers: What the numbers of a column of weeks are: ``four_a_month``, 1..48; ``iso``, 1..53. Null: refused
            where a survey has no date and its week is needed.
    """

    needs: ClassVar[Mapping[str, Need]] = {
        "unlisted": Need(lambda survey: survey.layout != "wide", "layout is 'long' or null"),
    }

    kind: Literal["survey"]
    path: str
    layout: Literal["wide", "long"] | None = None
    unlisted: Literal["absent", "not_looked_for"] | None = None
    repeated_visits: Literal["merge", "keep"] = "merge"
    hold_out_near_km: Annotated[float, Field(ge=0.0, le=5000.0)] | None = None
    longitudes: Literal["-180..180", "0..360"] = "-180..180"
    ragged_rows: Literal["refuse", "mend"] = "refuse"
    week_numbers: WeekNumbers | None = None


def read_own_survey(
    settings: SurveyEvaluation, known: Mapping[str, str], *, weeks: bool = False, limits: Limits = LIMITS
) -> SurveyRows:
    """Read a survey.

    Args:
        settings: The file, and how it is read.
        known: Taxon group of every species of the records, by its name.
        weeks: Whether every survey needs its week of the year.
        limits: How much a packed file may unpack to.

    Raises:
        DataError: If the file is missing, damaged or no survey, its columns leave open what it is, a value is neither
            a presence nor an absence, or a survey lies at two places.
    """
    path = _one_table(settings.path)
    names = read_names(path, COLUMNS, limits)
    layout = settings.layout or layout_of(names, known, str(path))
    reader = read_wide_survey
    if layout == "long":
        reader = partial(read_long_survey, keep_visits=settings.repeated_visits == "keep")
    return reader(
        path,
        names,
        known,
        weeks=weeks,
        unlisted=settings.unlisted,
        longitudes=settings.longitudes,
        ragged_rows=settings.ragged_rows,
        week_numbers=settings.week_numbers,
        limits=limits,
    )


def _one_table(text: str) -> Path:
    """The table of a setting.

    Raises:
        DataError: If it is of a kind that is no table, or several files fit a pattern.
    """
    paths = table_paths([text])
    if len(paths) > 1:
        raise DataError(f"evaluation.path = {text!r}: {len(paths):,} files fit this pattern; a survey is one table")
    return paths[0]
