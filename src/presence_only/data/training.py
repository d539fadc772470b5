"""Training data: the records and background sites that training may see, and their files.

Shape legend: N training rows, R some of them, K background sites, C covariates, S species.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from presence_only.common.arrays import Floats, Ints
from presence_only.common.atomic_files import read_json, write_folder, write_json
from presence_only.common.errors import DataError
from presence_only.data.records import Background, PresenceRecords
from presence_only.data.sites import covariates_of, site_table, sites_of, weeks_of


@dataclass(frozen=True)
class TrainingData:
    """All that training may see.

    Raises:
        DataError: If background and records do not have the same covariates, or only one of them has weeks.
    """

    records: PresenceRecords
    background: Background

    def __post_init__(self) -> None:
        if self.background.covariates_KC.shape != (
            len(self.background.sites_K2),
            len(self.records.covariate_names),
        ):
            raise DataError(
                f"background covariates have shape {self.background.covariates_KC.shape}; "
                f"records have {len(self.records.covariate_names)} covariates"
            )
        if (self.background.week_K is None) != (self.records.week_N is None):
            with_weeks, without = (
                ("records", "background") if self.background.week_K is None else ("background", "records")
            )
            raise DataError(f"the {with_weeks} have weeks and the {without} none; both or neither must have them")

    def save(self, folder: Path) -> None:
        """Write the training data into ``folder``, whole or not at all."""
        records, background = self.records, self.background
        names = records.covariate_names
        with write_folder(folder) as temporary:
            rows = site_table(records.sites_N2, records.covariates_NC, names, records.week_N)
            rows.write_parquet(temporary / "rows.parquet")
            pl.DataFrame({"row": records.row_P, "species": records.species_P}).write_parquet(
                temporary / "positives.parquet"
            )
            pl.DataFrame({"species": records.species, "group": records.groups}).write_parquet(
                temporary / "species.parquet"
            )
            table = site_table(background.sites_K2, background.covariates_KC, names, background.week_K)
            if background.groups_K is not None:
                table = table.with_columns(pl.Series("group", background.groups_K, dtype=pl.String))
            table.write_parquet(temporary / "background.parquet")
            write_json(temporary / "meta.json", {"covariates": names, "background": background.kind})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        return cls(records=cls.load_records(folder), background=cls.load_background(folder))

    @staticmethod
    def load_background(folder: Path) -> Background:
        """Read the background sites alone."""
        meta = read_json(folder / "meta.json")
        background = pl.read_parquet(folder / "background.parquet")
        return Background(
            kind=meta["background"],
            sites_K2=sites_of(background),
            covariates_KC=covariates_of(background, tuple(meta["covariates"])),
            groups_K=tuple(background["group"]) if "group" in background.columns else None,
            week_K=weeks_of(background),
        )

    @staticmethod
    def load_rows(folder: Path, row_R: Ints) -> tuple[Floats, Floats, Ints | None]:
        """Read some training rows: their sites (R, 2), covariates (R, C) and weeks (R,), None where there are none."""
        names = tuple(read_json(folder / "meta.json")["covariates"])
        rows = pl.scan_parquet(folder / "rows.parquet").select(pl.all().gather(row_R)).collect()
        return sites_of(rows), covariates_of(rows, names), weeks_of(rows)

    @staticmethod
    def load_records(folder: Path, *, covariates: bool = True) -> PresenceRecords:
        """Read the records alone.

        Args:
            folder: The folder.
            covariates: Whether their covariates are read too; without, the records have none.
        """
        names = tuple(read_json(folder / "meta.json")["covariates"]) if covariates else ()
        rows = pl.read_parquet(folder / "rows.parquet", columns=None if covariates else ["longitude", "latitude"])
        positives = pl.read_parquet(folder / "positives.parquet")
        species = pl.read_parquet(folder / "species.parquet")
        return PresenceRecords(
            sites_N2=sites_of(rows),
            covariates_NC=covariates_of(rows, names),
            row_P=positives["row"].to_numpy(),
            species_P=positives["species"].to_numpy(),
            species=tuple(species["species"]),
            groups=tuple(species["group"]),
            covariate_names=names,
            week_N=weeks_of(rows),
        )
