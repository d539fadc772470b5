"""The table of records: made of arrays, and read back."""

import numpy as np
import polars as pl
import pytest

from presence_only.common.errors import DataError
from presence_only.data.sites import sites_of, weeks_of
from presence_only.occurrences.records import READER_COLUMNS, RecordTable, categories, group_places, places

SITES = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])


def test_a_table_of_arrays_gives_them_back():
    records = RecordTable.of(SITES, np.array([2, 0, 2]), ("owl", "wren", "ash"), ("bird", "bird", "tree"))
    assert records.table.columns == ["longitude", "latitude", "species", "group"]
    assert records.table["species"].to_list() == ["ash", "owl", "ash"]
    assert records.table["group"].to_list() == ["tree", "bird", "tree"]
    assert sites_of(records.table).tolist() == SITES.tolist()
    assert weeks_of(records.table) is None
    dated = RecordTable.of(SITES, np.array([2, 0, 2]), tuple("abc"), tuple("xyz"), np.array([1, 48, 7]))
    assert weeks_of(dated.table).tolist() == [1, 48, 7]


def test_the_vocabulary_stays_when_its_records_go():
    table = RecordTable.of(SITES, np.array([2, 0, 2]), ("owl", "wren", "ash"), ("bird", "bird", "tree")).table
    ashes = table.filter(pl.col("species") == "ash")
    assert categories(ashes["species"]) == ("owl", "wren", "ash")
    assert places(ashes["species"]).tolist() == [2, 2]
    names = categories(ashes["group"])
    assert [names[place] if place >= 0 else None for place in group_places(table)] == ["bird", None, "tree"]
    assert group_places(ashes).tolist() == [-1, -1, names.index("tree")]


def test_places_of_many_species_do_not_overflow():
    """Polars holds few categories in one byte."""
    species = places(RecordTable.of(SITES, np.array([2, 1, 2]), tuple("abc"), tuple("xxx")).table["species"])
    assert (species * 100_000).tolist() == [200_000, 100_000, 200_000]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: RecordTable.of(SITES, np.zeros(3, int), ("a",), ()), "1 species names with 0 groups: each needs one"),
        (lambda: RecordTable.of(SITES, np.zeros(2, int), ("a",), ("g",)), "2 species for 3 records: must agree"),
        (
            lambda: RecordTable(pl.DataFrame(schema=READER_COLUMNS), (("read", 9), ("b", 2), ("c", 0), ("d", 0))),
            r"after cleaning: the rule 'c' left 0 rows of 2 \(rows before - read: 9; b: 2\); loosen a rule",
        ),
    ],
)
def test_wrong_records_are_one_sentence(make, sentence):
    with pytest.raises(DataError, match=sentence):
        make()
