"""What every data set is made of: presence-only records, background sites and a survey.

Shape legend: N training rows, P positives, K background sites, M survey sites, C covariates, S species.
A site is longitude, latitude in degrees WGS84, in that order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.errors import DataError
from presence_only.files import read_json, write_folder, write_json
from presence_only.truth import ABSENT, NOT_SURVEYED, PRESENT, ListedTruth, count_rows, load_truth, save_truth

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Input = Literal["coordinates", "covariates", "both"]
CoordinateScale = Literal["sphere", "local"]

# BirdNET's weeks: four a month, the last one longer.
WEEKS = 48


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
        _check_sites(self.sites_N2, "record")
        _check_weeks(self.week_N, self.sites_N2, "record")
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
        _check_sites(self.sites_K2, "background site")
        _check_weeks(self.week_K, self.sites_K2, "background site")
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
        if (self.background.week_K is None) != (self.records.week_N is None):
            with_weeks, without = (
                ("records", "background") if self.background.week_K is None else ("background", "records")
            )
            raise DataError(f"the {with_weeks} have weeks and the {without} none; both or neither must have them")
        if self.input != "coordinates" and not self.records.covariate_names:
            raise DataError(f"input = {self.input!r}: the data set has no covariates; use 'coordinates'")

    def save(self, folder: Path) -> None:
        """Write the training data into ``folder``, whole or not at all."""
        records, background = self.records, self.background
        names = records.covariate_names
        with write_folder(folder) as temporary:
            rows = _site_table(records.sites_N2, records.covariates_NC, names, records.week_N)
            rows.write_parquet(temporary / "rows.parquet")
            pl.DataFrame({"row": records.row_P, "species": records.species_P}).write_parquet(
                temporary / "positives.parquet"
            )
            pl.DataFrame({"species": records.species, "group": records.groups}).write_parquet(
                temporary / "species.parquet"
            )
            table = _site_table(background.sites_K2, background.covariates_KC, names, background.week_K)
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
                week_N=_weeks(rows),
            ),
            background=Background(
                kind=meta["background"],
                sites_K2=_sites(background),
                covariates_KC=_covariates(background, names),
                groups_K=tuple(background["group"]) if "group" in background.columns else None,
                week_K=_weeks(background),
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
        _check_sites(self.sites_M2, "survey site")
        _check_weeks(self.week_M, self.sites_M2, "survey site")
        _check_covariates(self.covariates_MC, self.sites_M2, self.covariate_names)
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
            sites = _site_table(self.sites_M2, self.covariates_MC, self.covariate_names, self.week_M)
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
        return cls(_sites(sites), _covariates(sites, names), truth_MS, tuple(meta["species"]), names, _weeks(sites))


class Further(Protocol):
    """Something else that a model is scored by, beside the survey; itself a :class:`Survey`, or of a kind of its own.

    The module ``presence_only.evaluations.<kind>`` reads what ``save`` wrote, and scores.
    """

    kind: ClassVar[str]

    def save(self, folder: Path) -> None:
        """Write everything that scoring needs into ``folder``, whole or not at all."""


# Where the further evaluations of a data set lie inside of its survey's folder.
FURTHER = "further"


@dataclass(frozen=True)
class Dataset:
    """What a data set module returns: training data, and the survey that training never sees.

    Args:
        filters: What cleaning left: each rule in the order of use with the rows that remained after
            it, the first entry being the rows read. Empty where nothing was cleaned.
        notes: Sentences that whoever reads the results must know, such as the limits of an evaluation.
        facts: Further counts for the summary, such as how much of a published evaluation is covered.
        further: What else a model is scored by, by a name that its metrics begin with, such as ``iucn``.
            A further survey may hold any of the records' species in any order.
    """

    training: TrainingData
    survey: Survey
    filters: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, int | float] = field(default_factory=dict)
    further: Mapping[str, Further] = field(default_factory=dict)

    def __post_init__(self) -> None:
        records = self.training.records
        if self.survey.species != records.species:
            raise DataError("the survey's species must be the records' species, in the same order")
        if self.survey.covariate_names != records.covariate_names:
            raise DataError("the survey's covariates must be the records' covariates, in the same order")
        for name, task in self.further.items():
            # Counts begin with n_, such as n_sites.
            if not re.fullmatch("(?!n_)[a-z][a-z0-9_]*", name):
                raise DataError(
                    f"further evaluation {name!r}: a name must be of small letters, digits and underscores, "
                    "and not begin with n_"
                )
            if not isinstance(task, Survey):
                continue
            if unknown := set(task.species) - set(records.species):
                raise DataError(
                    f"the further survey {name!r} has species {min(unknown)!r} ({len(unknown)} such species); "
                    "all must be among the records' species"
                )
            if task.covariate_names != records.covariate_names:
                raise DataError(f"the further survey {name!r} must have the records' covariates, in the same order")

    def save_survey(self, folder: Path) -> None:
        """Write the survey and the further evaluations into ``folder``."""
        self.survey.save(folder)
        for name, task in self.further.items():
            task.save(folder / FURTHER / name / task.kind)


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


def _check_weeks(week_N: Ints | None, sites_N2: Floats, what: str) -> None:
    """Refuse weeks that do not fit their sites or are outside of the year."""
    if week_N is None:
        return
    if week_N.shape != (len(sites_N2),):
        raise DataError(f"weeks have shape {week_N.shape}; {(len(sites_N2),)} expected")
    wrong = (week_N < 1) | (week_N > WEEKS)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{what} {row} has week {week_N[row]}; it must lie within 1..{WEEKS}, four weeks a month")


def _check_covariates(covariates_NC: Floats, sites_N2: Floats, names: tuple[str, ...]) -> None:
    """Refuse a covariate matrix that does not fit its sites and names."""
    if covariates_NC.shape != (len(sites_N2), len(names)):
        raise DataError(f"covariates have shape {covariates_NC.shape}; {(len(sites_N2), len(names))} expected")


def _site_table(sites_N2: Floats, covariates_NC: Floats, names: tuple[str, ...], week_N: Ints | None) -> pl.DataFrame:
    """Sites, weeks and covariates as one table; covariates are prefixed so that no name can clash."""
    columns: dict[str, Any] = {"longitude": sites_N2[:, 0], "latitude": sites_N2[:, 1]}
    if week_N is not None:
        columns["week"] = week_N.astype(np.uint8)
    columns |= {f"covariate: {name}": covariates_NC[:, i] for i, name in enumerate(names)}
    return pl.DataFrame(columns)


def _sites(table: pl.DataFrame) -> Floats:
    """Longitude and latitude of a table, shape (n, 2)."""
    return table.select("longitude", "latitude").to_numpy().astype(np.float64, copy=False)


def _weeks(table: pl.DataFrame) -> Ints | None:
    """Weeks of a table, shape (n,), where it has them."""
    return table["week"].to_numpy().astype(np.int64) if "week" in table.columns else None


def _covariates(table: pl.DataFrame, names: tuple[str, ...]) -> Floats:
    """The covariates of a table, shape (n, C)."""
    if not names:
        return np.zeros((len(table), 0), dtype=np.float32)
    return table.select([f"covariate: {name}" for name in names]).to_numpy().astype(np.float32, copy=False)
