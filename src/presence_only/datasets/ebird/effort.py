"""Effort of eBird's checklists: protocol, hours, kilometres, speed and observers, and rules on them.

Source: the names and limits of Strimas-Mackey et al. (2023), Best Practices for Using eBird Data,
https://ebird.github.io/ebird-best-practices/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from presence_only.columns.numbers import amount, unread_numbers
from presence_only.common.settings import Need, Settings
from presence_only.occurrences.quality_rules import Rule

EFFORT_COLUMNS = ("PROTOCOL NAME", "DURATION MINUTES", "EFFORT DISTANCE KM", "NUMBER OBSERVERS")
# Releases before 2024 call the column so.
PROTOCOL_SPELLINGS = ("PROTOCOL TYPE",)
EFFORT_SCHEMA: dict[str, Any] = {
    "protocol": pl.String,
    "protocol_word": pl.String,
    "effort_hours": pl.Float64,
    "effort_distance_km": pl.Float64,
    "effort_speed_kmph": pl.Float64,
    "number_observers": pl.Float64,
    "unread_hours": pl.String,
    "unread_distance": pl.String,
    "unread_observers": pl.String,
}
_STATIONARY = "stationary"

Limit = Annotated[float, Field(gt=0.0, le=1_000_000.0)]


class EffortSettings(Settings):
    """How much effort a checklist may have taken; eBird's best practices are 6 hours, 10 km, 100 km/h, 10 observers.

    Args:
        protocol_name: The protocols that are kept, such as ``[Stationary, Traveling]``; empty: all.
        effort_hours: Most hours; null: any.
        effort_distance_km: Most kilometres, of which a stationary checklist has none; null: any.
        effort_speed_kmph: Most kilometres an hour; null: any.
        number_observers: Most observers; null: any.
        unknown_effort: What becomes of a checklist that does not say what a limit asks for.
    """

    needs: ClassVar[Mapping[str, Need]] = {
        "unknown_effort": Need(
            lambda effort: any(value not in (None, ()) for name, value in effort if name != "unknown_effort"),
            "a limit or protocol_name is given",
        ),
    }

    protocol_name: Annotated[tuple[str, ...], Field(strict=False)] = ()
    effort_hours: Limit | None = None
    effort_distance_km: Limit | None = None
    effort_speed_kmph: Limit | None = None
    number_observers: Annotated[int, Field(ge=1)] | None = None
    unknown_effort: Literal["drop", "keep"] = "drop"


def effort_columns(batch: pl.DataFrame) -> list[pl.Expr | pl.Series]:
    """The columns of :data:`EFFORT_SCHEMA`, null where the file lacks what they are made of."""
    found: list[pl.Expr | pl.Series] = []
    names = set(batch.columns)
    if "PROTOCOL NAME" in names:
        found += [pl.col("PROTOCOL NAME").alias("protocol_word"), _protocol(pl.col("PROTOCOL NAME")).alias("protocol")]
    hours = amount(pl.col("DURATION MINUTES")) / 60 if "DURATION MINUTES" in names else None
    distance = amount(pl.col("EFFORT DISTANCE KM")) if "EFFORT DISTANCE KM" in names else None
    if distance is not None and "PROTOCOL NAME" in names:
        distance = pl.when(_protocol(pl.col("PROTOCOL NAME")) == _STATIONARY).then(0.0).otherwise(distance)
    if hours is not None:
        found += [hours.alias("effort_hours"), unread_numbers(batch, ("DURATION MINUTES",), "unread_hours", amount)]
    if distance is not None:
        found += [
            distance.alias("effort_distance_km"),
            unread_numbers(batch, ("EFFORT DISTANCE KM",), "unread_distance", amount),
        ]
    if hours is not None and distance is not None:
        # In no time no distance is no speed.
        speed = pl.when(distance == 0).then(0.0).when(hours > 0).then(distance / hours)
        found.append(speed.alias("effort_speed_kmph"))
    if "NUMBER OBSERVERS" in names:
        found += [
            amount(pl.col("NUMBER OBSERVERS")).alias("number_observers"),
            unread_numbers(batch, ("NUMBER OBSERVERS",), "unread_observers", amount),
        ]
    made = set(batch.select(found).columns)
    return found + [pl.lit(None, dtype=kind).alias(name) for name, kind in EFFORT_SCHEMA.items() if name not in made]


def effort_rules(settings: EffortSettings | None) -> tuple[Rule, ...]:
    """The rules on effort, in the order of the settings; none without settings."""
    if settings is None:
        return ()
    unknown = settings.unknown_effort == "keep"
    found = []
    if settings.protocol_name:
        wanted = pl.Series(settings.protocol_name, dtype=pl.String)
        plain = pl.DataFrame({"word": wanted}).select(_protocol(pl.col("word"))).to_series().to_list()
        keep = pl.col("protocol").is_in(plain).fill_null(unknown)
        name = f"protocol is {', '.join(settings.protocol_name)}"
        others = pl.col("protocol_word")
        found.append(
            Rule(name, keep, "protocol", always=not unknown, words=others, words_of="dropped", words_are="others")
        )
    for column, limit, unit, unread in (
        ("effort_hours", settings.effort_hours, "hours", "unread_hours"),
        ("effort_distance_km", settings.effort_distance_km, "km", "unread_distance"),
        ("effort_speed_kmph", settings.effort_speed_kmph, "km/h", None),
        ("number_observers", settings.number_observers, "observers", "unread_observers"),
    ):
        if limit is not None:
            keep = (pl.col(column) <= limit).fill_null(unknown)
            words = pl.col(unread) if unread else None
            found.append(Rule(f"effort at most {limit:g} {unit}", keep, column, always=not unknown, words=words))
    return tuple(found)


def _protocol(column: pl.Expr) -> pl.Expr:
    """Protocols in one spelling: ``eBird - Traveling Count`` of early releases is ``Traveling``."""
    plain = column.cast(pl.String).str.to_lowercase().str.replace_all(r"[^a-z0-9]", "")
    return plain.str.strip_prefix("ebird").str.strip_suffix("count")
