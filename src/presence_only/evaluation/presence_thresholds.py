"""Thresholds of presence per species, chosen from training records and background sites alone.

A species is predicted where its score is at least its threshold. No rule sees an absence or the survey.

Shape legend: P places of a species, K background sites, S species. Scores are logits and ascend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presence_only.common.errors import UserError

Floats = NDArray[np.floating[Any]]

# Score of the rule `fixed`, that of GeoScore.
FIXED = 0.1


@dataclass(frozen=True)
class TrainingScores:
    """What a model says of one species where it was trained; all scores are logits, in ascending order.

    Args:
        places_P: At its places, one at least.
        background_K: At the background sites that count for it; there may be none.
    """

    places_P: Floats
    background_K: Floats


class ThresholdError(UserError, ValueError):
    """A threshold was asked for that there is none of; the message is one sentence with the value and the rule."""


def percentile_presence(places_P: Floats, percent: float) -> float:
    """The highest score that leaves at most so many percent of a species' places below it.

    It is the score of a place, so that it moves with every monotone change of the scores. With fewer than
    100 / percent places it is the lowest.

    Args:
        places_P: Ascending, one at least.
        percent: Within 0..100, 100 excluded; 0: the lowest presence.

    Raises:
        ValueError: If the percentage is out of range, or there are no places.
    """
    if not 0 <= percent < 100:
        raise ValueError(f"percent = {percent:g}: must lie within 0..100, 100 excluded")
    if not len(places_P):
        raise ValueError("there are no places to choose a threshold from; at least one is needed")
    # Rounding must not leave one place more: 5 percent of 20 places is one.
    return float(places_P[int(np.floor(percent / 100 * len(places_P) + 1e-9))])


def max_tss_threshold(places_P: Floats, background_K: Floats) -> float:
    """The threshold with the highest sum of sensitivity and specificity, background sites taken as absences.

    Sensitivity is the share of places that are predicted, specificity the share of background sites that are not. Of
    thresholds with one sum it is the highest, of which that at a place is taken; NaN without background.

    Source: maximum sum of sensitivity and specificity, which equals that with true absences if presences are a
    random sample: Liu et al. (2013), https://doi.org/10.1111/jbi.12058

    Args:
        places_P: Ascending, one at least.
        background_K: Ascending.
    """
    if not len(background_K):
        return float("nan")
    # Between two places a higher threshold loses no place, so that the best one is the score of a place.
    sensitivity_P = 1 - np.searchsorted(places_P, places_P, side="left") / len(places_P)
    specificity_P = np.searchsorted(background_K, places_P, side="left") / len(background_K)
    sum_P = sensitivity_P + specificity_P
    return float(places_P[len(sum_P) - 1 - int(np.argmax(sum_P[::-1]))])


@dataclass(frozen=True)
class ThresholdRule:
    """A way to choose the threshold of a species.

    Args:
        title: How tables for readers call it.
        meaning: One line for legends and the report.
        choose: From the scores of one species to a logit; NaN where undefined.
    """

    title: str
    meaning: str
    choose: Callable[[TrainingScores], float]


def _percentile(percent: float) -> Callable[[TrainingScores], float]:
    return partial(_percentile_of, percent)


def _percentile_of(percent: float, scores: TrainingScores) -> float:
    return percentile_presence(scores.places_P, percent)


def _max_tss(scores: TrainingScores) -> float:
    return max_tss_threshold(scores.places_P, scores.background_K)


def fixed(score: float) -> ThresholdRule:
    """One score for all species.

    Args:
        score: Within 0..1, both excluded.

    Raises:
        ThresholdError: If the score is out of range.
    """
    if not 0 < score < 1:
        raise ThresholdError(f"threshold = {score:g}: a fixed score must lie within 0..1, both excluded")
    logit = float(np.log(score / (1 - score)))
    return ThresholdRule(f"fixed {score:g}", f"a score of {score:g} for every species", lambda _: logit)


# A rule is one entry here: the evaluation, the report and `predict` read this table.
#
# Source of the percentiles: lowest presence threshold (LPT) of Pearson et al. (2007),
# https://doi.org/10.1111/j.1365-2699.2006.01594.x, and its robust form (LPT-R), the 5th percentile of the scores at
# cells with records, of Dorm et al. (2024), https://arxiv.org/abs/2408.15956
THRESHOLD_RULES: Mapping[str, ThresholdRule] = MappingProxyType(
    {
        "lpt": ThresholdRule("lowest presence", "the lowest score of the species' training places", _percentile(0)),
        "lpt5": ThresholdRule(
            "5th percentile", "the 5th percentile of the scores of the species' training places", _percentile(5)
        ),
        "lpt10": ThresholdRule(
            "10th percentile", "the 10th percentile of the scores of the species' training places", _percentile(10)
        ),
        "max_tss": ThresholdRule(
            "max TSS",
            "the score with the highest sum of sensitivity and specificity of training places against background sites",
            _max_tss,
        ),
        "fixed": fixed(FIXED),
    }
)


def threshold_rule(text: str) -> ThresholdRule:
    """The rule of a name of ``THRESHOLD_RULES``, of ``lpt<percent>``, or of a score.

    Raises:
        ThresholdError: If it is none of these.
    """
    if text in THRESHOLD_RULES:
        return THRESHOLD_RULES[text]
    number = _number(text.removeprefix("lpt"))
    if number is None:
        known = ", ".join(THRESHOLD_RULES)
        raise ThresholdError(f"unknown threshold {text!r}; known: {known}, lpt<percent>, or a score within 0..1")
    if not text.startswith("lpt"):
        return fixed(number)
    if not 0 <= number < 100:
        raise ThresholdError(f"threshold = {text!r}: the percentile must lie within 0..100, 100 excluded")
    words = f"percentile {number:g}"
    return ThresholdRule(words, f"{words} of the scores of the species' training places", _percentile(number))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
