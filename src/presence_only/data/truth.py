"""Truth of a survey: present, absent or not surveyed, for every species at every site.

Shape legend: M survey sites, m some of them, S species, s some of them, Q species in an order of their own, P listed
pairs of site and species.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from presence_only.common.array_likes import as_array
from presence_only.common.arrays import Ints
from presence_only.common.errors import DataError
from presence_only.common.matrices import is_matrix

PRESENT, ABSENT, NOT_SURVEYED = 1, 0, -1
# Comparisons that are held at a time while counting: 16 MB.
_COMPARED = 2**24
# Pairs of site and species that are held as a matrix without a thought: 64 MB.
_SMALL = 2**26
# Bytes of a listed pair: the site in int32, the label in int8.
_LISTED_BYTES = 5


@dataclass(frozen=True, eq=False)
class SurveyTruth:
    """The truth (M, S) of a survey in int8: 1 present, 0 absent, -1 not surveyed; a ``Matrix`` of ``common.matrices``.

    It is held as a matrix (:meth:`of_matrix`) or, where that would not fit, as a list of sites per species
    (:meth:`of_presences`, :meth:`of_labels`); :meth:`of_columns` chooses. Whoever reads it cannot tell.
    """

    _form: _Dense | _Lists

    @classmethod
    def of_matrix(cls, truth_MS: ArrayLike) -> Self:
        """Truth at hand as a matrix, which is not copied if it is an array in int8.

        Args:
            truth_MS: Integers or bool: 1 present, 0 absent, -1 not surveyed; an array, or what
                :func:`~presence_only.common.array_likes.as_array` takes.

        Raises:
            DataError: If it has another number of dimensions than two, another type or another value.
        """
        truth_MS = as_array("truth", truth_MS)
        if truth_MS.ndim != 2:
            raise DataError(f"truth has shape {truth_MS.shape}: must be (sites, species)")
        if truth_MS.dtype != np.bool_ and not np.issubdtype(truth_MS.dtype, np.integer):
            raise DataError(f"truth has dtype {truth_MS.dtype}: it must hold the integers 1, 0 and -1")
        lowest, highest = (truth_MS.min(), truth_MS.max()) if truth_MS.size else (ABSENT, PRESENT)
        if lowest < NOT_SURVEYED or highest > PRESENT:
            found = lowest if lowest < NOT_SURVEYED else highest
            raise DataError(f"truth holds {found}: it must be 1 present, 0 absent or -1 not surveyed")
        return cls(_Dense(truth_MS.astype(np.int8, copy=False)))

    @classmethod
    def of_presences(cls, n_sites: int, n_species: int, presences: Mapping[int, Ints]) -> Self:
        """Truth of range maps: a species is absent wherever it is not listed as present.

        Args:
            n_sites: Number of sites M.
            n_species: Number of species S.
            presences: Sites where a species is present, by its index, in any order; a species that
                is missing was surveyed nowhere.

        Raises:
            DataError: If a species or a site is out of range, or a site is listed twice for a species.
        """
        labels = {s: (sites, np.ones(len(sites), dtype=np.int8)) for s, sites in presences.items()}
        return cls(_Lists.of(n_sites, n_species, labels, ABSENT))

    @classmethod
    def of_labels(cls, n_sites: int, n_species: int, labels: Mapping[int, tuple[Ints, Ints]]) -> Self:
        """Truth of surveys that visit other sites for every species.

        Args:
            n_sites: Number of sites M.
            n_species: Number of species S.
            labels: The sites surveyed for a species, by its index, in any order, and their labels,
                1 present or 0 absent; at other sites it was not surveyed.

        Raises:
            DataError: If a species, a site or a label is out of range, or a site is listed twice for a species.
        """
        return cls(_Lists.of(n_sites, n_species, labels, NOT_SURVEYED))

    @classmethod
    def of_columns(cls, n_sites: int, n_species: int, column: Callable[[int], NDArray[np.int8]]) -> Self:
        """Truth that is made one species at a time, held in the form that takes less memory.

        Args:
            n_sites: Number of sites M.
            n_species: Number of species S.
            column: From the index of a species to its truth (M,) in int8; asked up to twice per species.

        Raises:
            DataError: If a column has another shape or another value than 1, 0 and -1.
        """
        elsewhere_S = np.full(n_species, NOT_SURVEYED, dtype=np.int8)
        length_S = np.zeros(n_species, dtype=np.int64)
        if n_sites * n_species > _SMALL:
            for s in range(n_species):
                truth_M = column(s)
                n_absent, n_present = (np.count_nonzero(truth_M == value) for value in (ABSENT, PRESENT))
                n_unknown = n_sites - n_absent - n_present
                elsewhere_S[s] = ABSENT if n_absent > n_unknown else NOT_SURVEYED
                length_S[s] = n_present + min(n_absent, n_unknown)
        if n_sites * n_species <= _SMALL or length_S.sum() * _LISTED_BYTES >= n_sites * n_species:
            truth_MS = np.empty((n_sites, n_species), dtype=np.int8, order="F")
            for s in range(n_species):
                truth_MS[:, s] = column(s)
            return cls.of_matrix(truth_MS)
        start_S1 = np.r_[0, np.cumsum(length_S)]
        site_P, label_P = np.empty(start_S1[-1], np.int32), np.empty(start_S1[-1], np.int8)
        for s in range(n_species):
            truth_M = column(s)
            listed = slice(start_S1[s], start_S1[s + 1])
            site_P[listed] = np.flatnonzero(truth_M != elsewhere_S[s])
            label_P[listed] = truth_M[site_P[listed]]
        return cls(_Lists(n_sites, elsewhere_S, start_S1, site_P, label_P))

    @property
    def shape(self) -> tuple[int, int]:
        """(M, S)."""
        return self._form.shape

    def columns(self, species: slice) -> NDArray[np.int8]:
        """Truth (M, s) of some species at all sites."""
        return self._form.columns(species)

    def rows(self, sites: slice) -> NDArray[np.int8]:
        """Truth (m, S) of all species at some sites, a slice without a step."""
        return self._form.rows(sites)

    def matrix(self) -> NDArray[np.int8]:
        """The whole truth (M, S), for surveys known to be small."""
        return self._form.columns(slice(None))

    def of_species(self, species_Q: Ints) -> Self:
        """The truth (M, Q) of some species, in their order."""
        return type(self)(self._form.of_species(species_Q))

    def presences_per_species(self) -> NDArray[np.int64]:
        """Number of sites where each species is present, shape (S,)."""
        return self._form.count_at_least(PRESENT)

    def surveyed_per_species(self) -> NDArray[np.int64]:
        """Number of sites where each species was surveyed, shape (S,)."""
        return self._form.count_at_least(ABSENT)

    def save(self, path: Path) -> None:
        """Write the truth to ``path``, an .npz."""
        self._form.save(path)

    @classmethod
    def load(cls, path: Path, n_sites: int) -> Self:
        """Read what :meth:`save` wrote."""
        with np.load(path) as arrays:
            if "truth_MS" in arrays:
                return cls.of_matrix(arrays["truth_MS"])
            site_P = np.cumsum(arrays["site_step_P"], dtype=np.int32)
            return cls(_Lists(n_sites, arrays["elsewhere_S"], arrays["start_S1"], site_P, arrays["label_P"]))


def as_truth(truth_MS: ArrayLike | SurveyTruth) -> SurveyTruth:
    """A matrix as a truth, see :meth:`SurveyTruth.of_matrix`; a truth as it is."""
    return truth_MS if is_matrix(truth_MS) else SurveyTruth.of_matrix(truth_MS)  # type: ignore[return-value, arg-type]


@dataclass(frozen=True, eq=False)
class _Dense:
    """A truth as a matrix."""

    truth_MS: NDArray[np.int8]

    @property
    def shape(self) -> tuple[int, int]:
        n_sites, n_species = self.truth_MS.shape
        return n_sites, n_species

    def columns(self, species: slice) -> NDArray[np.int8]:
        return self.truth_MS[:, species]

    def rows(self, sites: slice) -> NDArray[np.int8]:
        return self.truth_MS[sites]

    def of_species(self, species_Q: Ints) -> _Dense:
        return _Dense(self.truth_MS[:, species_Q])

    def count_at_least(self, value: int) -> NDArray[np.int64]:
        """Sites of every species that hold at least a value, counted without a matrix of comparisons."""
        n_sites, n_species = self.truth_MS.shape
        count_S = np.zeros(n_species, dtype=np.int64)
        step = max(1, _COMPARED // max(1, n_species))
        for start in range(0, n_sites, step):
            count_S += np.count_nonzero(self.truth_MS[start : start + step] >= value, axis=0)
        return count_S

    def save(self, path: Path) -> None:
        np.savez_compressed(path, truth_MS=self.truth_MS)


@dataclass(frozen=True, eq=False)
class _Lists:
    """A truth as a list of sites per species, and one value elsewhere.

    Args:
        n_sites: Number of sites M.
        elsewhere_S: int8, what a species is at every site that is not listed for it: absent or not surveyed.
        start_S1: Species s is listed at places ``start_S1[s]`` to ``start_S1[s + 1]`` of site_P and label_P.
        site_P: Site of every listed pair, ascending within a species.
        label_P: int8, 1 present, 0 absent, -1 not surveyed.

    Raises:
        DataError: If a site is outside 0..M - 1 or listed twice for a species, a label is another, or shapes disagree.
    """

    n_sites: int
    elsewhere_S: NDArray[np.int8]
    start_S1: Ints
    site_P: Ints
    label_P: NDArray[np.int8]

    def __post_init__(self) -> None:
        if self.start_S1.shape != (len(self.elsewhere_S) + 1,) or np.any(np.diff(self.start_S1) < 0):
            raise DataError(f"the lists of {len(self.elsewhere_S)} species need as many ascending starts and an end")
        if not self.site_P.shape == self.label_P.shape == (self.start_S1[-1] - self.start_S1[0],):
            raise DataError(f"{len(self.site_P)} listed sites with {len(self.label_P)} labels: must agree")
        if not np.isin(self.elsewhere_S, (ABSENT, NOT_SURVEYED)).all():
            raise DataError("where it is not listed, a species must be 0 absent or -1 not surveyed")
        if np.any((self.label_P < NOT_SURVEYED) | (self.label_P > PRESENT)):
            raise DataError("truth must hold the values 1 present, 0 absent, -1 not surveyed")
        if len(self.site_P) == 0:
            return
        if self.site_P.min() < 0 or self.site_P.max() >= self.n_sites:
            raise DataError(f"listed sites must lie within 0..{self.n_sites - 1}")
        ascends_P = np.diff(self.site_P) > 0
        starts = self.start_S1[1:-1]
        ascends_P[starts[(starts > 0) & (starts < len(self.site_P))] - 1] = True
        if not ascends_P.all():
            raise DataError("the sites listed for a species must ascend, none twice")

    @classmethod
    def of(cls, n_sites: int, n_species: int, lists: Mapping[int, tuple[Ints, Ints]], elsewhere: int) -> Self:
        """Lists of any order by species; a species without one was surveyed nowhere."""
        elsewhere_S = np.full(n_species, NOT_SURVEYED, dtype=np.int8)
        length_S = np.zeros(n_species, dtype=np.int64)
        sites, labels = [np.empty(0, np.int32)], [np.empty(0, np.int8)]
        for species in sorted(lists):
            if not 0 <= species < n_species:
                raise DataError(f"species index {species} is listed; indices must lie within 0..{n_species - 1}")
            site_P, label_P = (np.asarray(values) for values in lists[species])
            if site_P.shape != label_P.shape or site_P.ndim != 1:
                raise DataError(
                    f"species index {species} has {site_P.size} sites with {label_P.size} labels: must agree"
                )
            if site_P.size and not 0 <= int(site_P.min()) <= int(site_P.max()) < n_sites:
                raise DataError(f"species index {species} is listed outside of the sites 0..{n_sites - 1}")
            if not np.isin(label_P, (PRESENT, ABSENT)).all():
                raise DataError(f"species index {species} has another label than 1 present and 0 absent")
            order = np.argsort(site_P, kind="stable")
            sites.append(site_P[order].astype(np.int32))
            labels.append(label_P[order].astype(np.int8))
            elsewhere_S[species], length_S[species] = elsewhere, len(site_P)
        return cls(n_sites, elsewhere_S, np.r_[0, np.cumsum(length_S)], np.concatenate(sites), np.concatenate(labels))

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_sites, len(self.elsewhere_S)

    def of_species(self, species_Q: Ints) -> _Lists:
        place_P = np.concatenate(
            [np.arange(self.start_S1[s], self.start_S1[s + 1]) for s in species_Q] or [np.empty(0, dtype=np.int64)]
        )
        start_Q1 = np.r_[0, np.cumsum(np.diff(self.start_S1)[species_Q])]
        return _Lists(self.n_sites, self.elsewhere_S[species_Q], start_Q1, self.site_P[place_P], self.label_P[place_P])

    def columns(self, species: slice) -> NDArray[np.int8]:
        truth_Ms = np.empty((self.n_sites, len(self.elsewhere_S[species])), dtype=np.int8, order="F")
        truth_Ms[:] = self.elsewhere_S[species]
        for column, s in enumerate(range(*species.indices(len(self.elsewhere_S)))):
            listed = slice(self.start_S1[s], self.start_S1[s + 1])
            truth_Ms[self.site_P[listed], column] = self.label_P[listed]
        return truth_Ms

    def rows(self, sites: slice) -> NDArray[np.int8]:
        start, stop, step = sites.indices(self.n_sites)
        if step != 1:
            raise ValueError(f"sites = {sites}: must be a slice without a step")
        truth_mS = np.empty((max(stop - start, 0), len(self.elsewhere_S)), dtype=np.int8)
        truth_mS[:] = self.elsewhere_S
        first_S, last_S = self._first_listed(start), self._first_listed(stop)
        for s in np.flatnonzero(last_S > first_S):
            listed = slice(first_S[s], last_S[s])
            truth_mS[self.site_P[listed] - start, s] = self.label_P[listed]
        return truth_mS

    def count_at_least(self, value: int) -> NDArray[np.int64]:
        listed_P1 = np.concatenate([[0], np.cumsum(self.label_P >= value, dtype=np.int64)])
        unlisted_S = np.where(self.elsewhere_S >= value, self.n_sites - np.diff(self.start_S1), 0)
        return unlisted_S + np.diff(listed_P1[self.start_S1])

    def save(self, path: Path) -> None:
        np.savez_compressed(
            path,
            elsewhere_S=self.elsewhere_S,
            start_S1=self.start_S1,
            # Steps between listed sites are small numbers, which compress well.
            site_step_P=np.diff(self.site_P, prepend=0).astype(np.int32),
            label_P=self.label_P,
        )

    def _first_listed(self, site: int) -> NDArray[np.int64]:
        """For every species the place of its first listed site that is at least ``site``: bisection of all lists."""
        low_S, high_S = self.start_S1[:-1].astype(np.int64), self.start_S1[1:].astype(np.int64)
        while (open_S := low_S < high_S).any():
            middle_S = (low_S + high_S) // 2
            below_S = open_S.copy()
            below_S[open_S] = self.site_P[middle_S[open_S]] < site
            low_S = np.where(below_S, middle_S + 1, low_S)
            high_S = np.where(open_S & ~below_S, middle_S, high_S)
        return low_S
