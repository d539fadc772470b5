"""The stage that writes the report, on a study of a few species."""

import re

import polars as pl
from support.report_files import write_report_files
from support.report_study import draw_nothing

from presence_only.pipeline import report
from presence_only.study.paths import COMPARISON, REPORT


def test_it_writes_the_page_of_what_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw_nothing(monkeypatch)
    write_report_files()
    report.main()
    page = REPORT.read_text()
    for mean in pl.read_csv(COMPARISON)["mean"]:
        assert f"<td>{mean:.4f}</td>" in page
    for text in (
        *("bce", "an_full", "species_2"),
        *("Range maps", "By observer effort"),
        *("loss bce", "encoder width", "seeds"),
        "What one pair of site and species costs",
    ):
        assert text in page
    assert "Precision, recall" not in page
    assert not re.search("(src|href)=.?http", page)
