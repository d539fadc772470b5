"""Truth of surveys: which species of training were found, looked for in vain, or not looked for, at every site.

Shape legend: V surveys as the file has them, M survey sites, S species, P pairs of survey and species.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.arrays import Ints
from presence_only.common.errors import DataError
from presence_only.data.truth import ABSENT, NOT_SURVEYED, PRESENT, SurveyTruth
from presence_only.surveys.rows import SurveyRows


def match_names(names: Iterable[str], species: Sequence[str]) -> dict[str, int]:
    """The place among the species of training of every name of the survey; -1 where training does not know it.

    A name that differs in case alone is the same. R writes an X before a name of a column that begins with a digit.
    """
    exact = {name: place for place, name in enumerate(species)}
    folded: dict[str, int] = {}
    for place, name in enumerate(species):
        # Two species that differ in case alone are told apart by their case.
        folded[name.casefold()] = -1 if name.casefold() in folded else place
    found = {}
    for name in names:
        place = exact.get(name, folded.get(name.casefold(), -1))
        if place < 0 and name[:1] == "X" and name[1:2].isdigit():
            place = exact.get(name[1:], -1)
        found[name] = place
    return found


@dataclass(frozen=True, eq=False)
class LookedFor:
    """What was found and looked for, as numbers of surveys and of species of training.

    Args:
        n_surveys: Number of surveys V.
        patterns: The numbers of groups that species have, each combination once.
        pattern_S: Combination of every species of training that is in a group, by its index.
        visits: Survey and group of every visit.
        pairs: Survey and species of ``presences``, ``absences`` and ``not_looked_for``.
    """

    n_surveys: int
    patterns: tuple[frozenset[int], ...]
    pattern_S: Mapping[int, int]
    visits: tuple[Ints, Ints]
    pairs: Mapping[str, tuple[Ints, Ints]]

    @classmethod
    def of(cls, rows: SurveyRows, match: Mapping[str, int], ids: pl.Series) -> Self:
        """Numbers in place of ids and names; species that training does not know are left out."""
        pairs = {}
        for name in ("presences", "absences", "not_looked_for"):
            table = getattr(rows, name)
            if table is None:
                table = rows.presences.clear()
            species_P = _numbers(table["species"], match)
            pairs[name] = (_places(table["survey"], ids)[species_P >= 0], species_P[species_P >= 0])
        groups_of: dict[int, set[int]] = {}
        visits = (np.empty(0, np.int64), np.empty(0, np.int64))
        if rows.visits is not None and rows.groups is not None:
            names = rows.groups["group"].unique().sort()
            number = {group: place for place, group in enumerate(names)}
            for group, species in rows.groups.select("group", pl.col("species").cast(pl.String)).unique().iter_rows():
                if match[species] >= 0:
                    groups_of.setdefault(match[species], set()).add(number[group])
            group_P = _numbers(rows.visits["group"], number)
            visits = (_places(rows.visits["survey"], ids)[group_P >= 0], group_P[group_P >= 0])
        patterns = sorted({frozenset(groups) for groups in groups_of.values()}, key=sorted)
        place = {pattern: i for i, pattern in enumerate(patterns)}
        pattern_S = {species: place[frozenset(groups)] for species, groups in groups_of.items()}
        return cls(len(ids), tuple(patterns), pattern_S, visits, pairs)

    def visited(self, pattern: int) -> NDArray[np.bool_]:
        """Whether a survey looked for a combination of groups, shape (V,)."""
        visited_V = np.zeros(self.n_surveys, dtype=bool)
        survey_P, group_P = self.visits
        visited_V[survey_P[np.isin(group_P, list(self.patterns[pattern]))]] = True
        return visited_V

    def useful(self) -> NDArray[np.bool_]:
        """Whether a survey says something of a species of training, shape (V,)."""
        survey_P, species_P = self.pairs["not_looked_for"]
        species_Q, survey_Q = np.divmod(np.unique(species_P * self.n_surveys + survey_P), self.n_surveys)
        pattern_Q = np.array([self.pattern_S.get(s, -1) for s in range(int(species_Q.max(initial=-1)) + 1)], int)[
            species_Q
        ]
        left_V = np.zeros(self.n_surveys, dtype=np.int64)
        for pattern, times in Counter(self.pattern_S.values()).items():
            visited_V = self.visited(pattern)
            excepted_V = np.bincount(survey_Q[pattern_Q == pattern], minlength=self.n_surveys)
            left_V += np.where(visited_V, times - excepted_V, 0)
        useful_V: NDArray[np.bool_] = left_V > 0
        for name in ("presences", "absences"):
            useful_V[self.pairs[name][0]] = True
        return useful_V

    def truth(self, site_V: Ints, n_sites: int, n_species: int) -> tuple[SurveyTruth, NDArray[np.bool_]]:
        """The truth (M, S), and whether a species was found, shape (S,).

        Raises:
            DataError: If no species is present at one site and absent from another.
        """
        present, absent = (
            _by_species(site_V[self.pairs[name][0]], self.pairs[name][1], n_species)
            for name in ("presences", "absences")
        )
        survey_P, species_P = self.pairs["not_looked_for"]
        without = _by_species(np.where(site_V[survey_P] >= 0, survey_P, -1), species_P, n_species)
        visited = [self.visited(pattern) & (site_V >= 0) for pattern in range(len(self.patterns))]
        visits_PM = [np.bincount(site_V[visited_V], minlength=n_sites) for visited_V in visited]
        looked_PM = [np.where(visits_M > 0, ABSENT, NOT_SURVEYED).astype(np.int8) for visits_M in visits_PM]

        def column(s: int) -> NDArray[np.int8]:
            if s in self.pattern_S:
                pattern = self.pattern_S[s]
                truth_M = looked_PM[pattern].copy()
                surveys = without.of(s)
                # A site was not looked at for the species if every visit of its groups is an exception.
                sites, times = np.unique(site_V[surveys[visited[pattern][surveys]]], return_counts=True)
                truth_M[sites[times == visits_PM[pattern][sites]]] = NOT_SURVEYED
            else:
                truth_M = np.full(n_sites, NOT_SURVEYED, dtype=np.int8)
            truth_M[absent.of(s)] = ABSENT
            truth_M[present.of(s)] = PRESENT
            if len(present.of(s)) and not (truth_M == ABSENT).any():
                truth_M[:] = NOT_SURVEYED
            return truth_M

        truth = SurveyTruth.of_columns(n_sites, n_species, column)
        if not truth.presences_per_species().any():
            raise DataError(
                "evaluation: no species of training is present at one site of the survey and absent from another; "
                "a species is absent where it was looked for and not found"
            )
        return truth, present.any_S


@dataclass(frozen=True, eq=False)
class _BySpecies:
    """Places, each once, of every species."""

    start_S1: Ints
    place_P: Ints

    def of(self, s: int) -> Ints:
        """The places of a species, ascending."""
        return self.place_P[self.start_S1[s] : self.start_S1[s + 1]]

    @property
    def any_S(self) -> NDArray[np.bool_]:
        """Whether a species has a place."""
        any_S: NDArray[np.bool_] = np.diff(self.start_S1) > 0
        return any_S


def _by_species(place_P: Ints, species_P: Ints, n_species: int) -> _BySpecies:
    """Pairs of place and species, without those whose place is -1."""
    kept_P = place_P >= 0
    width = int(place_P.max(initial=0)) + 1
    species_Q, place_Q = np.divmod(np.unique(species_P[kept_P] * width + place_P[kept_P]), width)
    return _BySpecies(np.searchsorted(species_Q, np.arange(n_species + 1)), place_Q)


def _numbers(column: pl.Series, number: Mapping[str, int]) -> NDArray[np.int64]:
    """Numbers in place of names, -1 for a name without one, shape (P,)."""
    if isinstance(column.dtype, pl.Enum):
        number_N = np.array([number.get(name, -1) for name in column.dtype.categories], dtype=np.int64)
        given_P: NDArray[np.int64] = number_N[column.to_physical().to_numpy()]
        return given_P
    names = column.unique()
    numbers = pl.Series([number.get(name, -1) for name in names], dtype=pl.Int64)
    number_P: NDArray[np.int64] = column.replace_strict(names, numbers, return_dtype=pl.Int64).to_numpy()
    # An empty column loses its type.
    return number_P.astype(np.int64)


def _places(column: pl.Series, ids: pl.Series) -> NDArray[np.int64]:
    """The place of every id among all, shape (P,)."""
    places = pl.DataFrame({"id": ids}).with_row_index("place")
    found = column.to_frame("id").join(places, on="id", how="left", maintain_order="left")
    place_P: NDArray[np.int64] = found["place"].to_numpy().astype(np.int64)
    return place_P
