"""Value and gradient of a penalty against the logit: what its figures show.

Shape legend: any shape of logits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from presence_only.losses.penalties import Penalty

# In nats; beyond them a penalty goes on as at the ends.
LOGITS = torch.linspace(-8, 8, 321, dtype=torch.float64)


def penalty_curves(penalties: Mapping[str, Penalty]) -> dict[str, NDArray[Any]]:
    """The columns of a table that draws penalties.

    Args:
        penalties: Elementwise penalties by the name to show; there may be none.

    Returns:
        ``penalty``, the name; ``present``, whether the species is present there, or assumed absent; ``logit`` and
        ``value`` in nats; ``slope``, the gradient, without a unit. One row per point of a curve.
    """
    points = [
        (name, present, *value_and_slope(penalty, LOGITS, present))
        for name, penalty in penalties.items()
        for present in (True, False)
    ]
    return {
        "penalty": np.repeat(np.array([name for name, *_ in points], dtype=np.str_), len(LOGITS)),
        "present": np.repeat(np.array([present for _, present, *_ in points], dtype=np.bool_), len(LOGITS)),
        "logit": np.tile(LOGITS.numpy(), len(points)),
        "value": np.concatenate([np.empty(0), *(value.numpy() for *_, value, _ in points)]),
        "slope": np.concatenate([np.empty(0), *(slope.numpy() for *_, slope in points)]),
    }


def value_and_slope(penalty: Penalty, logits: Tensor, present: bool) -> tuple[Tensor, Tensor]:
    """A penalty and its gradient at every logit.

    Args:
        penalty: How an element is penalised.
        logits: Any shape, in nats; it is left as it is.
        present: Whether the species is present there, or assumed absent.
    """
    x = logits.detach().clone().requires_grad_()
    values = penalty.positive(x) if present else penalty.negative(x)
    (slopes,) = torch.autograd.grad(values.sum(), x)
    return values.detach(), slopes


def absence_slopes(penalty: Penalty, scores: Sequence[float]) -> list[float]:
    """How hard an assumed absence is pushed down where its score is p: the gradient at the logit of p."""
    p = torch.tensor(scores, dtype=torch.float64)
    slopes = value_and_slope(penalty, torch.logit(p), present=False)[1]
    # Exactly at a margin the gradient is 0, and rounding of the logit may leave a trace of one.
    return [float(slope) if abs(slope) > 1e-15 else 0.0 for slope in slopes]
