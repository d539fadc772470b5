"""Questions to a trained run about one place: the species there, as a table in the terminal.

Shape legend: S species.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.special import expit

from presence_only.common.arrays import Floats
from presence_only.export.trained_run import Run
from presence_only.model.range_map import MapError, logits_of_suitability
from presence_only.model.spread import SpreadOver
from presence_only.pipeline.spreads import Spread
from presence_only.reporting.console import as_text


def list_species(
    run: Run,
    site: tuple[float, float],
    top: int,
    week: int | None,
    over: SpreadOver | None = None,
    spread_of: str | None = None,
) -> None:
    """Print the species that score highest at a place, with the spread of their scores where asked for.

    Raises:
        MapError: If the place is not on the globe, its environment is unknown, or there is no such spread.
    """
    spread = Spread.asked(run, over, spread_of) if over else None
    logit_S = logits_at(run, site, week)
    columns: dict[str, Floats] = {"suitability (0 to 1)": expit(logit_S)}
    if spread:
        columns["spread"] = spread.at(np.array([site]), slice(None), week)[0]
    print_species(run, site, np.argsort(-logit_S, kind="stable")[:top].tolist(), columns)
    print("Suitability is relative: it ranks, and is no probability that the species is there.")
    if spread:
        print(f"Spread is the {spread.words}.")


def logits_at(run: Run, site: tuple[float, float], week: int | None) -> NDArray[np.float64]:
    """Logits of the suitability of every species at a place, shape (S,).

    Raises:
        MapError: If the place is not on the globe, or its environment is unknown.
    """
    longitude, latitude = site
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        raise MapError(f"--at {longitude:g} {latitude:g}: must be longitude -180..180 and latitude -90..90, in degrees")
    logit_S: NDArray[np.float64] = logits_of_suitability(run.models, np.array([site]), run.sample, slice(None), week)[0]
    if np.isnan(logit_S).all():
        raise MapError(
            f"--at {longitude:g} {latitude:g}: the environment is unknown there (sea?), and the run reads it"
        )
    return logit_S


def print_species(run: Run, site: tuple[float, float], species: Sequence[int], columns: Mapping[str, Floats]) -> None:
    """Print a table of species: rank, name, numbers and training records.

    Args:
        run: The run.
        site: Longitude, latitude of the place.
        species: Indices of those to print, the first first.
        columns: What the numbers are, to those of all species, shape (S,).
    """
    longitude, latitude = site
    table = Table(title=as_text(f"{run.name} at longitude {longitude:g}, latitude {latitude:g}"))
    table.add_column("rank", justify="right")
    table.add_column("species")
    for column in (*columns, "training records"):
        table.add_column(column, justify="right")
    counts_S = run.recorded_S
    for rank, index in enumerate(species, 1):
        numbers = [f"{number_S[index]:.4f}" for number_S in columns.values()]
        table.add_row(str(rank), as_text(run.records.species[index]), *numbers, f"{counts_S[index]:,}")
    Console().print(table)
