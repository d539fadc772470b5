"""The survey: independent evaluation truth at sites.

Shape legend: M survey sites, C covariates, S species.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.arrays import Floats, Ints
from presence_only.common.atomic_files import read_json, write_folder, write_json
from presence_only.common.errors import DataError
from presence_only.data.sites import (
    check_covariates,
    check_sites,
    check_weeks,
    covariates_of,
    site_table,
    sites_of,
    weeks_of,
)
from presence_only.data.truth import ABSENT, NOT_SURVEYED, PRESENT, ListedTruth, count_rows, load_truth, save_truth


@dataclass(frozen=True)
class Survey:
    """The independent evaluation truth: present (1), absent (0) or not surveyed (-1).

    Only the evaluation reads one.

    Args:
        sites_M2: Longitude, latitude in degrees WGS84.
        covariates_MC: Environment at the sites, the columns of the records.
        truth_MS: int8, species in the order of the records' vocabulary; a :class:`ListedTruth` where a
            matrix would be too large.
        week_M: Week of the survey of every site, 1..48; None: presence at any time of the year.
    """

    kind: ClassVar[str] = "survey"

    sites_M2: Floats
    covariates_MC: Floats
    truth_MS: NDArray[np.int8] | ListedTruth
    species: tuple[str, ...]
    covariate_names: tuple[str, ...] = ()
    week_M: Ints | None = None

    def __post_init__(self) -> None:
        check_sites(self.sites_M2, "survey site")
        check_weeks(self.week_M, self.sites_M2, "survey site")
        check_covariates(self.covariates_MC, self.sites_M2, self.covariate_names)
        if self.truth_MS.shape != (len(self.sites_M2), len(self.species)):
            raise DataError(
                f"truth has shape {self.truth_MS.shape}; "
                f"{len(self.sites_M2)} sites x {len(self.species)} species expected"
            )
        if isinstance(self.truth_MS, ListedTruth):
            return
        if self.truth_MS.dtype != np.int8 or (
            self.truth_MS.size and (self.truth_MS.min() < NOT_SURVEYED or self.truth_MS.max() > PRESENT)
        ):
            raise DataError("truth must be int8 with the values 1 present, 0 absent, -1 not surveyed")

    def presences_per_species(self) -> NDArray[np.int64]:
        """Number of sites where each species is present, shape (S,)."""
        if isinstance(self.truth_MS, ListedTruth):
            return self.truth_MS.presences_per_species()
        return count_rows(self.truth_MS, PRESENT)

    def surveyed_per_species(self) -> NDArray[np.int64]:
        """Number of sites where each species was surveyed, shape (S,)."""
        if isinstance(self.truth_MS, ListedTruth):
            return self.truth_MS.surveyed_per_species()
        return count_rows(self.truth_MS, ABSENT)

    def save(self, folder: Path) -> None:
        """Write the survey into ``folder``, whole or not at all."""
        with write_folder(folder) as temporary:
            sites = site_table(self.sites_M2, self.covariates_MC, self.covariate_names, self.week_M)
            sites.write_parquet(temporary / "sites.parquet")
            save_truth(temporary / "truth.npz", self.truth_MS)
            write_json(temporary / "meta.json", {"species": self.species, "covariates": self.covariate_names})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        meta = read_json(folder / "meta.json")
        sites = pl.read_parquet(folder / "sites.parquet")
        names = tuple(meta["covariates"])
        truth_MS = load_truth(folder / "truth.npz", len(sites))
        return cls(
            sites_of(sites), covariates_of(sites, names), truth_MS, tuple(meta["species"]), names, weeks_of(sites)
        )
