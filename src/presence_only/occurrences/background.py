"""Background sites: places that a loss may assume empty, drawn in one of four ways, by a raster, or read from a table.

Shape legend: N sites, K background sites, P positives, C covariates. A site is longitude, latitude
in degrees WGS84.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.columns.column_names import COORDINATE_SPELLINGS, Columns
from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.common.memory import Part, check_memory
from presence_only.common.user_paths import user_path
from presence_only.data.records import Background, PresenceRecords
from presence_only.data.sites import sites_of, weeks_of
from presence_only.geography.earth import Earth
from presence_only.geography.rasters import Environment
from presence_only.geography.sphere import uniform_sphere_sites
from presence_only.geography.spherical_hull import sites_within, spherical_hull
from presence_only.occurrences.bias_raster import bias_raster_sites, open_bias_raster
from presence_only.occurrences.training_rows import distinct
from presence_only.tables.reading import read_table

BackgroundKind = Literal["uniform", "land", "range", "target_group"]
TABLES, RASTERS = (".csv", ".tsv", ".parquet"), (".tif", ".tiff", ".npz")


def check_kind(kind: str) -> None:
    """Refuse a background that is neither a known kind nor the path of a table or raster.

    Raises:
        ValueError: Saying what a background must be.
    """
    if kind not in get_args(BackgroundKind) and not is_file(kind):
        raise ValueError(
            f"one of {', '.join(get_args(BackgroundKind))}, or the path of a table that ends in {', '.join(TABLES)}, "
            f"or of a raster of weights that ends in {', '.join(RASTERS)}"
        )


def is_table(kind: str) -> bool:
    """Whether a background is the path of a table."""
    return Path(kind).suffix.lower() in TABLES


def is_raster(kind: str) -> bool:
    """Whether a background is the path of a raster of weights."""
    return Path(kind).suffix.lower() in RASTERS


def is_file(kind: str) -> bool:
    """Whether a background is made of a user's file, which may know of held-out records."""
    return is_table(kind) or is_raster(kind)


def background_notes(kind: str) -> tuple[str, ...]:
    """Sentences about the background that whoever reads the results must know.

    Raises:
        DataError: If it is a raster that cannot be read.
    """
    return open_bias_raster(user_path(kind)).notes if is_raster(kind) else ()


def target_group_rows(
    n: int, records: PresenceRecords, generator: np.random.Generator
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Rows of the records' distinct sites, drawn alike, and the taxon groups reported there.

    However many records a site has, it counts once a group, and where the records have weeks once a
    group and week: the effort of observers, not the abundance of species, is what it stands for. Where
    observers of a group have been, an unreported species of that group is likelier absent than unseen,
    and the background shares the records' bias.

    Source: Phillips et al. (2009), https://doi.org/10.1890/07-2153.1

    Args:
        n: Number of draws, at least 1; with replacement from the distinct pairs of site and group, or
            triples with the week.
        records: The records whose sites are drawn.
        generator: Source of the draws.

    Returns:
        The row of every draw, shape (n,), and the group of the species reported there.

    Raises:
        ValueError: If ``n`` is less than 1.
    """
    _check_number(n)
    _, group_S = np.unique(records.groups, return_inverse=True)
    keys = [*records.sites_N2.T[:, records.row_P], group_S[records.species_P]]
    if records.week_N is not None:
        keys.append(records.week_N[records.row_P])
    first_Q, _ = distinct(*keys)
    positive_K = first_Q[generator.integers(0, len(first_Q), n)]
    groups = tuple(records.groups[species] for species in records.species_P[positive_K])
    return records.row_P[positive_K].astype(np.int64), groups


def make_background(
    kind: str,
    n: int,
    generator: np.random.Generator,
    *,
    records: PresenceRecords,
    earth: Earth | None = None,
    environment: Environment | None = None,
) -> Background:
    """Draw a background of ``n`` sites with the covariates of ``records``, and with weeks where these have them.

    A target-group site comes with the week of its record. At the other sites weeks are drawn from all
    rows of the records, so that the seasons count as observers were out.

    Args:
        kind: ``uniform`` on the sphere; ``land`` in proportion to its area; ``range``: uniform within
            the convex hull of the records on the sphere; ``target_group``: the records' own sites, with
            the taxon group that was reported there; the path of a table, as of :func:`read_background`, which gives
            all of its rows; or the path of a raster of weights, as of
            :func:`~presence_only.occurrences.bias_raster.bias_raster_sites`.
        n: Number of sites, at least 1.
        generator: Source of the draws.
        records: The training records; read for ``range`` and ``target_group``, for weeks and for the
            names of the covariates.
        earth: The shipped grid; needed for ``land``.
        environment: Where covariates come from; by default ``earth``.

    Raises:
        ValueError: If the kind is unknown, ``n`` is less than 1, or the grid is missing or has not
            the covariates of the records.
        DataError: If the records span no range, or the table or raster cannot be read.
    """
    if kind == "target_group":
        rows, groups = target_group_rows(n, records, generator)
        week_K = None if records.week_N is None else records.week_N[rows]
        return Background(kind, records.sites_N2[rows], records.covariates_NC[rows], groups, week_K)
    if kind not in get_args(BackgroundKind) and not is_file(kind):
        raise ValueError(f"unknown background {kind!r}; known: {', '.join(get_args(BackgroundKind))}")
    _check_number(n)
    site_bytes = 2 * (16 + 8) + 4 * len(records.covariate_names)
    if not is_table(kind):
        sites = Part(f"{n:,} background sites", n * site_bytes, "background_sites")
        check_memory("the background", [sites])
    environment = earth if environment is None else environment
    if (environment is None and records.covariate_names) or (earth is None and kind == "land"):
        raise ValueError(f"background {kind!r} needs the environment grid; give `earth`")
    groups_K, week_K = None, None
    if is_table(kind):
        table = read_background(user_path(kind), records.groups)
        sites_K2, week_K = sites_of(table), weeks_of(table)
        groups_K = tuple(table["group"]) if "group" in table.columns else None
        kind = "given"
    elif is_raster(kind):
        sites_K2 = bias_raster_sites(user_path(kind), n, generator)
        kind = "raster"
    elif kind == "land":
        assert earth is not None
        sites_K2 = earth.land_sites(n, generator)
    elif kind == "range":
        sites_K2 = range_sites(n, records.sites_N2, generator)
    else:
        sites_K2 = uniform_sphere_sites(n, generator)
    if records.week_N is None:
        week_K = None
    elif week_K is None:
        week_K = records.week_N[generator.integers(0, records.n_rows, len(sites_K2))]
    covariates_KC: Floats = np.zeros((len(sites_K2), 0), dtype=np.float32)
    if environment is not None and records.covariate_names:
        if records.covariate_names != environment.names:
            raise ValueError(
                f"the records' covariates {records.covariate_names} are not the grid's {environment.names}"
            )
        covariates_KC = environment.sample(sites_K2)
    return Background(kind, sites_K2, covariates_KC, groups_K, week_K)


def range_sites(n: int, sites_N2: Floats, generator: np.random.Generator) -> NDArray[np.float64]:
    """Sites drawn uniformly over the area of the records' convex hull on the sphere, shape (n, 2).

    Sea within the hull belongs to it. Records that no hemisphere holds have the whole sphere as hull.

    Raises:
        ValueError: If ``n`` is less than 1.
        DataError: If the records are at one place or on one line.
    """
    _check_number(n)
    hull_V3 = spherical_hull(sites_N2)
    return uniform_sphere_sites(n, generator) if hull_V3 is None else sites_within(hull_V3, n, generator)


def read_background(path: Path, groups: tuple[str, ...]) -> pl.DataFrame:
    """Background sites from a table: columns longitude, latitude and, if it has them, group and week.

    Args:
        path: Comma-separated, tab-separated or parquet, plain or packed; in degrees WGS84, longitudes
            -180..180 or 0..360.
        groups: The taxon groups of the records. A site with a group counts for its species alone, one
            without for all.

    Returns:
        The columns of a table of records, of those that the file has; an empty group counts for all.

    Raises:
        DataError: If the file is missing, unreadable or empty, has not the columns, a value is
            missing or no number, or none of its groups is one of the records.
    """
    columns = Columns(("longitude", "latitude"), ("group", "week"), COORDINATE_SPELLINGS)
    table = pl.concat(read_table(path, columns))
    numbers = [name for name in ("longitude", "latitude", "week") if name in table.columns]
    table = table.with_columns(_numbers(path, table, name) for name in numbers)
    east = pl.col("longitude").is_between(180, 360, closed="right")
    table = table.with_columns(pl.when(east).then(pl.col("longitude") - 360).otherwise(pl.col("longitude")))
    if "group" in table.columns:
        table = table.with_columns(pl.col("group").cast(pl.String).str.strip_chars().fill_null(""))
        # In any case, as the groups of records.
        spelled = {group.casefold(): group for group in sorted(groups)}
        given = table["group"].unique().to_list()
        same = {one: spelled[one.casefold()] for one in given if one not in groups and one.casefold() in spelled}
        table = table.with_columns(pl.col("group").replace(same))
        if not {*table["group"]} & {"", *groups}:
            raise DataError(
                f"{path}: none of its groups, such as {table['group'][0]!r}, is a taxon group of the "
                f"records: {', '.join(sorted(set(groups)))}"
            )
    if "week" in table.columns:
        broken = table["week"].round() != table["week"]
        if broken.any():
            row = int(broken.arg_max() or 0)
            raise DataError(f"{path}: row {row + 1} has week {table['week'][row]:g}; it must be a whole number, 1..48")
    return table


def _numbers(path: Path, table: pl.DataFrame, name: str) -> pl.Series:
    """A column of numbers without gaps."""
    column = table[name]
    values = (column.str.strip_chars() if column.dtype == pl.String else column).cast(pl.Float64, strict=False)
    wrong = values.is_null() | ~values.is_finite().fill_null(False)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise DataError(f"{path}: row {row + 1} has {name} {column[row]!r}; it must be a number")
    return values


def _check_number(n: int) -> None:
    """Refuse an empty draw."""
    if n < 1:
        raise ValueError(f"n = {n}: a background needs at least 1 site")
