"""Presence-only records and background sites.

Shape legend: N training rows, P positives, K background sites, C covariates, S species.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError
from presence_only.data.sites import check_covariates, check_sites, check_weeks


@dataclass(frozen=True)
class PresenceRecords:
    """Where species were seen; nothing about where they were not.

    A training row is one site with at least one species. With one record a row, ``row_P`` is
    ``arange(P)``; a checklist is a row with several positives.

    Args:
        sites_N2: Longitude, latitude of every row, degrees WGS84.
        covariates_NC: Environment at every row in its own units; NaN where unknown; C may be 0.
        row_P: Row of every positive, ascending.
        species_P: Species index of every positive, 0 <= index < S.
        species: Name of every species, unique.
        groups: Taxon group of every species (its target group).
        covariate_names: Name of every covariate, with its unit.
        week_N: Week of the year of every row, 1..48, four a month; None where the data has no dates.

    Raises:
        DataError: If it is empty, a species has no record, a coordinate is outside the globe, a week
            is outside 1..48, or shapes disagree.
    """

    sites_N2: Floats
    covariates_NC: Floats
    row_P: Ints
    species_P: Ints
    species: tuple[str, ...]
    groups: tuple[str, ...]
    covariate_names: tuple[str, ...] = ()
    week_N: Ints | None = None

    def __post_init__(self) -> None:
        if len(self.sites_N2) == 0 or len(self.species_P) == 0:
            raise DataError("the data set has no presence records; at least one is needed")
        check_sites(self.sites_N2, "record")
        check_weeks(self.week_N, self.sites_N2, "record")
        check_covariates(self.covariates_NC, self.sites_N2, self.covariate_names)
        if len(self.groups) != len(self.species) or len(set(self.species)) != len(self.species):
            raise DataError(
                f"{len(self.species)} species names with {len(self.groups)} groups: "
                "names must be unique and each needs one group"
            )
        if len(self.row_P) != len(self.species_P):
            raise DataError(f"{len(self.row_P)} rows for {len(self.species_P)} positives: must agree")
        if np.any(np.diff(self.row_P) < 0) or self.row_P[0] < 0 or self.row_P[-1] >= self.n_rows:
            raise DataError(f"rows of positives must ascend within 0..{self.n_rows - 1}")
        if self.species_P.min() < 0 or self.species_P.max() >= self.n_species:
            raise DataError(f"species indices must lie within 0..{self.n_species - 1}")
        counts = self.records_per_species()
        if counts.min() == 0:
            names = [name for name, count in zip(self.species, counts, strict=True) if count == 0]
            raise DataError(
                f"species {names[0]!r} has no records ({len(names)} such species); every species needs at least one"
            )

    @property
    def n_rows(self) -> int:
        """Number of training rows N."""
        return len(self.sites_N2)

    @property
    def n_species(self) -> int:
        """Number of species S."""
        return len(self.species)

    def records_per_species(self) -> NDArray[np.int64]:
        """Number of positives of every species, shape (S,)."""
        return np.bincount(self.species_P, minlength=self.n_species)


@dataclass(frozen=True)
class Background:
    """Sites without any observation, which a loss may assume empty.

    Args:
        kind: How the sites were drawn: ``uniform`` on the sphere, ``land``, ``range``, ``target_group``, ``raster`` or
            ``given``.
        sites_K2: Longitude, latitude in degrees WGS84.
        covariates_KC: Environment at the sites, the columns of the records.
        groups_K: Taxon group whose observers visited the site; the empty string counts for every group.
        week_K: Week of the year at every site, 1..48; given if and only if the records have weeks.
    """

    kind: str
    sites_K2: Floats
    covariates_KC: Floats
    groups_K: tuple[str, ...] | None = None
    week_K: Ints | None = None

    def __post_init__(self) -> None:
        if len(self.sites_K2) == 0:
            raise DataError("the background has no sites; at least one is needed")
        check_sites(self.sites_K2, "background site")
        check_weeks(self.week_K, self.sites_K2, "background site")
        if self.groups_K is not None and len(self.groups_K) != len(self.sites_K2):
            raise DataError(f"{len(self.groups_K)} groups for {len(self.sites_K2)} background sites: must agree")
