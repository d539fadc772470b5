"""Columns of numbers and of identifiers in users' tables, and the texts that are neither."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl


def number(column: pl.Expr) -> pl.Expr:
    """A column as a number, null where it is none; blanks around a number do not count."""
    return column.cast(pl.Float64, strict=False)


def amount(column: pl.Expr) -> pl.Expr:
    """A column of counts or measures as a number, null where it is none or negative: ``-9999`` stands for no value."""
    value = number(column)
    return pl.when(value >= 0).then(value)


def unread_numbers(
    batch: pl.DataFrame, names: Sequence[str], label: str, read: Callable[[pl.Expr], pl.Expr] = number
) -> pl.Series:
    """The first text of every row that is no number, such as ``47,1`` or ``8.5°E``, in columns of numbers.

    Args:
        batch: Rows.
        names: The columns that the batch may have; others are left out.
        label: Name of the result, which is null where all is well.
        read: What makes numbers of the columns: :func:`number`, or :func:`amount`, for which ``-1`` is none either.
    """
    found = []
    for name in names:
        column = pl.col(name)
        # Most files have none, and comparing two counts is faster than making texts.
        if name in batch.columns and batch.select(read(column).is_null().sum() > column.null_count()).item():
            found.append(pl.when(read(column).is_null()).then(column.cast(pl.String)))
    if not found:
        return pl.Series(label, [None], dtype=pl.String).new_from_index(0, len(batch))
    return batch.select(pl.coalesce(found).alias(label)).to_series()


def whole_number(column: pl.Expr) -> pl.Expr:
    """A column as whole numbers, null where it has none: ``2019`` and ``2019.0`` are one."""
    value = number(column)
    return pl.when(value == value.round()).then(value).cast(pl.Int32, strict=False)


def identifier(column: pl.Expr) -> pl.Expr:
    """A column of keys as text, in which ``12``, ``12.0`` and ``1.2e1`` are one key.

    A table with empty cells turns whole numbers into floats when a program reads and writes it. Programs write a power
    of ten with a point or a sign, as ``1.2E1`` or ``1e+05``; ``1E1`` is a code, such as that of a plot. Keys that are
    no numbers, and those beyond what a float can hold exactly, stay as they are.
    """
    text = column.cast(pl.String).str.strip_chars()
    whole = text.str.extract(r"^(\d+)\.0*$")
    powers = r"^\d+(?:\.\d+[eE]\+?|[eE]\+)\d+$"
    power = pl.when(text.str.contains(powers)).then(text).cast(pl.Float64, strict=False)
    exact = pl.when((power == power.round()) & (power < 2**53)).then(power).cast(pl.Int64, strict=False)
    key = pl.coalesce(whole, exact.cast(pl.String), text)
    return pl.when(key != "").then(key)


def numeric_key(column: pl.Expr) -> pl.Expr:
    """A column of keys that are whole numbers, in any form of a number, ``1e2`` too; null where it has none."""
    value = number(column.cast(pl.String).str.strip_chars())
    power = pl.when((value == value.round()) & (value.abs() < 2**53)).then(value).cast(pl.Int64, strict=False)
    return pl.coalesce(identifier(column).cast(pl.Int64, strict=False), power)
