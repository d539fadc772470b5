"""Figure of a search: the best value so far against trials, and against CPU time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from presence_only.reporting.figures.style import BLUE, GREEN, ORANGE

MINUTE = 60.0


def search_figure(
    values: Sequence[float], finished: Sequence[bool], cpu_seconds: Sequence[float], criterion: str, title: str
) -> Figure:
    """The value of every trial, and the best of the finished ones so far.

    Args:
        values: Of the trials in their order, NaN where training diverged.
        finished: Whether each was trained to the end; the others are crosses and cannot be best.
        cpu_seconds: Of each.
        criterion: What the values are.
        title: What was searched.
    """
    value_T, finished_T = np.array(values, dtype=float), np.array(finished, dtype=bool)
    best_T = np.maximum.accumulate(np.where(finished_T, value_T, -np.inf))
    best_T[np.isinf(best_T)] = np.nan
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    places = {
        "trial": np.arange(len(value_T)),
        "CPU time of all trials so far (min)": np.cumsum(np.array(cpu_seconds, dtype=float)) / MINUTE,
    }
    for axes, (label, place_T) in zip(panels, places.items(), strict=True):
        axes.step(place_T, best_T, where="post", color=BLUE, lw=1.5, label="best so far")
        axes.plot(place_T[finished_T], value_T[finished_T], "o", color=GREEN, ms=4, label="finished")
        axes.plot(place_T[~finished_T], value_T[~finished_T], "x", color=ORANGE, ms=5, label="ended early")
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(f"{criterion} of held-out records (higher is better)")
    panels[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend(fontsize=8, loc="lower right")
    figure.suptitle(title, fontsize=10)
    return figure
