"""Visits of eBird: the number of every checklist, and of the visit that several observers report together.

Everyone of a group has a checklist of his own, with one group identifier. What any of them saw was there.
"""

from __future__ import annotations

import hashlib

import polars as pl

ID_COLUMNS = ("SAMPLING EVENT IDENTIFIER", "GROUP IDENTIFIER")


def checklist_numbers(batch: pl.DataFrame) -> pl.Series:
    """The number of every row's checklist, null where it has no identifier or the file none."""
    return _numbers(batch, ID_COLUMNS[0], "checklist", "S")


def group_numbers(batch: pl.DataFrame) -> pl.Series:
    """The number of every row's group, null where the checklist is of one observer."""
    return _numbers(batch, ID_COLUMNS[1], "visit", "G")


def visit_keys() -> pl.Expr:
    """One number of a visit, from the columns ``checklist`` and ``visit``: odd for groups, even for others."""
    return pl.coalesce(pl.col("visit") * 2 + 1, pl.col("checklist") * 2)


def _numbers(batch: pl.DataFrame, column: str, name: str, letter: str) -> pl.Series:
    """Identifiers as numbers: ``S123`` is 123; one of another form gets a negative number of its own."""
    if column not in batch.columns:
        return pl.Series(name, [None], dtype=pl.Int64).new_from_index(0, len(batch))
    text = batch[column].cast(pl.String)
    found = text.str.extract(rf"^{letter}([1-9]\d{{0,16}})$").cast(pl.Int64)
    if found.null_count() > text.null_count():
        others = text.filter(found.is_null()).drop_nulls().unique()
        table = pl.DataFrame({"text": others, "other": pl.Series([_hashed(one) for one in others], dtype=pl.Int64)})
        joined = pl.DataFrame({"text": text}).join(table, on="text", how="left", maintain_order="left")
        found = found.zip_with(found.is_not_null(), joined["other"])
    return found.alias(name)


def _hashed(text: str) -> int:
    """A negative number of a text, of 61 bits, so that two texts never share one by chance."""
    return -1 - (int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 3)
