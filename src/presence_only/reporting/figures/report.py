"""Figures of the report: differences, ranks and spreads of variants, metrics by class, and power.

Shape legend: V seeds, S species.

Names come from data and are drawn as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from presence_only.common.shown_names import in_a_figure
from presence_only.reporting.figures.losses import look
from presence_only.reporting.figures.style import BLUE, ORANGE, RED, SKY
from presence_only.statistics.across_datasets import PairAcross
from presence_only.statistics.average_ranks import Ranking
from presence_only.statistics.differences import Pair
from presence_only.statistics.power import Plan

Floats = NDArray[Any]

WIDTH = 7.2


def differences_figure(pairs: Sequence[Pair | PairAcross]) -> Figure:
    """How far the best variant is above each other one, with intervals.

    Args:
        pairs: The best variant against every other.
    """
    figure, axes = _axes(1.2 + 0.26 * len(pairs))
    axes.axvline(0, color="black", lw=0.8)
    for y, pair in enumerate(reversed(pairs)):
        colour, fill = (BLUE, BLUE) if pair.significant else (ORANGE, "none")
        axes.hlines(y, 100 * pair.low, 100 * pair.high, color=colour, lw=2)
        axes.plot(100 * pair.difference, y, "o", color=colour, mfc=fill, ms=6)
    axes.set_yticks(range(len(pairs)), [in_a_figure(pair.second) for pair in reversed(pairs)])
    axes.set_xlabel(f"points (hundredths of the metric) that {in_a_figure(pairs[0].first)} is above the variant")
    axes.plot([], [], "o", color=BLUE, label="significant")
    axes.plot([], [], "o", color=ORANGE, mfc="none", label="not significant")
    _legend(figure, 2)
    return figure


def critical_difference_figure(ranking: Ranking, groups: Sequence[tuple[str, ...]]) -> Figure:
    """Variants on a line by average rank; a bar joins those among which no difference is significant.

    Source: Demsar (2006), https://jmlr.org/papers/v7/demsar06a.html, figure 1.

    Args:
        ranking: Average ranks.
        groups: Runs of variants, neighbours in the ranking, without a significant difference.
    """
    n, half = len(ranking.variants), (len(ranking.variants) + 1) // 2
    top = 0.6 + 0.22 * len(groups)
    height = top + 0.6 * half
    figure = Figure(figsize=(WIDTH, 0.9 + 0.34 * height), layout="constrained")
    axes = figure.subplots()
    span = max(n - 1, 1)
    axes.set(xlim=(1 - 0.42 * span, n + 0.42 * span), ylim=(-height, 1.3))
    axes.axis("off")
    axes.plot([1, n], [0, 0], color="black", lw=1)
    for tick in range(1, n + 1):
        axes.plot([tick, tick], [0, 0.25], color="black", lw=1)
        axes.text(tick, 0.4, str(tick), ha="center", va="bottom", fontsize=8)
    for i, (name, rank) in enumerate(zip(ranking.variants, ranking.ranks, strict=True)):
        left = i < half
        y = -top - 0.6 * (i if left else n - 1 - i)
        x = 1 - 0.03 * span if left else n + 0.03 * span
        axes.plot([rank, rank, x], [0, y, y], color="black", lw=0.8)
        text = f"{in_a_figure(name)}  {rank:.2f} " if left else f" {rank:.2f}  {in_a_figure(name)}"
        axes.text(x, y, text, va="center", fontsize=8, ha="right" if left else "left")
    ranks = dict(zip(ranking.variants, ranking.ranks, strict=True))
    for i, group in enumerate(groups):
        y = -0.3 - 0.22 * i
        axes.plot([ranks[group[0]] - 0.03, ranks[group[-1]] + 0.03], [y, y], color=RED, lw=3, solid_capstyle="round")
    axes.text((1 + n) / 2, 1.3, "average rank over species (1 is best)", ha="center", va="top", fontsize=9)
    return figure


def distribution_figure(values: Mapping[str, Floats], label: str) -> Figure:
    """The spread of a metric over species: box of the middle half, whiskers of nine tenths, mean as a dot.

    Args:
        values: Variant to values (V, S), best variant first; NaN where undefined.
        label: Axis label with the metric and its range.
    """
    figure, axes = _axes(1.2 + 0.28 * len(values))
    defined = [np.nanmean(v[:, ~np.isnan(v).all(axis=0)], axis=0) for v in values.values()][::-1]
    boxes = axes.boxplot(
        defined, orientation="horizontal", whis=(5, 95), showfliers=False, showmeans=True, patch_artist=True, widths=0.6
    )
    for box in boxes["boxes"]:
        box.set(facecolor=SKY, alpha=0.5)
    for mean in boxes["means"]:
        mean.set(marker="o", markerfacecolor="black", markeredgecolor="black", markersize=4)
    for line in (*boxes["medians"], *boxes["whiskers"], *boxes["caps"]):
        line.set(color="black")
    axes.set_yticks(range(1, len(values) + 1), [in_a_figure(name) for name in values][::-1])
    axes.set_xlabel(label)
    return figure


def breakdown_figure(table: pl.DataFrame, quantity: str, metric: str) -> Figure:
    """A metric by classes of a quantity, a line per variant.

    Args:
        table: What ``mean_by_class`` returned.
        quantity: What the classes are of, with its unit.
        metric: Name of the metric.
    """
    figure, axes = _axes(4.2)
    variants = table["variant"].unique(maintain_order=True).to_list()
    for i, name in enumerate(variants):
        rows = table.filter(pl.col("variant") == name)
        axes.plot(rows["class"].to_numpy(), rows["mean"].to_numpy(), label=in_a_figure(name), ms=4, lw=1.5, **look(i))
    classes = table.unique("class", maintain_order=True).sort("class")
    axes.set_xticks(
        classes["class"].to_list(),
        [f"{short(low)} to {short(high)}" for low, high in classes.select("low", "high").iter_rows()],
    )
    axes.margins(x=0.1)
    axes.set_xlabel(quantity)
    axes.set_ylabel(f"{metric} (0 to 1)")
    _legend(figure, 4, axes)
    return figure


def power_figure(plan: Plan) -> Figure:
    """Smallest difference that a study finds four times of five, against seeds, for some numbers of species.

    Args:
        plan: Of the present study; what it wants to find is marked.
    """
    figure, axes = _axes(4.0)
    for i, (n_units, smallest) in enumerate(plan.detectable.items()):
        in_points = [100 * difference for difference in smallest]
        axes.plot(plan.seeds, in_points, label=f"{n_units:,} species", ms=4, lw=1.5, **look(i))
    if plan.n_seeds > 2:
        axes.plot(plan.n_seeds, 100 * plan.detectable_here, "s", color="black", label="this study")
    axes.axhline(100 * plan.wanted, color="black", lw=0.8, ls="--")
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(plan.seeds, [str(n) for n in plan.seeds])
    axes.minorticks_off()
    low, high = axes.get_ylim()
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if low <= t <= high]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes.set_xlabel("seeds")
    axes.set_ylabel("smallest difference found (points)")
    _legend(figure, 3, axes)
    return figure


def short(value: float) -> str:
    """A number in three digits, or as a whole one with thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _axes(height: float) -> tuple[Figure, Axes]:
    """A figure of the common width with one pair of axes and a light grid."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    return figure, axes


def _legend(figure: Figure, columns: int, axes: Axes | None = None) -> None:
    """One legend below the axes; handles are given, as a label may begin with the underscore that hides it."""
    axes = figure.axes[0] if axes is None else axes
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_child")]
    figure.legend(
        lines,
        [str(line.get_label()) for line in lines],
        loc="outside lower center",
        ncols=columns,
        fontsize=8,
        frameon=False,
    )
