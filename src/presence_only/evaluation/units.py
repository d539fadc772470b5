"""The truth of some species or some sites, ready for ranking: what was surveyed, and where something is present.

It depends on the survey alone, so that it is made once for all models (:class:`TruthUnits`).

Shape legend: M survey sites, S species, U units (species or sites), N what a unit is ranked over (sites or species),
P presences of some units. Truth is 1 present, 0 absent, -1 not surveyed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from presence_only.data.truth import PRESENT, SurveyTruth

Array = NDArray[Any]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Unit = Literal["species", "site"]

# Pairs of site and species that are held whole, as scores and as truth: 64 MB of float32.
WHOLE = 2**24
# A tile of 512 rows of 64 columns and its copy fit the second cache.
_TILE = 512


@dataclass(frozen=True, eq=False)
class Units:
    """The truth of some species over the sites, or of some sites over the species.

    Args:
        truth_UN: int8, contiguous.
        surveyed_UN: What was surveyed; None: everything.
        n_surveyed_U: Number of surveyed pairs of every unit.
        place_P: Places of the presences in the flattened matrix, ascending.
        start_U1: The presences of unit u are those from ``start_U1[u]`` to ``start_U1[u + 1]``.
    """

    truth_UN: NDArray[np.int8]
    surveyed_UN: Bools | None
    n_surveyed_U: Ints
    place_P: Ints
    start_U1: Ints

    @classmethod
    def of(cls, truth_UN: Array) -> Units:
        """From a matrix in any memory order, which is copied if it is not contiguous."""
        truth_UN = contiguous(truth_UN)
        n_units, n_ranked = truth_UN.shape
        surveyed_UN, n_surveyed_U = None, np.full(n_units, n_ranked)
        if truth_UN.size and truth_UN.min() < 0:
            surveyed_UN = truth_UN >= 0
            n_surveyed_U = np.count_nonzero(surveyed_UN, axis=1)
        place_P = np.flatnonzero(truth_UN == PRESENT)
        start_U1 = np.searchsorted(place_P, np.arange(n_units + 1) * n_ranked)
        return cls(truth_UN, surveyed_UN, n_surveyed_U, place_P, start_U1)

    @cached_property
    def present_U(self) -> Ints:
        """The units that have a presence."""
        return np.flatnonzero(np.diff(self.start_U1))

    @cached_property
    def start_of_present(self) -> Ints:
        """``start_U1`` of the units that have a presence alone."""
        return np.append(self.start_U1[self.present_U], len(self.place_P))

    def surveyed(self, unit: int, values_N: Array) -> Array:
        """Of the values of one unit those that were surveyed; the array itself where all were."""
        return values_N if self.surveyed_UN is None else values_N.compress(self.surveyed_UN[unit])


class TruthUnits:
    """The truth of a survey as units, some at a time.

    Args:
        truth: The truth (M, S).
        keep: Whether units are kept for those who ask again for the same ones; only where there are few pairs.
    """

    def __init__(self, truth: SurveyTruth, *, keep: bool = False) -> None:
        self.truth = truth
        self.keeps = keep and truth.shape[0] * truth.shape[1] <= WHOLE
        self._kept: dict[tuple[Unit, int, int], Units] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """(M, S)."""
        return self.truth.shape

    @cached_property
    def n_presences_S(self) -> Ints:
        """Number of sites where each species is present."""
        return self.truth.presences_per_species()

    @cached_property
    def n_surveyed_S(self) -> Ints:
        """Number of sites where each species was surveyed."""
        return self.truth.surveyed_per_species()

    def species(self, part: slice) -> Units:
        """Some species, over the sites."""
        return self._units("species", part, lambda: self.truth.columns(part).T)

    def sites(self, part: slice) -> Units:
        """Some sites, over the species."""
        return self._units("site", part, lambda: self.truth.rows(part))

    def of(self, unit: Unit, part: slice) -> Units:
        """Some species or some sites."""
        return self.species(part) if unit == "species" else self.sites(part)

    def _units(self, unit: Unit, part: slice, truth_UN: Callable[[], Array]) -> Units:
        key = unit, part.start, part.stop
        if key in self._kept:
            return self._kept[key]
        units = Units.of(truth_UN())
        if self.keeps:
            self._kept[key] = units
        return units


def contiguous(chunk_UN: Array) -> Array:
    """A matrix in C order; a transpose is copied in tiles that fit the cache, four times faster than whole."""
    if chunk_UN.flags.c_contiguous:
        return chunk_UN
    copy_UN = np.empty(chunk_UN.shape, chunk_UN.dtype)
    for start in range(0, chunk_UN.shape[1], _TILE):
        copy_UN[:, start : start + _TILE] = chunk_UN[:, start : start + _TILE]
    return copy_UN
