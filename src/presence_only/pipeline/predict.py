"""Ask a trained run: where is a species likely to be found, and which species are likely at a place?

python -m presence_only.predict --run runs/virtual/an_full --species "species 7" --out map.png
python -m presence_only.predict --run runs/virtual/an_full --at 8.55 47.37
"""

from __future__ import annotations

import argparse
from pathlib import Path

from presence_only.pipeline.command import importing

TOP = 20


def main() -> None:
    """Draw or write one species' map, or list the species of one place."""
    arguments = _arguments()
    with importing():
        from presence_only.export.trained_run import load_run
        from presence_only.pipeline.predictions import list_species, map_species

    run = load_run(arguments.run)
    if arguments.at:
        list_species(run, arguments.at, arguments.top or TOP, arguments.week, arguments.spread, arguments.spread_of)
    else:
        map_species(run, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m presence_only.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", type=Path, required=True, help="folder runs/<dataset>/<variant>, or one seed's in it")
    parser.add_argument("--species", help="name of the species to map")
    parser.add_argument("--out", type=Path, help="map.png, map.tif (GeoTIFF) or map.csv")
    parser.add_argument(
        "--box",
        type=float,
        nargs=4,
        metavar=("WEST", "SOUTH", "EAST", "NORTH"),
        help="degrees; with a west greater than the east, the map crosses 180 degrees",
    )
    parser.add_argument("--resolution", type=float, help="side of a cell in degrees; default: 360 cells across")
    parser.add_argument("--at", type=float, nargs=2, metavar=("LON", "LAT"), help="list the species of this place")
    parser.add_argument("--top", type=int, help=f"how many species to list (default {TOP})")
    parser.add_argument("--week", type=int, help="1..48, for runs trained with weeks; default: the whole year")
    parser.add_argument(
        "--spread",
        nargs="?",
        const="seeds",
        choices=("seeds", "members"),
        help="also tell how far the scores of the seeds lie apart, as a standard deviation; or, with 'members', those "
        "of the members of a blend",
    )
    parser.add_argument(
        "--spread-of",
        choices=("score", "rank"),
        help="of the suitability (default), or of its rank among background sites, for losses that leave the level of "
        "scores to chance",
    )
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
    if arguments.spread_of is not None and arguments.spread is None:
        parser.error(f"--spread-of {arguments.spread_of}: needs --spread")
    if arguments.top is not None and arguments.top < 1:
        parser.error(f"--top {arguments.top}: must be at least 1")
    return arguments
