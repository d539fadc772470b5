"""How far the scores of several trainings, or of the members of a blend, lie apart.

Shape legend: M sites, C covariates, S species, s some of them, K seeds or members, R reference sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats
from presence_only.model.blend import Blend
from presence_only.model.interface import SpeciesModel
from presence_only.model.range_map import MapError, Sample, suitability

# What a spread is taken over: trainings that differ by chance alone, or the members of a blend, which differ by more.
SpreadOver = Literal["seeds", "members"]


def parts_of(models: Sequence[SpeciesModel], kind: SpreadOver) -> tuple[SpeciesModel, ...]:
    """The models whose scores a spread is taken over: the seeds themselves, or the members of the blends they are.

    Raises:
        MapError: If they are fewer than two, or if members are asked for and no model is a blend.
    """
    parts = list(models)
    if kind == "members":
        parts = [part for m in models for part in (m.members if isinstance(m, Blend) else [m])]  # type: ignore[misc]
    blend = any(isinstance(m, Blend) for m in models)
    if kind == "members" and not blend:
        raise MapError("--spread members: the run is no blend, and has no members; take --spread for its seeds")
    if len(parts) < 2:
        advice = "take --spread members" if blend else f"it has {len(parts)} model and is no blend: train more seeds"
        raise MapError(f"--spread {kind}: needs a run of two {kind} or more; {advice}")
    return tuple(parts)


@dataclass(frozen=True)
class Reference:
    """Sites among which a score has a rank.

    Args:
        sites_R2: Longitude, latitude in degrees; at least one.
        covariates_RC: Covariates there, NaN where unknown.
    """

    sites_R2: Floats
    covariates_RC: Floats


def spread(
    parts: Sequence[SpeciesModel],
    sites_M2: Floats,
    sample: Sample | None,
    species: slice,
    week: int | None,
    reference: Reference | None = None,
) -> NDArray[np.float32]:
    """Standard deviation (M, s) of relative suitability, or of its rank, over models.

    Of the score, it has the unit of the map beside it; like any score between 0 and 1 it is small near both ends. Of
    the rank, it is the same whatever level and scale a training gives its scores, which some losses leave to chance.
    Ranks are among fixed sites, so that neither depends on which other places or species are asked for.

    Args:
        parts: At least two, see :func:`parts_of`; they are a sample, so that the divisor is K - 1.
        sites_M2: As of :func:`~presence_only.model.range_map.suitability`.
        sample: As of :func:`suitability`.
        species: As of :func:`suitability`.
        week: As of :func:`suitability`; None: of the mean over the year.
        reference: Of the rank, which is the share of these sites that score lower, equal ones counting half; None: of
            the score.

    Returns:
        Within 0..0.71, NaN where :func:`suitability` is.
    """
    scores_KMs = [suitability([part], sites_M2, sample, species, week).astype(np.float64) for part in parts]
    unknown_Ms = np.isnan(scores_KMs).any(axis=0)
    if reference is not None:
        scores_KMs = [_rank(part, sites_M2, sample, species, week, reference) for part in parts]
    result: NDArray[np.float32] = np.std(scores_KMs, axis=0, ddof=1).astype(np.float32)
    result[unknown_Ms] = np.nan
    return result


def _rank(
    part: SpeciesModel, sites_M2: Floats, sample: Sample | None, species: slice, week: int | None, reference: Reference
) -> NDArray[np.float64]:
    """Share (M, s) of the reference sites that score lower, of logits, since sigmoids round to 1."""

    def logits(sites: Floats, covariates: Floats) -> NDArray[np.float32]:
        weeks = None if week is None else np.full(len(sites), week)
        return part.scores(sites, covariates, weeks).columns(species)

    nothing_MC = np.zeros((len(sites_M2), part.n_covariates), np.float32)
    own_Ms = logits(sites_M2, nothing_MC if sample is None else sample(sites_M2))
    other_Rs = np.sort(logits(reference.sites_R2, reference.covariates_RC), axis=0)
    twice = [
        np.searchsorted(other_R, own_M, "left") + np.searchsorted(other_R, own_M, "right")
        for own_M, other_R in zip(own_Ms.T, other_Rs.T, strict=True)
    ]
    return np.stack(twice, axis=1) / (2 * len(other_Rs))
