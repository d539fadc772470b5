"""Occurrence records as every reader of users' files returns them, before they become training data.

Shape legend: N records, S species.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError
from presence_only.data.sites import WEEKS


@dataclass(frozen=True, eq=False)
class Occurrences:
    """Cleaned records, one species each, in the order of the file; nothing is thrown away from here on in silence.

    Args:
        sites_N2: Longitude, latitude of every record, degrees WGS84.
        species_N: Species index of every record, 0 <= index < S.
        species: Name of every species, unique.
        groups: Taxon group of every species, such as its class (its target group).
        week_N: Week of the year of every record, 1..48, four a month; None where the file has no
            dates or none was asked for.
        filters: Each rule of the cleaning in the order of use, with the rows that remained after it;
            the first entry is ``("read", rows of the file)``.

    Raises:
        DataError: If no record is left, or shapes disagree.
    """

    sites_N2: Floats
    species_N: Ints
    species: tuple[str, ...]
    groups: tuple[str, ...]
    week_N: Ints | None = None
    filters: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if len(self.sites_N2) == 0:
            steps = "; ".join(f"{rule}: {rows:,}" for rule, rows in self.filters)
            raise DataError(f"no record is left after cleaning (rows left by each rule - {steps}); loosen a rule")
        if len(self.groups) != len(self.species):
            raise DataError(f"{len(self.species)} species names with {len(self.groups)} groups: each needs one")
        if self.species_N.shape != (len(self.sites_N2),):
            raise DataError(f"{len(self.species_N)} species for {len(self.sites_N2)} records: must agree")

    def take(self, rows: NDArray[Any]) -> Occurrences:
        """The records at ``rows`` (indices or a mask); the species stay all, also those without a record left."""
        week_N = None if self.week_N is None else self.week_N[rows]
        return Occurrences(self.sites_N2[rows], self.species_N[rows], self.species, self.groups, week_N, self.filters)


def week_of(month_N: Ints, day_N: Ints) -> Ints:
    """BirdNET's week of the year, 1..48: four a month, of which the last takes all days from the 22nd.

    Source: https://github.com/birdnet-team/geomodel

    Args:
        month_N: 1..12.
        day_N: 1..31.
    """
    week_N: Ints = (month_N - 1) * (WEEKS // 12) + np.minimum((day_N - 1) // 7, WEEKS // 12 - 1) + 1
    return week_N
