"""Figures of penalties, and of the scores that a loss asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from presence_only.reporting.figures.style import BLUE, GREEN, ORANGE, PURPLE, RED, SKY

Floats = NDArray[np.float64]
# Told apart with any common colour blindness; styles and markers repeat the message.
COLOURS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, "#000000")
STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def look(i: int) -> dict[str, Any]:
    """Colour, line and marker of the i-th of several lines; the first 49 differ."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": STYLES[(i + i // len(COLOURS)) % len(STYLES)],
        "marker": MARKERS[(i + i // len(COLOURS)) % len(MARKERS)],
    }


def penalty_figure(curves: pl.DataFrame) -> Figure:
    """Value and gradient of every penalty against the logit, for a present and an assumed absent species.

    Args:
        curves: Columns ``penalty``, ``present``, ``logit``, ``value`` and ``slope``, as
            :func:`~presence_only.losses.penalty_curves.penalty_curves` makes them.
    """
    figure = Figure(figsize=(9.5, 7.2), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    for column, present in enumerate((True, False)):
        for i, name in enumerate(curves["penalty"].unique(maintain_order=True)):
            style = look(i) | {"marker": ""}
            rows = curves.filter((pl.col("penalty") == name) & (pl.col("present") == present))
            for axis, quantity in zip(axes[:, column], ("value", "slope"), strict=True):
                axis.plot(rows["logit"].to_numpy(), rows[quantity].to_numpy(), label=name, **style)
        axes[0, column].set_title("species present" if present else "species assumed absent", fontsize=10)
        axes[0, column].set_ylabel("penalty (nats)")
        axes[1, column].set(xlabel="logit (nats)", ylabel="gradient (no unit)")
    for axis in axes.flat:
        axis.axhline(0, color="#999999", lw=0.6, zorder=0)
        axis.grid(alpha=0.3)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=3)
    return figure


def prevalence_figure(points: Mapping[str, tuple[Floats, Floats, float, float]]) -> Figure:
    """Mean score of every species against the share of rows with a record of it, beside what theory expects.

    Args:
        points: Variant to the species' shares (0 to 1), their mean scores (0 to 1), lambda, and the
            weight of background sites.
    """
    # Not at the top: the losses need torch, and the other figures do not.
    from presence_only.losses.expected_scores import expected_score

    columns = min(len(points), 3)
    rows = -(-len(points) // columns)
    figure = Figure(figsize=(3.4 * columns + 0.6, 3.2 * rows + 0.4), layout="constrained")
    grid: list[Axes] = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
    share = np.logspace(-5, 0, 200)
    for axes, (name, (shares, scores, pos_lambda, background)) in zip(grid, points.items(), strict=False):
        axes.plot(shares, scores, ".", color=BLUE, ms=3, alpha=0.6, label="a species")
        axes.plot(share, expected_score(share, pos_lambda, background), color=RED, lw=1.5, label="theory")
        axes.set(xscale="log", yscale="log", ylim=(1e-5, 1.5), title=name)
        axes.grid(alpha=0.3)
    for axes in grid[len(points) :]:
        axes.set_visible(False)
    grid[0].legend(fontsize=8)
    figure.supxlabel("share of training rows with a record of the species (log scale)", fontsize=9)
    figure.supylabel("mean score at the survey's sites (0 to 1, log scale)", fontsize=9)
    return figure
