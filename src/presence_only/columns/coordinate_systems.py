"""Coordinates of plain tables: degrees, or x and y of another system; and what is clearly neither.

A column of numbers does not say its unit, so the first rows of a file are looked at: where most of them can be no
degrees, or no coordinates of the system that the user gave, the file is refused. A wrong unit is no matter of single
rows.

Shape legend: N rows.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.columns.coordinates import SITE_WORDS, unread_coordinates
from presence_only.columns.numbers import number
from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.geography.projected_sites import ToDegrees

# A share of rows that is no slip of the pen.
_MOST = 0.5
_MISSING = tuple(float("9" * digits) for digits in range(3, 8))
_BOTH = ("longitude", "latitude")


def with_sites(batch: pl.DataFrame, to_degrees: ToDegrees | None, where: str, first: bool) -> pl.DataFrame:
    """A batch whose ``longitude`` and ``latitude`` are degrees WGS84, with ``unread_coordinates``.

    Args:
        batch: Rows with both columns, as text or numbers.
        to_degrees: From the file's system to degrees; None: they are degrees.
        where: What error messages call the file.
        first: Whether these are its first rows.

    Raises:
        DataError: If most of the first rows have coordinates of another unit or system.
    """
    words = unread_coordinates(batch, *_BOTH)
    batch = batch.with_columns(number(pl.col("longitude")), number(pl.col("latitude")), words)
    sites_N2 = batch.select(_BOTH).to_numpy()
    known_N = np.isfinite(sites_N2).all(axis=1)
    if to_degrees is None:
        if first:
            _check_degrees(sites_N2[known_N], where)
        return batch
    degrees_N2 = to_degrees(sites_N2)
    if first:
        _check_system(sites_N2[known_N], degrees_N2[known_N], to_degrees, where)
    lost = pl.Series("lost", known_N & np.isnan(degrees_N2).any(axis=1))
    said = pl.when(lost).then(pl.format(SITE_WORDS, *_BOTH))
    batch = batch.with_columns(pl.coalesce("unread_coordinates", said).alias("unread_coordinates"))
    return batch.with_columns(pl.Series(name, degrees_N2[:, i]).fill_nan(None) for i, name in enumerate(_BOTH))


def check_decimals(batch: pl.DataFrame, where: str) -> None:
    """Refuse a table most of whose coordinates have decimal commas, and say what to do.

    Raises:
        DataError: Quoting one.
    """
    for name in _BOTH:
        if batch.schema[name] != pl.String:
            continue
        commas = batch[name].drop_nulls()
        commas = commas.filter(commas.str.contains(r"^[-+]?\d+,\d+$"))
        if len(commas) > _MOST * len(batch):
            raise DataError(f"{where}: {name} = {commas[0]!r} has a decimal comma; set decimal: comma")


def _check_degrees(sites_N2: Floats, where: str) -> None:
    """Refuse coordinates most of which can be no degrees, and say what they may be."""
    # Numbers such as -9999 stand for missing values; cleaning drops and counts them.
    sites_N2 = sites_N2[np.logical_not(np.isin(np.abs(sites_N2), _MISSING).any(axis=1))]
    wrong_N2 = sites_N2[~_like_degrees(sites_N2)]
    if len(wrong_N2) <= _MOST * len(sites_N2):
        return
    x, y = wrong_N2[0]
    changed = abs(x) <= 90 and abs(y) <= 360
    hint = "have longitude and latitude changed places?" if changed else "say what they are, such as crs: EPSG:32632"
    raise DataError(f"{where}: {SITE_WORDS.format(f'{x:g}', f'{y:g}')} and most other places are no degrees; {hint}")


def _check_system(sites_N2: Floats, degrees_N2: Floats, to_degrees: ToDegrees, where: str) -> None:
    """Refuse coordinates most of which cannot be of the given system."""
    name = to_degrees.crs.to_string()
    like_N = _like_degrees(sites_N2)
    if to_degrees.crs.is_projected and like_N.sum() > _MOST * len(sites_N2):
        x, y = sites_N2[like_N][0]
        raise DataError(
            f"{where}: x {x:g}, y {y:g} and most other places look like degrees, which are no units of {name}; "
            "leave crs out"
        )
    outside_N = to_degrees.outside(degrees_N2)
    if outside_N.sum() > _MOST * len(sites_N2):
        x, y = sites_N2[outside_N][0]
        area = to_degrees.crs.area_of_use
        edges = f" (west {area.west:g}, south {area.south:g}, east {area.east:g}, north {area.north:g})" if area else ""
        raise DataError(
            f"{where}: x {x:g}, y {y:g} and most other places lie far outside of the area of {name}{edges}; "
            "is it another system, or have x and y changed places?"
        )


def _like_degrees(sites_N2: Floats) -> NDArray[np.bool_]:
    """Whether coordinates may be degrees, whatever way longitudes are counted, shape (N,)."""
    like_N: NDArray[np.bool_] = np.logical_not((np.abs(sites_N2) > (360, 90)).any(axis=1))
    return like_N
