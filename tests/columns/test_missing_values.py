"""Cells that programs write where there is nothing."""

import polars as pl
import pytest

from presence_only.columns.missing_values import without_missing


def test_blanks_and_words():
    cells = ["NA", "nan", "NULL", "None", "\\N", "<NA>", "#N/A", "", " ", " NA ", "\u00a0", None]
    words = ["Na", "x", " x ", "\u00a0x\u2003", "NAN1", "0"]
    found = without_missing(pl.DataFrame({"a": cells + words, "b": range(18)}))
    assert found["a"].to_list() == [None] * 12 + ["Na", "x", "x", "x", "NAN1", "0"]
    assert found["b"].to_list() == list(range(18))


@pytest.mark.parametrize("n_columns", [1, 200])
def test_none_is_a_word_in_columns_of_presence_words(n_columns):
    table = pl.DataFrame({f"c{i}": ["none", " None ", "NA", ""] for i in range(n_columns)})
    found = without_missing(table, ("c0", "other"))
    assert found.columns == table.columns
    assert found["c0"].to_list() == ["none", "None", None, None]
    assert all(found[name].null_count() == 4 for name in found.columns[1:])
