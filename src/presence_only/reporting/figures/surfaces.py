"""Figures of a metric over one or two settings of a loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure

from presence_only.reporting.figures.losses import look
from presence_only.reporting.figures.style import BLUE, ORANGE


def surface_figure(
    members: Mapping[tuple[Any, Any], str],
    rows: pl.DataFrame,
    names: tuple[str, str],
    references: Mapping[str, float] | None = None,
) -> Figure:
    """Mean average precision over two settings, each cell with its value and interval; what was not run stays white.

    Args:
        members: Values (vertical, horizontal) of the settings to the variant.
        rows: Rows of the comparison table, with every variant of ``members``.
        names: Of the two settings.
        references: mAP of other variants, marked on the colour bar.
    """
    found = rows.rows_by_key("variant", named=True, unique=True)
    ys, xs = (sorted({value[i] for value in members}) for i in (0, 1))
    mean = np.full((len(ys), len(xs)), np.nan)
    references = references or {}
    figure = Figure(figsize=(2.4 + 1.5 * len(xs), 1.6 + 0.95 * len(ys)), layout="constrained")
    axes = figure.subplots()
    for (y, x), variant in members.items():
        mean[ys.index(y), xs.index(x)] = found[variant]["mean"]
    every = [*mean[~np.isnan(mean)], *references.values()]
    low, high = min(every), max(every)
    low, high = (low - 0.01, high + 0.01) if high - low < 0.02 else (low, high)
    image = axes.imshow(mean, cmap="viridis", vmin=low, vmax=high, aspect="auto", origin="lower")
    for (y, x), variant in members.items():
        row = found[variant]
        dark = (row["mean"] - low) / (high - low) < 0.6
        text = f"{row['mean']:.3f}\n{row['low']:.3f} to {row['high']:.3f}"
        place = (xs.index(x), ys.index(y))
        axes.annotate(text, place, ha="center", va="center", fontsize=8, color="white" if dark else "black")
    axes.set_xticks(range(len(xs)), [f"{x:g}" for x in xs])
    axes.set_yticks(range(len(ys)), [f"{y:g}" for y in ys])
    axes.set(ylabel=names[0], xlabel=names[1])
    bar = figure.colorbar(image, ax=axes, label="mAP (0 to 1)")
    for label, value in _merged(references, (high - low) / 15).items():
        bar.ax.axhline(value, color="white", lw=2)
        bar.ax.axhline(value, color="black", lw=1, ls="--")
        bar.ax.annotate(
            label, (0, value), xytext=(-2, 0), textcoords="offset points", ha="right", va="center", fontsize=7
        )
    return figure


def sweep_figure(
    lines: Mapping[str, tuple[Sequence[Any], pl.DataFrame]],
    setting: str,
    *,
    log: bool = False,
    metric: str = "mAP",
) -> Figure:
    """A metric with its interval along one setting, a line for each family of variants.

    Args:
        lines: Name to the setting's values and the rows of the comparison table, in the same order.
        setting: What varies, with its unit, for the axis.
        log: Whether to draw the values, numbers above 0, on a logarithmic axis; otherwise they stand in
            equal steps, in the order of their first appearance.
        metric: What the rows hold.
    """
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    steps = list(dict.fromkeys(value for values, _ in lines.values() for value in values))
    if all(isinstance(step, int | float) for step in steps):
        steps.sort()
    for i, (name, (values, rows)) in enumerate(lines.items()):
        x = np.array(values if log else [steps.index(value) for value in values], dtype=np.float64)
        mean, low, high = (rows[column].to_numpy() for column in ("mean", "low", "high"))
        # Beside each other, where intervals would hide each other.
        shift = i - (len(lines) - 1) / 2
        x = x * 1.03**shift if log else x + 0.06 * shift
        axes.errorbar(x, mean, yerr=_arms(mean, low, high), capsize=3, lw=1.5, ms=5, label=name, **look(i))
    if log:
        axes.set_xscale("log")
    else:
        axes.set_xticks(range(len(steps)), [f"{s:g}" if isinstance(s, int | float) else str(s) for s in steps])
    axes.set(xlabel=f"{setting} (log scale)" if log else setting, ylabel=f"{metric} with 95 % interval (0 to 1)")
    axes.grid(alpha=0.3)
    if len(lines) > 1:
        # Inside, it would hide an interval wherever lines cross the whole figure.
        figure.legend(fontsize=8, loc="outside lower center", ncols=2)
    return figure


def published_figure(ours: pl.DataFrame, published: pl.DataFrame, metric: str) -> Figure:
    """Our variants with intervals and published methods, a panel for each data set.

    Args:
        ours: Rows of the comparison table of one metric.
        published: Columns dataset, method, value.
        metric: What is shown, for the axis.
    """
    datasets = ours["dataset"].unique(maintain_order=True).to_list()
    labels = [*ours["variant"].unique(maintain_order=True), *published["method"].unique(maintain_order=True)]
    place = {label: -i for i, label in enumerate(labels)}
    figure = Figure(figsize=(3.1 * len(datasets) + 3.6, 1.4 + 0.3 * len(labels)), layout="constrained")
    grid = figure.subplots(1, len(datasets), squeeze=False, sharey=True)[0]
    for axes, dataset in zip(grid, datasets, strict=True):
        rows, known = ours.filter(pl.col("dataset") == dataset), published.filter(pl.col("dataset") == dataset)
        y = [place[name] for name in rows["variant"]]
        axes.hlines(y, rows["low"], rows["high"], color=BLUE, lw=2)
        axes.plot(rows["mean"], y, "o", color=BLUE, label="this project, 95 % interval")
        axes.plot(known["value"], [place[name] for name in known["method"]], "D", color=ORANGE, label="published")
        axes.set_title(dataset, fontsize=10)
        axes.set_xlabel(f"{metric} (0 to 1)", fontsize=9)
        axes.grid(axis="x", alpha=0.3)
    grid[0].set_yticks(list(place.values()), list(place))
    figure.legend(*grid[0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=2)
    return figure


def _merged(references: Mapping[str, float], close: float) -> dict[str, float]:
    """Labels and values, those within ``close`` of each other under one label, so that none covers another."""
    merged: dict[str, float] = {}
    for name, value in sorted(references.items(), key=lambda item: item[1]):
        last = next(reversed(merged), None)
        if last is not None and value - merged[last] < close:
            merged[f"{last},\n{name}"] = merged.pop(last)
        else:
            merged[name] = value
    return merged


def _arms(mean: Any, low: Any, high: Any) -> Any:
    """Distances of an interval's ends from its mean, as error bars take them."""
    return np.clip(np.nan_to_num(np.stack([mean - low, high - mean])), 0, None)
