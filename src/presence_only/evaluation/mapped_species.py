"""The species whose ranges a report maps, chosen by prevalence, and their scores at the survey's sites.

Shape legend: M survey sites, S species.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from presence_only.model.interface import Scores

Array = NDArray[Any]


def choose_by_prevalence(prevalence_S: Array, n: int = 4) -> tuple[int, ...]:
    """Species to show, by a rule that cannot favour a loss: the middle of each of ``n`` classes of prevalence.

    Species are put in order of prevalence, then index, and cut into n equal parts; the middle one of each is
    taken, the rarest first. Species without presences take no part.

    Raises:
        ValueError: If ``n`` is less than 1.
    """
    if n < 1:
        raise ValueError(f"n = {n}: must be at least 1")
    prevalence_S = np.asarray(prevalence_S, dtype=np.float64)
    present = np.flatnonzero(np.nan_to_num(prevalence_S) > 0)
    order = present[np.argsort(prevalence_S[present], kind="stable")]
    if not len(order):
        return ()
    places = ((np.arange(n) + 0.5) / n * len(order)).astype(np.int64)
    return tuple(int(order[place]) for place in dict.fromkeys(places.tolist()))


def scores_to_map(scores: Scores, prevalence_S: Array) -> pl.DataFrame:
    """The scores of the species that a report maps.

    Args:
        scores: Logits at the M survey sites.
        prevalence_S: Share of surveyed sites where a species is present; NaN where it was surveyed nowhere.

    Returns:
        Columns ``species``, the index of a species, and ``score``, within 0..1: M rows per species, in the order of
        the sites.
    """
    chosen = choose_by_prevalence(prevalence_S)
    columns = [expit(scores.columns(slice(s, s + 1))[:, 0]) for s in chosen]
    return pl.DataFrame(
        {
            "species": np.repeat(np.array(chosen, dtype=np.int64), scores.shape[0]),
            "score": np.concatenate(columns) if columns else np.empty(0, dtype=np.float32),
        }
    )
