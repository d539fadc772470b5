"""Paths and patterns of tables, and names of files."""

from pathlib import Path

import pytest

from presence_only.common.errors import DataError
from presence_only.tables.paths import name_in_file_name, table_paths


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("b.csv", "a.csv", "c.tsv", "[x].csv"):
        (tmp_path / name).write_text("x")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "d.csv").write_text("x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a.csv"], ["a.csv"]),
        (["c.tsv", "a.csv"], ["c.tsv", "a.csv"]),
        (["?.csv"], ["a.csv", "b.csv"]),
        (["b.csv", "?.csv", "a.csv"], ["b.csv", "a.csv"]),
        (["**/*.csv"], ["[x].csv", "a.csv", "b.csv", "more/d.csv"]),
        # A file whose name looks like a pattern, and one that is missing, which reading refuses.
        (["[x].csv"], ["[x].csv"]),
        (["none.csv"], ["none.csv"]),
    ],
)
def test_paths(folder, given, expected):
    assert table_paths(given) == [Path(name) for name in expected]


def test_absolute_patterns_and_the_home_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    assert table_paths([f"{folder}/m*/*.csv"]) == [folder / "more" / "d.csv"]
    assert table_paths(["~/c.*"]) == [folder / "c.tsv"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("*.parquet", r"^path = '\*\.parquet': no file fits this pattern$"),
        ("a.XLSX", r"^path = 'a\.XLSX': is a spreadsheet; save its sheet as CSV$"),
        ("*.rds", r"^path = 'a\.rds': is a file of R; write the table with write\.csv"),
        ("more", r"^path = 'more': is a folder; write a pattern such as more/\*\.csv$"),
    ],
)
def test_what_is_no_table(folder, given, sentence):
    for name in ("a.XLSX", "a.rds"):
        (folder / name).write_text("x")
    with pytest.raises(DataError, match=sentence):
        table_paths([given])


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Parus_major.csv", "Parus major"),
        ("Parus major.tsv", "Parus major"),
        ("Parus.major.csv.gz", "Parus major"),
        ("Parus major ssp. minor.csv", "Parus major ssp. minor"),
        ("Arctostaphylos_uva-ursi.parquet", "Arctostaphylos uva-ursi"),
        ("Blackbird", "Blackbird"),
    ],
)
def test_the_name_in_a_file_name(file, name):
    assert name_in_file_name(Path("x") / file) == name
