"""The funnel: batches of rows go through the rules, and what every rule left is counted, with the words it met."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from presence_only.columns.coordinates import MANY_LONGITUDES
from presence_only.columns.unread_words import listed
from presence_only.common.errors import DataError
from presence_only.occurrences.centroids import Centroids
from presence_only.occurrences.quality_rules import Rule
from presence_only.occurrences.records import READER_COLUMNS
from presence_only.occurrences.species_of_rows import Taxon, merged_taxa

# Words of a rule that are counted one by one.
COUNTED_WORDS = 10_000

# The words of a place whose numbers were read, but are no degrees.
_READ = re.compile(r"^longitude -?[\d.]+(?:e\d+)?, latitude -?[\d.]+(?:e\d+)?$")

# A number that stands for a missing value, such as -9999.
_MISSING = re.compile(r"(?:^|\s)-?9{3,}(?:\.0*)?(?:,|$)")


class Funnel:
    """Batches in, the rows that pass all rules and the counts out."""

    def __init__(self, rules: Sequence[Rule], wrap: bool, places: Centroids | None, weeks: bool) -> None:
        self._rules, self._wrap, self._places, self._weeks = rules, wrap, places, weeks
        self._rows, self._failed = 0, np.zeros(len(rules) + 1, dtype=np.int64)
        self._columns: set[str] = set()
        self._codes: dict[Taxon, int] = {}
        self._kept: list[pl.DataFrame] = []
        self._words: list[Counter[str]] = [Counter() for _ in rules]
        self._suspect = np.zeros(len(rules), dtype=np.int64)
        self._west = self._beyond = 0
        self._largest = 0.0

    def add(self, batch: pl.DataFrame) -> None:
        """Judge the rows of a batch."""
        missing = [
            pl.lit(None, dtype=kind).alias(name) for name, kind in READER_COLUMNS.items() if name not in batch.columns
        ]
        present = {*batch.columns, "near"}
        self._columns |= present
        year, longitude = pl.col("year"), pl.col("longitude")
        batch = batch.with_columns(missing).with_columns(
            pl.col("longitude", "latitude", "uncertainty_m").fill_nan(None),
            pl.when(year.is_between(1, 9999)).then(year),
        )
        beyond = longitude.is_between(180, 360, "right")
        if self._wrap:
            batch = batch.with_columns(pl.when(beyond).then(longitude - 360).otherwise(longitude).alias("longitude"))
        else:
            west, past, largest = batch.select(
                west=(longitude < 0).sum(), past=beyond.sum(), largest=longitude.filter(beyond).max()
            ).row(0)
            self._west, self._beyond = self._west + west, self._beyond + past
            self._largest = max(self._largest, largest or 0.0)
        if self._places is not None:
            batch = batch.with_columns(self._places.near(batch))
        failed: Any = pl.lit(0, dtype=pl.UInt8)
        for number, rule in reversed(list(enumerate(self._rules, 1))):
            if rule.drops and (rule.column in present or rule.always):
                failed = pl.when(rule.keep.fill_null(False)).then(failed).otherwise(pl.lit(number, dtype=pl.UInt8))
        batch = batch.with_columns(failed.alias("failed"))
        self._rows += len(batch)
        self._failed += np.bincount(batch["failed"].to_numpy(), minlength=len(self._failed))
        self._count_words(batch)
        batch = batch.filter(pl.col("failed") == 0)
        if len(batch):
            for number, rule in enumerate(self._rules):
                if not rule.drops and (rule.column in present or rule.always):
                    self._suspect[number] += batch.select((~rule.keep).sum()).item()
            self._remember(batch)

    def _count_words(self, batch: pl.DataFrame) -> None:
        """Count the words for the funnel, each by itself up to a number that bounds the memory."""
        for number, (rule, counts) in enumerate(zip(self._rules, self._words, strict=True), 1):
            if rule.words is None or rule.column not in self._columns:
                continue
            rows = batch.filter(pl.col("failed") == number) if rule.words_of == "dropped" else batch
            words = rows.select(rule.words.alias("word")).to_series().drop_nulls()
            for word, count in words.value_counts().iter_rows() if len(words) else ():
                counts[word if word in counts or len(counts) < COUNTED_WORDS else ""] += count

    def _remember(self, batch: pl.DataFrame) -> None:
        """Keep what later steps need of rows that passed, as numbers."""
        batch = batch.with_columns(pl.col("group").fill_null("unknown"))
        known = batch.select("species", "key", "group").unique(maintain_order=True)
        codes = [self._codes.setdefault(Taxon(*row), len(self._codes)) for row in known.iter_rows()]
        day = pl.col("year").fill_null(0) * 10_000 + pl.col("month").fill_null(0) * 100 + pl.col("day").fill_null(0)
        part_unknown = pl.any_horizontal(pl.col("year", "month", "day").is_null())
        # What is no day has a number of its own, so that two visits are never taken for one.
        date = pl.when(part_unknown & pl.col("date_text").is_not_null()).then("date_text").otherwise(day)
        coded = batch.join(
            known.with_columns(pl.Series("code", codes, dtype=pl.Int32)),
            on=["species", "key", "group"],
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        further: list[str] = [name for name in ("visit", "shared_visit", "suspect") if name in self._columns]
        # A date may be the number of a text though its month and day are known.
        further += ["month", "day"] if self._weeks else []
        self._kept.append(coded.select("longitude", "latitude", "code", date.cast(pl.Int32).alias("date"), *further))

    def check_longitudes(self, where: str) -> None:
        """Refuse a file whose longitudes run from 0 to 360: dropping half of the world is no cleaning."""
        if self._beyond >= max(MANY_LONGITUDES * self._rows, 1) and not self._west:
            raise DataError(
                f"{where}: longitudes reach {self._largest:g} and none is negative, so they run from 0 to 360; "
                "set longitudes: 0..360 to have them converted"
            )

    def filters(self) -> tuple[tuple[str, int], ...]:
        """The funnel so far."""
        left = self._rows
        found = [("read", left)]
        for number, (rule, failed) in enumerate(zip(self._rules, self._failed[1:].tolist(), strict=True)):
            left -= failed
            words, suspect = self._words[number], int(self._suspect[number])
            if rule.quiet and not (failed or words or suspect):
                continue
            name = rule.name if rule.column in self._columns else f"{rule.name} - not in the file"
            name += f" - {suspect:,} that are, kept" if suspect else ""
            found.append((f"{name} - {rule.words_are}: {listed(words)}" if words else name, left))
        return tuple(found)

    def check_coordinates(self, where: str) -> None:
        """Refuse a file of which no row has coordinates: its numbers are not what was read."""
        words = self._words[0]
        if self._rows and self._failed[1] == self._rows and words:
            read = all(_READ.match(word) for word in words if word)
            hint = "convert them to degrees WGS84" if read else "write numbers of degrees with a decimal point"
            if all(_MISSING.search(word) for word in words if word):
                hint = "such numbers stand for missing values"
            raise DataError(
                f"{where}: no row has a longitude within -180..180 and a latitude within -90..90; they say "
                f"{listed(words)}: {hint}"
            )

    def records(self) -> tuple[pl.DataFrame, tuple[Taxon, ...]]:
        """The rows that passed, and the species that their codes stand for, by name and key."""
        if not self._kept:
            numbers = dict.fromkeys(("code", "date", "month", "day"), pl.Int32)
            empty = {"longitude": pl.Float64, "latitude": pl.Float64, **numbers}
            return pl.DataFrame(schema=empty), ()
        table = pl.concat(self._kept, rechunk=True)
        self._kept = []
        code_N = table["code"].to_numpy()
        index_C, taxa = merged_taxa(tuple(self._codes), np.bincount(code_N, minlength=len(self._codes)))
        return table.with_columns(pl.Series("code", index_C[code_N])), taxa
