"""The folder of the map page: the shipped page, and the scores, records and truth that it shows.

Shape legend: M cells of the box, K of them with scores, T times (the whole year, then weeks), S species, s some of
them, k some cells.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presence_only.common.atomic_files import write_folder
from presence_only.common.errors import UserError
from presence_only.common.output_folder import try_beside
from presence_only.data.records import PresenceRecords
from presence_only.data.sites import WEEKS
from presence_only.data.survey import Survey
from presence_only.model.interface import SpeciesModel
from presence_only.model.range_map import Grid, Sample, Suitabilities
from presence_only.reporting.map_page.cells import MapCells
from presence_only.reporting.map_page.packs import (
    DESCRIPTION_FILE,
    PACK_BYTES,
    steps_of,
    write_description,
    write_pack,
)
from presence_only.reporting.map_page.points import SPECIES_PER_PACK, write_records, write_truth
from presence_only.reporting.map_page.score_codes import HIGH, HIGHEST, LOW, LOWEST, encode

# What web/map_page builds, and all of what ships of it.
PAGE_FILES = ("index.html", "page.css", "page.js", "coast_50m.js", "CREDITS.txt")
# Bytes of scores of a run before compression, of which the page has two copies: by species and by place.
MOST_BYTES = 4 * 2**30

Progress = Callable[[str, int, int], None]


class MapPageError(UserError, ValueError):
    """The map page cannot be made; the message is one sentence with the value and the rule."""


@dataclass(frozen=True)
class MapRun:
    """A trained run that the page shows.

    Args:
        name: What the page calls it.
        models: One a seed, whose scores are averaged.
        sample: Gives covariates anywhere, for models that read any.
    """

    name: str
    models: tuple[SpeciesModel, ...]
    sample: Sample | None


@dataclass(frozen=True)
class MapContent:
    """All that the page shows beside the runs.

    Args:
        title: What heads the page, such as the name of the data set.
        records: Species, and where they were recorded, without added presences.
        survey: The truth, its species those of the records; None: the page has none.
        truth_title: What the page calls the truth.
        show_records: Whether the places of the records are written.
    """

    title: str
    records: PresenceRecords
    survey: Survey | None
    truth_title: str = "survey"
    show_records: bool = True


def check_folder(out: Path) -> None:
    """Refuse a folder that cannot be made, or holds anything else than an older map page, which would be lost.

    Raises:
        MapPageError: If ``out`` is a file, a folder with other files, or nothing can be written beside it.
    """
    if out.is_dir():
        found = sorted(entry.name for entry in out.iterdir())
        # A page that was put under git, say, would lose its history.
        others = [name for name in found if name not in (*PAGE_FILES, "data")]
        if found and (others or not (out / "data" / DESCRIPTION_FILE).is_file()):
            raise MapPageError(
                f"--out {out}: is a folder that holds other files than a map page, such as {(others or found)[0]!r}; "
                "name a new folder"
            )
    elif out.exists():
        raise MapPageError(f"--out {out}: is a file; name a folder")
    with _writing(out):
        try_beside(out)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Tell what the system says against writing the folder as one sentence."""
    try:
        yield
    except OSError as error:
        raise MapPageError(f"--out {out}: cannot be written: {error.strerror or error}") from None


def times_of_year(n_weeks: int) -> tuple[int, ...]:
    """Weeks at equal distances, the middle ones of their parts of the year: of 12, the second of every month.

    Raises:
        MapPageError: If ``n_weeks`` does not divide 48.
    """
    if n_weeks < 1 or WEEKS % n_weeks:
        raise MapPageError(f"--weeks {n_weeks}: must divide {WEEKS}, the weeks of a year, such as 4, 12 or {WEEKS}")
    step = WEEKS // n_weeks
    return tuple(range((step + 1) // 2, WEEKS + 1, step))


def write_map_page(
    out: Path, runs: Sequence[MapRun], content: MapContent, cells: MapCells, *, weeks: int, progress: Progress
) -> None:
    """Write the folder, whole or not at all; an older map page there is replaced.

    Args:
        out: The folder.
        runs: At least one; all know the species of the records.
        content: Title, records and truth.
        cells: Where the runs are scored.
        weeks: How many weeks of the year are scored of runs that read the week.
        progress: Is told what is being done, how much of it is done, and how much there is.

    Raises:
        MapPageError: If the scores would take too much room, or the folder cannot be written.
    """
    times_T = (None, *times_of_year(weeks)) if any(run.models[0].weeks for run in runs) else (None,)
    n_bytes = cells.n_kept * content.records.n_species * len(times_T)
    if n_bytes > MOST_BYTES:
        raise MapPageError(
            f"{cells.n_kept:,} cells of {cells.grid.resolution:g} degrees, {content.records.n_species:,} species and "
            f"{len(times_T)} times make {n_bytes / 2**30:.1f} GiB of scores per run; at most {MOST_BYTES / 2**30:g} "
            "GiB fit into a page, so take larger cells (--resolution), a smaller --box or fewer --weeks"
        )
    # The name of the folder that . or a link stands for.
    with _writing(out), write_folder(out.resolve()) as folder:
        _copy_page(folder)
        data = folder / "data"
        data.mkdir()
        write_pack(data, "cells", np.packbits(cells.kept_M).tobytes())
        described = _describe(content, cells, times_T, runs)
        if content.show_records:
            described["drawn"] = write_records(data, content.records).tolist()
        if content.survey is not None:
            drawn_m = write_truth(data, content.survey)
            described["truth"] = _describe_truth(content.survey, content.truth_title, len(drawn_m))
        for index, run in enumerate(runs):
            _write_scores(data / f"run_{index}", run, cells, times_T, described, progress)
        write_description(data / DESCRIPTION_FILE, described)


def _copy_page(folder: Path) -> None:
    """Copy the page that ships with the package."""
    static = files("presence_only.reporting.map_page").joinpath("static")
    for name in PAGE_FILES:
        (folder / name).write_bytes(static.joinpath(name).read_bytes())


def _describe(
    content: MapContent, cells: MapCells, times_T: tuple[int | None, ...], runs: Sequence[MapRun]
) -> dict[str, Any]:
    """What the page must know before it can draw anything."""
    grid, records = cells.grid, content.records
    per_species, per_cell = cells.n_kept * len(times_T), records.n_species * len(times_T)
    groups = sorted(set(records.groups))
    return {
        "title": content.title,
        "grid": {
            "west": grid.west,
            "south": grid.south,
            "east": grid.east,
            "north": grid.north,
            "rows": grid.shape[0],
            "columns": grid.shape[1],
            "kept": cells.n_kept,
            "land": cells.land,
        },
        "codes": {"low": LOW, "step": (HIGH - LOW) / (HIGHEST - LOWEST)},
        "runs": [{"name": run.name, "seeds": len(run.models), "weeks": run.models[0].weeks} for run in runs],
        "times": [week or 0 for week in times_T],
        "species": list(records.species),
        "groups": groups,
        "group": [groups.index(group) for group in records.groups],
        "first": _most_recorded(records, grid),
        "records": records.records_per_species().tolist(),
        "speciesPerPack": max(1, PACK_BYTES // max(per_species, 1)),
        "cellsPerPack": max(1, PACK_BYTES // per_cell),
        "speciesPerPointPack": SPECIES_PER_PACK,
    }


def _most_recorded(records: PresenceRecords, grid: Grid) -> int:
    """The species with most records in the box."""
    east_N = (records.sites_N2[:, 0] - grid.west) % 360
    latitude_N = records.sites_N2[:, 1]
    inside_N = (east_N <= grid.east - grid.west) & (latitude_N >= grid.south) & (latitude_N <= grid.north)
    return int(np.bincount(records.species_P[inside_N[records.row_P]], minlength=records.n_species).argmax())


def _describe_truth(survey: Survey, title: str, n_drawn: int) -> dict[str, Any]:
    """What the page says of the truth."""
    present_S, surveyed_S = survey.truth.presences_per_species(), survey.truth.surveyed_per_species()
    everywhere = bool((surveyed_S == len(survey.sites_M2)).all())
    return {
        "title": title,
        "sites": len(survey.sites_M2),
        "drawn": n_drawn,
        "everywhere": everywhere,
        "present": present_S.tolist(),
        "surveyed": surveyed_S.tolist(),
    }


def _write_scores(
    folder: Path,
    run: MapRun,
    cells: MapCells,
    times_T: tuple[int | None, ...],
    described: dict[str, Any],
    progress: Progress,
) -> None:
    """Write packs ``species_<i>`` (s, T, K) and ``places_<i>`` (T, S, k), both with steps from cell to cell."""
    n_species, n_times = len(described["species"]), len(times_T)
    # A run without weeks is the same at every time.
    own_T = times_T if run.models[0].weeks else (None,)
    step, n_parts = described["speciesPerPack"], -(-n_species // described["speciesPerPack"])
    with tempfile.TemporaryFile(dir=folder.parent) as file:
        codes_TSK: NDArray[np.uint8] = np.memmap(file, np.uint8, shape=(len(own_T), n_species, cells.n_kept))
        for time, week in enumerate(own_T):
            suitabilities = Suitabilities(run.models, cells.sites_K2, run.sample, week)
            for part in range(n_parts):
                species = slice(part * step, min((part + 1) * step, n_species))
                codes_TSK[time, species] = encode(suitabilities.columns(species)).T
                progress(f"{run.name}: scoring", time * n_parts + part + 1, len(own_T) * n_parts)
        of_time_T = np.arange(n_times) if len(own_T) > 1 else np.zeros(n_times, dtype=np.int64)
        for part in range(n_parts):
            codes_sTK = codes_TSK[of_time_T, part * step : (part + 1) * step].transpose(1, 0, 2)
            write_pack(folder.parent, f"{folder.name}/species_{part}", steps_of(codes_sTK).tobytes())
            progress(f"{run.name}: maps of species", part + 1, n_parts)
        step, n_blocks = described["cellsPerPack"], -(-cells.n_kept // described["cellsPerPack"])
        for block in range(n_blocks):
            codes_TSk = codes_TSK[of_time_T, :, block * step : (block + 1) * step]
            write_pack(folder.parent, f"{folder.name}/places_{block}", steps_of(codes_TSk).tobytes())
            progress(f"{run.name}: lists of places", block + 1, n_blocks)
