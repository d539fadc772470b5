"""Ask a trained run: where is a species likely to be found, and which species are likely at a place?

python -m presence_only.predict --run runs/virtual/an_full --species "species 7" --out map.png
python -m presence_only.predict --run runs/virtual/an_full --at 8.55 47.37
"""

from __future__ import annotations

import argparse
import difflib
import errno
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from presence_only.data.records import PresenceRecords
from presence_only.data.training import TrainingData
from presence_only.geography.earth import Earth
from presence_only.model.files import load_model
from presence_only.model.interface import SpeciesModel
from presence_only.model.range_map import Grid, MapError, Sample, check_geotiff, suitability, write_geotiff, write_table
from presence_only.pipeline.command import run_stage
from presence_only.reporting.figures import range_figure, save_figure
from presence_only.study.params import load_params
from presence_only.study.paths import CellFiles, DatasetFiles

FORMATS = (".png", ".tif", ".csv")
TOP = 20


@dataclass(frozen=True)
class Run:
    """A trained cell of a study.

    Args:
        name: ``dataset / variant``, with the seed where only one was asked for.
        models: One a seed.
        records: What they were trained on.
        sample: Gives covariates anywhere, for models that read any.
    """

    name: str
    models: tuple[SpeciesModel, ...]
    records: PresenceRecords
    sample: Sample | None


def main() -> None:
    """Draw or write one species' map, or list the species of one place."""
    arguments = _arguments()
    run = load_run(arguments.run)
    if arguments.at:
        list_species(run, arguments.at, arguments.top or TOP, arguments.week)
    else:
        map_species(run, arguments)


def load_run(path: Path) -> Run:
    """Read the encoders of a run folder, ``runs/<dataset>/<variant>`` or one of its seeds.

    Raises:
        MapError: If the folder is no run, or the data set has covariates at its own sites only.
    """
    folder = path.resolve()
    if folder.name == "encoder.pt":
        folder = folder.parent
    files = sorted(folder.glob("encoder.pt")) or sorted(folder.glob("seed_*/encoder.pt"))
    cell = folder.parent if folder.name.startswith("seed_") else folder
    if not files or cell.parent.parent.name != "runs":
        raise MapError(f"--run {path}: holds no encoder; give a folder runs/<dataset>/<variant>, made by `dvc repro`")
    study, name = cell.parents[2], CellFiles(cell.parent.name, cell.name)
    models = tuple(load_model(file) for file in files)
    records = TrainingData.load(study / DatasetFiles(name.dataset).training).records
    sample = None
    if models[0].reads_covariates:
        sample = load_params(study / "params.yaml").datasets[name.dataset].covariate_source()
    seed = f" / {folder.name.replace('_', ' ')}" if cell != folder else ""
    return Run(f"{name.dataset} / {name.variant}{seed}", models, records, sample)


def list_species(run: Run, site: tuple[float, float], top: int, week: int | None) -> None:
    """Print the species that score highest at a place."""
    longitude, latitude = site
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        raise MapError(f"--at {longitude:g} {latitude:g}: must be longitude -180..180 and latitude -90..90, in degrees")
    score_S = suitability(run.models, np.array([site]), run.sample, slice(None), week)[0]
    if np.isnan(score_S).all():
        raise MapError(
            f"--at {longitude:g} {latitude:g}: the environment is unknown there (sea?), and the run reads it"
        )
    table = Table(title=f"{run.name} at longitude {longitude:g}, latitude {latitude:g}")
    table.add_column("rank", justify="right")
    table.add_column("species")
    table.add_column("suitability (0 to 1)", justify="right")
    table.add_column("training records", justify="right")
    counts_S = run.records.records_per_species()
    for rank, species in enumerate(np.argsort(-score_S, kind="stable")[:top], 1):
        table.add_row(str(rank), run.records.species[species], f"{score_S[species]:.4f}", f"{counts_S[species]:,}")
    Console().print(table)
    print("Suitability is relative: it ranks, and is no probability that the species is there.")


def map_species(run: Run, arguments: argparse.Namespace) -> None:
    """Write one species' map as PNG, GeoTIFF or CSV, by the file's ending."""
    out: Path = arguments.out
    if out.suffix.lower() not in FORMATS:
        raise MapError(f"--out {out}: must end in one of {', '.join(FORMATS)}")
    index = find_species(arguments.species, run.records.species)
    sites_P2 = run.records.sites_N2[run.records.row_P[run.records.species_P == index]]
    west, south, east, north = arguments.box or _around(sites_P2)
    resolution = max(east - west, north - south) / 360 if arguments.resolution is None else arguments.resolution
    grid = Grid(west, south, east, north, resolution)
    check_writable(out)
    if out.suffix.lower() == ".tif":
        check_geotiff()
    cells = _counted(grid.shape[0] * grid.shape[1], "cell")
    print(f"{run.name}: scoring {cells} under {_counted(len(run.models), 'seed')}", flush=True)
    species = slice(index, index + 1)
    score_HW = suitability(run.models, grid.sites_M2, run.sample, species, arguments.week)[:, 0].reshape(grid.shape)
    name = run.records.species[index]
    match out.suffix.lower():
        case ".png":
            title = f"{name}: {run.name}" + (f", week {arguments.week}" if arguments.week else "")
            extent = (grid.west, grid.east, grid.south, grid.north)
            figure = range_figure(score_HW, extent, sites_P2, Earth.load().land_share_grid, title)
            with _writing(out):
                save_figure(figure, out)
        case ".tif":
            with _writing(out):
                write_geotiff(out, grid, score_HW)
        case ".csv":
            with _writing(out):
                write_table(out, grid, score_HW)
    print(f"{name} ({_counted(len(sites_P2), 'training record')}): {out}")


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


def suggestions(asked: str, species: Sequence[str]) -> list[str]:
    """Up to three names that may be meant by one that is unknown, the likest first.

    Letter case, leading zeros and what stands between words count for nothing. Names that are then
    equal come alone; else those that hold the same numbers, else those that begin with ``asked``, else
    those that contain it, else those that look alike.
    """
    wanted, keys = _key(asked), [_key(name) for name in species]
    numbers = re.findall("[0-9]+", wanted)
    matcher = difflib.SequenceMatcher(b=wanted)

    def likeness(index: int) -> float:
        matcher.set_seq1(keys[index])
        return matcher.ratio()

    rules: tuple[Callable[[int], bool], ...] = (
        lambda index: keys[index] == wanted,
        lambda index: bool(numbers) and re.findall("[0-9]+", keys[index]) == numbers,
        lambda index: bool(wanted) and keys[index].startswith(wanted),
        lambda index: bool(wanted) and wanted in keys[index],
        lambda index: likeness(index) >= 0.5,
    )
    for rule in rules:
        if found := [index for index in range(len(species)) if rule(index)]:
            return [species[index] for index in sorted(found, key=likeness, reverse=True)[:3]]
    return []


def _key(name: str) -> str:
    """A name without what people write in different ways: ``Virtual-0001`` as ``virtual 1``."""
    words = re.sub(r"[\W_]+", " ", name.casefold()).strip()
    return re.sub("0*([0-9]+)", r"\1", words)


def _counted(n: int, noun: str) -> str:
    """``1 cell``, ``2,000 cells``."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def _around(sites_P2: np.ndarray) -> tuple[float, float, float, float]:
    """Whole degrees around some sites with a margin: west, south, east, north."""
    low, high = sites_P2.min(axis=0), sites_P2.max(axis=0)
    margin = np.maximum((high - low) * 0.5, 10.0)
    west, south = np.maximum(np.floor(low - margin), [-180, -90])
    east, north = np.minimum(np.ceil(high + margin), [180, 90])
    return float(west), float(south), float(east), float(north)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m presence_only.pipeline.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", type=Path, required=True, help="folder runs/<dataset>/<variant>, or one seed's in it")
    parser.add_argument("--species", help="name of the species to map")
    parser.add_argument("--out", type=Path, help="map.png, map.tif (GeoTIFF) or map.csv")
    parser.add_argument("--box", type=float, nargs=4, metavar=("WEST", "SOUTH", "EAST", "NORTH"), help="degrees")
    parser.add_argument("--resolution", type=float, help="side of a cell in degrees; default: 360 cells across")
    parser.add_argument("--at", type=float, nargs=2, metavar=("LON", "LAT"), help="list the species of this place")
    parser.add_argument("--top", type=int, help=f"how many species to list (default {TOP})")
    parser.add_argument("--week", type=int, help="1..48, for runs trained with weeks; default: the whole year")
    arguments = parser.parse_args()
    if (arguments.at is None) == (arguments.species is None):
        parser.error("give either --at LON LAT, or --species NAME with --out FILE")
    if arguments.species is not None and arguments.out is None:
        parser.error("--species needs --out: map.png, map.tif or map.csv")
    asks, other, theirs = "--species", "--at", ["top"]
    if arguments.at is not None:
        asks, other, theirs = other, asks, ["out", "box", "resolution"]
    for name in theirs:
        if getattr(arguments, name) is not None:
            parser.error(f"--{name} goes with {other}, not with {asks}: leave one of them out")
    if arguments.top is not None and arguments.top < 1:
        parser.error(f"--top {arguments.top}: must be at least 1")
    return arguments


if __name__ == "__main__":
    run_stage(main)
