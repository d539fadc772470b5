"""Values of the criteria for a trained model, from held-out records alone.

Shape legend: M held-out places, K background sites, S species of the model, J judged species, s some of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from presence_only.common.arrays import mean_where_defined
from presence_only.common.errors import DivergenceError
from presence_only.model.interface import SpeciesModel
from presence_only.search.blocks import HeldOut
from presence_only.search.criteria import CRITERIA, SpeciesScores

# Species whose scores are held at a time.
_CHUNK = 64


def judge(model: SpeciesModel, held_out: HeldOut, names: Iterable[str] = tuple(CRITERIA)) -> dict[str, float]:
    """The mean over judged species of some criteria, by default of all.

    Args:
        model: Trained on the fit of the same split, in evaluation mode.
        held_out: What to judge by.
        names: Of :data:`CRITERIA`.

    Returns:
        Criterion to its mean over the species for which it is defined; NaN if there is none.

    Raises:
        DivergenceError: If a score is not finite.
    """
    wanted = tuple(names)
    values = {name: np.full(len(held_out.judged), np.nan) for name in wanted}
    for j, scores in enumerate(species_scores(model, held_out)):
        for name in wanted:
            values[name][j] = CRITERIA[name].of_species(scores)
    return {name: mean_where_defined(values_J) for name, values_J in values.items()}


def species_scores(model: SpeciesModel, held_out: HeldOut) -> Iterator[SpeciesScores]:
    """What a model says of every judged species, in their order.

    Raises:
        DivergenceError: If a score is not finite.
    """
    judged_J = held_out.judged
    background = held_out.background
    places = held_out.sites_M2, held_out.covariates_MC, held_out.week_M
    at_places = model.scores(*places, species_Q=judged_J)
    sites = background.sites_K2, background.covariates_KC, background.week_K
    at_background = model.scores(*sites, species_Q=judged_J)
    bounds = np.searchsorted(held_out.species_Q, np.append(judged_J, judged_J[-1] + 1))
    for start in range(0, len(judged_J), _CHUNK):
        part = slice(start, start + _CHUNK)
        places_Ms, background_Ks = at_places.columns(part), at_background.columns(part)
        if not (np.isfinite(places_Ms).all() and np.isfinite(background_Ks).all()):
            raise DivergenceError("scores of held-out places are not finite: lower training.learning_rate")
        first_last = pairwise(bounds[start : start + places_Ms.shape[1] + 1].tolist())
        for i, (first, last) in enumerate(first_last):
            group = held_out.group_S[judged_J[start + i]]
            weight_M = held_out.weight_GM[group]
            recorded_P = held_out.place_Q[first:last]
            other_M = weight_M > 0
            other_M[recorded_P] = False
            yield SpeciesScores(
                recorded_P=places_Ms[recorded_P, i],
                recorded_weight_P=weight_M[recorded_P],
                others_A=places_Ms[other_M, i],
                others_weight_A=weight_M[other_M],
                background_K=background_Ks[held_out.counts_GK[group], i],
            )
