"""Figures of what a score depends on: permutation importance, and response curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from numpy.typing import NDArray

from presence_only.reporting.figures.style import BLUE, GREEN, LINE_STYLES, ORANGE, PURPLE, RED, SKY
from presence_only.reporting.figures.svg import plain

COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY)
COLUMNS = 3


def importance_figure(importance: pl.DataFrame, title: str) -> Figure:
    """Bars of the drop of average precision by input, a panel per species; lines are one deviation over the repeats.

    Args:
        importance: Of :func:`presence_only.evaluation.permutation_importance.permutation_importance`.
        title: Run and sites.
    """
    groups = importance.partition_by("species", maintain_order=True)
    n_inputs = importance["input"].n_unique()
    figure = Figure(figsize=(8.0, len(groups) * (0.6 + 0.28 * n_inputs) + 0.8), layout="constrained")
    panels = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
    for axes, group in zip(panels, groups, strict=True):
        places = np.arange(len(group))[::-1]
        axes.barh(places, group["drop"], xerr=group["drop_sd"], color=BLUE, ecolor="#555555")
        axes.set_yticks(places, [plain(name) for name in group["input"]], fontsize=8)
        axes.axvline(0, color="black", lw=0.8)
        axes.set_title(f"{plain(group['species'][0])} (average precision {group['ap'][0]:.3f})", fontsize=9, loc="left")
    panels[-1].set_xlabel(
        "drop of average precision when the input is permuted (at most 1)\n"
        "grey lines: one standard deviation over the permutations",
        fontsize=9,
    )
    figure.suptitle(plain(title), fontsize=10)
    return figure


def response_figure(curves: pl.DataFrame, background: dict[str, NDArray[Any]], title: str) -> Figure:
    """Response curves, a panel per covariate and a line per species, with one deviation over the seeds as a band.

    Args:
        curves: Of :func:`presence_only.evaluation.response_curves.response_curves`.
        background: Covariate to its values at background sites, NaN where unknown; ticks below are their tenths.
        title: The run.
    """
    covariates = curves["covariate"].unique(maintain_order=True).to_list()
    species = curves["species"].unique(maintain_order=True).to_list()
    rows = -(-len(covariates) // COLUMNS)
    figure = Figure(figsize=(9.6, 2.4 * rows + 0.9), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, sharey=True, squeeze=False)
    for axes in panels.flat[len(covariates) :]:
        axes.set_visible(False)
    for axes, covariate in zip(panels.flat, covariates, strict=False):
        for index, name in enumerate(species):
            own = curves.filter((pl.col("covariate") == covariate) & (pl.col("species") == name))
            colour, style = COLOURS[index % len(COLOURS)], LINE_STYLES[index // len(COLOURS) % len(LINE_STYLES)]
            value, mean = own["value"].to_numpy(), own["suitability"].to_numpy()
            # A covariate of few values, such as a class, has points.
            axes.plot(value, mean, style, color=colour, marker="o" * (len(value) < 10), ms=3, label=plain(name))
            spread = own["spread"].cast(pl.Float64).fill_null(0.0).to_numpy()
            if spread.any():
                axes.fill_between(value, mean - spread, mean + spread, color=colour, alpha=0.2, lw=0)
        known = background[covariate][~np.isnan(background[covariate])]
        tenths = np.quantile(known, np.linspace(0.1, 0.9, 9))
        axes.plot(tenths, np.zeros(9), "|", color="#555555", ms=6, transform=axes.get_xaxis_transform(), clip_on=False)
        axes.set_xlabel(plain(covariate), fontsize=8)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
    for axes in panels[:, 0]:
        axes.set_ylabel("mean suitability (0 to 1)", fontsize=8)
    panels[0, 0].set_ylim(bottom=0.0)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    signs = "ticks: tenths of the background"
    if curves["spread"].cast(pl.Float64).fill_null(0.0).to_numpy().any():
        signs = f"bands: one standard deviation over the seeds; {signs}"
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, title=signs, title_fontsize=8)
    figure.suptitle(plain(title), fontsize=10)
    return figure
