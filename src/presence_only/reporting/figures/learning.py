"""Figures of scores during training, of precision against recall, and of calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray

from presence_only.reporting.figures.losses import look
from presence_only.reporting.figures.style import BLUE, GREEN, LINE_STYLES, ORANGE, PURPLE, RED, SKY

BELOW = "unobserved_below_"


def silencing_figure(probes: Mapping[str, Mapping[str, NDArray[Any]]]) -> Figure:
    """Which assumed absences are silenced, and how far scores of observed pairs stand out, epoch by epoch.

    Args:
        probes: Variant to what was probed after every epoch: ``observed_score``, ``unobserved_score``
            and ``unobserved_below_<margin>``, each within 0..1.
    """
    margins = margins_of(probes)
    figure = Figure(figsize=(3.6 * (len(margins) + 1) + 0.6, 4.6), layout="constrained")
    panels = figure.subplots(1, len(margins) + 1, squeeze=False)[0]
    for i, (variant, probe) in enumerate(probes.items()):
        style = look(i) | {"ms": 4, "lw": 1.5, "label": variant}
        epochs = np.arange(1, len(probe["observed_score"]) + 1)
        for axes, margin in zip(panels, margins, strict=False):
            axes.plot(epochs, probe[f"{BELOW}{margin:g}"], **style)
        panels[-1].plot(epochs, probe["observed_score"] - probe["unobserved_score"], **style)
    for axes, margin in zip(panels, margins, strict=False):
        axes.set(ylim=(-0.03, 1.03), ylabel=f"share of unobserved pairs\nwith a score of at most {margin:g}")
    panels[-1].set_ylabel("mean score (0 to 1),\nobserved minus unobserved")
    for axes in panels:
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=5)
    return figure


def margins_of(probes: Mapping[str, Mapping[str, Any]]) -> list[float]:
    """Margins that every variant was probed at, ascending."""
    sets = [{float(name.removeprefix(BELOW)) for name in probe if name.startswith(BELOW)} for probe in probes.values()]
    return sorted(set.intersection(*sets)) if sets else []


def precision_recall_figure(curves: Mapping[str, pl.DataFrame]) -> Figure:
    """Precision against recall, a line for each variant.

    Args:
        curves: Variant to points with x = recall and y = precision, both within 0..1.
    """
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    axes = figure.subplots()
    for i, (variant, curve) in enumerate(curves.items()):
        axes.plot(curve["x"], curve["y"], label=variant, lw=1.5, **(look(i) | {"marker": ""}))
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="recall (0 to 1)", ylabel="precision (0 to 1)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def calibration_figure(curves: Mapping[str, pl.DataFrame]) -> Figure:
    """How often a species is present where it scores so and so, a line for each variant.

    Args:
        curves: Variant to points with x = mean score and y = share of presences, both within 0..1.
    """
    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([1e-4, 1], [1e-4, 1], color="#999999", lw=1, label="a probability of presence")
    for i, (variant, curve) in enumerate(curves.items()):
        # On the logarithmic axes, which presences this rare ask for, a share of 0 has no place.
        seen = curve.filter((pl.col("x") > 0) & (pl.col("y") > 0))
        axes.plot(seen["x"], seen["y"], label=variant, lw=1.2, ms=4, **look(i))
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="mean score of the pairs (0 to 1, log scale)",
        ylabel="share of the pairs that are presences (0 to 1, log scale)",
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return figure


def training_figure(curves: dict[str, list[float]], dataset: str) -> Figure:
    """Training loss per epoch of every variant, relative to its first epoch.

    Losses have different units of weight, so that only their course can be compared.
    """
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.subplots()
    colours = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)
    for i, (variant, losses) in enumerate(curves.items()):
        style = LINE_STYLES[i // len(colours) % len(LINE_STYLES)]
        values = np.array(losses) / abs(losses[0]) if losses and losses[0] else np.array(losses)
        axes.plot(np.arange(1, len(losses) + 1), values, style, color=colours[i % len(colours)], label=variant, lw=1.5)
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss / its first epoch's (no unit)")
    axes.set_title(f"{dataset}: mean training loss over seeds", fontsize=10)
    axes.legend(fontsize=7, ncols=2, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.grid(alpha=0.3)
    return figure
