"""Cells that programs write where there is nothing."""

import polars as pl

from presence_only.occurrences.missing_values import without_missing


def test_blanks_and_words():
    cells = ["NA", "nan", "NULL", "None", "\\N", "<NA>", "#N/A", "", " ", " NA ", "\u00a0", None]
    words = ["Na", "x", " x ", "\u00a0x\u2003", "NAN1", "0"]
    found = without_missing(pl.DataFrame({"a": cells + words, "b": range(18)}))
    assert found["a"].to_list() == [None] * 12 + ["Na", "x", "x", "x", "NAN1", "0"]
    assert found["b"].to_list() == list(range(18))
