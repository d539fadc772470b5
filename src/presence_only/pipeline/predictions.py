"""Questions to a trained run about one species: its map.

Shape legend: H rows and W columns of a map, M grid cells, P records.
"""

from __future__ import annotations

import argparse
import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy.special import expit

from presence_only.common.arrays import Floats
from presence_only.common.output_folder import try_beside
from presence_only.common.shown_names import in_a_line
from presence_only.common.similar_names import suggestions
from presence_only.evaluation.presence_thresholds import threshold_rule
from presence_only.export.trained_run import Run
from presence_only.geography.longitudes import narrowest_arc
from presence_only.model.range_map import (
    Grid,
    MapError,
    check_geotiff,
    logits_of_suitability,
    suitability,
    write_binary_geotiff,
    write_geotiff,
    write_table,
)
from presence_only.pipeline.spreads import Spread

FORMATS = (".png", ".tif", ".csv")
# Rule by which maps and lists are cut if none is asked for.
DEFAULT_THRESHOLD = "lpt5"


def map_species(run: Run, arguments: argparse.Namespace) -> None:
    """Write one species' map as PNG, GeoTIFF or CSV, by the file's ending."""
    out: Path = arguments.out
    if out.suffix.lower() not in FORMATS:
        raise MapError(f"--out {out}: must end in one of {', '.join(FORMATS)}")
    index = find_species(arguments.species, run.records.species)
    sites_P2 = run.records.sites_N2[run.records.row_P[run.records.species_P == index]]
    west, south, east, north = _in_order(arguments.box) if arguments.box else _around(sites_P2)
    resolution = max(east - west, north - south) / 360 if arguments.resolution is None else arguments.resolution
    grid = Grid(west, south, east, north, resolution)
    spread = Spread.asked(run, arguments.spread, arguments.spread_of) if arguments.spread else None
    check_writable(out)
    if out.suffix.lower() == ".tif":
        check_geotiff()
    if arguments.binary:
        threshold_rule(arguments.threshold or DEFAULT_THRESHOLD)
    cells = _counted(grid.shape[0] * grid.shape[1], "cell")
    print(f"{run.name}: scoring {cells} under {_counted(len(run.models), 'seed')}", flush=True)
    species = slice(index, index + 1)
    asked = run.models, grid.sites_M2, run.sample, species, arguments.week
    name = run.records.species[index]
    binary, spread_HW, of = None, None, ""
    if arguments.binary:
        # Not at the top: it needs h3, and other maps do not.
        from presence_only.pipeline.thresholded_predictions import cut

        logit_HW = logits_of_suitability(*asked)[:, 0].reshape(grid.shape)
        score_HW = expit(logit_HW).astype(np.float32)
        binary = cut(run, index, logit_HW, arguments.threshold or DEFAULT_THRESHOLD, arguments.week)
    else:
        score_HW = suitability(*asked)[:, 0].reshape(grid.shape)
    if spread:
        of = spread.of
        print(f"spread: {spread.words}", flush=True)
        spread_HW = spread.at(grid.sites_M2, species, arguments.week)[:, 0].reshape(grid.shape)
    match out.suffix.lower():
        case ".png":
            # Not at the top: tables and lists need no matplotlib.
            from presence_only.geography.earth import Earth
            from presence_only.reporting.figures.maps import binary_figure, range_figure
            from presence_only.reporting.figures.style import save_figure

            title = f"{name}: {run.name}" + (f", week {arguments.week}" if arguments.week else "")
            extent = (grid.west, grid.east, grid.south, grid.north)
            land_share = Earth.load().land_share_grid
            if binary is None:
                figure = range_figure(score_HW, extent, sites_P2, land_share, title, spread_HW, of)
            else:
                figure = binary_figure(binary, extent, sites_P2, land_share, title)
            with _writing(out):
                save_figure(figure, out)
        case ".tif":
            with _writing(out):
                if binary is None:
                    write_geotiff(out, grid, score_HW, spread_HW, of)
                else:
                    tags = {"SPECIES": in_a_line(name), "RUN": run.name}
                    tags |= {} if arguments.week is None else {"WEEK": str(arguments.week)}
                    write_binary_geotiff(out, grid, binary, tags)
        case ".csv":
            with _writing(out):
                write_table(out, grid, score_HW, spread_HW, binary)
    if binary is not None:
        print(f"in range: suitability is at least {binary.threshold:.6g}, {binary.words}")
    print(f"{in_a_line(name)} ({_counted(len(sites_P2), 'training record')}): {out}")


def check_writable(out: Path) -> None:
    """Try, without leaving a trace, whether a file may be written; a full map may take minutes to compute.

    Raises:
        MapError: If ``out`` is a folder, or no file can be made in its folder, or its folder cannot be made.
    """
    with _writing(out):
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        try_beside(out)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Tell what the system says against writing a file as one sentence; rasterio's errors are the system's too."""
    try:
        yield
    except OSError as error:
        # polars and rasterio give their text only.
        reason = error.strerror or " ".join(str(error).split())
        raise MapError(f"--out {out}: cannot be written: {reason}") from None


def find_species(asked: str, species: tuple[str, ...]) -> int:
    """The index of a species by its name, letter case aside.

    Raises:
        MapError: If there is none; the message offers up to three that may be meant.
    """
    by_name = {name.casefold(): index for index, name in enumerate(species)}
    if asked.casefold() in by_name:
        return by_name[asked.casefold()]
    *others, last = [repr(name) for name in suggestions(asked, species)] or [""]
    names = f"{', '.join(others)} or {last}" if others else last
    advice = f"did you mean {names}?" if names else f"its names look like {species[0]!r}"
    raise MapError(f"--species {asked!r}: the run knows no such species; {advice}")


def _counted(n: int, noun: str) -> str:
    """``1 cell``, ``2,000 cells``."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def _in_order(box: Sequence[float]) -> tuple[float, float, float, float]:
    """West, south, east, north with west within -180..180 and east to the east of it, where they can be read so."""
    west, south, east, north = box
    if -360 <= west < -180:
        west, east = west + 360, east + 360
    if -180 <= east < west <= 180 and south < north:
        east += 360
    return west, south, east, north


def _around(sites_P2: Floats) -> tuple[float, float, float, float]:
    """Whole degrees around some sites with a margin: west, south, east, north, the east beyond 180 if it crosses."""
    (west, east), (south, north) = narrowest_arc(sites_P2[:, 0]), (sites_P2[:, 1].min(), sites_P2[:, 1].max())
    margin_x, margin_y = max((east - west) * 0.5, 10.0), max((north - south) * 0.5, 10.0)
    west, east = float(np.floor(west - margin_x)), float(np.ceil(east + margin_x))
    if east - west >= 360:
        west, east = -180.0, 180.0
    elif west < -180:
        west, east = west + 360, east + 360
    return west, float(max(np.floor(south - margin_y), -90)), east, float(min(np.ceil(north + margin_y), 90))
