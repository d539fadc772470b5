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

The rules on rows are in :mod:`~presence_only.occurrences.quality_rules`, those that need all records in
:mod:`~presence_only.occurrences.thinning`, and the settings of both in
:mod:`~presence_only.occurrences.cleaning_settings`.

Shape legend: N records, S species.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from presence_only.data.sites import sites_of, week_of
from presence_only.occurrences.centroids import Centroids
from presence_only.occurrences.cleaning_settings import CleaningSettings
from presence_only.occurrences.funnel import Funnel
from presence_only.occurrences.quality_rules import ReaderRules, row_rules
from presence_only.occurrences.records import RecordTable
from presence_only.occurrences.species_of_rows import Taxon
from presence_only.occurrences.thinning import thin


def clean(
    batches: Iterable[pl.DataFrame], settings: CleaningSettings, rules: ReaderRules, weeks: bool, where: str
) -> RecordTable:
    """The records that pass all rules, in the order of the file.

    Args:
        batches: Rows with the columns of :data:`~presence_only.occurrences.records.READER_COLUMNS` that the file
            has, and those of ``rules``. ``key`` may be null; ``species`` is null where the row is of no species.
        settings: Which records are good enough.
        rules: The reader's own.
        weeks: Whether every record needs its week of the year.
        where: What error messages call the file.

    Returns:
        Species sorted by name, each with a record; two of one name are told apart by their keys. A
        species' group is the one that most of its rows have.

    Raises:
        DataError: If longitudes run from 0 to 360 and no setting says so, or no record is left.
    """
    places = Centroids.of(settings)
    funnel = Funnel(row_rules(settings, rules, weeks), settings.longitudes == "0..360", places, weeks)
    for batch in batches:
        funnel.add(batch)
    if settings.longitudes == "-180..180":
        funnel.check_longitudes(where)
    funnel.check_coordinates(where)
    table, taxa = funnel.records()
    filters = funnel.filters()
    table, more = thin(table, settings)
    return _named(table, taxa, (*filters, *more), weeks)


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
