"""Training rows of records against dictionaries by cell and week."""

from collections import defaultdict

import h3
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from presence_only.data.sites import sites_of
from presence_only.occurrences.records import RecordTable, categories
from presence_only.occurrences.training_rows import checklist_rows, distinct, record_rows, rows_of

SPECIES, GROUPS = tuple("abcdefg"), ("x", "y", "x", "y", "x", "y", "z")


def draw_records(n=400, seed=0, weeks=True):
    """Records in a few cells, some of them twice, with their species and weeks; the last species has none."""
    rng = np.random.default_rng(seed)
    sites = np.column_stack([rng.uniform(9, 11, n), rng.uniform(49, 51, n)])
    sites[: n // 4] = sites[n // 4 : 2 * (n // 4)]
    species, week = rng.integers(0, 6, n), rng.integers(1, 49, n)
    return RecordTable.of(sites, species, SPECIES, GROUPS, week if weeks else None).table


@pytest.mark.parametrize("weeks", [False, True])
def test_a_checklist_holds_every_species_of_its_cell_and_week_once(weeks):
    records = draw_records(weeks=weeks)
    before = records.clone()
    rows = checklist_rows(records, resolution=4)

    expected = defaultdict(set)
    for record in records.iter_rows(named=True):
        cell = h3.latlng_to_cell(record["latitude"], record["longitude"], 4)
        expected[cell, record.get("week")].add((record["species"], record["group"]))
    found, of_row = defaultdict(set), {}
    for record in rows.iter_rows(named=True):
        cell = h3.latlng_to_cell(record["latitude"], record["longitude"], 4)
        key = cell, record.get("week")
        assert (record["latitude"], record["longitude"]) == h3.cell_to_latlng(cell)
        assert of_row.setdefault(record["row"], key) == key
        assert (record["species"], record["group"]) not in found[key]
        found[key].add((record["species"], record["group"]))
    assert found == expected
    assert sorted(of_row) == list(range(len(expected)))
    assert rows["row"].is_sorted()
    assert categories(rows["species"]) == SPECIES
    assert ("week" in rows.columns) == weeks
    assert records.equals(before)


def test_the_order_of_the_records_changes_nothing():
    records = draw_records()
    shuffled = records[np.random.default_rng(1).permutation(len(records))]
    assert checklist_rows(records, resolution=3).equals(checklist_rows(shuffled, resolution=3))


def test_records_stay_as_they_are():
    records = draw_records(20)
    rows = record_rows(records)
    assert rows["row"].to_list() == list(range(20))
    assert rows.drop("row").equals(records)


def test_a_part_of_a_table_counts_its_rows_from_0_again():
    rows = checklist_rows(draw_records(), resolution=4)
    first_P, row_P = rows_of(rows)
    assert_array_equal(row_P, rows["row"])
    assert_array_equal(np.flatnonzero(first_P), np.unique(rows["row"], return_index=True)[1])
    odd = rows.filter(rows["row"] % 2 == 1)
    first_P, row_P = rows_of(odd)
    assert_array_equal(row_P, odd["row"].to_numpy() // 2)
    assert_array_equal(sites_of(odd.filter(first_P))[row_P], sites_of(odd))


def test_distinct_combinations_are_those_of_numpy():
    rng = np.random.default_rng(2)
    keys = [rng.integers(0, 4, 300), rng.integers(0, 3, 300).astype(float), rng.integers(0, 2, 300)]
    rows, first, inverse = np.unique(np.column_stack(keys), axis=0, return_index=True, return_inverse=True)
    found, where = distinct(*keys)
    assert_array_equal(found, first)
    assert_array_equal(where, inverse.ravel())
    assert len(rows) == len(found)


def test_zero_has_no_sign():
    found, where = distinct(np.array([0.0, -0.0, 0.0, -0.0]), np.array([2, 1, 1, 2]))
    assert_array_equal(found, [1, 0])
    assert_array_equal(where, [1, 0, 0, 1])
