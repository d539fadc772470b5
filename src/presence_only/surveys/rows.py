"""Surveys that looked for species, as the reader of any file gives them: where, when, what was found and looked for.

:func:`~presence_only.surveys.assembly.survey_of_rows` makes of them the truth that a model is scored by.

Shape legend: V surveys as the file has them, P pairs of survey and species.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.data.sites import sites_of

# Prefix of the columns of `surveys` that are covariates, as in a table of sites.
COVARIATE = "covariate: "


@dataclass(frozen=True, eq=False)
class SurveyRows:
    """What surveys found and looked for, as a reader gives it.

    Ids of surveys are of any one type in all tables; numbers take less memory than texts. Names of species are String
    or Enum, in the spelling of :mod:`~presence_only.columns.species_names`. A pair may stand in a table repeatedly.

    Args:
        surveys: One row per survey: ``survey``, its id; ``longitude`` and ``latitude`` in degrees, null or impossible
            where they are not known; ``week``, 1..48, if there are weeks; a column ``covariate: <name>`` for each
            covariate, if the surveys bring their own; ``unread_coordinates`` and ``unread_week``, texts for the funnel
            that were not understood, null elsewhere.
        presences: ``survey`` and ``species``: what was found.
        absences: ``survey`` and ``species``: what was looked for and not found, where the file says so; a presence
            of the pair counts more.
        visits: ``survey`` and ``group``: the groups of species that a survey looked for.
        groups: ``group`` and ``species``: the species of every group; a species may be in several.
        not_looked_for: ``survey`` and ``species``: exceptions, which a survey did not look for though it looked for
            their group; a presence or a written absence counts more.
        filters: The rules of the reader, with the surveys that remained after each.
        facts: Further counts of the reader.
        notes: Sentences of the reader for whoever reads the results.

    Raises:
        DataError: If a column is missing, an id is null or twice in ``surveys``, or a table names another survey.
    """

    surveys: pl.DataFrame
    presences: pl.DataFrame
    absences: pl.DataFrame | None = None
    visits: pl.DataFrame | None = None
    groups: pl.DataFrame | None = None
    not_looked_for: pl.DataFrame | None = None
    filters: tuple[tuple[str, int], ...] = ()
    facts: Mapping[str, int | float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_columns(self.surveys, "surveys", ("survey", "longitude", "latitude"))
        ids = self.surveys["survey"]
        if ids.null_count() or ids.n_unique() < len(ids):
            twice = ids.filter(ids.is_null() | ids.is_duplicated())[0]
            raise DataError(f"survey {twice!r} stands twice in the table of surveys; each needs an id of its own")
        if (self.visits is None) != (self.groups is None):
            raise DataError(
                "surveys with groups need both: which groups a survey looked for, and the species of a group"
            )
        for name, table in self._tables().items():
            _check_columns(table, name, ("survey", "group" if name == "visits" else "species"))
            named = table["survey"].unique()
            unknown = named.filter(~named.is_in(ids.implode())).sort()
            if len(unknown):
                raise DataError(
                    f"the {name.replace('_', ' ')} speak of the survey {unknown[0]!r} ({len(unknown):,} such surveys), "
                    "whose place is not known"
                )
        if self.groups is not None:
            _check_columns(self.groups, "groups", ("group", "species"))

    @classmethod
    def complete(
        cls,
        surveys: pl.DataFrame,
        presences: pl.DataFrame,
        species: Iterable[str] = (),
        *,
        filters: tuple[tuple[str, int], ...] = (),
        facts: Mapping[str, int | float] | None = None,
        notes: tuple[str, ...] = (),
    ) -> Self:
        """Surveys that all looked for all species: for those that any of them found, and for further ones.

        Args:
            surveys: As of the class.
            presences: As of the class.
            species: Species that were looked for, whether or not any survey found them.
            filters: As of the class.
            facts: As of the class.
            notes: As of the class.
        """
        names = sorted({*presences["species"].unique().cast(pl.String).to_list(), *species})
        return cls(
            surveys,
            presences,
            visits=surveys.select("survey", group=pl.lit("")),
            groups=pl.DataFrame(
                {"group": [""] * len(names), "species": names}, schema_overrides={"species": pl.String}
            ),
            filters=filters,
            facts=facts or {},
            notes=notes,
        )

    @cached_property
    def species(self) -> tuple[str, ...]:
        """All species that were looked for or found, sorted."""
        tables = [table for name, table in self._tables().items() if name != "visits"]
        columns = [table["species"] for table in (*tables, *([] if self.groups is None else [self.groups]))]
        return tuple(sorted({name for column in columns for name in column.unique().cast(pl.String).to_list()}))

    @cached_property
    def possible_V(self) -> NDArray[np.bool_]:
        """Whether a survey has coordinates that are possible and not 0, 0."""
        longitude, latitude = pl.col("longitude"), pl.col("latitude")
        possible = longitude.is_between(-180, 180) & latitude.is_between(-90, 90)
        column = self.surveys.select((possible & ((longitude != 0) | (latitude != 0))).fill_null(False)).to_series()
        possible_V: NDArray[np.bool_] = column.to_numpy()
        return possible_V

    def sites(self) -> Floats:
        """Longitude and latitude of all surveys whose coordinates are possible, shape (n, 2)."""
        return sites_of(self.surveys.filter(self.possible_V))

    def _tables(self) -> dict[str, pl.DataFrame]:
        """The tables with a column of surveys, of those that there are, by name."""
        tables = {
            "presences": self.presences,
            "absences": self.absences,
            "visits": self.visits,
            "not_looked_for": self.not_looked_for,
        }
        return {name: table for name, table in tables.items() if table is not None}


def _check_columns(table: pl.DataFrame, what: str, names: Sequence[str]) -> None:
    """Refuse a table that lacks a column, or a group or species in a row."""
    what = what.replace("_", " ")
    for name in names:
        if name not in table.columns:
            raise DataError(f"the {what} of a survey have no column {name!r}")
        if name in ("group", "species") and table[name].null_count():
            raise DataError(f"the {what} of a survey have {table[name].null_count():,} rows without a {name}")
