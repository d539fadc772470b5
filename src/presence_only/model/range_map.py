"""Range maps of trained encoders: scores on a grid of longitude and latitude, and the files to keep them in.

Shape legend: M grid cells, H rows (north first), W columns, C covariates, S species, K seeds or members, R
reference sites.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from presence_only.common.arrays import Floats
from presence_only.common.atomic_files import write_whole
from presence_only.common.errors import UserError
from presence_only.data.sites import WEEKS
from presence_only.geography.longitudes import within_180
from presence_only.model.blend import Blend
from presence_only.model.interface import SpeciesModel

Sample = Callable[[Floats], Floats]
MOST_CELLS = 10_000_000
# What a spread is taken over: trainings that differ by chance alone, or the members of a blend, which differ by more.
SpreadOver = Literal["seeds", "members"]


class MapError(UserError, ValueError):
    """A map cannot be made; the message is one sentence with the value and the rule."""


@dataclass(frozen=True)
class Grid:
    """Cells of equal size in degrees.

    Args:
        west: Western edge in degrees, -180..180.
        south: Southern edge in degrees, -90..90.
        east: Eastern edge, more than ``west`` by at most 360; more than 180 if the grid crosses 180 degrees.
        north: Northern edge, more than ``south``.
        resolution: Side of a cell in degrees, > 0.

    Raises:
        MapError: If the edges are out of order or off the globe, or there are too many cells.
    """

    west: float
    south: float
    east: float
    north: float
    resolution: float

    def __post_init__(self) -> None:
        if not (
            -180 <= self.west <= 180
            and self.west < self.east <= self.west + 360
            and (-90 <= self.south < self.north <= 90)
        ):
            raise MapError(
                f"box {self.west:g} {self.south:g} {self.east:g} {self.north:g}: must be west south east north in "
                "degrees, west and east within -180..180, or east beyond 180, and south < north within -90..90"
            )
        if not 0 < self.resolution <= 90:
            raise MapError(f"resolution = {self.resolution:g}: must be within 0..90 degrees, and more than 0")
        if self.shape[0] * self.shape[1] > MOST_CELLS:
            raise MapError(
                f"resolution = {self.resolution:g}: makes {self.shape[0] * self.shape[1]:,} cells; "
                f"at most {MOST_CELLS:,} are drawn, so take a smaller box or larger cells"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns (H, W)."""
        height, width = (self.north - self.south) / self.resolution, (self.east - self.west) / self.resolution
        return max(round(height), 1), max(round(width), 1)

    @property
    def sites_M2(self) -> NDArray[np.float64]:
        """Centres of the cells, northern row first, longitudes within -180..180."""
        height, width = self.shape
        longitude_W = self.west + (np.arange(width) + 0.5) * (self.east - self.west) / width
        latitude_H = self.north - (np.arange(height) + 0.5) * (self.north - self.south) / height
        longitude_HW, latitude_HW = np.meshgrid(within_180(longitude_W), latitude_H)
        return np.column_stack([longitude_HW.ravel(), latitude_HW.ravel()])


def suitability(
    models: Sequence[SpeciesModel], sites_M2: Floats, sample: Sample | None, species: slice, week: int | None
) -> NDArray[np.float32]:
    """Relative suitability (M, s) within 0..1: the sigmoid of the logits, averaged over the models (seeds).

    Args:
        models: At least one, of one run.
        sites_M2: Longitude, latitude in degrees.
        sample: Gives the covariates (M, C) that the models read; None: they read none.
        species: Which species.
        week: 1..48 for models that read the week; None: averaged over the year.

    Returns:
        NaN where the models read covariates and most of them are unknown, as at sea.

    Raises:
        MapError: If a week is given to models without weeks, or is not within 1..48.
    """
    if week is not None and not models[0].weeks:
        raise MapError(f"week = {week}: the run was trained without weeks; leave the week out")
    if week is not None and not 1 <= week <= WEEKS:
        raise MapError(f"week = {week}: must lie within 1..{WEEKS}, four weeks a month")
    week_M = None if week is None else np.full(len(sites_M2), week)
    nothing_MC = np.zeros((len(sites_M2), models[0].n_covariates), np.float32)
    covariates_MC = nothing_MC if sample is None else sample(sites_M2)
    mean_Ms = np.mean([expit(m.scores(sites_M2, covariates_MC, week_M).columns(species)) for m in models], axis=0)
    if models[0].reads_covariates:
        mean_Ms[np.isnan(covariates_MC).mean(axis=1) > 0.5] = np.nan
    result: NDArray[np.float32] = mean_Ms.astype(np.float32)
    return result


def parts_of(models: Sequence[SpeciesModel], kind: SpreadOver) -> tuple[SpeciesModel, ...]:
    """The models whose scores a spread is taken over: the seeds themselves, or the members of the blends they are.

    Raises:
        MapError: If they are fewer than two.
    """
    parts = list(models)
    if kind == "members":
        parts = [part for m in models for part in (m.members if isinstance(m, Blend) else [m])]  # type: ignore[misc]
    if len(parts) < 2:
        blend = isinstance(models[0], Blend)
        advice = "take --spread members" if blend else f"it has {len(parts)} model and is no blend: train more seeds"
        raise MapError(f"--spread {kind}: needs a run of two {kind} or more; {advice}")
    return tuple(parts)


@dataclass(frozen=True)
class Reference:
    """Sites among which a score has a rank.

    Args:
        sites_R2: Longitude, latitude in degrees; at least one.
        covariates_RC: Covariates there, NaN where unknown.
    """

    sites_R2: Floats
    covariates_RC: Floats


def spread(
    parts: Sequence[SpeciesModel],
    sites_M2: Floats,
    sample: Sample | None,
    species: slice,
    week: int | None,
    reference: Reference | None = None,
) -> NDArray[np.float32]:
    """Standard deviation (M, s) of relative suitability, or of its rank, over models.

    Of the score, it has the unit of the map beside it; like any score between 0 and 1 it is small near both ends. Of
    the rank, it is the same whatever level and scale a training gives its scores, which some losses leave to chance.
    Ranks are among fixed sites, so that neither depends on which other places or species are asked for.

    Args:
        parts: At least two, see :func:`parts_of`; they are a sample, so that the divisor is K - 1.
        sites_M2: As of :func:`suitability`.
        sample: As of :func:`suitability`.
        species: As of :func:`suitability`.
        week: As of :func:`suitability`; None: of the mean over the year.
        reference: Of the rank, which is the share of these sites that score lower, equal ones counting half; None: of
            the score.

    Returns:
        Within 0..0.71, NaN where :func:`suitability` is.
    """
    scores_KMs = [suitability([part], sites_M2, sample, species, week).astype(np.float64) for part in parts]
    unknown_Ms = np.isnan(scores_KMs).any(axis=0)
    if reference is not None:
        scores_KMs = [_rank(part, sites_M2, sample, species, week, reference) for part in parts]
    result: NDArray[np.float32] = np.std(scores_KMs, axis=0, ddof=1).astype(np.float32)
    result[unknown_Ms] = np.nan
    return result


def _rank(
    part: SpeciesModel, sites_M2: Floats, sample: Sample | None, species: slice, week: int | None, reference: Reference
) -> NDArray[np.float64]:
    """Share (M, s) of the reference sites that score lower, of logits, since sigmoids round to 1."""

    def logits(sites: Floats, covariates: Floats) -> NDArray[np.float32]:
        weeks = None if week is None else np.full(len(sites), week)
        return part.scores(sites, covariates, weeks).columns(species)

    nothing_MC = np.zeros((len(sites_M2), part.n_covariates), np.float32)
    own_Ms = logits(sites_M2, nothing_MC if sample is None else sample(sites_M2))
    other_Rs = np.sort(logits(reference.sites_R2, reference.covariates_RC), axis=0)
    twice = [
        np.searchsorted(other_R, own_M, "left") + np.searchsorted(other_R, own_M, "right")
        for own_M, other_R in zip(own_Ms.T, other_Rs.T, strict=True)
    ]
    return np.stack(twice, axis=1) / (2 * len(other_Rs))


def write_table(path: Path, grid: Grid, score_HW: Floats, spread_HW: Floats | None = None) -> None:
    """Longitude, latitude, suitability and, where given, its spread of every cell as CSV, whole or not at all."""
    sites_M2 = grid.sites_M2
    values = {"suitability": score_HW} | ({} if spread_HW is None else {"spread": spread_HW})
    table = pl.DataFrame(
        {"longitude": sites_M2[:, 0], "latitude": sites_M2[:, 1]}
        | {name: value_HW.astype(np.float64).ravel() for name, value_HW in values.items()}
    )
    with write_whole(path) as temporary:
        table.with_columns(pl.col(*values).fill_nan(None)).write_csv(temporary, float_precision=6)


def check_geotiff() -> None:
    """Tell before a long computation whether :func:`write_geotiff` can do its work.

    Raises:
        MapError: If rasterio is not installed.
    """
    if importlib.util.find_spec("rasterio") is None:
        raise MapError("GeoTIFF needs rasterio: pip install 'presence-only[rasters]'; .png and .csv do not")


def write_geotiff(
    path: Path, grid: Grid, score_HW: Floats, spread_HW: Floats | None = None, spread_of: str = "relative suitability"
) -> None:
    """One float32 band in EPSG:4326, NaN where unknown, and one of the spread where given, whole or not at all.

    A grid across 180 degrees stays in one piece: longitudes count on beyond 180, as GIS programs expect it.

    Raises:
        MapError: If rasterio is not installed.
    """
    check_geotiff()
    import rasterio
    from rasterio.transform import from_bounds

    height, width = grid.shape
    with (
        write_whole(path) as temporary,
        rasterio.open(
            temporary,
            "w",
            driver="GTiff",
            height=height,
            width=width,
            count=1 if spread_HW is None else 2,
            dtype="float32",
            crs="EPSG:4326",
            transform=from_bounds(grid.west, grid.south, grid.east, grid.north, width, height),
            nodata=float("nan"),
            compress="deflate",
        ) as file,
    ):
        file.write(score_HW.astype(np.float32), 1)
        file.set_band_description(1, "relative suitability (0 to 1)")
        if spread_HW is not None:
            file.write(spread_HW.astype(np.float32), 2)
            file.set_band_description(2, f"spread: standard deviation of {spread_of}")
