"""Everything that is fitted to a model's training scores, in one pass over its species: thresholds and calibration.

Shape legend: S species.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from presence_only.evaluation.presence_calibration import Calibration, CalibrationReader
from presence_only.evaluation.presence_thresholds import THRESHOLD_RULES, ThresholdRule
from presence_only.evaluation.training_scores import Scorer, TrainingSites, training_scores


def fit_to_training(
    model: Scorer, sites: TrainingSites, rules: Mapping[str, ThresholdRule] = THRESHOLD_RULES
) -> tuple[dict[str, NDArray[np.float64]], Calibration]:
    """The thresholds of all species by some rules, and the calibration of the model's scores.

    Args:
        model: A trained model.
        sites: Those of its training data.
        rules: What to choose thresholds by.

    Returns:
        Rule to logits (S,), NaN where undefined; and the calibration.
    """
    chosen = {name: np.full(sites.n_species, np.nan) for name in rules}
    calibration = CalibrationReader(sites.n_species)
    for s, scores in enumerate(training_scores(model, sites)):
        for name, rule in rules.items():
            chosen[name][s] = rule.choose(scores)
        calibration.read(scores)
    return chosen, calibration.calibration()
