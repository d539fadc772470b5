"""What theory says of a loss: its penalty, the score that it asks for, and settings that cross each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presence_only.losses.elementwise import Asymmetric, CrossEntropy, Focal, Penalty


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


def expected_score(share: NDArray[np.float64] | float, pos_lambda: float, background: float = 0.0) -> Any:
    """The score that minimises the weighted cross-entropy where a share of the rows has a record.

    lambda f softplus(-x) + (1 - f + b) softplus(x) is least where sigmoid(x) = lambda f / (lambda f + 1 - f + b).

    Args:
        share: Share f of the training rows with a record of the species, within 0..1.
        pos_lambda: Weight of a record.
        background: Weight b of the background sites, on which the species is assumed absent.
    """
    return pos_lambda * share / (pos_lambda * share + 1 - share + background)


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
