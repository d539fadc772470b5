"""Ask a trained run: where is a species likely to be found, and which species are likely at a place?

python -m presence_only.predict --run runs/virtual/an_full --species "species 7" --out map.png
python -m presence_only.predict --run runs/virtual/an_full --species "species 7" --binary --out range.tif
python -m presence_only.predict --run runs/virtual/an_full --at 8.55 47.37
python -m presence_only.predict --run runs/virtual/an_full --at 8.55 47.37 --list threshold
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from presence_only.pipeline.command import importing

if TYPE_CHECKING:
    from presence_only.export.trained_run import Run

TOP = 20
LISTS = ("threshold", "expected_f1", "top10")
# Of a list of the highest expected F1.
TYPICAL = 0.5


def main() -> None:
    """Draw or write one species' map, or list the species of one place."""
    arguments = _arguments()
    with importing():
        from presence_only.export.trained_run import load_run
        from presence_only.pipeline.place_lists import list_species
        from presence_only.pipeline.predictions import map_species

    run = load_run(arguments.run)
    if arguments.list:
        list_by_rule(run, arguments)
    elif arguments.at:
        list_species(run, arguments.at, arguments.top or TOP, arguments.week, arguments.spread, arguments.spread_of)
    else:
        map_species(run, arguments)


def list_by_rule(run: Run, arguments: argparse.Namespace) -> None:
    """List the species of one place, as many as a rule says."""
    with importing():
        from presence_only.pipeline.predictions import DEFAULT_THRESHOLD
        from presence_only.pipeline.thresholded_predictions import list_above, list_expected_f1, list_top

    match arguments.list:
        case "threshold":
            list_above(run, arguments.at, arguments.threshold or DEFAULT_THRESHOLD, arguments.week)
        case "expected_f1":
            list_expected_f1(run, arguments.at, arguments.typical or TYPICAL, arguments.week)
        case "top10":
            list_top(run, arguments.at, arguments.week)


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
    parser.add_argument("--binary", action="store_true", help="map where the species is in its range, yes or no")
    parser.add_argument(
        "--threshold",
        metavar="RULE",
        help="of --binary and --list threshold: lpt (lowest training presence), lpt5 (its 5th percentile, the "
        "default) or lpt<percent>, max_tss (against background sites), or a score such as 0.1",
    )
    parser.add_argument("--at", type=float, nargs=2, metavar=("LON", "LAT"), help="list the species of this place")
    parser.add_argument(
        "--list",
        choices=LISTS,
        help="list as many species as reach their thresholds, as have the highest expected F1, or ten",
    )
    parser.add_argument(
        "--typical",
        type=float,
        help="of --list expected_f1: probability of presence where a species is typically recorded, within 0..1 "
        f"(default {TYPICAL:g})",
    )
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
    asks, other, theirs = "--species", "--at", ["top", "list", "typical"]
    if arguments.at is not None:
        asks, other, theirs = other, asks, ["out", "box", "resolution", "binary"]
    for name in theirs:
        # A resolution of 0 is given, and wrong.
        if getattr(arguments, name) is not None and getattr(arguments, name) is not False:
            parser.error(f"--{name} goes with {other}, not with {asks}: leave one of them out")
    if arguments.spread_of is not None and arguments.spread is None:
        parser.error(f"--spread-of {arguments.spread_of}: needs --spread")
    if arguments.spread is not None and (arguments.binary or arguments.list is not None):
        rule = "--binary" if arguments.binary else f"--list {arguments.list}"
        parser.error(f"--spread tells of scores, and {rule} asks for a choice by a rule: leave one of them out")
    if arguments.threshold is not None and not arguments.binary and arguments.list != "threshold":
        parser.error("--threshold goes with --binary or --list threshold: give one of these, or leave it out")
    if arguments.typical is not None and arguments.list != "expected_f1":
        parser.error("--typical goes with --list expected_f1: give that, or leave it out")
    if arguments.typical is not None and not 0 < arguments.typical < 1:
        parser.error(f"--typical {arguments.typical:g}: must lie within 0..1, both excluded")
    if arguments.top is not None and arguments.list is not None:
        parser.error(f"--top and --list {arguments.list} both say how many species: leave one of them out")
    if arguments.top is not None and arguments.top < 1:
        parser.error(f"--top {arguments.top}: must be at least 1")
    return arguments
