"""Cleaning of users' records: quality rules, duplicates and thinning, and how many records each left.

The order is fixed, so that the counts can be compared:

1. coordinates given and possible; 2. not at 0, 0, nor at another place that stands for none; 3. GBIF's geospatial
issues; 4. distance from centroids; 5. coordinate uncertainty, and the values that stand for a centroid; 6. basis of
record or quality grade; 7. occurrence status; 8. year; 9. a full date, where weeks are read; 10. taxon;
11. duplicates, before them several reports of one visit, where a reader tells them; 12. at most so many a species and
cell; 13. at least so many a species; 14. at most so many a species.

Rules 1 to 10 judge a row by itself, in one pass over batches of the file; a row counts for the first
rule that it breaks. Rules 11 to 14 see the rows that remain. The minimum comes after thinning, for it is
the records that training sees which must be enough. A rule that is switched off is not in the funnel;
one that needs a column which the file lacks is there as such, and drops nothing. Behind the name of a rule,
the funnel lists the words that its reader did not understand, with the rows that have them.

Shape legend: N records, S species, P places.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.spatial import cKDTree

from presence_only.columns.column_names import COORDINATE_SPELLINGS, Columns
from presence_only.columns.coordinates import MANY_LONGITUDES, SITE_DECIMALS, SITE_WORDS
from presence_only.columns.event_dates import day_exists
from presence_only.columns.unread_words import listed
from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError
from presence_only.common.random_streams import numpy_stream
from presence_only.common.settings import Settings
from presence_only.common.user_paths import user_path
from presence_only.data.sites import sites_of, week_of
from presence_only.geography.h3_cells import cells_of
from presence_only.geography.sphere import EARTH_RADIUS_KM, unit_vectors
from presence_only.occurrences.random_cap import at_most
from presence_only.occurrences.records import READER_COLUMNS, RecordTable
from presence_only.tables.reading import read_table

# CoordinateCleaner's radius around 0, 0.
NEAR_ZERO_DEGREES = 0.5

# Words of a rule that are counted one by one.
COUNTED_WORDS = 10_000

# The words of a place whose numbers were read, but are no degrees.
_READ = re.compile(r"^longitude -?[\d.]+(?:e\d+)?, latitude -?[\d.]+(?:e\d+)?$")

# A number that stands for a missing value, such as -9999.
_MISSING = re.compile(r"(?:^|\s)-?9{3,}(?:\.0*)?(?:,|$)")

Unknown = Literal["keep", "drop"]
Year = Annotated[int, Field(ge=1, le=9999)]
Metres = Annotated[float, Field(ge=0.0, le=20_000_000.0)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class CleaningSettings(Settings):
    """Which records are good enough, whatever file they come from.

    Args:
        longitudes: How the file counts them; ``0..360`` is converted, and refused if not said here.
        ragged_rows: What becomes of rows of a table with fewer cells than its header, or with further empty ones: the
            file is refused, or the missing cells at the end are empty and the further ones cut (``mend``). A cell may
            be lost or added in the middle, so that others stand under wrong names; archives are always refused. A
            separator that ends every row is no matter.
        zero_or_equal_coordinates: What becomes of records with longitude or latitude 0, with both equal (whatever
            their signs), or within half a degree of 0, 0: most are slips of the pen, some are true. Those kept are
            counted in the funnel. Source: cc_zero and cc_equ of CoordinateCleaner,
            https://doi.org/10.1111/2041-210X.13152
        max_uncertainty_m: Largest coordinate uncertainty in metres; null: any.
        unknown_uncertainty: What becomes of a record without one.
        default_uncertainties_m: Uncertainties that georeferencing tools give to centroids of countries
            and provinces, as GBIF's guide to filtering lists them; such records are dropped.
        centroids: Path of a table of places to avoid, with ``decimalLongitude`` and ``decimalLatitude``,
            such as GBIF's catalogue of centroids (https://github.com/jhnwllr/catalogue-of-centroids).
        centroid_distance_m: Records nearer to a centroid are dropped, by this table and by the file's
            ``distanceFromCentroidInMeters``; 0: none is.
        min_year: First year; null: any.
        max_year: Last year; null: any.
        unknown_year: What becomes of a record without a year.
        drop_duplicates: Whether of several records of one species at one site (five decimals of a
            degree) on one date only the first is kept. Records without a date count as of one date; texts that
            are no day are dates of their own.
        max_per_cell: Records kept of one species in one cell, drawn at random; 0: all.
        cell: What a cell is: ``h3`` or a ``grid`` of degrees.
        cell_h3_resolution: Of the h3 cells; 6 is cells of 6 km.
        cell_degrees: Side of the grid's cells.
        min_records: Species with fewer records are dropped.
        max_per_species: Records kept of one species, drawn at random; 0: all.
        cleaning_seed: Of both draws.
    """

    longitudes: Literal["-180..180", "0..360"] = "-180..180"
    ragged_rows: Literal["refuse", "mend"] = "refuse"
    zero_or_equal_coordinates: Unknown = "keep"
    max_uncertainty_m: Metres | None = 10_000.0
    unknown_uncertainty: Unknown = "keep"
    default_uncertainties_m: Annotated[tuple[float, ...], Field(strict=False)] = (301.0, 999.0, 3036.0, 9999.0)
    centroids: str | None = None
    centroid_distance_m: Metres = 2_000.0
    min_year: Year | None = 1900
    max_year: Year | None = None
    unknown_year: Unknown = "keep"
    drop_duplicates: bool = True
    max_per_cell: Count = 0
    cell: Literal["h3", "grid"] = "h3"
    cell_h3_resolution: Annotated[int, Field(ge=0, le=10)] = 6
    cell_degrees: Annotated[float, Field(gt=0.0, le=90.0)] = 0.1
    min_records: Annotated[int, Field(ge=1, le=1_000_000_000)] = 10
    max_per_species: Count = 0
    cleaning_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        if self.min_year is not None and self.max_year is not None and self.max_year < self.min_year:
            raise ValueError(f"settings where max_year, {self.max_year}, is not below min_year, {self.min_year}")
        if 0 < self.max_per_species < self.min_records:
            raise ValueError(
                f"settings where max_per_species, {self.max_per_species}, is 0 or at least "
                f"min_records, {self.min_records}"
            )
        return self


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


def clean(
    batches: Iterable[pl.DataFrame], settings: CleaningSettings, rules: ReaderRules, weeks: bool, where: str
) -> RecordTable:
    """The records that pass all rules, in the order of the file.

    Args:
        batches: Rows with the columns of :data:`~presence_only.occurrences.records.READER_COLUMNS` that the file
            has, and those of ``rules``. ``key`` may be null; ``species`` is null where the row is of no species.
        settings: The rules.
        rules: The reader's own.
        weeks: Whether every record needs its week of the year.
        where: What error messages call the file.

    Returns:
        Species sorted by name, each with a record; two of one name are told apart by their keys. A
        species' group is the one that most of its rows have.

    Raises:
        DataError: If longitudes run from 0 to 360 and no setting says so, or no record is left.
    """
    row_rules = _row_rules(settings, rules, weeks)
    places = _Places.of(settings)
    sieve = _Sieve(row_rules, settings.longitudes == "0..360", places, weeks)
    for batch in batches:
        sieve.add(batch)
    if settings.longitudes == "-180..180":
        sieve.check_longitudes(where)
    sieve.check_coordinates(where)
    table, taxa = sieve.records()
    filters = sieve.filters()
    table, more = thin(table, settings)
    return _named(table, taxa, (*filters, *more), weeks)


class Taxon(NamedTuple):
    """What a row says of its species; the key is None where it says none."""

    name: str
    key: str | None
    group: str


def thin(table: pl.DataFrame, settings: CleaningSettings) -> tuple[pl.DataFrame, tuple[tuple[str, int], ...]]:
    """The records that remain after the rules that need all of them, in their order; and the funnel's end.

    Args:
        table: Columns longitude, latitude, code and date; shared_visit, where the reader has it.
        settings: The rules.
    """
    filters = []
    if "shared_visit" in table.columns:
        shared = pl.col("shared_visit").is_not_null()
        table = table.filter(~shared | pl.struct("code", "shared_visit").is_first_distinct())
        filters.append(("a species once a visit of several observers", len(table)))
        table = table.drop("shared_visit")
    if settings.drop_duplicates:
        table = table.filter(_first_of_each(table))
        filters.append(("duplicates of species, site and date", len(table)))
    if settings.max_per_cell:
        pairs_N = _numbered(table["code"].to_numpy(), _cells(sites_of(table), settings))
        generator = numpy_stream(settings.cleaning_seed, "records of a cell")
        table = table.filter(at_most(pairs_N, settings.max_per_cell, generator))
        name = f"h3 {settings.cell_h3_resolution}" if settings.cell == "h3" else f"{settings.cell_degrees:g} degrees"
        filters.append((f"at most {settings.max_per_cell:,} of a species in a cell ({name})", len(table)))
    if settings.min_records > 1:
        code_N = table["code"].to_numpy()
        table = table.filter(np.bincount(code_N)[code_N] >= settings.min_records)
        filters.append((f"at least {settings.min_records:,} of a species", len(table)))
    if settings.max_per_species:
        generator = numpy_stream(settings.cleaning_seed, "records of a species")
        table = table.filter(at_most(table["code"].to_numpy(), settings.max_per_species, generator))
        filters.append((f"at most {settings.max_per_species:,} of a species", len(table)))
    return table, tuple(filters)


def _row_rules(settings: CleaningSettings, rules: ReaderRules, weeks: bool) -> tuple[Rule, ...]:
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


class _Sieve:
    """Batches in, the rows that pass all rules and the counts out."""

    def __init__(self, rules: Sequence[Rule], wrap: bool, places: _Places | None, weeks: bool) -> None:
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
        index_C, taxa = _merge(tuple(self._codes), np.bincount(code_N, minlength=len(self._codes)))
        return table.with_columns(pl.Series("code", index_C[code_N])), taxa


def _merge(coded: Sequence[Taxon], counts_C: Ints) -> tuple[NDArray[np.int32], tuple[Taxon, ...]]:
    """Every (name, key, group) that was met, as the species that it is of, and the species by name.

    A key is one species, whatever groups its rows say; a row without a key is of the species of its
    name, where only one key has this name.
    """
    keys_of: dict[str, set[str]] = {}
    for name, key, _ in coded:
        keys_of.setdefault(name, set()).update({key} if key is not None else ())
    identities = []
    for name, key, _ in coded:
        only = next(iter(keys_of[name])) if len(keys_of[name]) == 1 else None
        shown = key if key is not None else only
        identities.append((name, None) if shown is None else (shown, shown))
    groups: dict[tuple[str, str | None], Counter[str]] = {}
    names: dict[tuple[str, str | None], Counter[str]] = {}
    for identity, (name, _, group), count in zip(identities, coded, counts_C.tolist(), strict=True):
        groups.setdefault(identity, Counter())[group] += count
        names.setdefault(identity, Counter())[name] += count
    entries = {identity: Taxon(_most(names[identity]), identity[1], _most(groups[identity])) for identity in groups}
    order = sorted(entries, key=lambda identity: (entries[identity].name, identity[1] or ""))
    place = {identity: i for i, identity in enumerate(order)}
    index_C = np.array([place[identity] for identity in identities], dtype=np.int32)
    return index_C, tuple(entries[identity] for identity in order)


def _most(counts: Counter[str]) -> str:
    """The most frequent value, the first in the alphabet of equals."""
    return min(counts, key=lambda value: (-counts[value], value))


def _named(
    table: pl.DataFrame, taxa: Sequence[Taxon], filters: tuple[tuple[str, int], ...], weeks: bool
) -> RecordTable:
    """The records with the names of their species, of which each has a record."""
    present_S, species_N = np.unique(table["code"].to_numpy(), return_inverse=True)
    entries = [taxa[code] for code in present_S]
    repeated = Counter(entry.name for entry in entries)
    names = [
        f"{entry.name} ({entry.key})" if repeated[entry.name] > 1 and entry.key is not None else entry.name
        for entry in entries
    ]
    week_N = week_of(table["month"].to_numpy(), table["day"].to_numpy()) if weeks else None
    groups = [entry.group for entry in entries]
    visit_N = table["visit"] if "visit" in table.columns else None
    records = RecordTable.of(sites_of(table), species_N, names, groups, week_N, filters, visit_N)
    if "suspect" not in table.columns:
        return records
    return replace(records, table=records.table.with_columns(table["suspect"].fill_null(False)))


def _first_of_each(table: pl.DataFrame) -> NDArray[np.bool_]:
    """Which records are the first of their species, site and date."""
    site_N = _site_numbers(sites_of(table))
    what_N = table["code"].to_numpy().astype(np.int64) * 2**32 + table["date"].to_numpy()
    # Stable, so that of equals the first in the file comes first.
    order_N = np.lexsort((site_N, what_N))
    new_N = np.ones(len(order_N), dtype=np.bool_)
    new_N[1:] = (np.diff(site_N[order_N]) != 0) | (np.diff(what_N[order_N]) != 0)
    first_N = np.zeros(len(order_N), dtype=np.bool_)
    first_N[order_N[new_N]] = True
    return first_N


def _site_numbers(sites_N2: Floats) -> Ints:
    """A number for every site, the same for sites that are one."""
    cells_N2 = np.rint(sites_N2 * 10**SITE_DECIMALS).astype(np.int64)
    # The antimeridian has two names.
    cells_N2[cells_N2[:, 0] == 180 * 10**SITE_DECIMALS, 0] *= -1
    numbers_N: Ints = cells_N2[:, 0] * 2**32 + cells_N2[:, 1]
    return numbers_N


def _cells(sites_N2: Floats, settings: CleaningSettings) -> Ints:
    """A number for the cell of every site."""
    if settings.cell == "h3":
        return cells_of(sites_N2, settings.cell_h3_resolution)
    steps_N2 = np.floor(sites_N2 / settings.cell_degrees).astype(np.int64)
    numbers_N: Ints = steps_N2[:, 0] * 2**32 + steps_N2[:, 1]
    return numbers_N


def _numbered(species_N: Ints, cells_N: Ints) -> Ints:
    """A number for every pair of species and cell."""
    _, cell_N = np.unique(cells_N, return_inverse=True)
    return species_N.astype(np.int64) * (int(cell_N.max(initial=0)) + 1) + cell_N


class _Places:
    """Places that records must keep a distance from."""

    def __init__(self, sites_P2: Floats, distance_m: float) -> None:
        self._tree = cKDTree(unit_vectors(sites_P2))
        # Chord of the unit sphere; distances are small against the Earth, or half around it at most.
        self._chord = 2 * np.sin(min(distance_m / 1000 / EARTH_RADIUS_KM, np.pi) / 2)

    @classmethod
    def of(cls, settings: CleaningSettings) -> _Places | None:
        """The table that the settings name, if they do."""
        if settings.centroids is None or settings.centroid_distance_m == 0:
            return None
        names = ("decimalLongitude", "decimalLatitude")
        table = pl.concat(read_table(user_path(settings.centroids), Columns(names, (), COORDINATE_SPELLINGS)))
        table = table.select(pl.col(name).cast(pl.Float64, strict=False) for name in names)
        good = pl.col(names[0]).is_between(-180, 180) & pl.col(names[1]).is_between(-90, 90)
        wrong = table.filter(~good.fill_null(False))
        if len(wrong):
            raise DataError(
                f"centroids = {settings.centroids!r}: {len(wrong)} of {len(table)} places have no longitude within "
                "-180..180 and latitude within -90..90; every place needs both"
            )
        return cls(table.to_numpy(), settings.centroid_distance_m)

    def near(self, batch: pl.DataFrame) -> pl.Series:
        """Whether a row is nearer to a place than it may be; false where it has no site."""
        sites_N2 = batch.select("longitude", "latitude").to_numpy()
        known_N = (np.abs(sites_N2) <= (180, 90)).all(axis=1)
        near_N = np.zeros(len(sites_N2), dtype=np.bool_)
        distances, _ = self._tree.query(unit_vectors(sites_N2[known_N]), distance_upper_bound=self._chord)
        near_N[known_N] = np.isfinite(distances)
        return pl.Series("near", near_N)
