"""Sites, weeks and covariates: checks, and their table in a file.

Shape legend: N sites, C covariates. A site is longitude, latitude in degrees WGS84, in that order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError

# BirdNET's weeks: four a month, the last one longer.
WEEKS = 48


def check_sites(sites_N2: Floats, what: str) -> None:
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


def check_weeks(week_N: Ints | None, sites_N2: Floats, what: str) -> None:
    """Refuse weeks that do not fit their sites or are outside of the year."""
    if week_N is None:
        return
    if week_N.shape != (len(sites_N2),):
        raise DataError(f"weeks have shape {week_N.shape}; {(len(sites_N2),)} expected")
    wrong = (week_N < 1) | (week_N > WEEKS)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(f"{what} {row} has week {week_N[row]}; it must lie within 1..{WEEKS}, four weeks a month")


def check_covariates(covariates_NC: Floats, sites_N2: Floats, names: tuple[str, ...]) -> None:
    """Refuse a covariate matrix that does not fit its sites and names."""
    if covariates_NC.shape != (len(sites_N2), len(names)):
        raise DataError(f"covariates have shape {covariates_NC.shape}; {(len(sites_N2), len(names))} expected")


def site_table(sites_N2: Floats, covariates_NC: Floats, names: tuple[str, ...], week_N: Ints | None) -> pl.DataFrame:
    """Sites, weeks and covariates as one table; covariates are prefixed so that no name can clash."""
    columns: dict[str, Any] = {"longitude": sites_N2[:, 0], "latitude": sites_N2[:, 1]}
    if week_N is not None:
        columns["week"] = week_N.astype(np.uint8)
    columns |= {f"covariate: {name}": covariates_NC[:, i] for i, name in enumerate(names)}
    return pl.DataFrame(columns)


def sites_of(table: pl.DataFrame) -> Floats:
    """Longitude and latitude of a table, shape (n, 2)."""
    return table.select("longitude", "latitude").to_numpy().astype(np.float64, copy=False)


def weeks_of(table: pl.DataFrame) -> Ints | None:
    """Weeks of a table, shape (n,), where it has them."""
    return table["week"].to_numpy().astype(np.int64) if "week" in table.columns else None


def covariates_of(table: pl.DataFrame, names: tuple[str, ...]) -> Floats:
    """The covariates of a table, shape (n, C)."""
    if not names:
        return np.zeros((len(table), 0), dtype=np.float32)
    return table.select([f"covariate: {name}" for name in names]).to_numpy().astype(np.float32, copy=False)


def week_of(month_N: Ints, day_N: Ints) -> Ints:
    """BirdNET's week of the year, 1..48: four a month, of which the last takes all days from the 22nd.

    Source: https://github.com/birdnet-team/geomodel

    Args:
        month_N: 1..12.
        day_N: 1..31.
    """
    week_N: Ints = (month_N - 1) * (WEEKS // 12) + np.minimum((day_N - 1) // 7, WEEKS // 12 - 1) + 1
    return week_N


def layers_defined(covariates_NC: Floats) -> NDArray[np.bool_]:
    """Whether all layers are defined, shape (N,)."""
    defined_N: NDArray[np.bool_] = np.logical_not(np.isnan(covariates_NC).any(axis=1))
    return defined_N
