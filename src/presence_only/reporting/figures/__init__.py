"""Figures of metrics, training losses, records and ranges; nothing here computes a result or reads a file."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.figure import Figure

from presence_only.common.arrays import Floats
from presence_only.common.atomic_files import write_whole
from presence_only.data.records import PresenceRecords

# Okabe and Ito's colours, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
LINE_STYLES = ("-", "--", ":", "-.")


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


def records_figure(records: PresenceRecords, survey_sites_M2: Floats, name: str) -> Figure:
    """Where the records of the data set ``name`` lie, and where its survey's sites are (longitude, latitude)."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.scatter(survey_sites_M2[:, 0], survey_sites_M2[:, 1], s=2, color="#bbbbbb", lw=0, label="survey site")
    density = axes.hexbin(
        records.sites_N2[:, 0], records.sites_N2[:, 1], gridsize=120, bins="log", mincnt=1, cmap="viridis", linewidths=0
    )
    figure.colorbar(density, ax=axes, label="training rows per hexagon (log scale)", shrink=0.8)
    axes.set_xlabel("longitude (degrees)")
    axes.set_ylabel("latitude (degrees)")
    latitude = float(np.mean(axes.get_ylim()))
    axes.set_aspect(1.0 / max(np.cos(np.radians(latitude)), 0.2))
    axes.set_title(
        f"{name}: {len(records.species_P):,} records of {records.n_species:,} species; "
        f"grey: {len(survey_sites_M2):,} survey sites",
        fontsize=10,
    )
    return figure


def range_figure(
    score_HW: np.ndarray,
    extent: tuple[float, float, float, float],
    sites_P2: np.ndarray,
    land_share: np.ndarray,
    title: str,
) -> Figure:
    """Relative suitability of one species over a box, with its training records.

    Args:
        score_HW: Within 0..1, northern row first; NaN where unknown.
        extent: West, east, south, north in degrees.
        sites_P2: The species' training records, longitude, latitude in degrees.
        land_share: Share of land of every cell of 1 degree, (180, 360) from the south-west; its coasts
            are rough, but show where one is.
        title: Species and run.
    """
    west, east, south, north = extent
    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(score_HW, extent=(west, east, south, north), vmin=0.0, vmax=1.0, cmap="viridis")
    figure.colorbar(image, ax=axes, label="relative suitability (0 to 1, no probability)", shrink=0.8)
    label = f"{len(sites_P2):,} training record{'s' * (len(sites_P2) != 1)}"
    axes.plot(*sites_P2.T, "o", ms=3, mfc="none", mec=ORANGE, mew=0.8, label=label)
    longitude, latitude = np.arange(360) - 179.5, np.arange(180) - 89.5
    axes.contour(longitude, latitude, land_share, levels=[0.5], colors="white", linewidths=0.7)
    axes.set(xlim=(west, east), ylim=(south, north), xlabel="longitude (degrees)", ylabel="latitude (degrees)")
    axes.set_aspect(1.0 / max(np.cos(np.radians((south + north) / 2)), 0.2))
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8, loc="lower left")
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG, whole or not at all; the same figure gives the same bytes."""
    with write_whole(path) as temporary, mpl.rc_context({"svg.hashsalt": "presence_only"}):
        # Without matplotlib's version in the file, an upgrade alone changes nothing in git.
        figure.savefig(temporary, dpi=110, metadata={"Software": None})
