"""The page of the robustness trials: what its tool makes of counts, and that the committed page is made by it."""

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from support.torture import FOLDER, note_trials, record_trials, trials

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool():
    spec = spec_from_file_location("torture_table", ROOT / "tools/torture_table.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_committed_page_is_made_of_the_committed_table(tool):
    rows = tool.read_table(tool.TABLE)
    assert tool.PAGE.read_text() == tool.page(rows, ROOT), "run `python tools/torture_table.py`"
    assert all(row.tried > 0 for row in rows)


def test_counts_become_a_page(tool, tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path / "counts"))
    assert trials(2, 30) == 30
    record_trials("kills of a/stage", 30, [])
    with pytest.raises(AssertionError, match=r"1 of 20 fell: a `file` is"):
        record_trials("settings that are wrong", 20, ["a `file` is\n torn"])
    # As the trials go on; the last count stays.
    note_trials("kills of a/stage", 31, [])
    rows = tool.gather(tmp_path / "counts")
    test = Path(__file__).relative_to(ROOT).as_posix()
    expected = [(test, "kills of a/stage", 31, 0, ""), (test, "settings that are wrong", 20, 1, "a `file` is torn")]
    assert [(row.test, row.what, row.tried, row.fell, row.example) for row in rows] == expected
    tool.write_table(tmp_path / "table.csv", rows)
    assert tool.read_table(tmp_path / "table.csv") == rows
    page = tool.page(rows, ROOT)
    assert "51 trials, of which 1 did not hold" in page
    assert f"## Robustness page\n\n{__doc__}\n" in page
    assert "| kills of a/stage | 31 | 31 | 0 |" in page
    assert "* settings that are wrong: `a 'file' is torn`" in page


def test_outside_of_make_torture_few_trials_are_made_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.chdir(tmp_path)
    assert trials(2, 30) == 2
    record_trials("kills", 2, [])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_counts_is_told(tmp_path):
    command = [sys.executable, ROOT / "tools/torture_table.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path} has no counts; `make torture` writes them\n"
