"""Complete checklists of eBird's sampling file that are held out, of which sites are drawn at random.

The sampling file has every checklist, also one on which none of the species of the EBD's extract was seen. Sites are
drawn by a random order of their numbers, so that neither their order in the file nor the number of visits matters, and
memory does not grow with the file.

Shape legend: N rows of a batch.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.columns.column_names import Columns
from presence_only.columns.coordinates import SITE_DECIMALS, SITE_WORDS
from presence_only.columns.event_dates import day_exists
from presence_only.columns.record_words import with_answers
from presence_only.columns.unread_words import listed
from presence_only.common.errors import DataError
from presence_only.common.random_streams import numpy_stream
from presence_only.data.sites import sites_of, week_of
from presence_only.datasets.ebird.distinct_numbers import Numbers
from presence_only.datasets.ebird.effort import EFFORT_COLUMNS, PROTOCOL_SPELLINGS, effort_columns, effort_rules
from presence_only.datasets.ebird.evaluation import ChecklistEvaluation
from presence_only.datasets.ebird.held_out import HeldOut
from presence_only.datasets.ebird.observations import PLACE_AND_DATE, place_and_date
from presence_only.datasets.ebird.visits import checklist_numbers, group_numbers, visit_keys
from presence_only.occurrences.quality_rules import Rule
from presence_only.occurrences.records import none_left
from presence_only.tables.archives import read_tables
from presence_only.tables.unpacking import LIMITS, Limits

_SAMPLING = Columns(
    required=("ALL SPECIES REPORTED", "SAMPLING EVENT IDENTIFIER", *PLACE_AND_DATE),
    optional=("GROUP IDENTIFIER", *EFFORT_COLUMNS),
    spellings={"PROTOCOL NAME": PROTOCOL_SPELLINGS},
)
# A column that the EBD has and the sampling file lacks.
_OF_THE_EBD = ("SCIENTIFIC NAME",)
# Checklists are put in order, and most of them forgotten, when so many have come together, and so many times the sites.
_WAITING, _TIMES_THE_SITES = 100_000, 4
_MEMBER = ("checklist", "visit", "key", "longitude", "latitude", "year", "month", "day", "order")


@dataclass(eq=False)
class _Judge:
    """Rows in, those that pass all rules and the counts out."""

    rules: tuple[Rule, ...]
    rows: int = 0
    failed: list[int] = field(default_factory=list)
    words: list[Counter[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.failed, self.words = [0] * len(self.rules), [Counter() for _ in self.rules]

    def passed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that pass; one that does not counts for the first rule that it breaks."""
        self.rows += len(rows)
        for number, rule in enumerate(self.rules):
            keep = rows.select(rule.keep.fill_null(False)).to_series()
            dropped = rows.filter(~keep)
            self.failed[number] += len(dropped)
            if rule.words is not None:
                words = (dropped if rule.words_of == "dropped" else rows).select(word=rule.words)["word"].drop_nulls()
                self.words[number].update(dict(words.value_counts().iter_rows()))
            rows = rows.filter(keep)
        return rows

    def filters(self) -> list[tuple[str, int]]:
        """Each rule with the rows that remained after it."""
        left, found = self.rows, [("checklists read", self.rows)]
        for rule, failed, words in zip(self.rules, self.failed, self.words, strict=True):
            left -= failed
            found.append((f"{rule.name} - {rule.words_are}: {listed(words)}" if words else rule.name, left))
        return found


@dataclass(frozen=True, eq=False)
class Drawn:
    """The checklists of the sampling file that were drawn.

    Args:
        members: One row per checklist: ``checklist``, ``visit``, ``key`` of its visit, ``longitude``, ``latitude``,
            ``year``, ``month``, ``day`` and, with weeks, ``week``.
        complete: Numbers of all complete checklists that are held out, ascending, whatever their effort.
        filters: Each rule with the checklists that remained after it.
        n_sites: Sites, or visits where they are kept apart, that there were to draw from.
    """

    members: pl.DataFrame
    complete: NDArray[np.int64]
    filters: tuple[tuple[str, int], ...]
    n_sites: int


def draw_checklists(
    path: Path,
    evaluation: ChecklistEvaluation,
    held_out: HeldOut,
    *,
    weeks: bool,
    sites: int,
    seed: int,
    limits: Limits = LIMITS,
) -> Drawn:
    """The complete checklists that are held out; of more than ``sites`` sites those of some, drawn all alike.

    Args:
        path: The sampling file, or an archive that has it.
        evaluation: Which checklists are good enough.
        held_out: What is held out of training.
        weeks: Whether every checklist needs its week.
        sites: At most so many sites are drawn, or visits where they are kept apart.
        seed: Of the draw.
        limits: How much a packed file may unpack to.

    Raises:
        DataError: If the file is missing, damaged or no sampling file, or no checklist is left.
    """
    judge = _Judge(_rules(evaluation, held_out, weeks))
    salt = np.uint64(numpy_stream(seed, "survey").integers(2**63))
    by_site = evaluation.repeated_visits == "merge"
    complete, outside, orders = Numbers(), Numbers(), Numbers()
    kept: list[pl.DataFrame] = []
    waiting, limit = 0, 2**64 - 1
    with closing(read_tables(path, _SAMPLING, limits, without=_OF_THE_EBD)) as batches:
        for batch in batches:
            rows = _standard(batch, weeks)
            rows = rows.with_columns(held_out.columns(rows))
            grouped = rows.filter(pl.col("visit").is_not_null() & held_out.of_training())
            outside.add(grouped["visit"])
            held = pl.col("complete") & pl.col("in_area") & pl.col("in_years")
            complete.add(rows.filter(held)["checklist"].drop_nulls())
            rows = judge.passed(rows).with_columns(visit_keys().alias("key"))
            rows = rows.with_columns(_order(rows, salt, by_site, weeks))
            orders.add(rows["order"])
            kept.append(
                rows.filter(pl.col("order") <= pl.lit(limit, dtype=pl.UInt64)).select(
                    *_MEMBER, *(["week"] if weeks else [])
                )
            )
            waiting += len(kept[-1])
            if waiting > max(_WAITING, _TIMES_THE_SITES * sites):
                kept = [_first(pl.concat(kept), sites)]
                waiting, limit = len(kept[0]), int(kept[0]["order"].to_numpy().max())
    members = _first(pl.concat(kept), sites).unique("checklist", keep="first", maintain_order=True)
    n_sites = len(orders.all())
    filters = judge.filters()
    # A group with a member that training sees is one visit on both sides.
    split = pl.Series(outside.all(), dtype=pl.Int64)
    members = members.filter(~pl.col("visit").is_in(split.implode()).fill_null(False))
    if len(members) == 0:
        raise DataError(
            f"{path}: no checklist is left for the truth{none_left(filters)}; hold out other years or another area, or "
            "loosen a rule"
        )
    return Drawn(members.drop("order"), complete.all(), tuple(filters), n_sites)


def _standard(batch: pl.DataFrame, weeks: bool) -> pl.DataFrame:
    """A batch of the sampling file with the columns of its rules."""
    answers = with_answers(batch.select("ALL SPECIES REPORTED"), "ALL SPECIES REPORTED", "unread_complete")
    rows = batch.select(
        *place_and_date(batch),
        *effort_columns(batch),
        checklist_numbers(batch),
        group_numbers(batch),
        answers["ALL SPECIES REPORTED"].alias("complete"),
        answers["unread_complete"],
    )
    if not weeks:
        return rows
    week = week_of(rows["month"].fill_null(1).to_numpy(), rows["day"].fill_null(1).to_numpy())
    return rows.with_columns(pl.Series("week", week).cast(pl.UInt8))


def _rules(evaluation: ChecklistEvaluation, held_out: HeldOut, weeks: bool) -> tuple[Rule, ...]:
    """The rules on checklists, in their order."""
    longitude, latitude = pl.col("longitude"), pl.col("latitude")
    possible = longitude.is_between(-180, 180) & latitude.is_between(-90, 90)
    place = pl.coalesce("unread_coordinates", pl.format(SITE_WORDS, longitude, latitude))
    found = [
        Rule("checklist has an identifier", pl.col("checklist").is_not_null(), "checklist"),
        Rule(
            "coordinates given and possible",
            possible & ((longitude != 0) | (latitude != 0)),
            "longitude",
            words=place,
            words_of="dropped",
            words_are="no degrees",
        ),
        Rule("ALL SPECIES REPORTED is 1", pl.col("complete"), "complete", words=pl.col("unread_complete")),
        *effort_rules(evaluation.effort),
    ]
    if weeks:
        date = day_exists(pl.col("year"), pl.col("month"), pl.col("day"))
        found.append(Rule("date known to the day", date, "day", words=pl.col("unread_date"), words_of="dropped"))
    if evaluation.years:
        words = None if weeks else pl.col("unread_date")
        name = f"of the years {', '.join(map(str, evaluation.years))}"
        found.append(Rule(name, pl.col("in_years"), "year", words=words))
    if held_out.within is not None:
        found.append(Rule("within the held-out area", pl.col("in_area"), "in_area"))
    return tuple(found)


def _order(rows: pl.DataFrame, salt: np.uint64, by_site: bool, weeks: bool) -> pl.Series:
    """A random number of every row, the same for all visits of a site (and week), or for one visit alone."""
    number_N = rows["key"].to_numpy().astype(np.int64)
    if by_site:
        cells_N2 = np.rint(sites_of(rows) * 10**SITE_DECIMALS).astype(np.int64)
        number_N = cells_N2[:, 0] * 2**32 + cells_N2[:, 1]
        if weeks:
            number_N = number_N * 64 + rows["week"].to_numpy()
    return pl.Series("order", _mixed(number_N.astype(np.uint64) ^ salt))


def _mixed(number_N: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers that look random, one to one: the finaliser of SplitMix64.

    Source: Steele, Lea and Flood (2014), https://doi.org/10.1145/2660193.2660195
    """
    mixed_N = number_N + np.uint64(0x9E3779B97F4A7C15)
    mixed_N = (mixed_N ^ (mixed_N >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed_N = (mixed_N ^ (mixed_N >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed_N ^ (mixed_N >> np.uint64(31))


def _first(rows: pl.DataFrame, sites: int) -> pl.DataFrame:
    """The rows of the sites that come first in the random order."""
    orders = rows["order"].unique().sort()
    return rows if len(orders) <= sites else rows.filter(pl.col("order") <= orders[sites - 1])
