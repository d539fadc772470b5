"""Ask a trained run: where is a species likely to be found, and which species are likely at a place?

python -m presence_only.predict --run runs/virtual/an_full --species "species 7" --out map.png
python -m presence_only.predict --run runs/virtual/an_full --at 8.55 47.37
"""

from __future__ import annotations

import argparse
import difflib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from presence_only.datasets import covariate_source
from presence_only.datasets.earth import Earth
from presence_only.encoder import load_model
from presence_only.figures import range_figure, save_figure
from presence_only.layout import CellFiles, DatasetFiles
from presence_only.nouns import PresenceRecords, TrainingData
from presence_only.params import load_params
from presence_only.range_map import Grid, MapError, Sample, suitability, write_geotiff, write_table
from presence_only.scores import ScoredModel
from presence_only.stages._cell import run_stage

FORMATS = (".png", ".tif", ".csv")


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
    models: tuple[ScoredModel, ...]
    records: PresenceRecords
    sample: Sample | None


def main() -> None:
    """Draw or write one species' map, or list the species of one place."""
    arguments = _arguments()
    run = load_run(arguments.run)
    if arguments.at:
        list_species(run, arguments.at, arguments.top, arguments.week)
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
    if models[0].features.input != "coordinates":
        sample = covariate_source(load_params(study / "params.yaml").datasets[name.dataset])
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
    resolution = arguments.resolution or max(east - west, north - south) / 360
    grid = Grid(west, south, east, north, resolution)
    print(f"{run.name}: scoring {grid.shape[0] * grid.shape[1]:,} cells under {len(run.models)} seeds", flush=True)
    species = slice(index, index + 1)
    score_HW = suitability(run.models, grid.sites_M2, run.sample, species, arguments.week)[:, 0].reshape(grid.shape)
    name = run.records.species[index]
    match out.suffix.lower():
        case ".png":
            title = f"{name}: {run.name}" + (f", week {arguments.week}" if arguments.week else "")
            extent = (grid.west, grid.east, grid.south, grid.north)
            save_figure(range_figure(score_HW, extent, sites_P2, Earth.load().land_share_grid, title), out)
        case ".tif":
            write_geotiff(out, grid, score_HW)
        case ".csv":
            write_table(out, grid, score_HW)
    print(f"{name} ({len(sites_P2):,} training records): {out}")


def find_species(asked: str, species: tuple[str, ...]) -> int:
    """The index of a species by its name, letter case aside.

    Raises:
        MapError: If there is none; the message offers names that look alike.
    """
    by_name = {name.casefold(): index for index, name in enumerate(species)}
    if asked.casefold() in by_name:
        return by_name[asked.casefold()]
    near = difflib.get_close_matches(asked.casefold(), by_name, n=3, cutoff=0.5)
    names = ", ".join(repr(species[by_name[name]]) for name in near) or f"{species[0]!r} and {len(species) - 1} more"
    raise MapError(f"--species {asked!r}: the run knows no such species; it knows {names}")


def _around(sites_P2: np.ndarray) -> tuple[float, float, float, float]:
    """Whole degrees around some sites with a margin: west, south, east, north."""
    low, high = sites_P2.min(axis=0), sites_P2.max(axis=0)
    margin = np.maximum((high - low) * 0.5, 10.0)
    west, south = np.maximum(np.floor(low - margin), [-180, -90])
    east, north = np.minimum(np.ceil(high + margin), [180, 90])
    return float(west), float(south), float(east), float(north)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m presence_only.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", type=Path, required=True, help="folder runs/<dataset>/<variant>, or one seed's in it")
    parser.add_argument("--species", help="name of the species to map")
    parser.add_argument("--out", type=Path, help="map.png, map.tif (GeoTIFF) or map.csv")
    parser.add_argument("--box", type=float, nargs=4, metavar=("WEST", "SOUTH", "EAST", "NORTH"), help="degrees")
    parser.add_argument("--resolution", type=float, help="side of a cell in degrees; default: 360 cells across")
    parser.add_argument("--at", type=float, nargs=2, metavar=("LON", "LAT"), help="list the species of this place")
    parser.add_argument("--top", type=int, default=20, help="how many species to list (default 20)")
    parser.add_argument("--week", type=int, help="1..48, for runs trained with weeks; default: the whole year")
    arguments = parser.parse_args()
    if (arguments.at is None) == (arguments.species is None):
        parser.error("give either --at LON LAT, or --species NAME with --out FILE")
    if arguments.species is not None and arguments.out is None:
        parser.error("--species needs --out: map.png, map.tif or map.csv")
    if arguments.top < 1:
        parser.error(f"--top {arguments.top}: must be at least 1")
    return arguments


if __name__ == "__main__":
    run_stage(main)
