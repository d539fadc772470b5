from collections import defaultdict

import h3
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from presence_only.occurrences.checklists import checklist_rows, distinct, record_rows


def draw_records(n=400, seed=0):
    """Records in a few cells, some of them twice, with their species and weeks."""
    rng = np.random.default_rng(seed)
    sites = np.column_stack([rng.uniform(9, 11, n), rng.uniform(49, 51, n)])
    sites[: n // 4] = sites[n // 4 : 2 * (n // 4)]
    return sites, rng.integers(0, 6, n), rng.integers(1, 49, n)


@pytest.mark.parametrize("with_weeks", [False, True])
def test_a_checklist_holds_every_species_of_its_cell_and_week_once(with_weeks):
    sites, species, weeks = draw_records()
    before = [sites.copy(), species.copy(), weeks.copy()]
    rows = checklist_rows(sites, species, weeks if with_weeks else None, resolution=4)

    expected = defaultdict(set)
    for (longitude, latitude), s, week in zip(sites, species, weeks, strict=True):
        expected[h3.latlng_to_cell(latitude, longitude, 4), week if with_weeks else None].add(s)
    found = defaultdict(set)
    for row, s in zip(rows.row_P, rows.species_P, strict=True):
        longitude, latitude = rows.sites_N2[row]
        key = h3.latlng_to_cell(latitude, longitude, 4), rows.week_N[row] if with_weeks else None
        assert s not in found[key]
        found[key].add(s)
    assert found == expected
    assert len(rows.sites_N2) == len(expected)
    assert (np.diff(rows.row_P) >= 0).all()
    assert (rows.week_N is not None) == with_weeks
    for longitude, latitude in rows.sites_N2:
        assert (latitude, longitude) == h3.cell_to_latlng(h3.latlng_to_cell(latitude, longitude, 4))
    for array, copy in zip((sites, species, weeks), before, strict=True):
        assert_array_equal(array, copy)


def test_the_order_of_the_records_changes_nothing():
    sites, species, weeks = draw_records()
    order = np.random.default_rng(1).permutation(len(sites))
    one = checklist_rows(sites, species, weeks, resolution=3)
    other = checklist_rows(sites[order], species[order], weeks[order], resolution=3)
    for name in ("sites_N2", "row_P", "species_P", "week_N"):
        assert_array_equal(getattr(one, name), getattr(other, name))


def test_records_stay_as_they_are():
    sites, species, weeks = draw_records(20)
    rows = record_rows(sites, species, weeks)
    assert_array_equal(rows.row_P, np.arange(20))
    kept = np.arange(20) % 3 == 0
    taken = rows.take(kept)
    assert_array_equal(taken.sites_N2, sites[kept])
    assert_array_equal(taken.species_P, species[kept])
    assert_array_equal(taken.week_N, weeks[kept])
    assert_array_equal(taken.row_P, np.arange(7))


def test_taking_rows_of_a_checklist_takes_their_species():
    sites, species, _ = draw_records()
    rows = checklist_rows(sites, species, resolution=4)
    kept = np.arange(len(rows.sites_N2)) % 2 == 1
    taken = rows.take(kept)
    for new, old in enumerate(np.flatnonzero(kept)):
        assert_array_equal(taken.sites_N2[new], rows.sites_N2[old])
        assert_array_equal(taken.species_P[taken.row_P == new], rows.species_P[rows.row_P == old])


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
