"""Rules that judge one record by itself: coordinates, uncertainty, dates, identification; and those of one reader."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from presence_only.columns.coordinates import SITE_WORDS
from presence_only.columns.event_dates import day_exists
from presence_only.occurrences.cleaning_settings import CleaningSettings

# CoordinateCleaner's radius around 0, 0.
NEAR_ZERO_DEGREES = 0.5


@dataclass(frozen=True)
class Rule:
    """A rule that judges a row by itself.

    Args:
        name: What the funnel calls it.
        keep: True where the row passes; null counts as false.
        column: The column that it needs; without it the rule drops nothing.
        always: Whether the rule holds without the column too: all values are unknown then.
        words: Texts for the funnel to list, null where a row has none.
        words_of: Whose texts: of all rows, or of those that this rule drops.
        words_are: What the funnel calls them.
        quiet: Whether the rule is in the funnel only where it breaks or lists something.
        drops: Whether a row that breaks it is dropped; otherwise such rows are counted among those that pass all.
    """

    name: str
    keep: pl.Expr
    column: str
    always: bool = False
    words: pl.Expr | None = None
    words_of: Literal["all", "dropped"] = "all"
    words_are: str = "not understood"
    quiet: bool = False
    drops: bool = True


@dataclass(frozen=True)
class ReaderRules:
    """The rules that only one reader has, by their place in the order; ``last`` follow those on the taxon."""

    issues: tuple[Rule, ...] = ()
    basis: tuple[Rule, ...] = ()
    status: tuple[Rule, ...] = ()
    taxon: tuple[Rule, ...] = field(default=())
    last: tuple[Rule, ...] = ()


def row_rules(settings: CleaningSettings, rules: ReaderRules, weeks: bool) -> tuple[Rule, ...]:
    """The rules on rows in their order, without those that are switched off."""
    longitude, latitude = pl.col("longitude"), pl.col("latitude")
    found = [
        Rule(
            "coordinates given and possible",
            longitude.is_between(-180, 180) & latitude.is_between(-90, 90),
            "longitude",
            words=pl.coalesce("unread_coordinates", pl.format(SITE_WORDS, longitude, latitude)),
            words_of="dropped",
            words_are="no degrees",
        ),
        Rule("coordinates not 0, 0", (longitude != 0) | (latitude != 0), "longitude"),
        Rule(
            "coordinates neither 0 nor equal, nor half a degree from 0, 0",
            (longitude != 0)
            & (latitude != 0)
            & (longitude.abs() != latitude.abs())
            & (longitude**2 + latitude**2 > NEAR_ZERO_DEGREES**2),
            "longitude",
            quiet=True,
            drops=settings.zero_or_equal_coordinates == "drop",
        ),
        *rules.issues,
    ]
    if settings.centroids is not None and settings.centroid_distance_m > 0:
        found.append(Rule(f"{settings.centroid_distance_m:g} m from centroids", ~pl.col("near"), "near"))
    # Uncertainties of 0 or less are not known ones: the term asks for a positive number.
    uncertainty = pl.when(pl.col("uncertainty_m") > 0).then(pl.col("uncertainty_m"))
    strict, words = settings.unknown_uncertainty == "drop", pl.col("unread_uncertainty")
    if settings.max_uncertainty_m is not None:
        name = f"coordinate uncertainty at most {settings.max_uncertainty_m:g} m"
        keep = (uncertainty <= settings.max_uncertainty_m).fill_null(not strict)
        found.append(Rule(name, keep, "uncertainty_m", always=strict, words=words))
    elif strict:
        name = "coordinate uncertainty known"
        found.append(Rule(name, uncertainty.is_not_null(), "uncertainty_m", always=True, words=words))
    if settings.default_uncertainties_m:
        values = ", ".join(f"{value:g}" for value in settings.default_uncertainties_m)
        keep = ~uncertainty.is_in(list(settings.default_uncertainties_m)).fill_null(False)
        found.append(Rule(f"coordinate uncertainty not that of a centroid ({values} m)", keep, "uncertainty_m"))
    found += [*rules.basis, *rules.status]
    strict, dates = settings.unknown_year == "drop", None if weeks else pl.col("unread_date")
    if settings.min_year is not None or settings.max_year is not None or strict:
        keep = pl.col("year").is_between(settings.min_year or 1, settings.max_year or 9999).fill_null(not strict)
        span = f"{settings.min_year or ''}..{settings.max_year or ''}"
        name = f"year {span}" if span != ".." else "year known"
        found.append(Rule(name, keep, "year", always=strict, words=dates))
    elif not weeks:
        found.append(Rule("date", pl.lit(True), "year", words=dates, quiet=True, drops=False))
    if weeks:
        parts = [pl.col(name) for name in ("year", "month", "day")]
        # Month and day may be known where a year or another text was not understood, so those that stay are listed too.
        impossible = pl.when(~day_exists(*parts)).then(pl.format("{}-{}-{}", *parts))
        words = pl.coalesce("unread_date", impossible)
        found.append(Rule("date known to the day", day_exists(*parts), "day", always=True, words=words))
    open_name = Rule(
        "identified to a species",
        pl.col("open_name").is_null(),
        "open_name",
        words=pl.col("open_name"),
        words_are="open names",
        quiet=True,
    )
    species = Rule("of a species", pl.col("species").is_not_null(), "species", always=True)
    return (*found, *rules.taxon, open_name, species, *rules.last)
