"""Scores of the map page as one byte each: logits in equal steps, so that small scores keep their differences.

A loss may give a species that is there a score of 0.9, another one 0.02. Steps of equal size in the score would leave
the second with five values; steps of equal size in the logit leave both with the same relative precision.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from presence_only.common.arrays import Floats

# Logits beyond these limits are drawn as the limit: scores of 0.00005 and 0.99995.
LOW, HIGH = -10.0, 10.0
# Codes 1 to 255 are scores.
UNKNOWN, LOWEST, HIGHEST = 0, 1, 255
STEP = (HIGH - LOW) / (HIGHEST - LOWEST)


def encode(scores: Floats) -> NDArray[np.uint8]:
    """Scores within 0..1 as codes 1..255 of the same shape, NaN as 0.

    The logit of a code is wrong by at most half of ``STEP``, which is 0.04, and the score by at most 0.01.
    """
    steps = (np.clip(logit(np.asarray(scores, dtype=np.float64)), LOW, HIGH) - LOW) / STEP
    codes: NDArray[np.uint8] = np.where(np.isnan(steps), UNKNOWN, LOWEST + np.rint(np.nan_to_num(steps))).astype(
        np.uint8
    )
    return codes


def decode(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Scores of codes, NaN where unknown; the page has the same formula."""
    logits = LOW + (codes.astype(np.float64) - LOWEST) * STEP
    return np.where(codes == UNKNOWN, np.nan, 1 / (1 + np.exp(-logits)))
