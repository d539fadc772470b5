"""Write a map page of trained runs: one folder that opens in any browser, from the disk and offline.

python -m presence_only.pipeline.explore --run runs/world_1/bce --run runs/world_1/two_way --out map_page
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from presence_only.pipeline.command import importing, run_stage

if TYPE_CHECKING:
    from presence_only.export.trained_run import Run
    from presence_only.reporting.map_page.page import MapContent

WEEKS_BY_DEFAULT = 12
# Seconds between two lines of a log that say how far it is.
SAY_EVERY = 15.0


def main() -> None:
    """Score the cells of a map under every run, and write the page."""
    arguments = _arguments()
    with importing():
        from presence_only.export.trained_run import load_run
        from presence_only.reporting.map_page.cells import choose_cells
        from presence_only.reporting.map_page.page import MapRun, check_folder, times_of_year, write_map_page
        from presence_only.study.paths import REPORT

    check_folder(arguments.out)
    times_of_year(arguments.weeks)
    runs = [load_run(path) for path in arguments.run]
    content = _content(runs, arguments)
    cells = choose_cells(content.records.sites_N2, arguments.box, arguments.resolution, arguments.cells)
    print(
        f"{content.title}: {content.records.n_species:,} species on {cells.n_kept:,} cells of "
        f"{cells.grid.resolution:g} degrees{' with land' if cells.land else ''}",
        flush=True,
    )
    map_runs = [MapRun(name, run.models, run.sample) for name, run in zip(_names(runs), runs, strict=True)]
    with Said() as said:
        write_map_page(arguments.out, map_runs, content, cells, weeks=arguments.weeks, progress=said)
    size = sum(path.stat().st_size for path in arguments.out.rglob("*") if path.is_file())
    print(f"{arguments.out / 'index.html'}: open it in a browser ({size / 2**20:.1f} MB in the folder)")
    out, study = arguments.out.resolve(), runs[0].study
    if out.parent == study and out.name.startswith("map_page") and (study / REPORT).exists():
        print(f"{REPORT} has a link to it after `dvc repro -f -s report` in {study}")


def _content(runs: list[Run], arguments: argparse.Namespace) -> MapContent:
    """Records and truth of the data set of all runs.

    Raises:
        MapPageError: If the runs were trained on different records.
    """
    import numpy as np

    from presence_only.common.errors import SettingsError
    from presence_only.data.survey import Survey
    from presence_only.reporting.map_page.page import MapContent, MapPageError
    from presence_only.study.dataset_settings import load_dataset
    from presence_only.study.paths import DatasetFiles

    first = runs[0]
    for run, path in zip(runs[1:], arguments.run[1:], strict=True):
        theirs, ours = run.records, first.records
        if theirs.species != ours.species or not np.array_equal(theirs.sites_N2, ours.sites_N2):
            raise MapPageError(
                f"--run {path}: was trained on other records than --run {arguments.run[0]}; "
                "a page compares runs of one data set"
            )
    files = DatasetFiles(first.cell.dataset)
    folder = first.study / files.survey
    survey = None if "truth" in arguments.without or not folder.exists() else Survey.load(folder)
    try:
        kind = load_dataset(first.cell.dataset, first.study / "params.yaml").kind
    except SettingsError:
        # The data set is no longer in the study; its files are all that is needed.
        kind = ""
    return MapContent(
        first.cell.dataset,
        first.recorded,
        survey,
        "true range" if kind == "virtual" else "survey",
        "records" not in arguments.without,
    )


def _names(runs: list[Run]) -> list[str]:
    """Names of the runs by which they differ: variants, with the seed or the study where these are the same."""
    names = [run.name.partition(" / ")[2] for run in runs]
    if len(set(names)) < len(names):
        names = [f"{run.study.name}: {name}" for run, name in zip(runs, names, strict=True)]
    return [f"{name} ({names[:i].count(name) + 1})" if names.count(name) > 1 else name for i, name in enumerate(names)]


class Said:
    """Says how far the page is: one line that is rewritten on a terminal, a line now and then in a log."""

    def __init__(self) -> None:
        self._rewrites = sys.stdout.isatty()
        self._said = time.monotonic()
        self._width = 0

    def __call__(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` parts of ``what`` are done."""
        now = time.monotonic()
        if self._rewrites:
            line = f"{what}: {done:,} of {total:,}"
            self._width = max(self._width, len(line))
            print(f"\r{line:<{self._width}}", end="", flush=True)
        elif now - self._said >= SAY_EVERY:
            print(f"{what}: {done:,} of {total:,}", flush=True)
            self._said = now

    def __enter__(self) -> Said:
        return self

    def __exit__(self, *_: object) -> None:
        if self._rewrites and self._width:
            print(f"\r{'':<{self._width}}\r", end="", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m presence_only.pipeline.explore",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--run",
        type=Path,
        action="append",
        required=True,
        help="folder runs/<dataset>/<variant>, or one seed's in it; several compare them",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write; an older map page is replaced")
    parser.add_argument(
        "--box",
        type=float,
        nargs=4,
        metavar=("WEST", "SOUTH", "EAST", "NORTH"),
        help="degrees; default: around the records, or the world; an east beyond 180 crosses 180 degrees",
    )
    parser.add_argument("--resolution", type=float, help="side of a cell in degrees; default: up to 65,000 cells")
    parser.add_argument(
        "--cells",
        choices=("auto", "land", "all"),
        default="auto",
        help="cells with scores; auto: with land, if 99 %% of the records lie on land",
    )
    parser.add_argument(
        "--weeks",
        type=int,
        default=WEEKS_BY_DEFAULT,
        help="how many weeks of the year have a map, of runs trained with weeks; default %(default)s",
    )
    parser.add_argument(
        "--without",
        choices=("records", "truth"),
        action="append",
        default=[],
        help="leave the places of the records, or of the truth, out of the page",
    )
    return parser.parse_args()


if __name__ == "__main__":
    run_stage(main)
