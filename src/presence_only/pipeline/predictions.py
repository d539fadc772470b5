"""Questions to a trained run: the map of one species, and the species of one place.

Shape legend: H rows and W columns of a map, M grid cells, P records, S species.
"""

from __future__ import annotations

import argparse
import errno
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from presence_only.common.arrays import Floats
from presence_only.common.similar_names import suggestions
from presence_only.export.trained_run import Run
from presence_only.geography.longitudes import narrowest_arc
from presence_only.model.range_map import (
    Grid,
    MapError,
    Reference,
    SpreadOver,
    check_geotiff,
    parts_of,
    spread,
    suitability,
    write_geotiff,
    write_table,
)

FORMATS = (".png", ".tif", ".csv")
REFERENCE_SITES = 1000
SPREAD_OF = {"score": "relative suitability", "rank": "the rank among background sites (0 to 1)"}


def list_species(
    run: Run,
    site: tuple[float, float],
    top: int,
    week: int | None,
    over: SpreadOver | None = None,
    spread_of: str | None = None,
) -> None:
    """Print the species that score highest at a place, with the spread of their scores where asked for."""
    longitude, latitude = site
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        raise MapError(f"--at {longitude:g} {latitude:g}: must be longitude -180..180 and latitude -90..90, in degrees")
    parts = parts_of(run.models, over) if over else ()
    score_S = suitability(run.models, np.array([site]), run.sample, slice(None), week)[0]
    if np.isnan(score_S).all():
        raise MapError(
            f"--at {longitude:g} {latitude:g}: the environment is unknown there (sea?), and the run reads it"
        )
    spread_S = None
    if parts:
        spread_S = spread(parts, np.array([site]), run.sample, slice(None), week, reference_of(run, spread_of))[0]
    table = Table(title=f"{run.name} at longitude {longitude:g}, latitude {latitude:g}")
    table.add_column("rank", justify="right")
    table.add_column("species")
    table.add_column("suitability (0 to 1)", justify="right")
    if spread_S is not None:
        table.add_column("spread", justify="right")
    table.add_column("training records", justify="right")
    counts_S = run.recorded_S
    for rank, species in enumerate(np.argsort(-score_S, kind="stable")[:top], 1):
        values = [f"{score_S[species]:.4f}"] + ([] if spread_S is None else [f"{spread_S[species]:.4f}"])
        # A name that comes from data is no markup of the terminal.
        table.add_row(str(rank), escape(run.records.species[species]), *values, f"{counts_S[species]:,}")
    Console().print(table)
    print("Suitability is relative: it ranks, and is no probability that the species is there.")
    if parts:
        print(f"Spread is the standard deviation of {SPREAD_OF[spread_of or 'score']} over {len(parts)} {over}.")


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
    parts = parts_of(run.models, arguments.spread) if arguments.spread else ()
    check_writable(out)
    if out.suffix.lower() == ".tif":
        check_geotiff()
    cells = _counted(grid.shape[0] * grid.shape[1], "cell")
    print(f"{run.name}: scoring {cells} under {_counted(len(run.models), 'seed')}", flush=True)
    species = slice(index, index + 1)
    score_HW = suitability(run.models, grid.sites_M2, run.sample, species, arguments.week)[:, 0].reshape(grid.shape)
    spread_HW, what = None, SPREAD_OF[arguments.spread_of or "score"]
    if parts:
        print(f"spread: standard deviation of {what} over {len(parts)} {arguments.spread}", flush=True)
        among = reference_of(run, arguments.spread_of)
        spread_HW = spread(parts, grid.sites_M2, run.sample, species, arguments.week, among)[:, 0].reshape(grid.shape)
    name = run.records.species[index]
    match out.suffix.lower():
        case ".png":
            # Not at the top: tables and lists need no matplotlib.
            from presence_only.geography.earth import Earth
            from presence_only.reporting.figures.maps import range_figure
            from presence_only.reporting.figures.style import save_figure
            from presence_only.reporting.figures.svg import plain

            title = f"{plain(name)}: {run.name}" + (f", week {arguments.week}" if arguments.week else "")
            extent = (grid.west, grid.east, grid.south, grid.north)
            figure = range_figure(score_HW, extent, sites_P2, Earth.load().land_share_grid, title, spread_HW, what)
            with _writing(out):
                save_figure(figure, out)
        case ".tif":
            with _writing(out):
                write_geotiff(out, grid, score_HW, spread_HW, what)
        case ".csv":
            with _writing(out):
                write_table(out, grid, score_HW, spread_HW)
    print(f"{name} ({_counted(len(sites_P2), 'training record')}): {out}")


def reference_of(run: Run, spread_of: str | None) -> Reference | None:
    """Background sites among which scores are ranked, evenly spread over their file; None: of the score itself."""
    if spread_of != "rank":
        return None
    background = run.training.background
    rows = np.unique(np.linspace(0, len(background.sites_K2) - 1, REFERENCE_SITES).astype(int))
    return Reference(background.sites_K2[rows], background.covariates_KC[rows])


def check_writable(out: Path) -> None:
    """Try, without leaving a trace, whether a file may be written; a full map may take minutes to compute.

    Raises:
        MapError: If ``out`` is a folder, or no file can be made in its folder, or its folder cannot be made.
    """
    with _writing(out):
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        # Folders that are missing are made with the file: the nearest that exists decides.
        nearest = next(folder for folder in out.absolute().parents if folder.exists())
        with tempfile.TemporaryFile(dir=nearest):
            pass


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
    if -180 <= east < west <= 180:
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
