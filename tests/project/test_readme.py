"""What the README says must be what the files say."""

import re
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_links_and_images_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    local = [link for link in links if not link.startswith("http")]
    assert len(local) > 3
    for link in local:
        assert (ROOT / link).exists(), link


def test_the_table_is_the_committed_comparison():
    """The README shows no number that the default study did not write."""
    table = pl.read_csv(ROOT / "results/comparison.csv").filter(pl.col("metric") == "species_map")
    shown = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|", README, flags=re.MULTILINE)
    assert len(shown) == len(table)
    for variant, *numbers in shown:
        row = table.row(by_predicate=pl.col("variant") == variant, named=True)
        assert [float(x) for x in numbers] == pytest.approx([row["mean"], row["low"], row["high"]], abs=0.00051)


def test_the_short_table_and_the_text_quote_the_committed_comparison():
    """A score with its interval stands beside the variant that has it."""
    table = pl.read_csv(ROOT / "results/comparison.csv").filter(pl.col("metric") == "species_map")
    rows = re.findall(r"^\| [^|`]+ \| `(\w+)`.* ([\d.]+) \(([\d.]+) to ([\d.]+)\) \|$", README, flags=re.MULTILINE)
    assert len(rows) == len(re.findall(r"[\d.]+ \([\d.]+ to [\d.]+\)", README)) == 4
    for variant, *numbers in rows:
        row = table.row(by_predicate=pl.col("variant") == variant, named=True)
        assert [float(x) for x in numbers] == pytest.approx([row["mean"], row["low"], row["high"]], abs=0.00051)


def test_commands_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z-]+)", README)):
        assert f"\n{target}:" in makefile, target
    for name in set(re.findall(r"NAME=(\w+)", README)):
        assert (ROOT / "experiments" / name / "params.yaml").exists()
