"""Surveys: independent evaluation truth at sites.

Shape legend: M survey sites, C covariates, S species.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from presence_only.common.arrays import Floats, Ints
from presence_only.common.atomic_files import write_folder, write_json, write_stream
from presence_only.common.errors import DataError
from presence_only.common.stored_files import reading, stored_json, stored_table
from presence_only.data.sites import (
    check_covariates,
    check_sites,
    check_weeks,
    covariates_of,
    site_table,
    sites_of,
    weeks_of,
)
from presence_only.data.truth import SurveyTruth


@dataclass(frozen=True)
class Survey:
    """The independent evaluation truth: present (1), absent (0) or not surveyed (-1).

    Only the evaluation reads one.

    Args:
        sites_M2: Longitude, latitude in degrees WGS84.
        covariates_MC: Environment at the sites, the columns of the records.
        truth: Sites x species, the species in the order of the records' vocabulary.
        week_M: Week of the survey of every site, 1..48; None: presence at any time of the year.
    """

    kind: ClassVar[str] = "survey"

    sites_M2: Floats
    covariates_MC: Floats
    truth: SurveyTruth
    species: tuple[str, ...]
    covariate_names: tuple[str, ...] = ()
    week_M: Ints | None = None

    def __post_init__(self) -> None:
        check_sites(self.sites_M2, "survey site")
        check_weeks(self.week_M, self.sites_M2, "survey site")
        check_covariates(self.covariates_MC, self.sites_M2, self.covariate_names)
        if self.truth.shape != (len(self.sites_M2), len(self.species)):
            raise DataError(
                f"truth has shape {self.truth.shape}; {len(self.sites_M2)} sites x {len(self.species)} species expected"
            )

    def save(self, folder: Path) -> None:
        """Write the survey into ``folder``, whole or not at all."""
        with write_folder(folder) as temporary:
            sites = site_table(self.sites_M2, self.covariates_MC, self.covariate_names, self.week_M)
            with write_stream(temporary / "sites.parquet") as stream:
                sites.write_parquet(stream)
            self.truth.save(temporary / "truth.npz")
            write_json(temporary / "meta.json", {"species": self.species, "covariates": self.covariate_names})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            DamagedError: If a file of the folder is damaged.
            FileNotFoundError: If one is missing.
        """
        meta, sites = stored_json(folder / "meta.json"), stored_table(folder / "sites.parquet")
        with reading(folder / "truth.npz"):
            truth = SurveyTruth.load(folder / "truth.npz", len(sites))
        with reading(folder):
            names, species = tuple(meta["covariates"]), tuple(meta["species"])
            return cls(sites_of(sites), covariates_of(sites, names), truth, species, names, weeks_of(sites))
