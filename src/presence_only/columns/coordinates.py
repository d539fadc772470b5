"""Coordinates of places in users' tables: those that cannot be read, and what counts as one place.

Degrees and other systems are told apart by :mod:`~presence_only.columns.coordinate_systems`.
"""

from __future__ import annotations

import polars as pl

from presence_only.columns.numbers import unread_numbers

# How the funnel shows a place whose coordinates are no degrees.
SITE_WORDS = "longitude {}, latitude {}"
# Decimals of a degree in which two sites are one: a metre.
SITE_DECIMALS = 5
# A share of longitudes beyond 180 that is no slip of the pen.
MANY_LONGITUDES = 0.01


def unread_coordinates(batch: pl.DataFrame, longitude: str, latitude: str) -> pl.Series:
    """Both coordinates of the rows where a text is no number, as one text; null elsewhere."""
    label = "unread_coordinates"
    unread = unread_numbers(batch, (longitude, latitude), label)
    if unread.null_count() == len(batch):
        return unread
    texts = (pl.col(name).cast(pl.String).fill_null("none") for name in (longitude, latitude))
    words = batch.select(pl.format(SITE_WORDS, *texts).alias(label)).to_series()
    return words.zip_with(unread.is_not_null(), unread)
