"""Observer-bias metrics of one trained model.

Shape legend: M survey sites, S species, Q classes of effort. Scores are logits; truth is 1 present, 0 absent,
-1 not surveyed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from presence_only.common.array_likes import real_numbers
from presence_only.common.matrices import Matrix
from presence_only.data.truth import SurveyTruth
from presence_only.evaluation.effort_scores import EffortReader
from presence_only.evaluation.geoscore import GeoScore, geoscore
from presence_only.evaluation.observer_effort import SurveyEffort
from presence_only.evaluation.passes import read_species
from presence_only.evaluation.ranks_of_presences import matrices
from presence_only.evaluation.units import TruthUnits

Array = NDArray[Any]


def observer_numbers(
    scores_MS: ArrayLike | Matrix,
    truth_MS: ArrayLike | SurveyTruth,
    effort_M: ArrayLike,
    *,
    watchlist_S: ArrayLike | None = None,
    ap_M: ArrayLike | None = None,
) -> dict[str, float]:
    """Every metric of one seed that has to do with observer effort.

    Args:
        scores_MS: Logits.
        truth_MS: 1 present, 0 absent, -1 not surveyed.
        effort_M: Training records near each site; see
            :func:`~presence_only.evaluation.observer_effort.records_nearby`.
        watchlist_S: Which species are on GeoScore's watchlist, bool; None: it has none.
        ap_M: Average precision over species of every site, where it is at hand; None: it is computed.

    Returns:
        See :func:`numbers_of`.

    Raises:
        ValueError: If the shapes disagree, or a surveyed score is NaN.
    """
    scores, truth = matrices(scores_MS, truth_MS)
    units, effort_M = TruthUnits(truth), real_numbers("effort", effort_M)
    reader = EffortReader(SurveyEffort(effort_M, units))
    read_species(scores, units, [reader], in_order=True)
    return numbers_of(geoscore(scores, truth, effort_M, watchlist_S=watchlist_S, ap_M=ap_M), reader)


def numbers_of(composite: GeoScore, effort: EffortReader) -> dict[str, float]:
    """Every metric of one seed that has to do with observer effort, from what it is made of.

    Args:
        composite: GeoScore.
        effort: What was read of the scores of all species, with the ends of effort as its classes.

    Returns:
        ``geoscore`` and its raw parts as ``geoscore_<part>``; ``effort_correlation`` and
        ``effort_correlation_of_truth``, see :class:`~presence_only.evaluation.effort_scores.EffortCorrelation`;
        ``species_map_sparse`` and ``species_map_dense``, mAP over the quarter of sites with the least and the most
        effort, over the species present in both; NaN where undefined.
    """
    follows = effort.correlation()
    sparse = dense = float("nan")
    if len(effort.ap_QS) > 1:
        both_S = ~np.isnan(effort.ap_QS).any(axis=0)
        if both_S.any():
            sparse, dense = (float(mean) for mean in effort.ap_QS[:, both_S].mean(axis=1))
    return {
        "geoscore": composite.value,
        **{f"geoscore_{name}": value for name, value in composite.raw.items()},
        "effort_correlation": follows.score,
        "effort_correlation_of_truth": follows.truth,
        "species_map_sparse": sparse,
        "species_map_dense": dense,
    }
