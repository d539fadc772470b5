"""Training data: the records and background sites that training may see, and their files.

Shape legend: N training rows, R some of them, K background sites, C covariates, S species.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from presence_only.common.arrays import Floats, Ints
from presence_only.common.atomic_files import write_folder, write_json, write_stream
from presence_only.common.errors import DataError
from presence_only.common.stored_files import reading, stored_json, stored_table
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
            positives = pl.DataFrame({"row": records.row_P, "species": records.species_P})
            species = pl.DataFrame({"species": records.species, "group": records.groups})
            table = site_table(background.sites_K2, background.covariates_KC, names, background.week_K)
            if background.groups_K is not None:
                table = table.with_columns(pl.Series("group", background.groups_K, dtype=pl.String))
            tables = {"rows": rows, "positives": positives, "species": species, "background": table}
            for name, content in tables.items():
                with write_stream(temporary / f"{name}.parquet") as stream:
                    content.write_parquet(stream)
            write_json(temporary / "meta.json", {"covariates": names, "background": background.kind})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            DamagedError: If a file of the folder is damaged.
            FileNotFoundError: If one is missing.
        """
        with reading(folder):
            return cls(records=cls.load_records(folder), background=cls.load_background(folder))

    @staticmethod
    def load_background(folder: Path) -> Background:
        """Read the background sites alone."""
        meta = stored_json(folder / "meta.json")
        background = stored_table(folder / "background.parquet")
        with reading(folder):
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
        meta = stored_json(folder / "meta.json")
        with reading(folder):
            rows = pl.scan_parquet(folder / "rows.parquet").select(pl.all().gather(row_R)).collect()
            return sites_of(rows), covariates_of(rows, tuple(meta["covariates"])), weeks_of(rows)

    @staticmethod
    def load_records(folder: Path, *, covariates: bool = True) -> PresenceRecords:
        """Read the records alone.

        Args:
            folder: The folder.
            covariates: Whether their covariates are read too; without, the records have none.
        """
        meta = stored_json(folder / "meta.json") if covariates else {"covariates": ()}
        rows = stored_table(folder / "rows.parquet", None if covariates else ["longitude", "latitude"])
        positives, species = stored_table(folder / "positives.parquet"), stored_table(folder / "species.parquet")
        with reading(folder):
            names = tuple(meta["covariates"])
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
