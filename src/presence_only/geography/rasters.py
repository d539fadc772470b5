"""Layers of environment from the users' files, sampled at any sites: GeoTIFFs, or arrays in an .npz.

An ``.npz`` of layers holds ``names`` (C strings), ``layers`` (C, rows, columns; numbers, NaN where
undefined, the first row in the north), ``bounds`` (west, south, east, north of the outer edges) and,
unless these are degrees WGS84, ``crs`` (a string such as ``EPSG:3035``). ``numpy.savez`` writes one.

GeoTIFFs need rasterio, ``pip install presence-only[rasters]``. A folder gives all of its ``.tif`` and
``.tiff`` files in the order of their names; they may differ in grid, extent and coordinate reference
system. A file of one band is a layer of the file's name; one of several bands gives a layer each. A band of alpha is
no layer, but says where the others are undefined. Undefined is also what ``undeclared_nodata`` finds in layers that
declare no nodata value.

Shape legend: N sites, C layers (covariates), R rows and Q columns of a part of a grid, X cells.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyproj
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError
from presence_only.common.npz_files import read_npz
from presence_only.common.user_paths import user_path
from presence_only.geography.earth import COLUMNS, ROWS, Earth
from presence_only.geography.sphere import EARTH_RADIUS_KM, sites_of_vectors, unit_vectors
from presence_only.geography.undeclared_nodata import Fill, undeclared_fill, undefined

Float32s = NDArray[np.float32]
# Cells that are read at once, 16 MiB in float32; and sites that are interpolated at once.
CELLS_AT_ONCE, SITES_AT_ONCE = 2**22, 200_000
# Blocks of a file that are looked at for undeclared nodata, and cells in them.
BLOCKS_LOOKED_AT, CELLS_LOOKED_AT = 64, 2**25
# Bytes of a block, which GDAL unpacks whole for a single cell of it; cells that may be within reach of sites.
LARGEST_BLOCK_BYTES, MOST_CELLS_WITHIN_REACH = 2**28, 2**27
MOST_LAYERS = 10_000
# Formats of GDAL by the ending of a file's name, GeoTIFF for all others. None of these reads another file than its own;
# one such as VRT may have GDAL read any.
FORMATS = {".asc": "AAIGrid", ".bil": "EHdr"}
# Points of the circle around a site that bounds the cells within reach.
BEARINGS = 16


class Environment(Protocol):
    """Layers by name, and their values anywhere."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name of every layer."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about the layers that whoever reads the results must know."""

    def sample(self, sites_N2: Floats) -> Float32s:
        """Covariates at sites, shape (N, C), NaN where undefined."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Layers that share one grid, read a part at a time.

    Args:
        names: Name of every layer.
        shape: Rows and columns.
        affine: (a, b, c, d, e, f) of x = a * column + b * row + c and y = d * column + e * row + f,
            from the corner of the first cell.
        crs: Coordinate reference system of x and y; None: longitude, latitude in degrees WGS84.
        read: From the index of a layer, rows and columns to float32, NaN where undefined.
        block_rows: Rows that the file holds together.
        block_columns: Columns that it holds together; a block has so many rows and columns.
        notes: Sentences about the layers that whoever reads the results must know.
    """

    names: tuple[str, ...]
    shape: tuple[int, int]
    affine: tuple[float, float, float, float, float, float]
    crs: str | None
    read: Callable[[int, slice, slice], Float32s]
    block_rows: int = 1
    block_columns: int = 1
    notes: tuple[str, ...] = ()

    @cached_property
    def wraps(self) -> bool:
        """Whether the last column's eastern neighbour is the first one."""
        return self.turn is not None and abs(self.turn - self.shape[1]) < 0.1

    @cached_property
    def turn(self) -> float | None:
        """Columns once around the Earth; None where columns are not meridians."""
        a, b, _, d, _, _ = self.affine
        return 360.0 / abs(a) if self.geographic and b == d == 0 else None

    @property
    def rows_at_once(self) -> int:
        """Rows of a strip as wide as the grid."""
        blocks = CELLS_AT_ONCE // self.shape[1] // self.block_rows
        return max(blocks, 1) * self.block_rows

    @property
    def columns_at_once(self) -> int:
        """Columns of a part of a strip: all of them, unless they hold many more cells than are read at once."""
        rows = min(self.rows_at_once, self.shape[0])
        if rows * self.shape[1] <= 4 * CELLS_AT_ONCE:
            return self.shape[1]
        blocks = CELLS_AT_ONCE // rows // self.block_columns
        return max(blocks, 1) * self.block_columns

    def cells(self, sites_N2: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Column and row of sites, 0 at the centre of the first cell; NaN where the grid's projection ends."""
        a, b, c, d, e, f = self.affine
        x_N, y_N = sites_N2[:, 0], sites_N2[:, 1]
        if self._to_grid is not None:
            x_N, y_N = self._to_grid.transform(x_N, y_N)
        dx_N, dy_N = np.where(np.isfinite(x_N), x_N, np.nan) - c, np.where(np.isfinite(y_N), y_N, np.nan) - f
        determinant = a * e - b * d
        column_N, row_N = (e * dx_N - b * dy_N) / determinant, (a * dy_N - d * dx_N) / determinant
        if self.turn is not None:
            # 190 degrees east is 170 degrees west, whichever of them the grid counts in.
            column_N %= self.turn
        return column_N - 0.5, row_N - 0.5

    def sites(self, column_X: Ints | Floats, row_X: Ints | Floats) -> NDArray[np.float64]:
        """Longitude, latitude of columns and rows, whole at the centres of cells, shape (X, 2)."""
        a, b, c, d, e, f = self.affine
        x_X = a * (column_X + 0.5) + b * (row_X + 0.5) + c
        y_X = d * (column_X + 0.5) + e * (row_X + 0.5) + f
        if self._to_grid is not None:
            x_X, y_X = self._to_grid.transform(x_X, y_X, direction="INVERSE")
        return np.column_stack([x_X, y_X])

    @cached_property
    def geographic(self) -> bool:
        """Whether x and y are longitude and latitude in degrees."""
        return self.crs is None or bool(pyproj.CRS(self.crs).is_geographic)

    @cached_property
    def _to_grid(self) -> pyproj.Transformer | None:
        return None if self.crs is None else pyproj.Transformer.from_crs("EPSG:4326", self.crs, always_xy=True)


@dataclass(frozen=True, eq=False)
class Layers:
    """The layers of one or several grids.

    Args:
        grids: Their names must differ.
        nearest_km: Where a layer is undefined at a site, take the nearest cell's value within this
            distance, at most 5,000 km; None: leave it undefined.
    """

    grids: tuple[Grid, ...]
    nearest_km: float | None = None

    def __post_init__(self) -> None:
        if self.nearest_km is not None and not 0 < self.nearest_km <= 5000:
            raise DataError(f"nearest_km = {self.nearest_km:g}: must lie within 0..5000 kilometres")
        twice = {name for name in self.names if self.names.count(name) > 1}
        if twice:
            raise DataError(f"two layers have the name {min(twice)!r}; every layer needs a name of its own")

    @property
    def names(self) -> tuple[str, ...]:
        """Name of every layer."""
        return tuple(name for grid in self.grids for name in grid.names)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about the layers that whoever reads the results must know."""
        return tuple(note for grid in self.grids for note in grid.notes)

    def sample(self, sites_N2: Floats) -> Float32s:
        """Covariates at sites, shape (N, C), interpolated bilinearly between the centres of cells.

        A cell where a layer is undefined has no say: the weights of the others are scaled to one. In
        the outer half of the outermost cells these cells' values hold; a grid that goes around the
        Earth wraps. Beyond its grid a layer is NaN, and where all four cells are undefined, unless
        ``nearest_km`` finds one. Only the parts of a file around the sites are read.

        Raises:
            DataError: If a site is not on the globe or a file cannot be read.
        """
        sites_N2 = np.asarray(sites_N2, dtype=np.float64)
        if sites_N2.ndim != 2 or sites_N2.shape[1] != 2 or not np.all(np.abs(sites_N2) <= (180.0, 90.0)):
            raise DataError("sites must have the shape (n, 2): longitude within -180..180, latitude within -90..90")
        covariates_NC = np.full((len(sites_N2), len(self.names)), np.nan, dtype=np.float32)
        first = 0
        for grid in self.grids:
            own = covariates_NC[:, first : first + len(grid.names)]
            _interpolate(grid, sites_N2, own)
            if self.nearest_km is not None:
                _take_nearest(grid, sites_N2, own, self.nearest_km)
            first += len(grid.names)
        return covariates_NC


def open_environment(where: str, nearest_km: float | None = None) -> Environment:
    """The layers at ``where``.

    Args:
        where: ``earth`` for the shipped grid, or the path of a GeoTIFF, of a folder of GeoTIFFs or of
            an ``.npz`` of layers; ``~`` is the home folder.
        nearest_km: As of :class:`Layers`.

    Raises:
        DataError: If there is no such file, it is not what its name says, it lacks a coordinate
            reference system, or rasterio is needed and not installed.
    """
    if where == "earth":
        return Earth.load() if nearest_km is None else Layers((_earth_grid(),), nearest_km)
    path = user_path(where)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in (".tif", ".tiff"))
        if not files:
            raise DataError(f"environment {where!r} is a folder without .tif or .tiff files; at least one is needed")
        return Layers(tuple(_geotiff(file) for file in files), nearest_km)
    if not path.is_file():
        raise DataError(
            f"environment {where!r}: there is no such file; give 'earth', or the path of a GeoTIFF, "
            "of a folder of GeoTIFFs or of an .npz of layers"
        )
    return Layers((open_grid(path),), nearest_km)


def open_grid(path: Path) -> Grid:
    """The layers of one file.

    Raises:
        DataError: As of :func:`open_environment`.
    """
    return _arrays(path) if path.suffix.lower() == ".npz" else _geotiff(path)


def _interpolate(grid: Grid, sites_N2: Floats, covariates_NC: Float32s) -> None:
    """Write the bilinear values of a grid's layers into ``covariates_NC``."""
    rows, columns = grid.shape
    x_N, y_N = grid.cells(sites_N2)
    # Half a cell beyond the outermost centres is inside; a cell's coordinates may be rounded.
    inside_N = (y_N >= -0.501) & (y_N <= rows - 0.499)
    if grid.wraps:
        x_N[x_N < 0] += columns
    else:
        if grid.turn is not None:
            # A site on the western edge may have come out a whole turn to the east.
            x_N[x_N > grid.turn - 0.501] -= grid.turn
        inside_N &= (x_N >= -0.501) & (x_N <= columns - 0.499)
        np.clip(x_N, 0, columns - 1, out=x_N)
    np.clip(y_N, 0, rows - 1, out=y_N)
    for part in _parts(grid, y_N, x_N, inside_N):
        west_P, north_P = np.floor(x_N[part]).astype(np.int64), np.floor(y_N[part]).astype(np.int64)
        r_first, r_last = int(north_P.min()), min(int(north_P.max()) + 1, rows - 1)
        q_first, q_last = int(west_P.min()), int(west_P.max()) + 1
        dx_P, dy_P = x_N[part] - west_P, y_N[part] - north_P
        for layer in range(len(grid.names)):
            cells_RQ = _read_window(grid, layer, r_first, r_last, q_first, q_last)
            for start in range(0, len(part), SITES_AT_ONCE):
                few = slice(start, start + SITES_AT_ONCE)
                covariates_NC[part[few], layer] = _bilinear(
                    cells_RQ, west_P[few] - q_first, north_P[few] - r_first, dx_P[few], dy_P[few]
                )


def _bilinear(cells_RQ: Float32s, west_P: Ints, north_P: Ints, dx_P: Floats, dy_P: Floats) -> Floats:
    """Values between four cells each, the weights of the defined ones scaled to one."""
    total_P, norm_P = np.zeros(len(west_P)), np.zeros(len(west_P))
    columns = cells_RQ.shape[1]
    cells_X, first_P = cells_RQ.ravel(), north_P * columns + west_P
    for down, weight_row_P in ((0, 1 - dy_P), (columns, dy_P)):
        for right, weight_column_P in ((0, 1 - dx_P), (1, dx_P)):
            # Where there is no cell to the south or east the weight is 0, and any cell will do.
            values_P = cells_X.take(first_P + (down + right), mode="clip")
            weight_P = weight_row_P * weight_column_P
            undefined_P = np.isnan(values_P)
            if undefined_P.any():
                values_P[undefined_P] = 0.0
                weight_P[undefined_P] = 0.0
            norm_P += weight_P
            weight_P *= values_P
            total_P += weight_P
    unknown_P = np.full(len(west_P), np.nan)
    values: Floats = np.divide(total_P, norm_P, out=unknown_P, where=norm_P > 0)
    return values


def _take_nearest(grid: Grid, sites_N2: Floats, covariates_NC: Float32s, nearest_km: float) -> None:
    """Fill what is undefined in ``covariates_NC`` from the nearest cell that is defined, within reach."""
    rows, columns = grid.shape
    missing = np.flatnonzero(np.isnan(covariates_NC).any(axis=1))
    if len(missing) == 0:
        return
    x_low, x_high, y_low, y_high = _reach(grid, sites_N2[missing], nearest_km)
    near = (y_high >= 0) & (y_low <= rows - 1) & (grid.wraps | ((x_high >= 0) & (x_low <= columns - 1)))
    chord = 2 * np.sin(nearest_km / EARTH_RADIUS_KM / 2)
    # Before they are whole numbers: where a projection ends, they may be infinite.
    y_low, y_high = np.clip(y_low, 0, rows - 1), np.clip(y_high, 0, rows - 1)
    x_low, x_high = np.clip(x_low, 0, columns - 1), np.clip(x_high, 0, columns - 1)
    for part in _parts(grid, y_low, np.zeros_like(x_low) if grid.wraps else x_low, near):
        r_first, r_last = int(y_low[part].min()), int(y_high[part].max())
        q_first, q_last = 0, columns - 1
        if not grid.wraps:
            q_first, q_last = int(x_low[part].min()), int(x_high[part].max())
        within = (r_last - r_first + 1) * (q_last - q_first + 1)
        if within > MOST_CELLS_WITHIN_REACH:
            raise DataError(
                f"nearest_km = {nearest_km:g}: {within:,} cells of layer {grid.names[0]!r} would be looked at "
                f"together; they may be {MOST_CELLS_WITHIN_REACH:,}: give a smaller distance or a coarser layer"
            )
        here = missing[part]
        vectors_P3 = unit_vectors(sites_N2[here])
        for layer in range(len(grid.names)):
            cells_RQ = _read_window(grid, layer, r_first, r_last, q_first, q_last)
            defined_RQ = ~np.isnan(cells_RQ)
            # The nearest cell is one at an edge of what is defined, as all between it and the site is not.
            edge_X2 = np.argwhere(defined_RQ & ~ndimage.binary_erosion(defined_RQ, np.ones((3, 3))))
            wanted = np.flatnonzero(np.isnan(covariates_NC[here, layer]))
            if len(edge_X2) == 0 or len(wanted) == 0:
                continue
            centres_X2 = grid.sites(edge_X2[:, 1] + q_first, edge_X2[:, 0] + r_first)
            on_earth_X = np.isfinite(centres_X2).all(axis=1)
            if not on_earth_X.all():
                # Beyond the edge of the projection.
                edge_X2, centres_X2 = edge_X2[on_earth_X], centres_X2[on_earth_X]
                if len(edge_X2) == 0:
                    continue
            distance, which = cKDTree(unit_vectors(centres_X2)).query(vectors_P3[wanted], distance_upper_bound=chord)
            found = np.isfinite(distance)
            row, column = edge_X2[which[found]].T
            covariates_NC[here[wanted[found]], layer] = cells_RQ[row, column]


def _reach(grid: Grid, sites_N2: Floats, reach_km: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Columns and rows, first and last, that hold all cells within reach of each site."""
    up_N3 = unit_vectors(sites_N2)
    longitude_N = np.radians(sites_N2[:, 0])
    east_N3 = np.column_stack([-np.sin(longitude_N), np.cos(longitude_N), np.zeros(len(sites_N2))])
    north_N3 = np.cross(up_N3, east_N3)
    angle = reach_km / EARTH_RADIUS_KM
    shape = len(sites_N2)
    low_x, low_y = np.full(shape, np.inf), np.full(shape, np.inf)
    high_x, high_y = np.full(shape, -np.inf), np.full(shape, -np.inf)
    around = [np.zeros_like(up_N3)]
    for bearing in np.arange(BEARINGS) * (2 * np.pi / BEARINGS):
        around.append(np.sin(bearing) * east_N3 + np.cos(bearing) * north_N3)
    for direction_N3 in around:
        # A polygon of 16 corners inscribes a circle that is 2 % smaller.
        x_N, y_N = grid.cells(sites_of_vectors(up_N3 + np.tan(1.02 * angle) * direction_N3))
        low_x, high_x = np.fmin(low_x, x_N), np.fmax(high_x, x_N)
        low_y, high_y = np.fmin(low_y, y_N), np.fmax(high_y, y_N)
    if grid.geographic:
        # Around a pole all longitudes are near, and rows up to the pole.
        polar_N = np.abs(sites_N2[:, 1]) + np.degrees(angle) >= 90
        rows_of_pole = grid.cells(np.column_stack([np.zeros(shape), np.copysign(90.0, sites_N2[:, 1])]))[1]
        low_y = np.where(polar_N, np.fmin(low_y, rows_of_pole), low_y)
        high_y = np.where(polar_N, np.fmax(high_y, rows_of_pole), high_y)
        low_x, high_x = np.where(polar_N, 0, low_x), np.where(polar_N, grid.shape[1], high_x)
    return np.floor(low_x) - 1, np.ceil(high_x) + 1, np.floor(low_y) - 1, np.ceil(high_y) + 1


def _parts(grid: Grid, row_N: Floats, column_N: Floats, chosen_N: NDArray[np.bool_]) -> Iterator[Ints]:
    """Indices of the chosen sites, those of one part of the grid together."""
    chosen = np.flatnonzero(chosen_N)
    across = -(-grid.shape[1] // grid.columns_at_once)
    part = row_N[chosen].astype(np.int64) // grid.rows_at_once
    if across > 1:
        part = part * across + np.minimum(column_N[chosen].astype(np.int64) // grid.columns_at_once, across - 1)
    order = np.argsort(part, kind="stable")
    starts = np.flatnonzero(np.diff(part[order], prepend=-1))
    yield from np.split(chosen[order], starts[1:]) if len(starts) else ()


def _read_window(grid: Grid, layer: int, r_first: int, r_last: int, q_first: int, q_last: int) -> Float32s:
    """A part of a layer, all ends included; a column after the last is the first of a grid that wraps."""
    rows = slice(r_first, r_last + 1)
    columns = grid.shape[1]
    cells_RQ = grid.read(layer, rows, slice(q_first, min(q_last, columns - 1) + 1))
    if q_last == columns and grid.wraps:
        cells_RQ = np.concatenate([cells_RQ, grid.read(layer, rows, slice(0, 1))], axis=1)
    return cells_RQ


def _earth_grid() -> Grid:
    """The shipped grid, whose first row is in the south."""
    earth = Earth.load()
    return Grid(
        earth.names, (ROWS, COLUMNS), (1.0, 0.0, -180.0, 0.0, 1.0, -90.0), None, lambda i, r, q: earth.layers_C[i, r, q]
    )


def _arrays(path: Path) -> Grid:
    """The layers of an ``.npz``."""
    held = read_npz(path, ("names", "layers", "bounds", "crs"), "write layers by numpy.savez, or as a GeoTIFF")
    missing = [name for name in ("names", "layers", "bounds") if name not in held]
    if missing:
        raise DataError(f"{path}: has no {missing[0]!r}; an .npz of layers holds names, layers and bounds")
    layers, bounds = held["layers"], held["bounds"]
    numbers = layers.ndim == 3 and layers.size > 0 and layers.dtype.kind in "iufb"
    if not numbers or held["names"].shape != layers.shape[:1]:
        raise DataError(
            f"{path}: layers have the shape {layers.shape} and names {held['names'].shape}; "
            "layers must be numbers of the shape (C, rows, columns), with C names"
        )
    real = bounds.shape == (4,) and bounds.dtype.kind in "iuf"
    if not real or not np.isfinite(bounds).all() or not (bounds[:2] < bounds[2:]).all():
        raise DataError(f"{path}: bounds are {str(bounds.tolist())[:80]}; they must be west, south, east, north")
    names = tuple(str(name) for name in held["names"])
    fills = [undeclared_fill(f"{path.stem}: {name}", layer) for name, layer in zip(names, layers, strict=True)]
    undefined_C = np.stack([undefined(layer, fill.values) for layer, fill in zip(layers, fills, strict=True)])
    layers_C = np.where(undefined_C, 0, layers).astype(np.float32)
    layers_C[undefined_C] = np.nan
    west, south, east, north = bounds.tolist()
    rows, columns = layers.shape[1:]
    affine = _has_area(path, ((east - west) / columns, 0.0, west, 0.0, (south - north) / rows, north))
    crs = _crs(path, str(held["crs"])) if "crs" in held else None
    notes = tuple(note for fill in fills for note in fill.notes)
    return Grid(names, (rows, columns), affine, crs, lambda i, r, q: layers_C[i, r, q], notes=notes)


def _format(path: Path) -> str:
    """The one format that a file is read in."""
    return FORMATS.get(path.suffix.lower(), "GTiff")


def _geotiff(path: Path) -> Grid:
    """The bands of a GeoTIFF; they are read when asked for."""
    rasterio = _rasterio(path)
    try:
        with warnings.catch_warnings():
            # Said better below.
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            with rasterio.open(path, driver=_format(path)) as raster:
                return _bands(raster, path)
    except DataError:
        raise
    except (rasterio.errors.RasterioError, ValueError, ArithmeticError, MemoryError) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: cannot be read as a raster ({said}); fetch it again") from None


def _bands(raster: Any, path: Path) -> Grid:
    """The bands of an open GeoTIFF.

    Raises:
        DataError: If they are no layers, or it is not known where they lie.
    """
    if raster.crs is None or raster.transform.is_identity:
        raise DataError(
            f"{path}: says not where on Earth it lies; set its coordinate reference system and bounds, "
            "as with gdal_translate -a_srs EPSG:4326 -a_ullr <west> <north> <east> <south>"
        )
    if raster.count > MOST_LAYERS:
        raise DataError(f"{path}: has {raster.count:,} bands; they must be layers, {MOST_LAYERS:,} at most")
    interpretations = [interpretation.name for interpretation in raster.colorinterp]
    bands = [band for band, name in enumerate(interpretations) if name != "alpha"]
    if not bands:
        raise DataError(f"{path}: has no band but alpha, which says where others are undefined; it needs a layer")
    if any(raster.dtypes[band].startswith("complex") for band in bands):
        raise DataError(f"{path}: holds complex numbers; a layer must hold real ones")
    block_rows, block_columns = _block(raster, path)
    texts = [raster.descriptions[band] or f"band {band + 1}" for band in bands]
    names = (path.stem,) if len(bands) == 1 else tuple(f"{path.stem}: {text}" for text in texts)
    scales, offsets = tuple(raster.scales), tuple(raster.offsets)
    shape, affine = (raster.height, raster.width), _has_area(path, tuple(raster.transform)[:6])
    crs = None if raster.crs.to_epsg() == 4326 else _crs(path, raster.crs.to_wkt())
    classes = [interpretations[band] == "palette" for band in bands]
    fills = [
        _classes(name) if is_class else _band_fill(raster, band, name)
        for name, band, is_class in zip(names, bands, classes, strict=True)
    ]
    rasterio = _rasterio(path)

    def read(layer: int, rows: slice, columns: slice) -> Float32s:
        window = ((rows.start, rows.stop), (columns.start, columns.stop))
        band = bands[layer]
        try:
            with rasterio.open(path, driver=_format(path)) as opened:
                cells = opened.read(band + 1, window=window, masked=True)
        except (rasterio.errors.RasterioError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({' '.join(str(error).split())}); fetch it again") from None
        undefined_RQ = np.ma.getmaskarray(cells) | undefined(cells.data, fills[layer].values)
        values: Float32s = np.where(undefined_RQ, 0, cells.data).astype(np.float32) * scales[band] + offsets[band]
        values = values.astype(np.float32, copy=False)
        values[undefined_RQ | ~np.isfinite(values)] = np.nan
        return values

    notes = tuple(note for fill in fills for note in fill.notes)
    return Grid(names, shape, affine, crs, read, block_rows, block_columns, notes)


def _block(raster: Any, path: Path) -> tuple[int, int]:
    """Rows and columns of the largest block of an open GeoTIFF.

    Raises:
        DataError: If it does not fit memory.
    """
    rows, columns = max(raster.block_shapes, key=math.prod)
    together = raster.count if raster.profile.get("interleave") == "pixel" else 1
    size = rows * columns * together * max(np.dtype(kind).itemsize for kind in raster.dtypes)
    if size > LARGEST_BLOCK_BYTES:
        raise DataError(
            f"{path}: its blocks have {rows:,} x {columns:,} cells, {size / 2**30:.1f} GiB each, and are read "
            f"whole; they may have {LARGEST_BLOCK_BYTES / 2**30:g} GiB: write it anew with gdal_translate "
            "-co TILED=YES OLD NEW"
        )
    return int(rows), int(columns)


def _has_area(path: Path, affine: tuple[float, ...]) -> tuple[float, float, float, float, float, float]:
    """What places a grid on a map, if its cells have an area.

    Raises:
        DataError: If they have none, or a number is not finite.
    """
    a, b, c, d, e, f = affine
    determinant = a * e - b * d
    # Beyond these numbers, divisions by a cell's size are no numbers.
    if not all(map(math.isfinite, affine)) or not 1e-30 < abs(determinant) < 1e30:
        shown = ", ".join(f"{number:g}" for number in affine)
        raise DataError(
            f"{path}: its cells have no area (the transform is {shown}); set its bounds, "
            " as with gdal_edit.py -a_ullr <west> <north> <east> <south>"
        )
    return a, b, c, d, e, f


def _classes(name: str) -> Fill:
    """Of a band with a colour table, whose values are classes: all of them count."""
    return Fill(
        notes=(
            f"Layer {name!r} has a colour table: its values are numbers of classes, of which a mean between two cells "
            "means nothing; give the share of each class as a layer.",
        )
    )


def _band_fill(raster: Any, band: int, name: str) -> Fill:
    """What stands for "no value" in a band that does not say so, judged by some of its blocks."""
    kind, nodata = np.dtype(raster.dtypes[band]), raster.nodatavals[band]
    # NaN is undefined in any case, and GDAL disregards what an integer type cannot hold.
    lowest, highest = (-np.inf, np.inf) if kind.kind == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
    declared = nodata is not None and lowest <= nodata <= highest
    masked = any(flag.name in ("alpha", "per_dataset") for flag in raster.mask_flag_enums[band])
    if declared or masked:
        return Fill()
    height, width = raster.block_shapes[band]
    down, across = -(-raster.height // height), -(-raster.width // width)
    most = min(BLOCKS_LOOKED_AT, max(CELLS_LOOKED_AT // (height * width), 1))
    # Steps of the golden ratio fall into all rows and columns of blocks.
    share = np.arange(most) * (np.sqrt(5) - 1) / 2 % 1
    chosen = np.unique((share * down * across).astype(np.int64)) if down * across > most else range(down * across)
    cells = [
        raster.read(band + 1, window=raster.block_window(band + 1, *divmod(int(i), across))).ravel() for i in chosen
    ]
    return undeclared_fill(name, np.concatenate(cells))


def _crs(path: Path, text: str) -> str:
    """A coordinate reference system that pyproj knows."""
    try:
        crs = pyproj.CRS(text)
    except pyproj.exceptions.CRSError:
        raise DataError(
            f"{path}: unknown coordinate reference system {text[:80]!r}; give one such as EPSG:4326"
        ) from None
    try:
        if not (crs.is_geographic or crs.is_projected):
            raise pyproj.exceptions.ProjError("neither longitude and latitude nor a projection of them")
        pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    except pyproj.exceptions.ProjError:
        raise DataError(
            f"{path}: there is no way from longitude and latitude to its coordinate reference system {crs.name!r}; "
            "set the one that it has on Earth, such as EPSG:4326, as with gdal_edit.py -a_srs"
        ) from None
    return str(crs.to_wkt())


def _rasterio(path: Path) -> Any:
    """The library that reads GeoTIFFs; not all users need it."""
    try:
        import_module("rasterio.errors")
        return import_module("rasterio")
    except ImportError:
        raise DataError(f"{path}: GeoTIFFs need rasterio; pip install presence-only[rasters]") from None
