"""Event-core archives: occurrences of an extension, joined with the events that they belong to.

Coordinates and dates stand on the events, species on the occurrences; where an occurrence has its own, they count.
What belongs together, such as both coordinates, comes from one of both. An event without coordinates or without a date
has those of its parent event. Archives of other cores, such as taxa, are joined alike.

The rows of the core are held in memory, those of the extension are not: there are far more occurrences than events.

Source: https://ipt.gbif.org/manual/en/ipt/latest/sampling-event-data
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

import polars as pl

from presence_only.columns.column_names import Columns
from presence_only.columns.numbers import identifier
from presence_only.common.errors import DataError

# The id of the core's row in both tables; no published term is called so.
CORE_ID = "id of the core's row"
# Whether an occurrence has an id that is not in the core, or none.
NO_CORE_ROW = "no row of the core"
PARENT = "parentEventID"
_PLACE = (
    "decimalLongitude",
    "decimalLatitude",
    "coordinateUncertaintyInMeters",
    "distanceFromCentroidInMeters",
)
_DATE = ("eventDate", "year", "month", "day")
_NAME = ("species", "speciesKey", "genus", "specificEpithet", "scientificName", "taxonRank")
# The longest chain of parents.
_PARENTS = 8


def core_columns(columns: Columns) -> Columns:
    """What is read of the core and of the extension: all that is wanted, though neither must have it."""
    return Columns((), (*columns.required, *columns.optional, PARENT), columns.spellings, statuses=columns.statuses)


def read_core(batches: Iterable[pl.DataFrame], where: str) -> pl.DataFrame:
    """The rows of a core, each with an id of its own, with what they have from their parents.

    Args:
        batches: Its rows, with :data:`CORE_ID`.
        where: What error messages call the archive.

    Raises:
        DataError: If there is no row, or an id stands on rows that differ.
    """
    found = list(batches)
    if not found:
        raise DataError(f"{where}: its core has no rows")
    core = pl.concat([_with_keys(batch) for batch in found], how="diagonal")
    core = core.filter(pl.col(CORE_ID).is_not_null()).unique(maintain_order=True)
    twice = core.filter(pl.col(CORE_ID).is_duplicated())
    if len(twice):
        raise DataError(
            f"{where}: the id {twice[CORE_ID][0]!r} stands on rows of the core that differ; it must be unique"
        )
    return _with_parents(core)


def joined(
    batches: Iterable[pl.DataFrame], core: pl.DataFrame, columns: Columns, where: str
) -> Generator[pl.DataFrame, None, None]:
    """The occurrences with what their core rows say, and the column :data:`NO_CORE_ROW`.

    Args:
        batches: Rows of the extension, with :data:`CORE_ID`; the id of a row that is not in the core finds nothing.
        core: Of :func:`read_core`.
        columns: What is wanted.
        where: What error messages call the archive.

    Raises:
        DataError: If a required column is in neither table, or no id of an occurrence is in the core and none has
            all required columns itself.
    """
    first_id, n_found = None, 0
    shared = core.rename({name: f"core {name}" for name in core.columns if name != CORE_ID})
    shared = shared.with_columns(pl.lit(False).alias(NO_CORE_ROW))
    for plain in batches:
        batch = _with_keys(plain)
        missing = [name for name in columns.required if name not in batch.columns and name not in core.columns]
        if missing:
            raise DataError(f"{where}: no column {', '.join(map(repr, missing))} in its core, nor in its occurrences")
        rows = batch.join(shared, on=CORE_ID, how="left", maintain_order="left")
        wanted = [name for name in columns.required + columns.optional if name in batch.columns or name in core.columns]
        groups = [[name for name in group if name in wanted] for group in (_PLACE, _DATE, _NAME)]
        groups += [[name] for name in wanted if name not in (*_PLACE, *_DATE, *_NAME)]
        first_id = batch[CORE_ID].drop_nulls().first() if first_id is None else first_id
        made = rows.select(
            *(_of_one(name, group, batch.columns, core.columns) for group in groups for name in group),
            pl.col(NO_CORE_ROW).fill_null(True),
        )
        own = [pl.col(name).is_not_null() for name in columns.required]
        n_found += made.select((~pl.col(NO_CORE_ROW) | pl.all_horizontal(own)).sum()).item()
        yield made
    if n_found == 0:
        raise DataError(
            f"{where}: none of the ids of its occurrences, such as {first_id!r}, is in its core, which has ids such as "
            f"{core[CORE_ID].first()!r}"
        )


def _with_keys(batch: pl.DataFrame) -> pl.DataFrame:
    """A batch whose ids are keys, so that ``1`` and ``1.0`` are one row of the core."""
    return batch.with_columns(identifier(pl.col(name)) for name in (CORE_ID, PARENT) if name in batch.columns)


def _of_one(name: str, group: Sequence[str], own: Sequence[str], core: Sequence[str]) -> pl.Expr:
    """A column from the occurrence where it has any of the group, else from the core."""
    ours = [pl.col(other).is_not_null() for other in group if other in own]
    mine = pl.col(name) if name in own else pl.lit(None, dtype=pl.String)
    theirs = pl.col(f"core {name}") if name in core else pl.lit(None, dtype=pl.String)
    if not ours:
        return theirs.alias(name)
    return pl.when(pl.any_horizontal(ours)).then(mine).otherwise(theirs).alias(name)


def _with_parents(core: pl.DataFrame) -> pl.DataFrame:
    """The core without its column of parents, of which rows without a place or date have theirs."""
    if PARENT not in core.columns:
        return core
    groups = [[name for name in group if name in core.columns] for group in (_PLACE, _DATE)]
    names = [name for group in groups for name in group]
    for _ in range(_PARENTS):
        parents = core.select(pl.col(CORE_ID).alias(PARENT), *(pl.col(name).alias(f"core {name}") for name in names))
        rows = core.join(parents, on=PARENT, how="left", maintain_order="left")
        filled = rows.with_columns(_of_one(name, group, names, names) for group in groups for name in group)
        filled = filled.select(core.columns)
        if filled.equals(core):
            break
        core = filled
    return core.drop(PARENT)
