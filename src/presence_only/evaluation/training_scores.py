"""Scores of a model at its own training records and background sites: what thresholds and calibration are fitted to.

No survey is read. A place is a species' first record in a cell of the h3 grid, so that a spot that many people visit
counts once. Where there are very many places or background sites, some are drawn at random, by a stream with a name.

Shape legend: N training rows, R rows that have a place, P places, K background sites, S species, s some of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats, Ints
from presence_only.common.random_streams import numpy_stream
from presence_only.data.records import Background, PresenceRecords
from presence_only.evaluation.presence_thresholds import TrainingScores
from presence_only.geography.h3_cells import cells_of
from presence_only.occurrences.random_cap import at_most

Bools = NDArray[np.bool_]


class Logits(Protocol):
    """Logits at some sites, a part at a time."""

    def columns(self, species: slice) -> Floats:
        """Those of some species at all sites."""
        ...


class Scorer(Protocol):
    """A trained model, or several as one."""

    def scores(
        self, sites_M2: Floats, covariates_MC: Floats, week_M: Ints | None = None, *, species_Q: Ints | None = None
    ) -> Logits:
        """Logits at sites given in degrees; see :class:`~presence_only.model.interface.SpeciesModel`."""
        ...


# From some training rows to their sites, environment and weeks.
ReadRows = Callable[[Ints], tuple[Floats, Floats, Ints | None]]

# Cells of 36 square kilometres.
CELL_RESOLUTION = 6
# Pairs of species and place, and of species and background site, that are scored at most, unless that left fewer per
# species than the second number.
MOST_PLACES, FEWEST_PLACES = 2**20, 100
MOST_BACKGROUND, FEWEST_BACKGROUND = 2**21, 1000
# Species whose scores are held at a time.
_AT_ONCE = 64


@dataclass(frozen=True)
class Places:
    """Which records of every species count.

    Args:
        row_P: Training row of every place.
        start_S1: The places of species s are those from ``start_S1[s]`` to ``start_S1[s + 1]``.
    """

    row_P: Ints
    start_S1: Ints

    @classmethod
    def of(cls, records: PresenceRecords) -> Places:
        """The first record of every species in every cell; of many places some at random."""
        cell_N = cells_of(records.sites_N2, CELL_RESOLUTION)
        # By species, then by cell, then by row.
        order_P = np.lexsort((records.row_P, cell_N[records.row_P], records.species_P))
        row_P, species_P = records.row_P[order_P], records.species_P[order_P]
        first_P = np.ones(len(row_P), dtype=bool)
        first_P[1:] = (np.diff(species_P) != 0) | (cell_N[row_P[1:]] != cell_N[row_P[:-1]])
        row_P, species_P = row_P[first_P], species_P[first_P]
        limit = max(FEWEST_PLACES, MOST_PLACES // records.n_species)
        if np.bincount(species_P).max() > limit:
            kept_P = at_most(species_P, limit, numpy_stream(0, "places of thresholds"))
            row_P, species_P = row_P[kept_P], species_P[kept_P]
        return cls(row_P, np.searchsorted(species_P, np.arange(records.n_species + 1)))


@dataclass(frozen=True, eq=False)
class TrainingSites:
    """Where a model is asked for scores that thresholds and calibration are fitted to.

    Args:
        sites_R2: Longitude, latitude in degrees of every training row that has a place.
        covariates_RC: Their environment.
        week_R: Their weeks; None: scores are of any time of the year.
        row_P: Row, an index into R, of every place; those of a species stand together.
        start_S1: The places of species s are those from ``start_S1[s]`` to ``start_S1[s + 1]``.
        background: Background sites, with weeks if and only if rows have them.
        counts_GK: Which background sites count for a taxon group; None: all count for all.
        group_S: Taxon group of every species, an index.
    """

    sites_R2: Floats
    covariates_RC: Floats
    week_R: Ints | None
    row_P: Ints
    start_S1: Ints
    background: Background
    counts_GK: Bools | None
    group_S: Ints

    @classmethod
    def of(
        cls, records: PresenceRecords, background: Background, *, weeks: bool, read: ReadRows | None = None
    ) -> TrainingSites:
        """The places of some records, and background sites.

        Args:
            records: What was recorded, without what label propagation added.
            background: All background sites; of many some are drawn.
            weeks: Whether scores are of the weeks of the records; otherwise they are of any time of the year.
            read: Reads rows with their environment and weeks, for records that come without; None: records have them.
        """
        places = Places.of(records)
        rows, row_P = np.unique(places.row_P, return_inverse=True)
        sites_R2, covariates_RC, week_R = (read or _rows_of(records))(rows)
        limit = max(FEWEST_BACKGROUND, MOST_BACKGROUND // records.n_species)
        background = _some(background, limit)
        names, group_S = np.unique(np.array(records.groups), return_inverse=True)
        counts_GK = None
        if background.groups_K is not None:
            group_K = np.array(background.groups_K)
            counts_GK = (group_K[None, :] == names[:, None]) | (group_K == "")[None, :]
        return cls(
            sites_R2=sites_R2,
            covariates_RC=covariates_RC,
            week_R=week_R if weeks else None,
            row_P=row_P,
            start_S1=places.start_S1,
            background=background if weeks else _without_weeks(background),
            counts_GK=counts_GK,
            group_S=group_S,
        )

    @property
    def n_species(self) -> int:
        """S."""
        return len(self.start_S1) - 1


def training_scores(model: Scorer, sites: TrainingSites, species_Q: Ints | None = None) -> Iterator[TrainingScores]:
    """The scores of species after species.

    Args:
        model: A trained model.
        sites: Those of its training data.
        species_Q: Which species, ascending; None: all.
    """
    species_Q = np.arange(sites.n_species) if species_Q is None else np.asarray(species_Q)
    background = sites.background
    at_background = model.scores(background.sites_K2, background.covariates_KC, background.week_K, species_Q=species_Q)
    for first in range(0, len(species_Q), _AT_ONCE):
        some = species_Q[first : first + _AT_ONCE]
        background_Ks = at_background.columns(slice(first, first + len(some)))
        for i, places_P in enumerate(_at_places(model, sites, some)):
            background_K = background_Ks[:, i]
            if sites.counts_GK is not None:
                background_K = background_K[sites.counts_GK[sites.group_S[some[i]]]]
            yield TrainingScores(np.sort(places_P), np.sort(background_K))


def _at_places(model: Scorer, sites: TrainingSites, species_s: Ints) -> Iterator[Floats]:
    """Logits of some species at the places of each."""
    own = [slice(sites.start_S1[s], sites.start_S1[s + 1]) for s in species_s]
    # Of all these species at the rows of all: the network takes longer than the species after it.
    rows, row_P = np.unique(np.concatenate([sites.row_P[part] for part in own]), return_inverse=True)
    week_R = None if sites.week_R is None else sites.week_R[rows]
    logits_Rs = model.scores(sites.sites_R2[rows], sites.covariates_RC[rows], week_R, species_Q=species_s).columns(
        slice(None)
    )
    end = 0
    for i, part in enumerate(own):
        start, end = end, end + part.stop - part.start
        yield logits_Rs[row_P[start:end], i]


def _rows_of(records: PresenceRecords) -> ReadRows:
    """Reads rows of records that are held."""
    week_N = records.week_N
    return lambda row_R: (
        records.sites_N2[row_R],
        records.covariates_NC[row_R],
        None if week_N is None else week_N[row_R],
    )


def _some(background: Background, limit: int) -> Background:
    """At most so many of the sites, at random."""
    n_sites = len(background.sites_K2)
    if n_sites <= limit:
        return background
    kept_K = np.sort(numpy_stream(0, "background of thresholds").choice(n_sites, limit, replace=False))
    return Background(
        background.kind,
        background.sites_K2[kept_K],
        background.covariates_KC[kept_K],
        None if background.groups_K is None else tuple(background.groups_K[k] for k in kept_K),
        None if background.week_K is None else background.week_K[kept_K],
    )


def _without_weeks(background: Background) -> Background:
    """The same sites at any time of the year."""
    if background.week_K is None:
        return background
    return Background(background.kind, background.sites_K2, background.covariates_KC, background.groups_K)
