"""What every data set is made of: presence-only records, background sites and a survey.

Shape legend: N training rows, P positives, K background sites, M survey sites, C covariates, S species.
A site is longitude, latitude in degrees WGS84, in that order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.errors import UserError
from presence_only.files import read_json, write_folder, write_json

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Input = Literal["coordinates", "covariates", "both"]
CoordinateScale = Literal["sphere", "local"]

PRESENT, ABSENT, NOT_SURVEYED = 1, 0, -1


class DataError(UserError, ValueError):
    """A data set is wrong; the message is one sentence with what was found and the rule."""


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

    Raises:
        DataError: If it is empty, a species has no record, a coordinate is outside the globe, or
            shapes disagree.
    """

    sites_N2: Floats
    covariates_NC: Floats
    row_P: Ints
    species_P: Ints
    species: tuple[str, ...]
    groups: tuple[str, ...]
    covariate_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.sites_N2) == 0 or len(self.species_P) == 0:
            raise DataError("the data set has no presence records; at least one is needed")
        _check_sites(self.sites_N2, "record")
        _check_covariates(self.covariates_NC, self.sites_N2, self.covariate_names)
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
        kind: How the sites were drawn: ``uniform`` on the sphere, ``land``, ``target_group`` or ``given``.
        sites_K2: Longitude, latitude in degrees WGS84.
        covariates_KC: Environment at the sites, the columns of the records.
        groups_K: Taxon group whose observers visited the site; the empty string counts for every group.
    """

    kind: str
    sites_K2: Floats
    covariates_KC: Floats
    groups_K: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.sites_K2) == 0:
            raise DataError("the background has no sites; at least one is needed")
        _check_sites(self.sites_K2, "background site")
        if self.groups_K is not None and len(self.groups_K) != len(self.sites_K2):
            raise DataError(f"{len(self.groups_K)} groups for {len(self.sites_K2)} background sites: must agree")


@dataclass(frozen=True)
class TrainingData:
    """All that training may see, and how the encoder is to read it.

    Args:
        input: What the encoder reads: ``coordinates``, ``covariates`` or ``both``.
        coordinates: ``sphere``: SINR's sines and cosines as they are; ``local``: the same,
            standardised on training rows and background, for a region too small to vary on the sphere.
    """

    records: PresenceRecords
    background: Background
    input: Input = "coordinates"
    coordinates: CoordinateScale = "sphere"

    def __post_init__(self) -> None:
        if self.background.covariates_KC.shape != (
            len(self.background.sites_K2),
            len(self.records.covariate_names),
        ):
            raise DataError(
                f"background covariates have shape {self.background.covariates_KC.shape}; "
                f"records have {len(self.records.covariate_names)} covariates"
            )
        if self.input != "coordinates" and not self.records.covariate_names:
            raise DataError(f"input = {self.input!r}: the data set has no covariates; use 'coordinates'")

    def save(self, folder: Path) -> None:
        """Write the training data into ``folder``, whole or not at all."""
        records, background = self.records, self.background
        names = records.covariate_names
        with write_folder(folder) as temporary:
            _site_table(records.sites_N2, records.covariates_NC, names).write_parquet(temporary / "rows.parquet")
            pl.DataFrame({"row": records.row_P, "species": records.species_P}).write_parquet(
                temporary / "positives.parquet"
            )
            pl.DataFrame({"species": records.species, "group": records.groups}).write_parquet(
                temporary / "species.parquet"
            )
            table = _site_table(background.sites_K2, background.covariates_KC, names)
            if background.groups_K is not None:
                table = table.with_columns(pl.Series("group", background.groups_K, dtype=pl.String))
            table.write_parquet(temporary / "background.parquet")
            write_json(
                temporary / "meta.json",
                {
                    "input": self.input,
                    "coordinates": self.coordinates,
                    "covariates": names,
                    "background": background.kind,
                },
            )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        meta = read_json(folder / "meta.json")
        names = tuple(meta["covariates"])
        rows = pl.read_parquet(folder / "rows.parquet")
        positives = pl.read_parquet(folder / "positives.parquet")
        species = pl.read_parquet(folder / "species.parquet")
        background = pl.read_parquet(folder / "background.parquet")
        return cls(
            records=PresenceRecords(
                sites_N2=_sites(rows),
                covariates_NC=_covariates(rows, names),
                row_P=positives["row"].to_numpy(),
                species_P=positives["species"].to_numpy(),
                species=tuple(species["species"]),
                groups=tuple(species["group"]),
                covariate_names=names,
            ),
            background=Background(
                kind=meta["background"],
                sites_K2=_sites(background),
                covariates_KC=_covariates(background, names),
                groups_K=tuple(background["group"]) if "group" in background.columns else None,
            ),
            input=meta["input"],
            coordinates=meta["coordinates"],
        )


@dataclass(frozen=True)
class Survey:
    """The independent evaluation truth: present (1), absent (0) or not surveyed (-1).

    Only the evaluation reads one.

    Args:
        sites_M2: Longitude, latitude in degrees WGS84.
        covariates_MC: Environment at the sites, the columns of the records.
        truth_MS: int8, species in the order of the records' vocabulary.
    """

    sites_M2: Floats
    covariates_MC: Floats
    truth_MS: NDArray[np.int8]
    species: tuple[str, ...]
    covariate_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_sites(self.sites_M2, "survey site")
        _check_covariates(self.covariates_MC, self.sites_M2, self.covariate_names)
        if self.truth_MS.shape != (len(self.sites_M2), len(self.species)):
            raise DataError(
                f"truth has shape {self.truth_MS.shape}; "
                f"{len(self.sites_M2)} sites x {len(self.species)} species expected"
            )
        if self.truth_MS.dtype != np.int8 or np.any((self.truth_MS < NOT_SURVEYED) | (self.truth_MS > PRESENT)):
            raise DataError("truth must be int8 with the values 1 present, 0 absent, -1 not surveyed")

    def save(self, folder: Path) -> None:
        """Write the survey into ``folder``, whole or not at all."""
        with write_folder(folder) as temporary:
            _site_table(self.sites_M2, self.covariates_MC, self.covariate_names).write_parquet(
                temporary / "sites.parquet"
            )
            np.savez_compressed(temporary / "truth.npz", truth_MS=self.truth_MS)
            write_json(temporary / "meta.json", {"species": self.species, "covariates": self.covariate_names})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        meta = read_json(folder / "meta.json")
        sites = pl.read_parquet(folder / "sites.parquet")
        names = tuple(meta["covariates"])
        with np.load(folder / "truth.npz") as arrays:
            truth_MS = arrays["truth_MS"]
        return cls(_sites(sites), _covariates(sites, names), truth_MS, tuple(meta["species"]), names)


@dataclass(frozen=True)
class Dataset:
    """What a data set module returns: training data, and the survey that training never sees."""

    training: TrainingData
    survey: Survey

    def __post_init__(self) -> None:
        if self.survey.species != self.training.records.species:
            raise DataError("the survey's species must be the records' species, in the same order")
        if self.survey.covariate_names != self.training.records.covariate_names:
            raise DataError("the survey's covariates must be the records' covariates, in the same order")


def _check_sites(sites_N2: Floats, what: str) -> None:
    """Refuse sites that are not on the globe."""
    if sites_N2.ndim != 2 or sites_N2.shape[1] != 2:
        raise DataError(f"sites have shape {sites_N2.shape}; expected (n, 2): longitude, latitude")
    for column, (name, limit) in enumerate((("longitude", 180.0), ("latitude", 90.0))):
        wrong = ~(np.abs(sites_N2[:, column]) <= limit)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"{what} {row} has {name} {sites_N2[row, column]:g}; it must lie within -{limit:g}..{limit:g} degrees"
            )


def _check_covariates(covariates_NC: Floats, sites_N2: Floats, names: tuple[str, ...]) -> None:
    """Refuse a covariate matrix that does not fit its sites and names."""
    if covariates_NC.shape != (len(sites_N2), len(names)):
        raise DataError(f"covariates have shape {covariates_NC.shape}; {(len(sites_N2), len(names))} expected")


def _site_table(sites_N2: Floats, covariates_NC: Floats, names: tuple[str, ...]) -> pl.DataFrame:
    """Sites and covariates as one table; covariates are prefixed so that no name can clash."""
    columns = {"longitude": sites_N2[:, 0], "latitude": sites_N2[:, 1]}
    columns |= {f"covariate: {name}": covariates_NC[:, i] for i, name in enumerate(names)}
    return pl.DataFrame(columns)


def _sites(table: pl.DataFrame) -> Floats:
    """Longitude and latitude of a table, shape (n, 2)."""
    return table.select("longitude", "latitude").to_numpy().astype(np.float64, copy=False)


def _covariates(table: pl.DataFrame, names: tuple[str, ...]) -> Floats:
    """The covariates of a table, shape (n, C)."""
    if not names:
        return np.zeros((len(table), 0), dtype=np.float32)
    return table.select([f"covariate: {name}" for name in names]).to_numpy().astype(np.float32, copy=False)
