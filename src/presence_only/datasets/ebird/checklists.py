"""Complete checklists of eBird as a survey: zero-filled, read in two passes that keep what is drawn and no more.

The first pass reads the sampling file, which has every checklist, also one on which none of the species of the EBD's
extract was seen. The second reads the EBD again, for what was found on the checklists that were drawn. A species of
the EBD that is not on a complete checklist was absent there.

- Checklists of one group are one visit, at the place of the first of them. What one of them has was there.
- An observation that was not approved, or of a hybrid between subspecies, a form or a domestic type, says neither that
  its species was there nor that it was not: the species counts as not surveyed on this checklist.
- Sites are drawn by a random order of their numbers, so that neither their order in the file nor the number of
  visits matters, and memory does not grow with the file.

Source: auk_zerofill and auk_unique of Strimas-Mackey, Miller and Hochachka (2018), https://doi.org/10.5281/zenodo.8135417
https://cornelllabofornithology.github.io/auk

Shape legend: N rows of a batch, V visits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.common.random_streams import numpy_stream
from presence_only.data.sites import sites_of
from presence_only.datasets.ebird.effort import EFFORT_COLUMNS, PROTOCOL_SPELLINGS, effort_columns, effort_rules
from presence_only.datasets.ebird.evaluation import ChecklistEvaluation
from presence_only.datasets.ebird.observations import (
    OBSERVATIONS,
    PLACE_AND_DATE,
    Category,
    place_and_date,
    standard,
)
from presence_only.datasets.ebird.visits import ID_COLUMNS, checklist_numbers, group_numbers, visit_keys
from presence_only.occurrences.cleaning import SITE_DECIMALS, Rule, listed
from presence_only.occurrences.column_names import Columns
from presence_only.occurrences.event_dates import day_exists
from presence_only.occurrences.number_columns import SITE_WORDS
from presence_only.occurrences.record_words import with_answers
from presence_only.occurrences.records import week_of
from presence_only.occurrences.survey_rows import SurveyRows
from presence_only.occurrences.tables_in_archives import read_tables
from presence_only.occurrences.unpacking import LIMITS, Limits

_SAMPLING = Columns(
    required=("ALL SPECIES REPORTED", "SAMPLING EVENT IDENTIFIER", *PLACE_AND_DATE),
    optional=("GROUP IDENTIFIER", *EFFORT_COLUMNS),
    spellings={"PROTOCOL NAME": PROTOCOL_SPELLINGS},
)
# A column that the EBD has and the sampling file lacks.
_OF_THE_EBD = ("SCIENTIFIC NAME",)
# Checklists are put in order, and most of them forgotten, when so many have come together, and so many times the sites.
_WAITING, _TIMES_THE_SITES = 100_000, 4


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What is held out of training.

    Args:
        years: Years; empty: none by itself.
        within: From sites (N, 2) to whether they lie in the held-out area, shape (N,); None: no area is.
        words: What it is, to be told to the reader of the results.
    """

    years: tuple[int, ...]
    within: Callable[[Floats], NDArray[np.bool_]] | None
    words: str

    def columns(self, rows: pl.DataFrame) -> list[pl.Series]:
        """``in_area`` and ``in_years`` of every row; true for all where no area or no year is held out."""
        in_area_N = np.ones(len(rows), dtype=bool)
        if self.within is not None:
            sites_N2 = sites_of(rows)
            possible_N = (np.abs(sites_N2) <= (180, 90)).all(axis=1)
            in_area_N[~possible_N] = False
            in_area_N[possible_N] = self.within(sites_N2[possible_N])
        in_years = pl.col("year").is_in(list(self.years)).fill_null(False) if self.years else pl.lit(True)
        return [
            pl.Series("in_area", in_area_N),
            rows.select(in_years=pl.repeat(True, len(rows)) & in_years)["in_years"],
        ]

    def of_training(self) -> pl.Expr:
        """Whether training may see a row, from the columns of :meth:`columns`."""
        outside = [~pl.col("in_area")] if self.within is not None else []
        outside += [~pl.col("in_years")] if self.years else []
        return pl.all_horizontal(outside)


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
        members: One row per checklist: ``checklist``, ``visit``, ``key`` of its visit, ``longitude``, ``latitude``
            and, with weeks, ``week``.
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
    complete, outside, orders = _Numbers(), _Numbers(), _Numbers()
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
        steps = "; ".join(f"{rule}: {left:,}" for rule, left in filters)
        raise DataError(
            f"{path}: no checklist is left for the truth (checklists left by each rule - {steps}); hold out other "
            "years or another area, or loosen a rule"
        )
    return Drawn(members.drop("order"), complete.all(), tuple(filters), n_sites)


_MEMBER = ("checklist", "visit", "key", "longitude", "latitude", "order")


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
    seen, lacking = _Numbers(), _Numbers()
    columns = replace(OBSERVATIONS, required=(*OBSERVATIONS.required, ID_COLUMNS[0]))
    with closing(read_tables(path, columns, limits)) as batches:
        for batch in batches:
            batch = batch.with_columns(checklist_numbers(batch), group_numbers(batch))
            batch = batch.join(by_checklist, on="checklist", how="left", maintain_order="left")
            batch = batch.join(by_group, on="visit", how="left", maintain_order="left")
            batch = batch.with_columns(pl.coalesce("key_c", "key_g").alias("key"))
            lacking.add(_lacking(batch.filter(pl.col("key").is_null()), drawn.complete, held_out))
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
        surveys.rename({"key": "survey"}).drop("checklist", "visit"),
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


_MAY_LACK = {"count": pl.Float64, "category": pl.String, "approved": pl.Boolean}


def _lacking(batch: pl.DataFrame, complete: NDArray[np.int64], held_out: HeldOut) -> pl.Series:
    """Numbers of complete checklists of the EBD that are held out, and are not among those of the sampling file."""
    nothing = pl.Series(dtype=pl.Int64)
    if "ALL SPECIES REPORTED" not in batch.columns:
        return nothing
    number = batch["checklist"]
    batch = batch.filter(number.is_not_null() & ~pl.Series(_is_in(number.fill_null(0).to_numpy(), complete)))
    batch = batch.unique("checklist", maintain_order=True)
    answers = with_answers(batch.select("ALL SPECIES REPORTED"), "ALL SPECIES REPORTED", "unread")
    batch = batch.filter(answers["ALL SPECIES REPORTED"].fill_null(False))
    if len(batch) == 0:
        return nothing
    rows = batch.select(*place_and_date(batch), "checklist")
    rows = rows.with_columns(held_out.columns(rows)).filter(pl.col("in_area") & pl.col("in_years"))
    return rows["checklist"]


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


class _Numbers:
    """Distinct numbers out of many batches."""

    def __init__(self) -> None:
        self._parts: list[NDArray[Any]] = []
        self._waiting = self._known = 0

    def add(self, numbers: pl.Series) -> None:
        """Further numbers, of which none is null."""
        self._parts.append(numbers.unique().to_numpy())
        self._waiting += len(self._parts[-1])
        # Each time as many wait as are known, so that the work grows no faster than their number.
        if self._waiting > self._known + 1_000_000:
            self.all()

    def all(self) -> NDArray[Any]:
        """All numbers so far, each once, ascending."""
        if self._waiting:
            self._parts = [np.unique(np.concatenate(self._parts))]
        self._waiting, self._known = 0, sum(map(len, self._parts))
        return self._parts[0] if self._parts else np.empty(0, dtype=np.int64)


def _is_in(number_N: NDArray[np.int64], sorted_numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether numbers are among sorted ones, shape (N,)."""
    if len(sorted_numbers) == 0:
        return np.zeros(len(number_N), dtype=bool)
    place_N = np.minimum(np.searchsorted(sorted_numbers, number_N), len(sorted_numbers) - 1)
    found_N: NDArray[np.bool_] = sorted_numbers[place_N] == number_N
    return found_N
