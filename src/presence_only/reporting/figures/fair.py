"""Figures of a fair comparison: losses by scenario, gains of tuning, cost, length of species lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from presence_only.reporting.figures.style import BLUE, GREEN, LINE_STYLES, ORANGE, PURPLE, RED, SKY

COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)


def scenarios_figure(differences: pl.DataFrame, titles: Mapping[str, str], label: str, order: str) -> Figure:
    """Difference of every variant from one of them, a panel per scenario.

    Args:
        differences: A row per scenario and variant: scenario, variant, difference, low, high.
        titles: Scenario to its title, in the order of the panels.
        label: The difference with its unit.
        order: The scenario by which variants are sorted.
    """
    first = differences.filter(pl.col("scenario") == order).sort("difference")
    place = {name: i for i, name in enumerate(first["variant"])}
    n_columns = min(len(titles), 4)
    n_lines = -(-len(titles) // n_columns)
    figure = Figure(figsize=(2.7 * n_columns + 1.4, n_lines * (0.2 * len(place) + 0.9) + 0.3), layout="constrained")
    panels = np.atleast_1d(figure.subplots(n_lines, n_columns, sharey=True)).ravel()
    for axes, (scenario, title) in zip(panels, titles.items(), strict=False):
        own = differences.filter((pl.col("scenario") == scenario) & pl.col("variant").is_in(list(place)))
        difference, low, high = (own[name].to_numpy() for name in ("difference", "low", "high"))
        y = np.array([place[name] for name in own["variant"]])
        axes.axvline(0.0, color="0.5", lw=1)
        axes.errorbar(
            difference, y, xerr=[difference - low, high - difference], fmt="o", ms=4, color=BLUE, ecolor=SKY, lw=1.5
        )
        axes.set_title(title, fontsize=9)
        axes.set_xlabel(label, fontsize=8)
        axes.tick_params(axis="x", labelsize=7)
        axes.grid(alpha=0.3)
    for axes in panels[len(titles) :]:
        axes.remove()
    for axes in panels[: len(titles) : n_columns]:
        axes.set_yticks(range(len(place)), list(place), fontsize=7)
    figure.suptitle("dot: mean over worlds; bar: 95 % interval over worlds", fontsize=8)
    return figure


def tuning_figure(gains: pl.DataFrame, scenarios: Mapping[str, str], order: str) -> Figure:
    """Difference of mAP between tuned and default settings, a panel per scenario.

    Args:
        gains: See :func:`~presence_only.fair_comparison.answers.tuning_gains`.
        scenarios: Scenario to its title, in the order of the panels.
        order: The scenario by which variants are sorted.
    """
    first = gains.filter(pl.col("scenario") == order).sort("difference")
    place = {name: i for i, name in enumerate(first["variant"])}
    figure = Figure(figsize=(3.0 * len(scenarios) + 1.2, 0.24 * len(place) + 1.3), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(scenarios), sharey=True))
    for axes, (scenario, title) in zip(panels, scenarios.items(), strict=True):
        own = gains.filter(pl.col("scenario") == scenario)
        mean, low, high = (own[name].to_numpy() for name in ("difference", "low", "high"))
        y = np.array([place[name] for name in own["variant"]])
        axes.axvline(0.0, color="0.5", lw=1)
        axes.errorbar(mean, y, xerr=[mean - low, high - mean], fmt="o", ms=4, color=GREEN, ecolor="0.7")
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("mAP, tuned - default", fontsize=8)
        axes.grid(alpha=0.3)
    panels[0].set_yticks(range(len(place)), list(place), fontsize=8)
    return figure


def cost_figure(curves: pl.DataFrame, variants: Sequence[str]) -> Figure:
    """MAP against CPU seconds of training, a line per variant, a dot per length.

    Args:
        curves: See :func:`~presence_only.fair_comparison.answers.costs`.
        variants: Which, in the order of the legend.
    """
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for i, variant in enumerate(variants):
        own = curves.filter(pl.col("variant") == variant)
        axes.plot(
            own["cpu_seconds"],
            own["mean"],
            color=COLOURS[i % len(COLOURS)],
            ls=LINE_STYLES[i // len(COLOURS) % len(LINE_STYLES)],
            marker="o",
            ms=3,
            label=variant,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("CPU time of training (s, one core)")
    axes.set_ylabel("mAP over true ranges")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, ncols=2)
    return figure


def scatter_figure(table: pl.DataFrame, x: tuple[str, str], y: tuple[str, str], *, log_x: bool) -> Figure:
    """One metric against another, a dot per variant; names stand in a column, highest first, with lines to the dots.

    Args:
        table: A row per variant, with a column ``variant``.
        x: Column and label.
        y: Column and label.
        log_x: Whether the first axis is logarithmic.
    """
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(table[x[0]], table[y[0]], "o", color=BLUE, ms=5)
    # Beside the dots, names of variants that lie close together would cover each other.
    for row, height in zip(
        table.sort(y[0], descending=True).iter_rows(named=True), np.linspace(0.98, 0.02, table.height), strict=True
    ):
        axes.annotate(
            row["variant"],
            (row[x[0]], row[y[0]]),
            xytext=(1.05, height),
            textcoords="axes fraction",
            fontsize=7,
            va="center",
            arrowprops={"arrowstyle": "-", "lw": 0.5, "color": "0.7", "relpos": (0, 0.5)},
        )
    if log_x:
        axes.set_xscale("log")
    axes.set_xlabel(x[1])
    axes.set_ylabel(y[1])
    axes.grid(alpha=0.3)
    return figure


def regret_figure(regret: pl.DataFrame, scenarios: Mapping[str, str]) -> Figure:
    """Mean regret of every way to choose, with its interval over losses, a panel per scenario.

    Args:
        regret: Rows within a loss of :func:`~presence_only.fair_comparison.regret.summary`.
        scenarios: Scenario to its title, in the order of the panels.
    """
    first = regret.filter(pl.col("scenario") == next(iter(scenarios))).sort("mean", descending=True)
    place = {name: i for i, name in enumerate(first["criterion"])}
    n_columns = min(len(scenarios), 3)
    n_rows = -(-len(scenarios) // n_columns)
    figure = Figure(figsize=(3.0 * n_columns + 1.6, 2.8 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False).ravel()
    for axes in panels[len(scenarios) :]:
        axes.set_axis_off()
    for axes, (scenario, title) in zip(panels, scenarios.items(), strict=False):
        own = regret.filter(pl.col("scenario") == scenario)
        mean, low, high = (own[name].cast(pl.Float64).to_numpy() for name in ("mean", "low", "high"))
        y = np.array([place[name] for name in own["criterion"]])
        axes.errorbar(mean, y, xerr=[mean - low, high - mean], fmt="o", ms=5, color=RED, ecolor=ORANGE)
        axes.set_xlim(left=0.0)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("regret (mAP)", fontsize=8)
        axes.grid(alpha=0.3)
    panels[0].set_yticks(range(len(place)), list(place))
    for axes in panels[::n_columns]:
        axes.tick_params(axis="y", labelsize=8)
    return figure
