"""Range maps of species side by side: records, survey truth, and the scores of each variant.

Shape legend: M survey sites, P records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from presence_only.common.shown_names import in_a_figure
from presence_only.geography.longitudes import counted_on, narrowest_arc
from presence_only.reporting.figures.style import BLUE, ORANGE

Array = NDArray[Any]


@dataclass(frozen=True)
class SpeciesMap:
    """What is drawn of one species.

    Args:
        species: Name.
        prevalence: Share of surveyed sites where it is present.
        sites_P2: Its training records, longitude, latitude in degrees.
        sites_M2: Survey sites.
        truth_M: 1 present, 0 absent, -1 not surveyed.
        scores: Variant to scores (M,) within 0..1.
        ap: Variant to average precision.
    """

    species: str
    prevalence: float
    sites_P2: Array
    sites_M2: Array
    truth_M: Array
    scores: Mapping[str, Array]
    ap: Mapping[str, float]


def choose_by_rank(variants: Sequence[str], n: int = 4) -> tuple[str, ...]:
    """Variants to show of a list, best first: the best, the last, and those at equal steps between."""
    if n < 2 or len(variants) <= n:
        return tuple(variants[: max(n, 1)])
    return tuple(variants[round(i * (len(variants) - 1) / (n - 1))] for i in range(n))


def range_maps_figure(maps: Sequence[SpeciesMap], land_share: Array) -> Figure:
    """A row per species: its records, the truth, and the score under some losses.

    Scores of different losses have different scales, so every panel goes from 0 to its own highest score.

    Args:
        maps: Species with the same variants, at least one.
        land_share: Share of land of every cell of 1 degree, (180, 360) from the south-west, for coasts.
    """
    variants = list(maps[0].scores)
    columns = 2 + len(variants)
    figure = Figure(figsize=(1.9 * columns, 1.75 * len(maps) + 0.5), layout="constrained")
    grid = figure.subplots(len(maps), columns, squeeze=False)
    points = None
    for row, own in zip(grid, maps, strict=True):
        west, east, south, north = box_around(np.concatenate([own.sites_P2, own.sites_M2[own.truth_M == 1]]))
        records_P2, sites_M2 = counted_on(own.sites_P2, west, east), counted_on(own.sites_M2, west, east)
        near_M = (
            (sites_M2[:, 0] >= west) & (sites_M2[:, 0] <= east) & (sites_M2[:, 1] >= south) & (sites_M2[:, 1] <= north)
        )
        sites_m2, truth_m = sites_M2[near_M], own.truth_M[near_M]
        # As large as the sites are apart, in points: a panel is about 120 of them wide.
        side = np.clip(130.0 * (1.0 / max(len(sites_m2), 1)) ** 0.5, 0.8, 6.0)
        style = {"s": side**2, "marker": "s", "lw": 0, "rasterized": True}
        row[0].scatter(*records_P2.T, s=4, color=ORANGE, lw=0, alpha=0.7, rasterized=True)
        row[1].scatter(*sites_m2[truth_m == 0].T, color="#bbbbbb", alpha=0.5, **style)
        row[1].scatter(*sites_m2[truth_m == 1].T, color=BLUE, **style)
        for axes, (variant, score_M) in zip(row[2:], own.scores.items(), strict=True):
            score_m = score_M[near_M]
            highest = float(score_m.max()) if len(score_m) and score_m.max() > 0 else 1.0
            order = np.argsort(score_m)
            points = axes.scatter(
                *sites_m2[order].T, c=score_m[order] / highest, vmin=0, vmax=1, cmap="viridis", **style
            )
            axes.set_title(f"{in_a_figure(variant)}\nAP {own.ap[variant]:.2f}, highest {highest:.2g}", fontsize=7)
        row[0].set_title(f"records: {len(own.sites_P2):,}", fontsize=7)
        row[1].set_title(f"truth: {100 * own.prevalence:.2g} % of sites", fontsize=7)
        row[0].set_ylabel(in_a_figure(own.species), fontsize=8)
        for axes in row:
            _frame(axes, (west, east, south, north), land_share)
    if points is not None:
        bar = figure.colorbar(points, ax=grid, location="bottom", shrink=0.5, aspect=40, pad=0.02)
        bar.set_label(
            "score / the panel's highest score (no unit); axes in degrees of longitude and latitude", fontsize=8
        )
        bar.ax.tick_params(labelsize=7)
    return figure


def box_around(sites_P2: Array) -> tuple[float, float, float, float]:
    """West, east, south and north of a box around sites, with a margin, at least 10 degrees wide and high.

    East is more than 180 where the narrowest box crosses 180 degrees; otherwise the margin ends there.
    """
    first, last = narrowest_arc(sites_P2[:, 0])
    low, high = np.array([first, sites_P2[:, 1].min()]), np.array([last, sites_P2[:, 1].max()])
    margin = np.maximum(0.1 * (high - low), (10 - (high - low)) / 2)
    (west, south), (east, north) = low - margin, high + margin
    if last <= 180 or east - west >= 360:
        west, east = (max(float(west), -180), min(float(east), 180)) if last <= 180 else (-180, 180)
    return float(west), float(east), max(float(south), -90), min(float(north), 90)


def _frame(axes: Axes, box: tuple[float, float, float, float], land_share: Array) -> None:
    """Coasts, limits and a shape that is right in the middle of the box."""
    west, east, south, north = box
    column = slice(max(int(west + 178), 0), int(east + 182))
    row = slice(max(int(south + 88), 0), int(north + 92))
    share = (land_share if east <= 180 else np.tile(land_share, (1, 2)))[row, column]
    if share.min() < 0.5 < share.max():
        longitude, latitude = np.arange(360 if east <= 180 else 720)[column] - 179.5, np.arange(180)[row] - 89.5
        axes.contour(longitude, latitude, share, levels=[0.5], colors="#888888", linewidths=0.5)
    axes.set(xlim=(west, east), ylim=(south, north))
    axes.set_aspect(1.0 / max(np.cos(np.radians((south + north) / 2)), 0.2))
    axes.tick_params(labelsize=5)
    axes.locator_params(nbins=3)
