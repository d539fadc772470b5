"""Regret, by hand and by a slow twin."""

import numpy as np
import polars as pl
import pytest

from presence_only.fair_comparison.regret import AT_RANDOM, FIRST, OVER, WITHIN, regrets, summary
from presence_only.search.criteria import CRITERIA


def trial(variant, number, truth, criterion, state="finished", scenario="few"):
    row = {"scenario": scenario, "variant": variant, "trial": number, "state": state, "truth_species_map": truth}
    return row | dict.fromkeys(CRITERIA, criterion)


TRIALS = pl.DataFrame(
    [
        trial("bce", 0, 0.50, 1.0),
        trial("bce", 1, 0.60, 3.0),
        trial("bce", 2, 0.70, 2.0),
        # The best of all by its criterion, but it never finished.
        trial("bce", 3, None, 9.0, state="pruned"),
        trial("asl", 0, 0.40, 5.0),
        trial("asl", 1, 0.80, 4.0),
    ]
)


def one(table, **where):
    return table.filter(*[pl.col(name) == value for name, value in where.items()]).row(0, named=True)


def test_by_hand():
    table = regrets(TRIALS)
    bce = one(table, variant="bce", criterion="boyce")
    assert bce["best"] == 0.70
    assert bce["chosen"] == 0.60
    assert bce["regret"] == pytest.approx(0.10)
    # Ranks 1 3 2 against 1 2 3.
    assert bce["correlation"] == pytest.approx(0.5)
    assert one(table, variant="asl", criterion="boyce")["regret"] == pytest.approx(0.40)
    assert one(table, variant="bce", criterion=AT_RANDOM)["regret"] == pytest.approx(0.10)
    assert one(table, variant="bce", criterion=FIRST)["regret"] == pytest.approx(0.20)
    # Over both losses asl's trial 0 has the highest criterion, and asl's trial 1 is the best.
    assert one(table, chosen_from=OVER, criterion="boyce")["regret"] == pytest.approx(0.40)


def test_the_summary_is_the_mean_over_losses():
    table = summary(regrets(TRIALS))
    row = one(table, chosen_from=WITHIN, scenario="all", criterion="boyce")
    assert row["mean"] == pytest.approx(0.25)
    assert row["largest"] == pytest.approx(0.40)
    assert row["n"] == 2
    assert row["low"] == pytest.approx(0.10)
    assert row["high"] == pytest.approx(0.40)
    over = one(table, chosen_from=OVER, scenario="few", criterion="boyce")
    assert over["mean"] == pytest.approx(0.40)
    assert over["low"] is None


def test_an_undefined_criterion_chooses_nothing_undefined():
    rows = TRIALS.with_columns(boyce=pl.when(pl.col("trial") == 1).then(float("nan")).otherwise(pl.col("boyce")))
    assert one(regrets(rows), variant="bce", criterion="boyce")["chosen"] == 0.70


def test_against_a_slow_twin():
    generator = np.random.default_rng(0)
    rows = [
        trial(f"loss_{v}", t, generator.random(), generator.random(), scenario=s)
        for s in ("few", "many")
        for v in range(4)
        for t in range(6)
    ]
    table = summary(regrets(pl.DataFrame(rows)))
    found = []
    for v in range(4):
        per_scenario = []
        for s in ("few", "many"):
            own = [r for r in rows if r["scenario"] == s and r["variant"] == f"loss_{v}"]
            chosen = sorted(own, key=lambda r: r["boyce"])[-1]
            per_scenario.append(max(r["truth_species_map"] for r in own) - chosen["truth_species_map"])
        found.append(sum(per_scenario) / 2)
    row = one(table, chosen_from=WITHIN, scenario="all", criterion="boyce")
    assert row["mean"] == pytest.approx(sum(found) / 4)
    assert row["low"] < row["mean"] < row["high"]
