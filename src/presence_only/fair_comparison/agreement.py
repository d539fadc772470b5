"""Agreement of orders of losses: between scenarios by one metric, and between metrics in one scenario.

Shape legend: W worlds, L losses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from presence_only.fair_comparison.design import TUNED

Floats = NDArray[np.float64]


def between_scenarios(scores: pl.DataFrame, metric: str, settings: str = TUNED) -> pl.DataFrame:
    """Spearman's correlation over losses of the mean metric, for every pair of scenarios.

    Args:
        scores: The table of scores, see :func:`~presence_only.fair_comparison.tables.scores_table`.
        metric: A column of it.
        settings: Which runs.

    Returns:
        A row per pair: first, second, metric, correlation, low, high (95 %, see :func:`correlation_interval`),
        n_losses.
    """
    tables = dict(_tables(scores, [metric], settings))
    rows = []
    for first, second in combinations(tables, 2):
        shared = [name for name in tables[first][0] if name in tables[second][0]]
        values = [_of(tables[name], shared)[0] for name in (first, second)]
        rows.append({"first": first, "second": second, "metric": metric} | _row(*values))
    return pl.DataFrame(rows, infer_schema_length=None)


def between_metrics(scores: pl.DataFrame, metrics: Sequence[str], settings: str = TUNED) -> pl.DataFrame:
    """Spearman's correlation over losses between the means of every pair of metrics, in every scenario.

    Returns:
        A row per scenario and pair of metrics: scenario, first, second, correlation, low, high, n_losses.
    """
    rows = []
    for scenario, table in _tables(scores, metrics, settings):
        values = _of(table, table[0])
        for i, j in combinations(range(len(metrics)), 2):
            row = {"scenario": scenario, "first": metrics[i], "second": metrics[j]}
            rows.append(row | _row(values[i], values[j]))
    return pl.DataFrame(rows, infer_schema_length=None)


def correlation_interval(
    first_WL: Floats, second_WL: Floats, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of Spearman's correlation of two mean orders, over resampled losses.

    Losses are drawn with replacement, with their means over worlds. So it is about other losses of the kind.

    Args:
        first_WL: Metric of every world and loss.
        second_WL: Another; it may have other worlds.
        resamples: Number of resamples.
        seed: Of them.
    """
    first_L, second_L = first_WL.mean(axis=0), second_WL.mean(axis=0)
    generator = np.random.default_rng(seed)
    drawn_RL = generator.integers(len(first_L), size=(resamples, len(first_L)))
    ranks = [stats.rankdata(values_L[drawn_RL], axis=1) for values_L in (first_L, second_L)]
    a, b = (rank_RL - rank_RL.mean(axis=1, keepdims=True) for rank_RL in ranks)
    scale_R = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    defined_R = scale_R > 0
    correlation_R = (a * b).sum(axis=1)[defined_R] / scale_R[defined_R]
    low, high = np.quantile(correlation_R, (0.025, 0.975))
    return float(low), float(high)


def _row(first_WL: Floats, second_WL: Floats) -> dict[str, float | int]:
    """Correlation, interval and number of losses."""
    low, high = correlation_interval(first_WL, second_WL)
    correlation = float(stats.spearmanr(first_WL.mean(axis=0), second_WL.mean(axis=0)).statistic)
    return {"correlation": correlation, "low": low, "high": high, "n_losses": first_WL.shape[1]}


Table = tuple[list[str], Floats]


def _tables(scores: pl.DataFrame, metrics: Sequence[str], settings: str) -> Iterator[tuple[str, Table]]:
    """Per scenario the losses that have every metric in every world, and the values: metrics x worlds x losses."""
    for (scenario,), own in scores.filter(pl.col("settings") == settings).group_by("scenario", maintain_order=True):
        worlds = own["world"].unique(maintain_order=True).to_list()
        names = []
        for (variant,), part in own.group_by("variant", maintain_order=True):
            complete = part.select(metrics).drop_nulls().drop_nans()
            if len(complete) == len(worlds):
                names.append(str(variant))
        columns = [own.filter(pl.col("variant") == name).sort("world").select(metrics).to_numpy() for name in names]
        yield str(scenario), (names, np.stack(columns, axis=-1).transpose(1, 0, 2))


def _of(table: Table, names: Sequence[str]) -> Floats:
    """The values of some losses."""
    known, values_KWL = table
    return values_KWL[:, :, [known.index(name) for name in names]]
