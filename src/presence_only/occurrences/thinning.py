"""Rules that need all records: duplicates, at most so many of a species and cell, at least and at most of a species.

Shape legend: N records.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.columns.coordinates import SITE_DECIMALS
from presence_only.common.arrays import Floats, Ints
from presence_only.common.random_streams import numpy_stream
from presence_only.data.sites import sites_of
from presence_only.geography.h3_cells import cells_of
from presence_only.occurrences.cleaning_settings import CleaningSettings
from presence_only.occurrences.random_cap import at_most


def thin(table: pl.DataFrame, settings: CleaningSettings) -> tuple[pl.DataFrame, tuple[tuple[str, int], ...]]:
    """The records that remain after the rules that need all of them, in their order; and the funnel's end.

    Args:
        table: Columns longitude, latitude, code and date; shared_visit, where the reader has it.
        settings: The rules.
    """
    filters = []
    if "shared_visit" in table.columns:
        shared = pl.col("shared_visit").is_not_null()
        table = table.filter(~shared | pl.struct("code", "shared_visit").is_first_distinct())
        filters.append(("a species once a visit of several observers", len(table)))
        table = table.drop("shared_visit")
    if settings.drop_duplicates:
        table = table.filter(_first_of_each(table))
        filters.append(("duplicates of species, site and date", len(table)))
    if settings.max_per_cell:
        pairs_N = _numbered(table["code"].to_numpy(), _cells(sites_of(table), settings))
        generator = numpy_stream(settings.cleaning_seed, "records of a cell")
        table = table.filter(at_most(pairs_N, settings.max_per_cell, generator))
        name = f"h3 {settings.cell_h3_resolution}" if settings.cell == "h3" else f"{settings.cell_degrees:g} degrees"
        filters.append((f"at most {settings.max_per_cell:,} of a species in a cell ({name})", len(table)))
    if settings.min_records > 1:
        code_N = table["code"].to_numpy()
        table = table.filter(np.bincount(code_N)[code_N] >= settings.min_records)
        filters.append((f"at least {settings.min_records:,} of a species", len(table)))
    if settings.max_per_species:
        generator = numpy_stream(settings.cleaning_seed, "records of a species")
        table = table.filter(at_most(table["code"].to_numpy(), settings.max_per_species, generator))
        filters.append((f"at most {settings.max_per_species:,} of a species", len(table)))
    return table, tuple(filters)


def _first_of_each(table: pl.DataFrame) -> NDArray[np.bool_]:
    """Which records are the first of their species, site and date."""
    site_N = _site_numbers(sites_of(table))
    what_N = table["code"].to_numpy().astype(np.int64) * 2**32 + table["date"].to_numpy()
    # Stable, so that of equals the first in the file comes first.
    order_N = np.lexsort((site_N, what_N))
    new_N = np.ones(len(order_N), dtype=np.bool_)
    new_N[1:] = (np.diff(site_N[order_N]) != 0) | (np.diff(what_N[order_N]) != 0)
    first_N = np.zeros(len(order_N), dtype=np.bool_)
    first_N[order_N[new_N]] = True
    return first_N


def _site_numbers(sites_N2: Floats) -> Ints:
    """A number for every site, the same for sites that are one."""
    cells_N2 = np.rint(sites_N2 * 10**SITE_DECIMALS).astype(np.int64)
    # The antimeridian has two names.
    cells_N2[cells_N2[:, 0] == 180 * 10**SITE_DECIMALS, 0] *= -1
    numbers_N: Ints = cells_N2[:, 0] * 2**32 + cells_N2[:, 1]
    return numbers_N


def _cells(sites_N2: Floats, settings: CleaningSettings) -> Ints:
    """A number for the cell of every site."""
    if settings.cell == "h3":
        return cells_of(sites_N2, settings.cell_h3_resolution)
    steps_N2 = np.floor(sites_N2 / settings.cell_degrees).astype(np.int64)
    numbers_N: Ints = steps_N2[:, 0] * 2**32 + steps_N2[:, 1]
    return numbers_N


def _numbered(species_N: Ints, cells_N: Ints) -> Ints:
    """A number for every pair of species and cell."""
    _, cell_N = np.unique(cells_N, return_inverse=True)
    return species_N.astype(np.int64) * (int(cell_N.max(initial=0)) + 1) + cell_N
