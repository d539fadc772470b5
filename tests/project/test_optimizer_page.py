"""The tables of docs/optimizer.md are those that the benchmark wrote, and those of experiments/start."""

import re
from collections import defaultdict
from pathlib import Path

import polars as pl
import pytest

ROOT = Path(__file__).parents[2]


def rows(path):
    """The cells of every row of every table."""
    for line in path.read_text().splitlines():
        if line.startswith("|") and not set(line) <= set("|:- "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def test_every_row_has_numbers_that_the_benchmark_wrote_in_that_row():
    written = defaultdict(set)
    for first, *cells in rows(ROOT / "benchmarks/results/adam_memory_model.md"):
        written[first] |= set(cells)
    told = 0
    for first, *cells in rows(ROOT / "docs/optimizer.md"):
        name = re.match(r"`\w+`|[^`]*", first)[0].strip()
        if name in written and name not in ("loss", "optimizer", "prevalence"):
            assert set(cells) <= written[name], (name, set(cells) - written[name])
            told += 1
    assert told == 5 + 5 + 5 + 3 + 6 + 5 + 11


@pytest.fixture(scope="module")
def measured():
    """The mean mAP over the worlds of experiments/start, by variant."""
    table = pl.read_csv(ROOT / "experiments/start/results/across.csv").filter(pl.col("metric") == "species_map")
    return dict(table.select("variant", "mean").rows())


def section(heading):
    """The rows of the tables of one section of the page."""
    lines = (ROOT / "docs/optimizer.md").read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_the_five_losses_have_the_map_that_the_study_measured(measured):
    found = {}
    for first, *cells in section("Measured in three worlds"):
        if len(cells) == 4 and (name := re.match(r"`(\w+)`", first)):
            found[name[1]] = [float(cell) for cell in cells]
    assert list(found) == ["bce", "focal", "asl", "an_l64", "an_full"]
    ways = ("adam999_zero", "adam95_zero", "adam999_balance", "adam95_balance")
    for name, cells in found.items():
        assert cells == pytest.approx([measured[f"{name}_{way}"] for way in ways], abs=0.000501), name


def test_gains_are_those_of_the_study_in_the_order_of_the_predictions(measured):
    rows = [row for row in section("Measured in three worlds") if len(row) == 7 and row[0].startswith("`")]
    assert len(rows) == 11
    for name, start, beta2, _, *told in rows:
        variant = f"{name.strip('`')}_adam{beta2[2:]}"
        at, balance = measured[f"{variant}_{start}"], measured[f"{variant}_balance"]
        assert [float(cell) for cell in told] == pytest.approx([at, balance, balance - at], abs=0.000501), variant
    left = [float(row[3]) for row in rows]
    assert left == sorted(left)


def test_other_optimizers_and_recipes_have_the_map_that_the_study_measured(measured):
    names = {"`bce`": "bce", "`an_full`": "an_full", "`an`, lambda 4": "an_l4"}
    recipes, optimizers = 0, 0
    for first, *cells in section("Measured in three worlds"):
        if first.startswith(("SINR", "BirdNET")):
            variant = f"{names[cells[0]]}_{'sinr' if first == 'SINR' else 'geomodel'}"
            for start, cell in zip(("zero", "prevalence", "balance"), cells[1:], strict=True):
                assert not cell or float(cell) == pytest.approx(measured[f"{variant}_{start}"], abs=0.000501)
            recipes += 1
        for word, variant in {
            "warm-up": "warm999_zero",
            "AdamW": "adamw999_zero adamw999_balance",
            "RMSprop": "rmsprop999_zero rmsprop999_balance",
            "SGD": "sgd20_zero sgd300_balance",
            "smaller head": "adam999_zero_small",
            "bias that is": "adam999_zero_learned",
        }.items():
            if len(cells) == 2 and word in first:
                told = [float(number) for number in re.findall(r"0\.\d{3}", cells[0])]
                expected = [measured[f"bce_{each}"] for each in variant.split()]
                assert told[: len(expected)] == pytest.approx(expected, abs=0.000501), first
                optimizers += 1
    assert (recipes, optimizers) == (4, 6)
