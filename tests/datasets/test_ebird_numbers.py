"""Numbers of checklists and visits, and the distinct ones among many, against Python's sets."""

import numpy as np
import polars as pl

from presence_only.datasets.ebird.distinct_numbers import Numbers, are_in
from presence_only.datasets.ebird.sampling_file import _mixed
from presence_only.datasets.ebird.visits import checklist_numbers, group_numbers, visit_keys


def test_distinct_numbers_of_many_batches():
    rng = np.random.default_rng(0)
    numbers, expected = Numbers(), set()
    for _ in range(7):
        batch = rng.integers(-50, 50, 20)
        numbers.add(pl.Series(batch))
        expected |= set(batch.tolist())
    assert numbers.all().tolist() == sorted(expected)
    asked = np.arange(-60, 60)
    assert are_in(asked, numbers.all()).tolist() == [number in expected for number in asked.tolist()]
    assert not are_in(asked, Numbers().all()).any()


def test_identifiers_of_any_form_are_numbers_of_their_own():
    texts = ["S1", "S12", None, "s12", "S012", "12", "G12", "S12345678901234567890"]
    table = pl.DataFrame({"SAMPLING EVENT IDENTIFIER": texts, "GROUP IDENTIFIER": ["G1", None, "G2", *[None] * 5]})
    rows = table.with_columns(checklist_numbers(table), group_numbers(table))
    assert rows["checklist"][:3].to_list() == [1, 12, None]
    assert (rows["checklist"][3:] < 0).all()
    assert rows["checklist"].drop_nulls().n_unique() == 7
    keys = rows.select(visit_keys()).to_series()
    assert keys[:3].to_list() == [3, 24, 5]
    assert keys.n_unique() == 8


def test_the_random_order_is_one_to_one_and_even():
    mixed = _mixed(np.arange(100_000, dtype=np.uint64))
    assert len(np.unique(mixed)) == 100_000
    # Of a tenth of the range about a tenth, within five standard errors.
    assert abs((mixed < np.uint64(2**64 // 10)).mean() - 0.1) < 5 * np.sqrt(0.09 / 100_000)
