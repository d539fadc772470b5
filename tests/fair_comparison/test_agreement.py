"""Agreement of orders, against scipy over explicit loops."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from presence_only.fair_comparison.agreement import between_metrics, between_scenarios, correlation_interval

LOSSES = [f"loss_{i}" for i in range(8)]


def scores(generator, scenarios=("few", "many"), worlds=(1, 2, 3)):
    quality = {name: generator.random() for name in LOSSES}
    return pl.DataFrame(
        [
            {
                "scenario": scenario,
                "world": world,
                "variant": name,
                "settings": "tuned",
                "species_map": quality[name] + 0.2 * generator.random(),
                "f1": generator.random(),
            }
            for scenario in scenarios
            for world in worlds
            for name in LOSSES
        ]
    )


def mean_of(table, scenario, metric):
    own = table.filter(pl.col("scenario") == scenario)
    return [own.filter(pl.col("variant") == name)[metric].mean() for name in LOSSES]


def test_between_scenarios():
    table = scores(np.random.default_rng(0))
    (row,) = between_scenarios(table, "species_map").iter_rows(named=True)
    expected = stats.spearmanr(mean_of(table, "few", "species_map"), mean_of(table, "many", "species_map")).statistic
    assert row["correlation"] == pytest.approx(expected)
    assert row["low"] <= row["correlation"] <= row["high"]
    assert row["n_losses"] == 8


def test_between_metrics_leaves_out_losses_without_a_value():
    table = scores(np.random.default_rng(1))
    table = table.with_columns(
        f1=pl.when((pl.col("variant") == "loss_3") & (pl.col("world") == 2)).then(None).otherwise(pl.col("f1"))
    )
    rows = between_metrics(table, ["species_map", "f1"]).rows(named=True)
    assert [row["scenario"] for row in rows] == ["few", "many"]
    assert {row["n_losses"] for row in rows} == {7}
    kept = [i for i, name in enumerate(LOSSES) if name != "loss_3"]
    values = [np.array(mean_of(table, "few", metric))[kept] for metric in ("species_map", "f1")]
    assert rows[0]["correlation"] == pytest.approx(stats.spearmanr(*values).statistic)


def test_the_interval_of_equal_orders_is_1_and_of_unrelated_ones_holds_0():
    values_WL = np.random.default_rng(2).random((3, 30))
    assert correlation_interval(values_WL, 2 * values_WL + 1) == (1.0, 1.0)
    low, high = correlation_interval(values_WL, np.random.default_rng(3).random((3, 30)))
    assert low < 0 < high
