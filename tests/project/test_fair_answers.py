"""The answers of the fair comparison must be those of its committed tables, and its texts must quote them."""

import re
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from presence_only.pipeline import fair_tables

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ROOT / "experiments"
GROUPS = {"fair": "answers", "selection": "selection", "truths": "truths"}
pytestmark = pytest.mark.skipif(
    not (EXPERIMENTS / "fair/results/scores.csv").exists(), reason="the fair comparison has no results in this checkout"
)


@pytest.mark.parametrize("folder", GROUPS)
def test_tables_follow_from_the_trials_and_scores(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    getattr(fair_tables, GROUPS[folder])(EXPERIMENTS / "fair/results")
    committed = sorted((EXPERIMENTS / folder / "results/answers").glob("*.csv"))
    assert [path.name for path in committed] == sorted(path.name for path in Path("results/answers").glob("*.csv"))
    for path in committed:
        made = pl.read_csv(Path("results/answers") / path.name, infer_schema_length=None)
        assert_frame_equal(made, pl.read_csv(path, infer_schema_length=None), abs_tol=1e-4)


def rows_of(folder, names):
    """The numbers of some columns of every committed table that has them."""
    tables = [pl.read_csv(path, infer_schema_length=None) for path in (folder / "results/answers").glob("*.csv")]
    return [row for table in tables if set(names) <= set(table.columns) for row in table.select(names).rows()]


@pytest.mark.parametrize("folder", GROUPS)
def test_every_number_with_an_interval_is_in_the_tables(folder):
    known = []
    # All three speak of the same runs.
    for value in ("mean", "difference", "correlation"):
        for tables in {folder, "fair"}:
            known += [row for row in rows_of(EXPERIMENTS / tables, (value, "low", "high")) if None not in row]
    text = (EXPERIMENTS / folder / "README.md").read_text()
    for texts in re.findall(r"([+-]?\d*\.\d+) \(([+-]?\d*\.\d+) to ([+-]?\d*\.\d+)\)", text):
        digits = len(texts[0].split(".")[1])
        wanted = [float(number) for number in texts]
        turned = [-wanted[0], -wanted[2], -wanted[1]]
        assert any(
            all(abs(a - b) <= 0.501 * 10.0**-digits for a, b in zip(row, numbers, strict=True))
            for row in known
            for numbers in (wanted, turned)
        ), texts
