"""Wide tables of surveys: one row per survey, one column per species with presences, absences or counts.

An empty cell was not looked for. Columns that neither training knows nor look like a species' name, and those whose
values are no presences, are no species; they are named in a note.

Shape legend: B surveys of a batch, K species, G groups of species.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.columns.column_names import Columns
from presence_only.columns.unread_words import listed
from presence_only.columns.week_numbers import WeekNumbers
from presence_only.common.errors import DataError
from presence_only.data.truth import ABSENT, NOT_SURVEYED, PRESENT
from presence_only.surveys.columns import (
    COLUMNS,
    PLACE,
    SPELLINGS,
    TIME,
    SpeciesColumn,
    species_columns,
    unread_note,
)
from presence_only.surveys.groups import groups_of_cell, members
from presence_only.surveys.places import has_weeks, in_degrees, with_places
from presence_only.surveys.rows import SurveyRows
from presence_only.surveys.values import UNREAD, neither, presence_codes
from presence_only.tables.reading import read_table
from presence_only.tables.unpacking import LIMITS, Limits

_ALL = ""


class _Tables(TypedDict):
    """The tables of a :class:`~presence_only.surveys.rows.SurveyRows` beside that of surveys."""

    presences: pl.DataFrame
    absences: pl.DataFrame
    not_looked_for: pl.DataFrame
    visits: pl.DataFrame
    groups: pl.DataFrame


def read_wide_survey(
    path: Path,
    names: Sequence[str],
    known: Mapping[str, str],
    *,
    weeks: bool = False,
    unlisted: Literal["absent", "not_looked_for"] | None = None,
    longitudes: str = "-180..180",
    ragged_rows: Literal["refuse", "mend"] | None = None,
    week_numbers: WeekNumbers | None = None,
    limits: Limits = LIMITS,
) -> SurveyRows:
    """Read a table with a column per species.

    Args:
        path: The table.
        names: Names of its columns.
        known: Taxon group of every species of the records, by its name.
        weeks: Whether weeks are read.
        unlisted: None, for a wide table lists every species.
        longitudes: How the file counts them.
        ragged_rows: What becomes of rows with fewer cells than the header.
        week_numbers: What the numbers of a column of weeks are.
        limits: How much a packed file may unpack to.

    Raises:
        DataError: If no column is of a species of the records, or a value is neither a presence nor an absence.
    """
    where = str(path)
    if unlisted is not None:
        raise DataError(
            f"evaluation.unlisted = {unlisted!r}: is for long tables; in a wide one every species has a cell"
        )
    columns = species_columns(names, known, where)
    if not any(column.known for column in columns):
        raise DataError(
            f"{where}: none of its {len(names):,} columns is named as one of the {len(known):,} species of the "
            "records; a wide survey has one column per species"
        )
    exact = {f"species {place}": column.header for place, column in enumerate(columns)}
    wanted = Columns(PLACE, ("group", *(TIME if weeks else ())), SPELLINGS, ragged_rows, exact)
    table = _Cells(columns, where)
    places: list[pl.DataFrame] = []
    groups: list[str | None] = []
    with closing(read_table(path, wanted, limits)) as batches:
        for batch in batches:
            places.append(with_places(batch, weeks and has_weeks(batch.columns), week_numbers, where))
            groups += batch["group"].cast(pl.String).to_list() if "group" in batch.columns else [None] * len(batch)
            table.add(batch)
    table.check()
    surveys = in_degrees(pl.concat(places).with_row_index("survey"), longitudes, where)
    headers = table.headers
    taken = {place for name, place in COLUMNS.find(names, where).items() if name in {*PLACE, *TIME, "survey", "group"}}
    others = [name for place, name in enumerate(names) if place not in taken and name not in headers]
    further = [column.header for column in columns if column.further and column.header in headers]
    notes = [
        *unread_note(others, "taken for no species"),
        *unread_note(further, "taken for presences of the species that their first two words name"),
    ]
    tables = table.tables(groups, known)
    facts = {
        "survey_columns_of_no_species": len(others),
        "survey_columns_of_one_species": len(headers) - len(set(headers.values())),
    }
    return SurveyRows(surveys, facts=facts, notes=tuple(notes), **tables)


class _Cells:
    """The cells of the columns of species, as codes."""

    def __init__(self, columns: Sequence[SpeciesColumn], where: str) -> None:
        self._columns, self._where = columns, where
        self._known = [place for place, column in enumerate(columns) if column.known]
        self.species = sorted({columns[place].species for place in self._known})
        self._blocks: list[NDArray[np.int8]] = []
        self._unread: dict[int, Counter[str]] = {}

    @property
    def headers(self) -> dict[str, str]:
        """Header to species of the columns that are of one."""
        used = [column for place, column in enumerate(self._columns) if column.known or place not in self._unread]
        return {column.header: column.species for column in used}

    def add(self, batch: pl.DataFrame) -> None:
        """Code the cells of a batch."""
        names = [f"species {place}" for place in range(len(self._columns))]
        texts = batch.select(pl.col(names).cast(pl.String))
        codes = presence_codes(texts.unpivot()["value"]).to_numpy().reshape(len(names), len(batch))
        for place in np.flatnonzero((codes == UNREAD).any(axis=1)).tolist():
            words = texts[names[place]].filter(pl.Series(codes[place] == UNREAD))
            self._unread.setdefault(place, Counter()).update(dict(words.value_counts().iter_rows()))
        block_BK = np.full((len(batch), len(self.species)), NOT_SURVEYED, dtype=np.int8)
        at = {name: k for k, name in enumerate(self.species)}
        for place in self._known:
            # Two columns of one species: a presence counts more than an absence, and this more than nothing.
            k = at[self._columns[place].species]
            np.maximum(block_BK[:, k], codes[place], out=block_BK[:, k])
        self._blocks.append(block_BK)

    def check(self) -> None:
        """Refuse values of species of the records that are neither a presence nor an absence."""
        for place in self._known:
            if place in self._unread:
                raise DataError(neither(self._where, self._columns[place].header, listed(self._unread[place])))

    def tables(self, groups: Sequence[str | None], known: Mapping[str, str]) -> _Tables:
        """What was found and looked for, by surveys numbered as the rows.

        Args:
            groups: The cell of groups of every row.
            known: Taxon group of every species of the records.
        """
        named = frozenset(name for text in set(groups) for name in groups_of_cell(text))
        order = sorted(named) or [_ALL]
        # A survey without a group looked for all.
        of_text = {text: groups_of_cell(text) or frozenset(order) for text in set(groups)}
        belongs = members(self._found(groups), named, known) if named else {name: [_ALL] for name in self.species}
        member_GK = np.array([[group in belongs[name] for name in self.species] for group in order], dtype=np.float32)
        absent_K, unknown_K = (
            np.sum([np.count_nonzero(block_BK == code, axis=0) for block_BK in self._blocks], axis=0)
            for code in (ABSENT, NOT_SURVEYED)
        )
        # Whichever is rarer is listed: absences, or what was not looked for.
        rare_K = absent_K < unknown_K
        found: dict[str, list[NDArray[np.int64]]] = {"presences": [], "absences": [], "not_looked_for": []}
        for start, block_BK in self._numbered():
            texts = groups[start : start + len(block_BK)]
            visited_BG = np.array([[group in of_text[text] for group in order] for text in texts], dtype=np.float32)
            looked_BK = visited_BG @ member_GK > 0
            cells = {
                "presences": block_BK == PRESENT,
                "absences": (block_BK == ABSENT) & looked_BK & rare_K,
                "not_looked_for": (block_BK == NOT_SURVEYED) & looked_BK & ~rare_K,
            }
            for name, cells_BK in cells.items():
                found[name].append(np.argwhere(cells_BK) + np.array([start, 0]))
        pairs = {name: self._pairs(np.concatenate(parts)) for name, parts in found.items()}
        visits = [(row, group) for row, text in enumerate(groups) for group in sorted(of_text[text])]
        of_groups = [(group, name) for k, name in enumerate(self.species) if not rare_K[k] for group in belongs[name]]
        of_groups += [(_ALL, name) for name in sorted({*self.headers.values()} - {*self.species})]
        return {
            "presences": pairs["presences"],
            "absences": pairs["absences"],
            "not_looked_for": pairs["not_looked_for"],
            "visits": pl.DataFrame(visits, {"survey": pl.UInt32, "group": pl.String}, orient="row"),
            "groups": pl.DataFrame(of_groups, {"group": pl.String, "species": pl.String}, orient="row"),
        }

    def _found(self, groups: Sequence[str | None]) -> dict[str, set[str]]:
        """Species to the groups of the surveys that found it; those without a group looked for all."""
        found: dict[str, set[str]] = {name: set() for name in self.species}
        everything = frozenset(name for text in set(groups) for name in groups_of_cell(text))
        for start, block_BK in self._numbered():
            texts = groups[start : start + len(block_BK)]
            for text in set(texts):
                rows = [place for place, one in enumerate(texts) if one == text]
                for k in np.flatnonzero((block_BK[rows] == PRESENT).any(axis=0)):
                    found[self.species[k]] |= groups_of_cell(text)
        without = [name for name in self.species if not found[name]]
        for name in without:
            found[name] |= everything
        return found

    def _numbered(self) -> Iterator[tuple[int, NDArray[np.int8]]]:
        """The blocks, each with the number of its first survey."""
        start = 0
        for block_BK in self._blocks:
            yield start, block_BK
            start += len(block_BK)

    def _pairs(self, cells_P2: NDArray[np.int64]) -> pl.DataFrame:
        """Surveys and species of cells, given by row and column."""
        kinds = pl.Enum(self.species)
        names = pl.Series(self.species, dtype=kinds).gather(cells_P2[:, 1])
        return pl.DataFrame({"survey": cells_P2[:, 0].astype(np.uint32), "species": names})
