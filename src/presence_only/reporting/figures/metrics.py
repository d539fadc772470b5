"""Figures of one metric: every variant with its 95 % interval, on one data set and over all."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from presence_only.reporting.figures.style import BLUE, ORANGE


def comparison_figure(table: pl.DataFrame, metric: str, meaning: str) -> Figure:
    """One dot with its 95 % interval per variant, best on top, for one data set and metric.

    Args:
        table: Rows of one data set of the comparison table.
        metric: Name of the metric.
        meaning: What it measures, for the axis.
    """
    rows = table.filter(pl.col("metric") == metric).sort("mean", "variant")
    height = 1.3 + 0.28 * len(rows)
    figure = Figure(figsize=(7.2, height), layout="constrained")
    axes = figure.subplots()
    y = np.arange(len(rows))
    mean = rows["mean"].to_numpy()
    axes.hlines(y, rows["low"].to_numpy(), rows["high"].to_numpy(), color=BLUE, lw=2)
    axes.plot(mean, y, "o", color=BLUE, ms=6)
    axes.set_yticks(y, rows["variant"].to_list())
    axes.set_xlabel(f"{metric}: {meaning} (0 to 1)", fontsize=9)
    dataset, n_seeds = rows["dataset"][0], rows["n_seeds"][0]
    axes.set_title(
        f"{dataset}: mean and 95 % interval over {n_seeds} seeds and {rows['n_species'][0]} species", fontsize=10
    )
    axes.grid(axis="x", alpha=0.3)
    return figure


def across_figure(across: pl.DataFrame, table: pl.DataFrame, metric: str, meaning: str) -> Figure:
    """One dot with its 95 % interval over data sets per variant, best on top, and a small dot per data set.

    Args:
        across: Rows of the table over all data sets, of one scenario.
        table: Rows of the comparison table.
        metric: Name of the metric.
        meaning: What it measures, for the axis.
    """
    rows = across.filter(pl.col("metric") == metric).sort("rank", "variant", descending=True)
    single = table.filter((pl.col("metric") == metric) & pl.col("variant").is_in(rows["variant"].to_list()))
    place = {variant: y for y, variant in enumerate(rows["variant"])}
    figure = Figure(figsize=(7.2, 1.5 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots()
    y = np.arange(len(rows))
    below = np.array([place[variant] for variant in single["variant"]]) - 0.22
    axes.plot(single["mean"].to_numpy(), below, "o", color=ORANGE, ms=3.5, alpha=0.8, label="one data set")
    axes.hlines(y, rows["low"].to_numpy(), rows["high"].to_numpy(), color=BLUE, lw=2)
    axes.plot(rows["mean"].to_numpy(), y, "o", color=BLUE, ms=6, label="mean, with its interval")
    axes.set_yticks(y, rows["variant"].to_list())
    axes.set_xlabel(f"{metric}: {meaning} (0 to 1)", fontsize=9)
    axes.set_title(f"mean over {rows['n_worlds'][0]} data sets, and its 95 % interval over data sets", fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure
