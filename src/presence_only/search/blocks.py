"""Presence-only records split by spatial blocks: those that a trial is fitted to, and those that it is judged by.

Blocks keep neighbours together: a held-out record next to a training record tests memory more than knowledge.

Source: Roberts et al. (2017), https://doi.org/10.1111/ecog.02881

Shape legend: N training rows, P positives, K background sites, S species of the fit, M held-out places, Q held-out
pairs of place and species, G taxon groups, B blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError
from presence_only.common.random_streams import numpy_stream
from presence_only.data.records import Background, PresenceRecords
from presence_only.data.training import TrainingData
from presence_only.geography.h3_cells import cells_of
from presence_only.occurrences.folds import deal
from presence_only.occurrences.training_rows import distinct
from presence_only.search.settings import HeldOutSettings

Bools = NDArray[np.bool_]

# Held-out records are compared with the background sites of their own blocks if there are so many, else with all.
ENOUGH_BACKGROUND = 1000


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a trial is judged by.

    A place is a site, or a site in one week, that has a held-out record.

    Args:
        sites_M2: Longitude, latitude of the places, degrees.
        covariates_MC: Their environment.
        week_M: Their weeks, where the records have weeks.
        place_Q: Place of every pair of place and species that was recorded, each pair once.
        species_Q: Its species, an index into the species of the fit, ascending.
        group_S: Taxon group of every species of the fit, an index.
        weight_GM: 1 / number of places of the group in the same cell of effort; 0 where the group was not recorded.
        background: The background sites that records are compared with.
        counts_GK: Which background sites count for a group.
    """

    sites_M2: Floats
    covariates_MC: Floats
    week_M: Ints | None
    place_Q: Ints
    species_Q: Ints
    group_S: Ints
    weight_GM: Floats
    background: Background
    counts_GK: Bools

    @property
    def judged(self) -> Ints:
        """The species with held-out records, ascending."""
        return np.unique(self.species_Q)


@dataclass(frozen=True, eq=False)
class Split:
    """Training data without a fold, and what the fold holds.

    Args:
        fit: What a trial is fitted to: the rows outside of the fold with all that belongs to them, the species that
            have one, and the background sites outside of the fold.
        held_out: What a trial is judged by: records inside of the fold of species that the fit has.
    """

    fit: TrainingData
    held_out: HeldOut


def split(data: TrainingData, settings: HeldOutSettings, fold: int) -> Split:
    """Hold a fold out of training data.

    The background sites of the fold leave training as its records do. A loss that assumes background sites empty
    would otherwise be taught that no species lives where its records were taken out.

    Args:
        data: All training data.
        settings: Blocks and folds.
        fold: Which fold is held out, counted from 0.

    Raises:
        DataError: If there are fewer blocks with records than folds, or nothing is left to fit, or to judge by.
    """
    fold_N, fold_K = folds_of(data, settings)
    held_N, held_K = fold_N == fold, fold_K == fold
    if held_K.all():
        raise DataError(
            f"search.held_out: fold {fold} of {settings.folds} takes all background sites; take more folds, or finer "
            "blocks by a greater resolution"
        )
    fit, kept_S = _fit(data, ~held_N, ~held_K)
    return Split(fit, _held_out(data, settings, held_N, held_K, kept_S))


def folds_of(data: TrainingData, settings: HeldOutSettings) -> tuple[Ints, Ints]:
    """The fold of every training row, shape (N,), and of every background site, shape (K,).

    Blocks with records are dealt so that folds have about as many rows, the other blocks so that they have about as
    many background sites.

    Raises:
        DataError: If there are fewer blocks with records than folds.
    """
    block_N = cells_of(data.records.sites_N2, settings.resolution)
    block_K = cells_of(data.background.sites_K2, settings.resolution)
    blocks_B, rows_B = np.unique(block_N, return_counts=True)
    if len(blocks_B) < settings.folds:
        raise DataError(
            f"search.held_out: the records lie in {len(blocks_B)} h3 cells of resolution {settings.resolution}, fewer "
            f"than folds = {settings.folds}; take a greater resolution or fewer folds"
        )
    fold_B = deal(rows_B, settings.folds, numpy_stream(settings.seed, "blocks with records"))
    others_B, sites_B = np.unique(block_K[~np.isin(block_K, blocks_B)], return_counts=True)
    other_fold_B = deal(sites_B, settings.folds, numpy_stream(settings.seed, "blocks without records"))
    all_B, all_folds_B = np.concatenate([blocks_B, others_B]), np.concatenate([fold_B, other_fold_B])
    order_B = np.argsort(all_B)
    all_B, all_folds_B = all_B[order_B], all_folds_B[order_B]
    return all_folds_B[np.searchsorted(all_B, block_N)], all_folds_B[np.searchsorted(all_B, block_K)]


def _fit(data: TrainingData, rows_N: Bools, sites_K: Bools) -> tuple[TrainingData, Bools]:
    """The training data of some rows and background sites, and which species it has, shape (S of all,)."""
    records = data.records
    kept_P = rows_N[records.row_P]
    kept_S = np.bincount(records.species_P[kept_P], minlength=records.n_species) > 0
    new_N, new_S = np.cumsum(rows_N) - 1, np.cumsum(kept_S) - 1
    names = np.flatnonzero(kept_S).tolist()
    fit = PresenceRecords(
        sites_N2=records.sites_N2[rows_N],
        covariates_NC=records.covariates_NC[rows_N],
        row_P=new_N[records.row_P[kept_P]],
        species_P=new_S[records.species_P[kept_P]],
        species=tuple(records.species[s] for s in names),
        groups=tuple(records.groups[s] for s in names),
        covariate_names=records.covariate_names,
        week_N=None if records.week_N is None else records.week_N[rows_N],
    )
    return TrainingData(fit, _some(data.background, sites_K)), kept_S


def _some(background: Background, sites_K: Bools) -> Background:
    """Some of the background sites."""
    groups, week_K = background.groups_K, background.week_K
    return replace(
        background,
        sites_K2=background.sites_K2[sites_K],
        covariates_KC=background.covariates_KC[sites_K],
        groups_K=None if groups is None else tuple(groups[k] for k in np.flatnonzero(sites_K)),
        week_K=None if week_K is None else week_K[sites_K],
    )


def _held_out(data: TrainingData, settings: HeldOutSettings, held_N: Bools, held_K: Bools, kept_S: Bools) -> HeldOut:
    """The places and pairs of the held-out rows; only pairs of species that the fit has are judged."""
    records = data.records
    sites_N2 = records.sites_N2[held_N]
    week_N = None if records.week_N is None else records.week_N[held_N]
    first_M, place_N = distinct(*sites_N2.T, *([] if week_N is None else [week_N]))
    held_P = held_N[records.row_P]
    place_P = place_N[(np.cumsum(held_N) - 1)[records.row_P[held_P]]]
    species_P = records.species_P[held_P]

    names, group_S = np.unique(np.array(records.groups), return_inverse=True)
    visited_GM = np.zeros((len(names), len(first_M)), dtype=bool)
    visited_GM[group_S[species_P], place_P] = True
    sites_M2 = sites_N2[first_M]

    new_S = np.cumsum(kept_S) - 1
    known_P = kept_S[species_P]
    pairs_Q = np.unique(new_S[species_P[known_P]] * len(first_M) + place_P[known_P])
    if not len(pairs_Q):
        raise DataError(
            f"search.held_out: no species has records both inside and outside of a fold of {settings.folds}; take "
            "finer blocks by a greater resolution"
        )
    species_Q, place_Q = np.divmod(pairs_Q, len(first_M))
    enough = np.count_nonzero(held_K) >= ENOUGH_BACKGROUND
    background = _some(data.background, held_K) if enough else data.background
    counts_GK = np.ones((len(names), len(background.sites_K2)), dtype=bool)
    if background.groups_K is not None:
        group_K = np.array(background.groups_K)
        counts_GK = (group_K[None, :] == names[:, None]) | (group_K == "")[None, :]
    return HeldOut(
        sites_M2=sites_M2,
        covariates_MC=records.covariates_NC[held_N][first_M],
        week_M=None if week_N is None else week_N[first_M],
        place_Q=place_Q,
        species_Q=species_Q,
        group_S=group_S[kept_S],
        weight_GM=_even_effort(visited_GM, cells_of(sites_M2, settings.effort_cells)),
        background=background,
        counts_GK=counts_GK,
    )


def _even_effort(visited_GM: Bools, cell_M: NDArray[np.uint64]) -> Floats:
    """Weights by which the places of a group in one cell weigh 1 together, 0 where the group was not recorded."""
    _, place_M = np.unique(cell_M, return_inverse=True)
    weight_GM = np.zeros(visited_GM.shape)
    for visited_M, weight_M in zip(visited_GM, weight_GM, strict=True):
        places_M = np.bincount(place_M, weights=visited_M)[place_M]
        np.divide(1.0, places_M, out=weight_M, where=visited_M)
    return weight_GM
