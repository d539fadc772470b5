"""Long tables of surveys: one row per survey and species, with or without a column that says present or absent.

Without such a column every row is a presence. What a survey does not list is absent, or not looked for where the
table lists absences itself. A row without a species says that the survey was made. Where a name such as `Parus sp.`
was found, the species of its genus are not absent. Without a column of surveys, all
rows of one place, and with weeks of one week, are one survey.

Shape legend: P rows of the table, V surveys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.columns.column_names import Columns
from presence_only.columns.coordinates import SITE_DECIMALS
from presence_only.columns.date_parts import date_columns
from presence_only.columns.numbers import identifier
from presence_only.columns.species_names import HYBRID, one_line, species_name
from presence_only.columns.unread_words import listed
from presence_only.columns.week_numbers import WeekNumbers
from presence_only.common.errors import DataError
from presence_only.data.truth import ABSENT, NOT_SURVEYED, PRESENT
from presence_only.surveys.columns import (
    COLUMNS,
    PLACE,
    SPELLINGS,
    TIME,
    known_name,
    names_a_place,
    some,
    unread_note,
)
from presence_only.surveys.groups import groups_of_cell, members
from presence_only.surveys.places import has_weeks, in_degrees, with_places
from presence_only.surveys.rows import SurveyRows
from presence_only.surveys.values import UNREAD, may_say_presence, neither, presence_codes
from presence_only.tables.reading import read_table
from presence_only.tables.unpacking import LIMITS, Limits

# Coordinates of one survey may differ by their last digit.
_ONE_PLACE_DEGREES = 1.5 * 10**-SITE_DECIMALS
_ALL = ""


def read_long_survey(
    path: Path,
    names: Sequence[str],
    known: Mapping[str, str],
    *,
    weeks: bool = False,
    unlisted: Literal["absent", "not_looked_for"] | None = None,
    longitudes: str = "-180..180",
    ragged_rows: Literal["refuse", "mend"] | None = None,
    week_numbers: WeekNumbers | None = None,
    keep_visits: bool = False,
    limits: Limits = LIMITS,
) -> SurveyRows:
    """Read a table with a column of species.

    Args:
        path: The table.
        names: Names of its columns.
        known: Taxon group of every species of the records, by its name.
        weeks: Whether weeks are read.
        unlisted: What a species is that a survey does not list; None: absent, unless the table lists absences.
        longitudes: How the file counts them.
        ragged_rows: What becomes of rows with fewer cells than the header.
        week_numbers: What the numbers of a column of weeks are.
        keep_visits: Whether rows of one plot, or of one place, and of several dates are as many surveys.
        limits: How much a packed file may unpack to.

    Raises:
        DataError: If there is no column of species, a survey lies at two places, or a value is neither a presence nor
            an absence.
    """
    where = str(path)
    found = COLUMNS.find(names, where)
    by_parts = "species" not in found and {"genus", "specificEpithet"} <= {*found}
    by_date = keep_visits and ("survey" not in found or names_a_place(names[found["survey"]]))
    unread = [name for place, name in enumerate(names) if place not in found.values()]
    # Without a column that says present or absent, one of another name may say it.
    suspects = {f"unread {at}": name for at, name in enumerate(unread) if names.count(name) == 1}
    wanted = Columns(
        (*PLACE, *(("genus", "specificEpithet") if by_parts else ("species",))),
        ("survey", "genus", "present", "group", *(TIME if weeks or by_date else ())),
        SPELLINGS,
        ragged_rows,
        {} if "present" in found else suspects,
    )
    rows = _Rows(known, weeks=weeks, week_numbers=week_numbers, by_date=by_date, where=where)
    presences = _Suspects(wanted.exact)
    with closing(read_table(path, wanted, limits)) as batches:
        for batch in batches:
            presences.add(batch)
            rows.add(_with_species(batch) if by_parts else batch)
    presences.check(where)
    if rows.unread:
        raise DataError(neither(where, names[found["present"]], listed(rows.unread)))
    surveys = in_degrees(rows.surveys(where), longitudes, where)
    made = rows.survey_rows(surveys, unlisted)
    return replace(made, notes=(*made.notes, *unread_note(unread, "not read")))


def _with_species(batch: pl.DataFrame) -> pl.DataFrame:
    """A batch with a column ``species`` of the genera and epithets; a genus without an epithet stays alone."""
    genus, epithet = (pl.col(name).cast(pl.String) for name in ("genus", "specificEpithet"))
    species = pl.coalesce(pl.concat_str(genus, epithet, separator=" "), genus)
    return batch.with_columns(species.alias("species")).drop("genus", "specificEpithet")


class _Suspects:
    """Columns of unknown names, all of whose values say present or absent so far.

    Args:
        headers: Name in the batches to the header of every column.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)
        self._absent: set[str] = set()

    def add(self, batch: pl.DataFrame) -> None:
        """Look at a batch; a column of other values is left out from then on."""
        for name in list(self._headers):
            # Most columns say something else in their first rows.
            if not (may_say_presence(batch[name].head(100)) and may_say_presence(batch[name])):
                del self._headers[name]
            elif (presence_codes(batch[name]) == ABSENT).any():
                self._absent.add(name)

    def check(self, where: str) -> None:
        """Refuse the table if a column says absent.

        Raises:
            DataError: Naming the column.
        """
        for name, header in self._headers.items():
            if name in self._absent:
                raise DataError(
                    f"{where}: no column says whether a species was present, and {header!r} has nothing but values of "
                    "presence and absence; rename it to 'present' if 1 stands for a presence, or drop it: every row "
                    "then counts as one"
                )


class _Rows:
    """Batches of rows in, numbers of surveys, species and groups out."""

    def __init__(
        self, known: Mapping[str, str], *, weeks: bool, week_numbers: WeekNumbers | None, by_date: bool, where: str
    ) -> None:
        self._known, self._weeks, self._by_date = known, weeks, by_date
        self._week_numbers, self._where = week_numbers, where
        self._surveys: dict[tuple[Any, ...], int] = {}
        self._names: dict[tuple[str | None, ...], int] = {}
        self._species: dict[str, int] = {}
        self._open: set[str] = set()
        self._groups: dict[tuple[str | None], int] = {}
        self._parts: list[pl.DataFrame] = []
        self._places: list[pl.DataFrame] = []
        self._read = self._without_survey = 0
        self.unread: Counter[str] = Counter()

    def add(self, batch: pl.DataFrame) -> None:
        """Number the rows of a batch."""
        self._read += len(batch)
        rows = with_places(batch, self._weeks and has_weeks(batch.columns), self._week_numbers, self._where)
        rows = rows.with_columns(
            self._keys(batch, rows),
            species=pl.Series(self._species_of(batch), dtype=pl.Int32),
            group=batch["group"].cast(pl.String) if "group" in batch.columns else pl.lit(None, dtype=pl.String),
            code=presence_codes(batch["present"]) if "present" in batch.columns else pl.lit(PRESENT, dtype=pl.Int8),
        )
        if self._by_date and (dates := _dates(batch)) is not None:
            rows = rows.with_columns(dates)
        given = rows["key"].is_not_null()
        self._without_survey += int((~given).sum())
        unread = batch.filter(given & (rows["code"] == UNREAD))
        if len(unread):
            self.unread.update(dict(unread["present"].cast(pl.String).value_counts().iter_rows()))
        rows = rows.filter(given)
        key = ["key", *(name for name in rows.columns if name in {"week", "date"})]
        rows = rows.with_columns(
            _number(rows, key, self._surveys).alias("survey"), _number(rows, ["group"], self._groups).alias("group")
        )
        self._parts.append(rows.select("survey", "species", "group", "code"))
        first = [pl.col(name).drop_nulls().first() for name in rows.columns if name.startswith(("un", "week"))]
        spans = [pl.col(name).min().alias(f"least {name}") for name in PLACE]
        spans += [pl.col(name).max().alias(f"most {name}") for name in PLACE]
        self._places.append(
            rows.group_by("survey").agg(*(pl.col(name).drop_nulls().first() for name in PLACE), *first, *spans)
        )

    def surveys(self, where: str) -> pl.DataFrame:
        """One row per survey.

        Raises:
            DataError: If a survey lies at two places.
        """
        table = pl.concat(self._places)
        spans = [name for name in table.columns if name.startswith(("least", "most"))]
        table = table.group_by("survey", maintain_order=True).agg(
            *(pl.col(name).drop_nulls().first() for name in table.columns if name not in ("survey", *spans)),
            *(pl.col(name).min() if name.startswith("least") else pl.col(name).max() for name in spans),
        )
        table = table.sort("survey")
        for name in PLACE:
            wide = table.filter(pl.col(f"most {name}") - pl.col(f"least {name}") > _ONE_PLACE_DEGREES)
            if len(wide):
                shown = list(self._surveys)[wide["survey"][0]][0]
                least, most = wide[f"least {name}"][0], wide[f"most {name}"][0]
                raise DataError(
                    f"{where}: the survey {shown!r} has the {name}s {least:.10g} and {most:.10g} ({len(wide):,} such "
                    "surveys); all rows of a survey must have one place"
                )
        return table.drop(spans)

    def survey_rows(self, surveys: pl.DataFrame, unlisted: str | None) -> SurveyRows:
        """What was found and looked for, by all rows.

        Args:
            surveys: One row per survey.
            unlisted: As of :func:`read_long_survey`.
        """
        table = pl.concat(self._parts)
        self._parts = []
        names = list(self._species)
        of_species = table.filter(pl.col("species") >= 0)
        pairs = {
            code: of_species.filter(pl.col("code") == code).select("survey", "species")
            for code in (PRESENT, ABSENT, NOT_SURVEYED)
        }
        lists_absences = len(pairs[ABSENT]) > 0
        notes = []
        if unlisted is None and lists_absences:
            notes.append(
                "The survey lists absences: a species that a survey does not list counts as not looked for there "
                "(evaluation.unlisted: absent changes this)."
            )
        as_absent = unlisted == "absent" or (unlisted is None and not lists_absences)
        contradicted = pairs[ABSENT].join(pairs[PRESENT], on=["survey", "species"], how="semi").unique()
        facts = {
            "survey_rows_read": self._read,
            "survey_rows_without_survey": self._without_survey,
            "survey_rows_without_species": len(table) - len(of_species),
            "survey_rows_without_value": int((of_species["code"] == NOT_SURVEYED).sum()),
            "survey_rows_of_open_names": int(of_species["species"].is_in([*map(names.index, self._open)]).sum()),
            "survey_pairs_present_and_absent": len(contradicted),
        }
        if as_absent and self._open:
            notes.append(
                f"Names of the survey that identify no species ({len(self._open):,}): {some(sorted(self._open))}. "
                "Where one was found, species of its genus that were not found count as not looked for."
            )
            pairs[NOT_SURVEYED] = pl.concat([pairs[NOT_SURVEYED], self._left_open(pairs[PRESENT])])
        kinds = pl.Enum(names)
        spelled = {code: _spelled(found, kinds) for code, found in pairs.items()}
        visits, groups = self._looked_for(table, surveys, names, as_absent)
        return SurveyRows(
            surveys,
            spelled[PRESENT],
            absences=spelled[ABSENT],
            visits=visits,
            groups=groups,
            not_looked_for=spelled[NOT_SURVEYED],
            facts=facts,
            notes=tuple(notes),
        )

    def _left_open(self, presences: pl.DataFrame) -> pl.DataFrame:
        """Survey and species, by numbers, of species that an open name such as `Parus sp.` may mean there."""
        of_genus: dict[str, list[int]] = {}
        for name, number in self._species.items():
            if name not in self._open:
                of_genus.setdefault(_genus(name), []).append(number)
        meant = [(self._species[name], of_genus.get(_genus(name), [])) for name in self._open]
        table = pl.DataFrame(meant, {"species": pl.Int32, "meant": pl.List(pl.Int32)}, orient="row")
        found = presences.join(table, on="species").select("survey", species="meant").explode("species")
        return found.drop_nulls().unique(maintain_order=True)

    def _looked_for(
        self, table: pl.DataFrame, surveys: pl.DataFrame, names: list[str], as_absent: bool
    ) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
        """Which groups a survey looked for, and the species of every group."""
        if not as_absent:
            return None, None
        texts = [text for (text,) in self._groups]
        named = frozenset(group for text in texts for group in groups_of_cell(text))
        if not named:
            everything = pl.DataFrame({"group": [_ALL] * len(names), "species": pl.Series(names, dtype=pl.String)})
            return surveys.select("survey", group=pl.lit(_ALL)), everything
        cells = pl.DataFrame(
            {
                "group": range(len(texts)),
                # A survey without a group looked for all.
                "name": [sorted(groups_of_cell(text) or named) for text in texts],
                "own": [sorted(groups_of_cell(text)) or [_ALL] for text in texts],
            },
            {"group": pl.UInt32, "name": pl.List(pl.String), "own": pl.List(pl.String)},
        )
        visits = table.select("survey", "group").unique(maintain_order=True)
        visits = visits.join(cells, on="group", maintain_order="left").select("survey", group="name").explode("group")
        found: dict[str, set[str]] = {name: set() for name in names}
        rows = table.filter(pl.col("species") >= 0).select("species", "group").unique()
        for species, own in rows.join(cells, on="group").select("species", "own").iter_rows():
            found[names[species]].update(own)
        belongs = members({name: own - {_ALL} or {_ALL} for name, own in found.items()}, named, self._known)
        # A species without a group belongs to all.
        pairs = [(group, name) for name, own in belongs.items() for group in (sorted(named) if own == [_ALL] else own)]
        return visits.unique(maintain_order=True), pl.DataFrame(
            pairs, {"group": pl.String, "species": pl.String}, orient="row"
        )

    def _keys(self, batch: pl.DataFrame, rows: pl.DataFrame) -> pl.Series:
        """What tells surveys apart: their ids, or else their places."""
        if "survey" in batch.columns:
            return batch.select(identifier(pl.col("survey")).alias("key")).to_series()
        east, north = ((pl.col(name) * 10**SITE_DECIMALS).round() for name in PLACE)
        place = pl.format("{} {}", east, north)
        # Rows without a place are one survey, which is dropped and counted.
        return rows.select(place.fill_null("no place").alias("key")).to_series()

    def _species_of(self, batch: pl.DataFrame) -> NDArray[np.int32]:
        """Number of the species of every row, -1 where it has none."""
        columns = [name for name in ("species", "genus") if name in batch.columns]
        texts = batch.select(identifier(pl.col("species")), *(pl.col(name).cast(pl.String) for name in columns[1:]))
        different = texts.unique(maintain_order=True)
        numbers = []
        for row in different.iter_rows():
            if row[0] is None:
                self._names[row] = -1
            elif row not in self._names:
                self._names[row] = self._species.setdefault(self._name(*row), len(self._species))
            numbers.append(self._names[row])
        found = different.with_columns(pl.Series("number", numbers, dtype=pl.Int32))
        joined = texts.join(found, on=columns, how="left", nulls_equal=True, maintain_order="left")
        number_P: NDArray[np.int32] = joined["number"].to_numpy()
        return number_P

    def _name(self, text: str, genus: str | None = None) -> str:
        """The one spelling of a name; a name of the records stays as it is."""
        if (known := known_name(text, self._known)) is not None:
            return known
        name = species_name(one_line(text), genus)
        # A number is the key of a species that training does not know.
        if name.kind == "open" and any(map(str.isalpha, name.text)):
            self._open.add(name.text)
        return name.text


def _genus(name: str) -> str:
    """The genus of a name in small letters, without the sign of a hybrid."""
    return name.removeprefix(f"{HYBRID} ").split()[0].casefold()


def _dates(batch: pl.DataFrame) -> pl.Series | None:
    """A text that tells the days or weeks of rows apart; None without such columns."""
    columns = date_columns(batch, "date")
    parts = [columns[name].cast(pl.String) for name in ("year", "month", "day", "date_text") if name in columns]
    parts += [batch["week"].cast(pl.String)] if "week" in batch.columns else []
    return (
        pl.select(pl.concat_str([part.fill_null("") for part in parts], separator="-").alias("date")).to_series()
        if parts
        else None
    )


def _number(rows: pl.DataFrame, columns: list[str], known: dict[Any, int]) -> pl.Series:
    """Numbers of what is distinct, in the order in which it was met."""
    different = rows.select(columns).unique(maintain_order=True)
    found = [known.setdefault(key, len(known)) for key in different.iter_rows()]
    numbers = pl.Series("number", found, dtype=pl.UInt32)
    joined = rows.select(columns).join(
        different.with_columns(numbers), on=columns, how="left", nulls_equal=True, maintain_order="left"
    )
    return joined["number"]


def _spelled(pairs: pl.DataFrame, kinds: pl.Enum) -> pl.DataFrame:
    """Pairs with the names of their species."""
    names = pl.Series(kinds.categories, dtype=kinds)
    return pl.DataFrame({"survey": pairs["survey"], "species": names.gather(pairs["species"])})
