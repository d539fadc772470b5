"""Zero-filling of eBird's checklists: what the EBD has of them was there, its other species were not.

- Checklists of one group are one visit, at the place of the first of them. What one of them has was there.
- An observation that was not approved, or of a hybrid between subspecies, a form or a domestic type, says neither that
  its species was there nor that it was not: the species counts as not surveyed on this checklist.
- An observation without an identifier may be of any checklist of its place and day: there its species counts as not
  surveyed.

Source: auk_zerofill and auk_unique of the R package auk, https://cornelllabofornithology.github.io/auk
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.columns.coordinates import SITE_DECIMALS
from presence_only.columns.record_words import with_answers
from presence_only.common.errors import DataError
from presence_only.datasets.ebird.distinct_numbers import Numbers, are_in
from presence_only.datasets.ebird.evaluation import ChecklistEvaluation
from presence_only.datasets.ebird.held_out import HeldOut
from presence_only.datasets.ebird.observations import OBSERVATIONS, Category, place_and_date, standard
from presence_only.datasets.ebird.sampling_file import Drawn
from presence_only.datasets.ebird.visits import ID_COLUMNS, checklist_numbers, group_numbers
from presence_only.surveys.rows import SurveyRows
from presence_only.tables.archives import read_tables
from presence_only.tables.unpacking import LIMITS, Limits

_DAY = ("year", "month", "day")
_MAY_LACK = {"count": pl.Float64, "category": pl.String, "approved": pl.Boolean}


def zero_filled(
    path: Path,
    drawn: Drawn,
    evaluation: ChecklistEvaluation,
    held_out: HeldOut,
    *,
    categories: tuple[Category, ...],
    unapproved: bool,
    species: Iterable[str],
    limits: Limits = LIMITS,
) -> SurveyRows:
    """The drawn checklists with what the EBD has of them.

    Args:
        path: The EBD, or an archive that has it.
        drawn: The checklists.
        evaluation: What becomes of checklists without a record.
        held_out: What is held out of training.
        categories: The categories of taxa that count for their species.
        unapproved: Whether observations that were not approved count too.
        species: Species of the EBD's extract, all of which were looked for.
        limits: How much a packed file may unpack to.

    Raises:
        DataError: If the EBD names none of the checklists.
    """
    by_checklist = drawn.members.select("checklist", key_c="key")
    by_group = drawn.members.filter(pl.col("visit").is_not_null()).select("visit", key_g="key").unique()
    present: list[pl.DataFrame] = []
    doubtful: list[pl.DataFrame] = []
    seen, lacking, n_without_id = Numbers(), Numbers(), 0
    columns = replace(OBSERVATIONS, required=(*OBSERVATIONS.required, ID_COLUMNS[0]))
    with closing(read_tables(path, columns, limits)) as batches:
        for batch in batches:
            batch = batch.with_columns(checklist_numbers(batch), group_numbers(batch))
            batch = batch.join(by_checklist, on="checklist", how="left", maintain_order="left")
            batch = batch.join(by_group, on="visit", how="left", maintain_order="left")
            batch = batch.with_columns(pl.coalesce("key_c", "key_g").alias("key"))
            lacking.add(_lacking(batch.filter(pl.col("key").is_null()), drawn.complete, held_out))
            unnamed = batch.filter(pl.col("checklist").is_null() & pl.col("visit").is_null())
            if len(unnamed):
                n_without_id += len(unnamed)
                doubtful.append(_possible(standard(unnamed), drawn.members))
            batch = batch.filter(pl.col("key").is_not_null())
            if len(batch) == 0:
                continue
            rows = standard(batch).with_columns(batch["key"])
            seen.add(rows["key"])
            found, unclear = _found(rows, categories, unapproved)
            present.append(found)
            doubtful.append(unclear)
    n_lacking, with_records = len(lacking.all()), seen.all()
    if len(with_records) == 0:
        raise DataError(
            f"{path}: has no record of any of the {drawn.members['key'].n_unique():,} complete checklists that are "
            "held out; the EBD and the sampling file must be of one download"
            + (f" ({n_without_id:,} of its observations have no {ID_COLUMNS[0]})" if n_without_id else "")
        )
    # The first checklist of a group is the one that the others were copied from.
    surveys = drawn.members.sort("checklist").unique("key", keep="first", maintain_order=True).sort("key")
    n_members, n_visits = len(drawn.members), len(surveys)
    recorded = surveys["key"].is_in(pl.Series(with_records).implode())
    filters = [*drawn.filters, ("one checklist a group, of the sites drawn", n_visits)]
    if evaluation.without_records == "drop":
        surveys = surveys.filter(recorded)
        filters.append(("checklist has a record in the EBD", len(surveys)))
    ids = surveys["key"].implode()
    presences, unclear = (
        pl.concat(parts).unique(maintain_order=True).filter(pl.col("survey").is_in(ids))
        for parts in (present, doubtful)
    )
    names = sorted({*presences["species"].unique(), *unclear["species"].unique(), *species})
    notes = [
        f"The survey is made of complete checklists of eBird ({held_out.words}). A species of the EBD that a checklist "
        "does not have is taken as absent there."
    ]
    if n_lacking:
        notes.append(
            f"{n_lacking:,} complete checklists that are held out have records in the EBD and are not in the sampling "
            "file; they are neither trained on nor part of the truth. Are both files of one download?"
        )
    if n_without_id:
        notes.append(
            f"{n_without_id:,} observations of the EBD have no {ID_COLUMNS[0]}. Their species count as not surveyed, "
            "and not as absent, on the checklists of their place and day."
        )
    n_without = int((~recorded).sum())
    if n_without:
        notes.append(
            f"{n_without:,} of {n_visits:,} checklists have no record in the EBD. If its extract covers fewer places "
            "or years than the sampling file, these absences are none: set evaluation.without_records: drop."
        )
    facts = {
        "checklists_drawn": n_visits,
        "checklists_of_a_group_left_out": n_members - n_visits,
        "checklists_without_records": n_without,
        "checklists_not_in_the_sampling_file": n_lacking,
        "species_unclear_on_a_checklist": len(unclear),
    }
    return SurveyRows(
        surveys.rename({"key": "survey"}).drop("checklist", "visit", *_DAY),
        presences,
        visits=surveys.select(pl.col("key").alias("survey"), group=pl.lit("")),
        groups=pl.DataFrame({"group": [""] * len(names), "species": names}, schema_overrides={"species": pl.String}),
        not_looked_for=unclear,
        filters=tuple(filters),
        facts=facts,
        notes=tuple(notes),
    )


def _found(rows: pl.DataFrame, categories: tuple[Category, ...], unapproved: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Pairs of survey and species that were found, and pairs of which the file says neither."""
    none = {name: pl.lit(None, dtype=kind).alias(name) for name, kind in _MAY_LACK.items() if name not in rows.columns}
    rows = rows.with_columns(none.values()).filter(
        pl.col("species").is_not_null() & (pl.col("count") != 0).fill_null(True)
    )
    category = pl.col("category")
    of_species = category.is_in(["species", "issf", "form", "intergrade", "domestic"]).fill_null(True)
    counts = category.is_in(list(categories)).fill_null(True)
    if not unapproved:
        counts &= pl.col("approved").fill_null(True)
    pair = (pl.col("key").alias("survey"), "species")
    return rows.filter(of_species & counts).select(pair), rows.filter(of_species & ~counts).select(pair)


def _possible(rows: pl.DataFrame, members: pl.DataFrame) -> pl.DataFrame:
    """Pairs of survey and species of observations without an identifier, with every checklist that may have them.

    Args:
        rows: Observations; one of an unknown day may be of any day.
        members: The checklists that were drawn.
    """
    place = [pl.col(name).round(SITE_DECIMALS).alias(name) for name in ("longitude", "latitude")]
    theirs = members.select("key", *place, *(pl.col(name).alias(f"their {name}") for name in _DAY))
    joined = rows.with_columns(place).join(theirs, on=("longitude", "latitude"))
    same = [(pl.col(name) == pl.col(f"their {name}")).fill_null(True) for name in _DAY]
    return pl.concat(_found(joined.filter(same), ("species",), unapproved=False))


def _lacking(batch: pl.DataFrame, complete: NDArray[np.int64], held_out: HeldOut) -> pl.Series:
    """Numbers of complete checklists of the EBD that are held out, and are not among those of the sampling file."""
    nothing = pl.Series(dtype=pl.Int64)
    if "ALL SPECIES REPORTED" not in batch.columns:
        return nothing
    number = batch["checklist"]
    batch = batch.filter(number.is_not_null() & ~pl.Series(are_in(number.fill_null(0).to_numpy(), complete)))
    batch = batch.unique("checklist", maintain_order=True)
    answers = with_answers(batch.select("ALL SPECIES REPORTED"), "ALL SPECIES REPORTED", "unread")
    batch = batch.filter(answers["ALL SPECIES REPORTED"].fill_null(False))
    if len(batch) == 0:
        return nothing
    rows = batch.select(*place_and_date(batch), "checklist")
    rows = rows.with_columns(held_out.columns(rows)).filter(pl.col("in_area") & pl.col("in_years"))
    return rows["checklist"]
