"""Observations of the eBird Basic Dataset (EBD): from its columns to records, and the rules on eBird's own terms.

Source: the metadata that comes with every download, https://ebird.org/data/download/ebd; categories of taxa:
https://support.ebird.org/en/support/solutions/articles/48000837816-the-ebird-taxonomy

- The EBD is tab-separated and unquoted; a tab ends every line.
- ``SCIENTIFIC NAME`` is the binomial, in the categories below the species too.
- An ``OBSERVATION COUNT`` of ``X`` is a presence without a number, and 0 an absence.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import polars as pl

from presence_only.columns.column_names import Columns
from presence_only.columns.coordinates import unread_coordinates
from presence_only.columns.date_parts import date_columns
from presence_only.columns.numbers import amount, number
from presence_only.columns.record_words import with_answers
from presence_only.columns.species_names import with_names
from presence_only.datasets.ebird.effort import EFFORT_COLUMNS, PROTOCOL_SPELLINGS, effort_columns
from presence_only.datasets.ebird.visits import ID_COLUMNS, checklist_numbers, group_numbers
from presence_only.occurrences.quality_rules import Rule

# Of a species, or of a part of one, of which the scientific name is the species'.
Category = Literal["species", "issf", "form", "intergrade", "domestic"]
# Of no single species.
_OPEN = ("spuh", "slash", "hybrid")
CATEGORIES = (*get_args(Category), *_OPEN)
# All of eBird's species are birds.
GROUP = "Aves"
PLACE_AND_DATE = ("LATITUDE", "LONGITUDE", "OBSERVATION DATE")
OBSERVATIONS = Columns(
    required=("SCIENTIFIC NAME", *PLACE_AND_DATE),
    optional=("CATEGORY", "OBSERVATION COUNT", "APPROVED", *ID_COLUMNS, "ALL SPECIES REPORTED", *EFFORT_COLUMNS),
    spellings={"PROTOCOL NAME": PROTOCOL_SPELLINGS},
)


def standard(batch: pl.DataFrame) -> pl.DataFrame:
    """A batch with the columns of a table of records, and those that eBird's rules need.

    Further columns: ``category`` in small letters, ``count``, ``approved``, ``complete``, ``checklist`` and those of
    the effort.
    """
    found: list[Any] = [*place_and_date(batch), *effort_columns(batch), checklist_numbers(batch)]
    found.append(group_numbers(batch).alias("shared_visit"))
    names = _names(batch)
    found += [*names.iter_columns(), pl.lit(GROUP).alias("group")]
    if "CATEGORY" in batch.columns:
        found.append(pl.col("CATEGORY").cast(pl.String).str.to_lowercase().alias("category"))
    if "OBSERVATION COUNT" in batch.columns:
        count = pl.col("OBSERVATION COUNT").cast(pl.String)
        found.append(amount(count).alias("count"))
        found.append(
            pl.when(amount(count).is_null() & (count.str.to_uppercase() != "X")).then(count).alias("unread_count")
        )
    for column, name in (("APPROVED", "approved"), ("ALL SPECIES REPORTED", "complete")):
        if column in batch.columns:
            answers = with_answers(batch.select(column), column, f"unread_{name}")
            found += [answers[column].alias(name), answers[f"unread_{name}"]]
    return batch.select(found)


def place_and_date(batch: pl.DataFrame) -> list[Any]:
    """Coordinates and date of a row, which the sampling file has too."""
    return [
        number(pl.col("LONGITUDE")).alias("longitude"),
        number(pl.col("LATITUDE")).alias("latitude"),
        unread_coordinates(batch, "LONGITUDE", "LATITUDE"),
        *(column.alias(name) for name, column in date_columns(batch, "OBSERVATION DATE").items()),
    ]


def approved_rule() -> Rule:
    """Observations that eBird's reviewers have not confirmed are dropped."""
    return Rule("APPROVED is 1", pl.col("approved").fill_null(True), "approved", words=pl.col("unread_approved"))


def count_rule() -> Rule:
    """An observation with a count of 0 is one of an absence."""
    keep = (pl.col("count") != 0).fill_null(True)
    return Rule("OBSERVATION COUNT is not 0", keep, "count", words=pl.col("unread_count"))


def category_rules(categories: tuple[Category, ...]) -> tuple[Rule, ...]:
    """One rule per category that is left out, and one for words that are none."""
    category = pl.col("category")
    found = [
        Rule(f"category is not {name}", (category != name).fill_null(True), "category", quiet=True)
        for name in CATEGORIES
        if name not in categories
    ]
    known = category.is_in(list(CATEGORIES)).fill_null(True)
    words = pl.when(~known).then(category)
    found.append(Rule(f"category is {', '.join(categories)}", known, "category", words=words))
    return tuple(found)


def _names(batch: pl.DataFrame) -> pl.DataFrame:
    """Columns ``species`` and ``open_name``; below the species the name is the first two words."""
    text = pl.col("SCIENTIFIC NAME").cast(pl.String)
    if "CATEGORY" in batch.columns:
        below = pl.col("CATEGORY").cast(pl.String).str.to_lowercase().is_in(list(get_args(Category)[1:]))
        binomial = text.str.extract(r"^(\S+\s+\S+)")
        text = pl.when(below.fill_null(False)).then(pl.coalesce(binomial, text)).otherwise(text)
    rows = with_names(batch.select(text=text), "text")
    is_open = pl.col("name_kind") == "open"
    return rows.select(
        species=pl.when(~is_open).then("name"),
        open_name=pl.when(is_open).then("text"),
    )
