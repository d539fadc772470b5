"""Figure of one metric: every variant with its 95 % interval."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from presence_only.reporting.figures.style import BLUE


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
