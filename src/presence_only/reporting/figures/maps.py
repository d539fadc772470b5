"""Maps of one data set's records, and of one species' scores."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from presence_only.common.arrays import Floats, Ints
from presence_only.data.records import PresenceRecords
from presence_only.geography.longitudes import counted_on
from presence_only.reporting.figures.style import BLUE, ORANGE
from presence_only.reporting.figures.svg import plain

if TYPE_CHECKING:
    # It needs torch, which other figures do without.
    from presence_only.model.range_map import BinaryRange


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


def added_figure(sites_N2: Floats, added_N: Ints, land_share: Floats, name: str) -> Figure:
    """Where label propagation added presences to the training rows of the data set ``name``.

    Args:
        sites_N2: Sites of the training rows, longitude, latitude in degrees.
        added_N: How many presences every row received.
        land_share: Share of land of every cell of 1 degree, (180, 360) from the south-west, for coasts.
        name: Of the data set.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    received_N = added_N > 0
    axes.scatter(sites_N2[~received_N, 0], sites_N2[~received_N, 1], s=2, color="#bbbbbb", lw=0)
    if received_N.any():
        density = axes.hexbin(
            sites_N2[received_N, 0],
            sites_N2[received_N, 1],
            C=added_N[received_N],
            reduce_C_function=np.sum,
            gridsize=120,
            bins="log",
            cmap="viridis",
            linewidths=0,
        )
        figure.colorbar(density, ax=axes, label="presences added per hexagon (log scale)", shrink=0.8)
    west, east, south, north = *axes.get_xlim(), *axes.get_ylim()
    _draw_coasts(axes, land_share, "#555555")
    axes.set(xlim=(west, east), ylim=(south, north), xlabel="longitude (degrees)", ylabel="latitude (degrees)")
    axes.set_aspect(1.0 / max(np.cos(np.radians((south + north) / 2)), 0.2))
    axes.set_title(
        f"{name}: {added_N.sum():,} presences added to {received_N.sum():,} training rows; grey: the other rows",
        fontsize=10,
    )
    return figure


def range_figure(
    score_HW: np.ndarray,
    extent: tuple[float, float, float, float],
    sites_P2: np.ndarray,
    land_share: np.ndarray,
    title: str,
    spread_HW: np.ndarray | None = None,
    spread_of: str = "relative suitability",
) -> Figure:
    """Relative suitability of one species over a box, with its training records, and its spread below it.

    The colours of each map end at its highest value: the scores of many losses stay below 0.1, and a scale up to 1
    would show one colour.

    Args:
        score_HW: Within 0..1, northern row first; NaN where unknown.
        extent: West, east, south, north in degrees; east is more than 180 where the map crosses 180 degrees.
        sites_P2: The species' training records, longitude, latitude in degrees.
        land_share: Share of land of every cell of 1 degree, (180, 360) from the south-west; its coasts
            are rough, but show where one is.
        title: Species and run.
        spread_HW: Standard deviation of the score, or of its rank, over seeds or members; None: not shown.
        spread_of: What it is the deviation of.
    """
    maps = [(score_HW, "viridis", "relative suitability (no probability)", title)]
    if spread_HW is not None:
        maps.append((spread_HW, "magma", f"standard deviation of\n{spread_of}", "spread"))
    figure = Figure(figsize=(8.0, 1.0 + 4.0 * len(maps)), layout="constrained")
    for axes, (values_HW, colours, label, heading) in zip(
        figure.subplots(len(maps), squeeze=False)[:, 0], maps, strict=True
    ):
        unknown_HW = np.isnan(values_HW)
        highest = float(values_HW[~unknown_HW].max(initial=1e-3))
        image = axes.imshow(values_HW, extent=extent, vmin=0.0, vmax=highest, cmap=colours)
        figure.colorbar(image, ax=axes, label=label, shrink=0.8)
        _finish_map(axes, extent, sites_P2, land_share, heading, "#999999" if unknown_HW.any() else "white")
        handles, _ = axes.get_legend_handles_labels()
        if unknown_HW.any():
            handles.append(Patch(facecolor="white", edgecolor="#555555", lw=0.5, label="environment unknown"))
        axes.legend(handles=handles, fontsize=8, loc="lower left")
    return figure


def binary_figure(
    binary: BinaryRange,
    extent: tuple[float, float, float, float],
    sites_P2: np.ndarray,
    land_share: np.ndarray,
    title: str,
) -> Figure:
    """The range of one species over a box by a threshold, with its training records.

    Args:
        binary: Where the species is in its range, northern row first.
        extent: West, east, south, north in degrees; east is more than 180 where the map crosses 180 degrees.
        sites_P2: The species' training records, longitude, latitude in degrees.
        land_share: Share of land of every cell of 1 degree, (180, 360) from the south-west.
        title: Species and run.
    """
    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    axes = figure.subplots()
    colours = {-1: "white", 0: "#dddddd", 1: BLUE}
    axes.imshow(binary.in_range_HW, extent=extent, vmin=-1, vmax=1, cmap=ListedColormap([*colours.values()]))
    _finish_map(axes, extent, sites_P2, land_share, title, "#555555")
    range_words = fill(f"in range: suitability of {binary.threshold:.3g} or more, {binary.words}", 100)
    handles, labels = axes.get_legend_handles_labels()
    for value, words in ((1, range_words), (0, "not in range"), (-1, "unknown")):
        if value != -1 or (binary.in_range_HW == -1).any():
            handles.append(Patch(facecolor=colours[value], edgecolor="#555555", lw=0.5))
            labels.append(words)
    # Below the map: the rule is a line of its own.
    figure.legend(handles, labels, fontsize=8, loc="outside lower center", frameon=False)
    return figure


def _finish_map(
    axes: Axes,
    extent: tuple[float, float, float, float],
    sites_P2: Floats,
    land_share: Floats,
    title: str,
    coasts: str,
) -> None:
    """Records, coasts, axes in degrees and title of a species' map."""
    west, east, south, north = extent
    label = f"{len(sites_P2):,} training record{'s' * (len(sites_P2) != 1)}"
    axes.plot(*counted_on(sites_P2, west, east).T, "o", ms=3, mfc="none", mec=ORANGE, mew=0.8, label=label)
    _draw_coasts(axes, land_share, coasts, twice=east > 180)
    if east > 180:
        axes.xaxis.set_major_formatter(lambda longitude, _: f"{longitude - 360 * (longitude > 180):g}")
    axes.set(xlim=(west, east), ylim=(south, north), xlabel="longitude (degrees)", ylabel="latitude (degrees)")
    axes.set_aspect(1.0 / max(np.cos(np.radians((south + north) / 2)), 0.2))
    axes.set_title(plain(title), fontsize=10)


def _draw_coasts(axes: Axes, land_share: Floats, colour: str, *, twice: bool = False) -> None:
    """The coasts of the shipped grid of the Earth; ``twice``: also beyond 180 degrees, to 540."""
    longitude, latitude = np.arange(720 if twice else 360) - 179.5, np.arange(180) - 89.5
    share = np.tile(land_share, (1, 2)) if twice else land_share
    axes.contour(longitude, latitude, share, levels=[0.5], colors=colour, linewidths=0.7)
