"""Small computations between the result files and the words and figures of the notebooks.

Shape legend: S species.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.comparison import Difference
from presence_only.losses.elementwise import Asymmetric, CrossEntropy, Focal, Penalty

Bools = NDArray[np.bool_]


def penalty_of(settings: Mapping[str, Any]) -> Penalty:
    """The elementwise penalty of a variant with loss ``bce``, ``focal`` or ``asl``."""
    match settings["loss"]:
        case "bce":
            return CrossEntropy()
        case "focal":
            return Focal(settings["alpha"], settings["gamma"])
        case "asl":
            return Asymmetric(settings["gamma_pos"], settings["gamma_neg"], settings["clip"])
    raise ValueError(f"loss {settings['loss']!r} is none of bce, focal, asl")


def recovered(parts: Sequence[tuple[float, Mapping[str, Any]]]) -> Difference:
    """Weighted sum of means and its 95 % interval, from the means' own intervals alone.

    As if their errors were independent. Variants that were scored on the same species, with the same
    seeds, go up and down together: then the interval of a difference is rather too wide.

    Source: the method of variance estimates recovery, Zou and Donner (2008),
    https://doi.org/10.1002/sim.3095

    Args:
        parts: Weight, and a row with mean, low and high.
    """
    mean = sum(weight * row["mean"] for weight, row in parts)
    below = above = 0.0
    for weight, row in parts:
        down, up = abs(weight) * (row["mean"] - row["low"]), abs(weight) * (row["high"] - row["mean"])
        below += down**2 if weight > 0 else up**2
        above += up**2 if weight > 0 else down**2
    return Difference(mean, mean - below**0.5, mean + above**0.5)


def mean_curve(curve: pl.DataFrame) -> pl.DataFrame:
    """A precision-recall curve averaged over seeds at each recall: x and y."""
    return curve.group_by("x").agg(pl.col("y").mean()).sort("x")


def pooled_calibration(curve: pl.DataFrame, width: float = 0.5) -> pl.DataFrame:
    """The seeds' calibration points pooled in bins of logits: mean score x, share present y, pairs n.

    Args:
        curve: Columns x, y and n, a point a bin and seed.
        width: Of a bin, in logits; points outside of +-12 logits share a bin at either end.
    """
    x = curve["x"].clip(1e-300, 1 - 1e-16)
    place = ((x / (1 - x)).log() / width).floor().clip(-12 / width - 1, 12 / width)
    pooled = curve.with_columns(place.alias("bin")).group_by("bin")
    means = [((pl.col(name) * pl.col("n")).sum() / pl.col("n").sum()).alias(name) for name in ("x", "y")]
    return pooled.agg(*means, pl.col("n").sum()).sort("bin").select("x", "y", "n")


def calibration_error(curve: pl.DataFrame) -> tuple[float, float]:
    """Mean distance, and mean signed distance, of score x from share present y, over all n pairs."""
    gap, n = (curve["x"] - curve["y"]).to_numpy(), curve["n"].to_numpy()
    return float(np.average(np.abs(gap), weights=n)), float(np.average(gap, weights=n))


def expected_score(share: NDArray[np.float64] | float, pos_lambda: float, background: float = 0.0) -> Any:
    """The score that minimises the weighted cross-entropy where a share of the rows has a record.

    lambda f softplus(-x) + (1 - f + b) softplus(x) is least where sigmoid(x) = lambda f / (lambda f + 1 - f + b).

    Args:
        share: Share f of the training rows with a record of the species, within 0..1.
        pos_lambda: Weight of a record.
        background: Weight b of the background sites, on which the species is assumed absent.
    """
    return pos_lambda * share / (pos_lambda * share + 1 - share + background)


def thirds(values_S: NDArray[Any]) -> list[Bools]:
    """Three masks of the lowest, the middle and the highest third; equal values stay together."""
    low, high = np.quantile(values_S, [1 / 3, 2 / 3])
    return [values_S <= low, (values_S > low) & (values_S <= high), values_S > high]


def complete_blocks(members: Mapping[tuple[Any, ...], str]) -> Sequence[tuple[tuple[Any, Any], tuple[Any, Any]]]:
    """The largest 2 x 2 blocks of a two-parameter family: (lowest and highest x, lowest and highest y).

    The widest block with all four corners comes first; empty where there is none.
    """
    xs, ys = (sorted({value[i] for value in members}) for i in (0, 1))
    found = []
    for i, x0 in enumerate(xs):
        for j, x1 in enumerate(xs[i + 1 :], i + 1):
            for k, y0 in enumerate(ys):
                for m, y1 in enumerate(ys[k + 1 :], k + 1):
                    if all((x, y) in members for x in (x0, x1) for y in (y0, y1)):
                        found.append(((j - i) + (m - k), ((x0, x1), (y0, y1))))
    return [block for _, block in sorted(found, key=lambda item: -item[0])]
