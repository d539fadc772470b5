"""What a survey found, as a matrix or, where that would not fit, as lists of sites a species.

Shape legend: M survey sites, S species, s some of them, m some sites.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from presence_only.common.errors import DataError

Ints = NDArray[np.integer[Any]]

PRESENT, ABSENT, NOT_SURVEYED = 1, 0, -1


@dataclass(frozen=True, eq=False)
class ListedTruth:
    """The truth of a survey too large for a matrix: for every species a list of sites, and one value elsewhere.

    It reads like a matrix (M, S), a part at a time. :meth:`of_presences` and :meth:`of_labels` make one.

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
    def of_presences(cls, n_sites: int, n_species: int, presences: Mapping[int, Ints]) -> Self:
        """Truth of range maps: a species is absent wherever it is not listed as present.

        Args:
            n_sites: Number of sites M.
            n_species: Number of species S.
            presences: Sites where a species is present, by its index, in any order; a species that
                is missing was surveyed nowhere.
        """
        labels = {s: (sites, np.ones(len(sites), dtype=np.int8)) for s, sites in presences.items()}
        return cls._of_lists(n_sites, n_species, labels, ABSENT)

    @classmethod
    def of_labels(cls, n_sites: int, n_species: int, labels: Mapping[int, tuple[Ints, Ints]]) -> Self:
        """Truth of surveys that visit other sites for every species.

        Args:
            n_sites: Number of sites M.
            n_species: Number of species S.
            labels: The sites surveyed for a species, by its index, in any order, and their labels,
                1 present or 0 absent; at other sites it was not surveyed.
        """
        return cls._of_lists(n_sites, n_species, labels, NOT_SURVEYED)

    @classmethod
    def _of_lists(cls, n_sites: int, n_species: int, lists: Mapping[int, tuple[Ints, Ints]], elsewhere: int) -> Self:
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
        """(M, S)."""
        return self.n_sites, len(self.elsewhere_S)

    def of_species(self, species_Q: Ints) -> Self:
        """The truth of some species, in their order."""
        place_P = np.concatenate(
            [np.arange(self.start_S1[s], self.start_S1[s + 1]) for s in species_Q] or [np.empty(0, dtype=np.int64)]
        )
        start_Q1 = np.r_[0, np.cumsum(np.diff(self.start_S1)[species_Q])]
        return type(self)(
            self.n_sites, self.elsewhere_S[species_Q], start_Q1, self.site_P[place_P], self.label_P[place_P]
        )

    def columns(self, species: slice) -> NDArray[np.int8]:
        """Truth (M, s) of some species at all sites."""
        truth_Ms = np.empty((self.n_sites, len(self.elsewhere_S[species])), dtype=np.int8, order="F")
        truth_Ms[:] = self.elsewhere_S[species]
        for column, s in enumerate(range(*species.indices(len(self.elsewhere_S)))):
            listed = slice(self.start_S1[s], self.start_S1[s + 1])
            truth_Ms[self.site_P[listed], column] = self.label_P[listed]
        return truth_Ms

    def rows(self, sites: slice) -> NDArray[np.int8]:
        """Truth (m, S) of all species at some sites."""
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

    def presences_per_species(self) -> NDArray[np.int64]:
        """Number of sites where each species is present, shape (S,)."""
        return self._listed_per_species(self.label_P == PRESENT)

    def surveyed_per_species(self) -> NDArray[np.int64]:
        """Number of sites where each species was surveyed, shape (S,)."""
        unlisted_S = np.where(self.elsewhere_S == ABSENT, self.n_sites - np.diff(self.start_S1), 0)
        return unlisted_S + self._listed_per_species(self.label_P >= ABSENT)

    def _listed_per_species(self, counts_P: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Number of listed pairs of every species that count."""
        sums_P1 = np.concatenate([[0], np.cumsum(counts_P, dtype=np.int64)])
        return np.diff(sums_P1[self.start_S1])

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


def count_rows(truth_MS: NDArray[np.int8], at_least: int) -> NDArray[np.int64]:
    """Number of rows of every column that hold at least a value, without a matrix of comparisons."""
    count_S = np.zeros(truth_MS.shape[1], dtype=np.int64)
    rows = max(1, 2**24 // max(1, truth_MS.shape[1]))
    for start in range(0, len(truth_MS), rows):
        count_S += np.count_nonzero(truth_MS[start : start + rows] >= at_least, axis=0)
    return count_S


def save_truth(path: Path, truth_MS: NDArray[np.int8] | ListedTruth) -> None:
    """Write a truth of either form; steps between listed sites are small numbers, which compress well."""
    if isinstance(truth_MS, ListedTruth):
        np.savez_compressed(
            path,
            elsewhere_S=truth_MS.elsewhere_S,
            start_S1=truth_MS.start_S1,
            site_step_P=np.diff(truth_MS.site_P, prepend=0).astype(np.int32),
            label_P=truth_MS.label_P,
        )
    else:
        np.savez_compressed(path, truth_MS=truth_MS)


def load_truth(path: Path, n_sites: int) -> NDArray[np.int8] | ListedTruth:
    """Read what :func:`save_truth` wrote."""
    with np.load(path) as arrays:
        if "truth_MS" in arrays:
            dense_MS: NDArray[np.int8] = arrays["truth_MS"]
            return dense_MS
        site_P = np.cumsum(arrays["site_step_P"], dtype=np.int32)
        return ListedTruth(n_sites, arrays["elsewhere_S"], arrays["start_S1"], site_P, arrays["label_P"])
