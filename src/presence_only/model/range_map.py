"""Range maps of trained encoders: scores on a grid of longitude and latitude, and the files to keep them in.

Shape legend: M grid cells, H rows (north first), W columns, C covariates, S species.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logsumexp

from presence_only.common.arrays import Floats
from presence_only.common.atomic_files import write_stream
from presence_only.common.errors import UserError
from presence_only.data.sites import WEEKS
from presence_only.geography.longitudes import within_180
from presence_only.model.interface import SpeciesModel

Sample = Callable[[Floats], Floats]
MOST_CELLS = 10_000_000


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
        # As floats: of the smallest resolutions there is no whole number of rows.
        cells = (self.north - self.south) / self.resolution * ((self.east - self.west) / self.resolution)
        cells = self.shape[0] * self.shape[1] if cells < 1e15 else cells
        if cells > MOST_CELLS:
            raise MapError(
                f"resolution = {self.resolution:g}: makes {cells:,.0f} cells; "
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


class Suitabilities:
    """Relative suitability (M, S) of a run at sites, some species at a time.

    What the network makes of the sites is kept between two calls, so that many species in parts cost little more than
    all at once.

    Args:
        models: At least one, of one run.
        sites_M2: Longitude, latitude in degrees.
        sample: Gives the covariates (M, C) that the models read; None: they read none.
        week: 1..48 for models that read the week; None: averaged over the year.

    Raises:
        MapError: If a week is given to models without weeks, or is not within 1..48.
    """

    def __init__(
        self, models: Sequence[SpeciesModel], sites_M2: Floats, sample: Sample | None, week: int | None
    ) -> None:
        if week is not None and not models[0].weeks:
            raise MapError(f"week = {week}: the run was trained without weeks; leave the week out")
        if week is not None and not 1 <= week <= WEEKS:
            raise MapError(f"week = {week}: must lie within 1..{WEEKS}, four weeks a month")
        week_M = None if week is None else np.full(len(sites_M2), week)
        nothing_MC = np.zeros((len(sites_M2), models[0].n_covariates), np.float32)
        covariates_MC = nothing_MC if sample is None else sample(sites_M2)
        self._scores = [model.scores(sites_M2, covariates_MC, week_M) for model in models]
        unknown_M = np.isnan(covariates_MC).mean(axis=1) > 0.5 if models[0].reads_covariates else False
        self._unknown_M = np.broadcast_to(unknown_M, len(sites_M2))

    def columns(self, species: slice) -> NDArray[np.float32]:
        """Suitability (M, s) of some species within 0..1: the sigmoid of the logits, averaged over the models (seeds).

        Returns:
            NaN where the models read covariates and most of them are unknown, as at sea.
        """
        mean_Ms = np.mean([expit(scores.columns(species)) for scores in self._scores], axis=0)
        mean_Ms[self._unknown_M] = np.nan
        result: NDArray[np.float32] = mean_Ms.astype(np.float32)
        return result

    def logits(self, species: slice) -> NDArray[np.float64]:
        """Logits (M, s) of what :meth:`columns` returns, exact where that is rounded to 0 or 1."""
        mean_Ms = logits_of_mean([scores.columns(species) for scores in self._scores])
        mean_Ms[self._unknown_M] = np.nan
        return mean_Ms


def suitability(
    models: Sequence[SpeciesModel], sites_M2: Floats, sample: Sample | None, species: slice, week: int | None
) -> NDArray[np.float32]:
    """Relative suitability (M, s) of some species at sites; see :class:`Suitabilities` for arguments and errors."""
    return Suitabilities(models, sites_M2, sample, week).columns(species)


def logits_of_suitability(
    models: Sequence[SpeciesModel], sites_M2: Floats, sample: Sample | None, species: slice, week: int | None
) -> NDArray[np.float64]:
    """Logits (M, s) of what :func:`suitability` returns, exact where that is rounded to 0 or 1; same arguments."""
    return Suitabilities(models, sites_M2, sample, week).logits(species)


def logits_of_mean(logits: Sequence[Floats]) -> NDArray[np.float64]:
    """Logits of the mean suitability of several models, from the logits of each."""
    each = np.stack(logits).astype(np.float64)
    # Mean p over mean q, in logarithms.
    result: NDArray[np.float64] = logsumexp(log_expit(each), axis=0) - logsumexp(log_expit(-each), axis=0)
    return result


@dataclass(frozen=True)
class BinaryRange:
    """A map cut at a threshold.

    Args:
        in_range_HW: 1 where the species' suitability is at least the threshold, 0 elsewhere, -1 where it is unknown.
        threshold: Suitability within 0..1.
        rule: Name of the rule that chose it.
        words: What the rule is, for legends.
    """

    in_range_HW: NDArray[np.int8]
    threshold: float
    rule: str
    words: str


def write_table(
    path: Path, grid: Grid, score_HW: Floats, spread_HW: Floats | None = None, binary: BinaryRange | None = None
) -> None:
    """Longitude, latitude and suitability of every cell as CSV, whole or not at all; with what else is given.

    Of a spread this is the column ``spread``; of a binary range ``in_range``, 1 or 0 and empty where unknown, and in
    every row ``threshold`` and ``rule``.
    """
    sites_M2 = grid.sites_M2
    values = {"suitability": score_HW} | ({} if spread_HW is None else {"spread": spread_HW})
    table = pl.DataFrame(
        {"longitude": sites_M2[:, 0], "latitude": sites_M2[:, 1]}
        | {name: value_HW.astype(np.float64).ravel() for name, value_HW in values.items()}
    )
    if binary is not None:
        in_range = pl.Series("in_range", binary.in_range_HW.ravel())
        table = table.with_columns(
            pl.when(in_range >= 0).then(in_range).alias("in_range"),
            pl.lit(binary.threshold).alias("threshold"),
            pl.lit(binary.rule).alias("rule"),
        )
    with write_stream(path) as stream:
        table.with_columns(pl.col(*values).fill_nan(None)).write_csv(stream, float_precision=6)


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
    bands = {"relative suitability (0 to 1)": score_HW.astype(np.float32)}
    if spread_HW is not None:
        bands[f"spread: standard deviation of {spread_of}"] = spread_HW.astype(np.float32)
    _write_bands(path, grid, bands, float("nan"), {})


def write_binary_geotiff(path: Path, grid: Grid, binary: BinaryRange, tags: Mapping[str, str]) -> None:
    """One byte band: 1 in the range, 0 outside of it, 255 where unknown; see :func:`write_geotiff`.

    The rule and the threshold stand in the description of the band and in its tags ``RULE`` and ``THRESHOLD``.

    Args:
        path: The file.
        grid: Its cells.
        binary: The range.
        tags: Further tags of the file, such as the species.

    Raises:
        MapError: If rasterio is not installed.
    """
    band_HW = np.where(binary.in_range_HW < 0, 255, binary.in_range_HW).astype(np.uint8)
    words = f"1: suitability is at least {binary.threshold:.6g}, {binary.words}"
    own = {"RULE": binary.rule, "THRESHOLD": f"{binary.threshold:.9g}"}
    _write_bands(path, grid, {words: band_HW}, 255, {**tags, **own})


def _write_bands(
    path: Path, grid: Grid, bands: Mapping[str, NDArray[Any]], nodata: float, tags: Mapping[str, str]
) -> None:
    """A GeoTIFF of bands of one type, by their descriptions."""
    check_geotiff()
    from rasterio.io import MemoryFile
    from rasterio.transform import from_bounds

    first_HW = next(iter(bands.values()))
    height, width = grid.shape
    # In memory: on a full disk GDAL writes half of a file, and says nothing.
    with write_stream(path) as stream, MemoryFile(ext=".tif") as memory:
        with memory.open(
            driver="GTiff",
            height=height,
            width=width,
            count=len(bands),
            dtype=first_HW.dtype.name,
            crs="EPSG:4326",
            transform=from_bounds(grid.west, grid.south, grid.east, grid.north, width, height),
            nodata=nodata,
            compress="deflate",
        ) as file:
            for number, (description, band_HW) in enumerate(bands.items(), 1):
                file.write(band_HW, number)
                file.set_band_description(number, description)
            if tags:
                file.update_tags(**tags)
        stream.write(memory.getbuffer())
