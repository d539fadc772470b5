"""Answers of a fair comparison, against plain loops and scipy."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from presence_only.fair_comparison.answers import (
    chosen,
    cost_to_reach,
    costs,
    differences_from,
    means,
    pairs,
    scenario_gains,
    tuning_gains,
)

SCENARIOS, WORLDS, VARIANTS = ("few", "many"), (1, 2, 3, 4), ("asl", "bce", "maxent")


def made(seed=0):
    """Scores of a small comparison: tuned runs everywhere, default ones in few, and two variants only in lists."""
    generator = np.random.default_rng(seed)
    rows = []
    for scenario in (*SCENARIOS, "lists"):
        for world in WORLDS:
            for variant in VARIANTS[: 2 if scenario == "lists" else 3]:
                for settings in ("tuned", "default")[: 2 if scenario == "few" else 1]:
                    row = {"scenario": scenario, "world": world, "variant": variant, "settings": settings}
                    rows.append(row | {"species_map": generator.random(), "cpu_seconds": generator.random()})
    return pl.DataFrame(rows)


def numbers(table, **where):
    rows = table.filter(*[pl.col(name) == value for name, value in where.items()])
    return rows.sort("world")["species_map"].to_numpy()


def one(table, **where):
    return table.filter(*[pl.col(name) == value for name, value in where.items()]).row(0, named=True)


def test_means_are_over_worlds_and_the_partial_scenario_stands_apart():
    scores = made()
    table = means(scores, ["species_map"])
    row = one(table, scenario="few", variant="bce")
    values_W = numbers(scores, scenario="few", variant="bce", settings="tuned")
    interval = stats.t.interval(0.95, 3, values_W.mean(), stats.sem(values_W))
    assert row["mean"] == pytest.approx(values_W.mean())
    assert (row["low"], row["high"]) == pytest.approx(interval)
    every = one(table, scenario="all", variant="bce")
    both = [numbers(scores, scenario=s, variant="bce", settings="tuned").mean() for s in SCENARIOS]
    assert every["mean"] == pytest.approx(np.mean(both))
    # Scenarios of one world share its species, so that there are four draws and not eight.
    own = scores.filter((pl.col("variant") == "bce") & (pl.col("settings") == "tuned"))
    of_world = own.filter(pl.col("scenario").is_in(SCENARIOS)).group_by("world").agg(pl.col("species_map").mean())
    values_W = of_world["species_map"].to_numpy()
    assert every["n_worlds"] == 4
    assert (every["low"], every["high"]) == pytest.approx(
        stats.t.interval(0.95, 3, values_W.mean(), stats.sem(values_W))
    )
    lists = table.filter(pl.col("scenario") == "lists")
    assert sorted(lists["variant"]) == ["asl", "bce"]


def test_pairs_are_differences_within_worlds():
    scores = made(1)
    table = pairs(scores, ["species_map"])
    row = table.filter(pl.col("scenario") == "many").row(0, named=True)
    first, second = (
        numbers(scores, scenario="many", variant=row[name], settings="tuned") for name in ("first", "second")
    )
    assert row["difference"] == pytest.approx((first - second).mean())
    assert row["p"] == pytest.approx(stats.ttest_rel(first, second).pvalue)
    assert row["share_of_worlds"] == pytest.approx((first > second).mean())


def test_differences_from_one_variant():
    scores = made(1)
    table = differences_from("bce", pairs(scores, ["species_map"]))
    assert table.height == 2 * (len(SCENARIOS) + 1)
    row = one(table, scenario="many", variant="asl")
    asl, bce = (numbers(scores, scenario="many", variant=name, settings="tuned") for name in ("asl", "bce"))
    interval = stats.ttest_rel(asl, bce).confidence_interval()
    assert (row["difference"], row["low"], row["high"]) == pytest.approx(((asl - bce).mean(), *interval))


def test_gains_of_tuning():
    scores = made(2)
    table = tuning_gains(scores)
    assert set(table["scenario"]) == {"few"}
    row = one(table, variant="maxent")
    tuned, default = (numbers(scores, scenario="few", variant="maxent", settings=s) for s in ("tuned", "default"))
    test = stats.ttest_rel(tuned, default)
    assert row["difference"] == pytest.approx(row["tuned"] - row["default"])
    assert row["difference"] == pytest.approx((tuned - default).mean())
    assert row["p"] == pytest.approx(test.pvalue)
    assert row["p_holm"] >= row["p"]


def test_costs_and_what_reaches_a_target():
    lengths = {"steps_10": (10, 1.0, 0.4), "steps_40": (40, 4.0, 0.6), "default": (160, 16.0, 0.55)}
    rows = [
        {
            "scenario": "few",
            "world": world,
            "variant": "bce",
            "settings": settings,
            "steps": steps,
            "cpu_seconds": seconds,
            "species_map": score + 0.1 * (world - 1.5),
        }
        for world in (1, 2)
        for settings, (steps, seconds, score) in lengths.items()
    ]
    # A world without the other lengths does not count.
    rows.append(rows[2] | {"world": 3, "species_map": 0.9})
    curves = costs(pl.DataFrame(rows), "few")
    assert curves["steps"].to_list() == [10, 40, 160]
    assert curves["mean"].to_list() == pytest.approx([0.4, 0.6, 0.55])
    table = cost_to_reach(curves, targets=(0.3, 0.5, 0.6, 0.7))
    # Half of the way from 1 s to 4 s is 2 s on a logarithmic scale.
    assert table["cpu_seconds"].to_list() == [pytest.approx(1.0), pytest.approx(2.0), pytest.approx(4.0), None]


def test_the_chosen_trial_is_the_best_finished_one():
    trials = pl.DataFrame(
        {
            "scenario": ["few"] * 4,
            "variant": ["bce"] * 4,
            "trial": [0, 1, 2, 3],
            "state": ["finished", "finished", "diverged", "finished"],
            "cpu_seconds": [1.0, 2.0, 3.0, 4.0],
            "ap_target_group": [0.2, 0.5, None, 0.5],
            "alpha": [1, 2, 3, 4],
        }
    )
    (row,) = chosen(trials, ["ap_target_group"]).iter_rows(named=True)
    assert (row["trial"], row["alpha"]) == (1, 2)
    assert (row["search_cpu_seconds"], row["trials"]) == (10.0, 4)


def test_gains_of_a_scenario_over_another():
    scores = made(3)
    table = scenario_gains(scores, "few", "many", ["species_map"])
    row = one(table, variant="bce")
    few, many = (numbers(scores, scenario=s, variant="bce", settings="tuned") for s in ("few", "many"))
    assert row["difference"] == pytest.approx((many - few).mean())
    assert row["p"] == pytest.approx(stats.ttest_rel(many, few).pvalue)
    every = one(table, variant="all")
    assert every["difference"] == pytest.approx(table.filter(pl.col("variant") != "all")["difference"].mean())
    assert every["n_worlds"] == 4
