"""Fit a forest to presence-only records: one for each taxon group, whose species share its trees.

What a forest tells apart is the species of a taxon group: a site of the group's records without a species stands for
its absence, as in a target-group background, and some background sites for places without any.

Shape legend: N training rows, K background sites, R rows that a forest is fitted to, F features, S species, X species
of a group.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from presence_only.common.arrays import Floats, Ints
from presence_only.common.random_streams import numpy_stream, stream_seed
from presence_only.data.training import TrainingData
from presence_only.losses.species_weights import weights_by_records
from presence_only.model.features import Features
from presence_only.model.forest import Forest, ForestSettings, Trees
from presence_only.model.settings import EncoderSettings


def fit_forest(
    data: TrainingData, encoder: EncoderSettings, settings: ForestSettings, seed: int
) -> tuple[Forest, float]:
    """Fit the trees of every taxon group.

    Args:
        data: All that training may see.
        encoder: What the trees read; nothing of its network is used.
        settings: Number and size of the trees.
        seed: Fixes every draw; on the same machine the result is the same bit for bit.

    Returns:
        The forest in evaluation mode, and the seconds that the fit took.

    Raises:
        DataError: If the encoder needs covariates or weeks that the data does not have.
    """
    began = time.perf_counter()
    records = data.records
    features = Features(encoder, len(records.covariate_names), weeks=records.week_N is not None).fit(data)
    features_NF = features(records.sites_N2, records.covariates_NC, records.week_N).numpy()
    names, group_S = np.unique(np.array(records.groups), return_inverse=True)
    empty_K = _sites_without_records(data)
    parts = []
    for group, name in enumerate(names):
        species_X = np.flatnonzero(group_S == group)
        rows_N, present_RX = _rows(data, species_X)
        sites_K = _background(data, name, empty_K, len(rows_N), settings.background_share, seed)
        background = data.background
        week_K = None if background.week_K is None else background.week_K[sites_K]
        empty_RF = features(background.sites_K2[sites_K], background.covariates_KC[sites_K], week_K).numpy()
        features_RF = np.concatenate([features_NF[rows_N], empty_RF])
        present_RX = np.concatenate([present_RX, np.zeros((len(sites_K), len(species_X)))])
        parts.append(_fit_group(features_RF, present_RX, settings, stream_seed(seed, f"forest of {name}")))
    column_S = np.empty(len(group_S), dtype=np.int64)
    for group in range(len(names)):
        column_S[group_S == group] = np.arange(np.count_nonzero(group_S == group))
    trees = _side_by_side(
        parts,
        torch.from_numpy(column_S),
        torch.from_numpy(group_S.astype(np.int64)),
        least_share=0.25 / settings.min_leaf,
    )
    return Forest(features, trees).eval(), time.perf_counter() - began


def _rows(data: TrainingData, species_X: Ints) -> tuple[Ints, Floats]:
    """The training rows with one of these species, and which of them each row has, (R, X)."""
    records = data.records
    own_P = np.isin(records.species_P, species_X)
    rows_R, row_P = np.unique(records.row_P[own_P], return_inverse=True)
    present_RX = np.zeros((len(rows_R), len(species_X)))
    present_RX[row_P, np.searchsorted(species_X, records.species_P[own_P])] = 1
    return rows_R, present_RX


def _sites_without_records(data: TrainingData) -> NDArray[np.bool_]:
    """Which background sites are no site of a record, (K,)."""
    # A site as one complex number: both coordinates must be equal.
    records_N, background_K = (
        sites[:, 0] + 1j * sites[:, 1] for sites in (data.records.sites_N2, data.background.sites_K2)
    )
    return ~np.isin(background_K, records_N)


def _background(
    data: TrainingData, group: str, empty_K: NDArray[np.bool_], n_rows: int, share: float, seed: int
) -> Ints:
    """Background sites of a taxon group, drawn without replacement from those where nothing was recorded."""
    groups_K = data.background.groups_K
    counts_K = empty_K
    if groups_K is not None:
        own = np.array(groups_K)
        counts_K = empty_K & ((own == group) | (own == ""))
    sites_K = np.flatnonzero(counts_K)
    wanted = min(round(n_rows * share / (1 - share)), len(sites_K))
    return np.sort(numpy_stream(seed, f"background of the forest of {group}").choice(sites_K, wanted, replace=False))


def _fit_group(features_RF: Floats, present_RX: Floats, settings: ForestSettings, seed: int) -> list[Any]:
    """The fitted trees of one group, as scikit-learn has them, with shares as their values."""
    # Imported here: it takes a second, which studies without a forest need not wait for.
    from sklearn.ensemble import ExtraTreesRegressor

    n_X = torch.from_numpy(present_RX.sum(axis=0))
    share_X = present_RX.mean(axis=0)
    # A split is judged by the variance it explains of all species; the weights say how much each one counts.
    variance_X = np.maximum(share_X * (1 - share_X), 1e-12)
    scale_X = np.sqrt(weights_by_records(n_X, settings.weighting).numpy() / variance_X)
    scale_X /= scale_X.mean()
    forest = ExtraTreesRegressor(
        settings.trees,
        min_samples_leaf=min(settings.min_leaf, len(features_RF)),
        max_features=settings.feature_share,
        bootstrap=True,
        random_state=seed % 2**32,
        n_jobs=1,
    ).fit(features_RF, np.squeeze(present_RX * scale_X, axis=1) if len(n_X) == 1 else present_RX * scale_X)
    return [(one.tree_, one.tree_.value[:, :, 0] / scale_X) for one in forest.estimators_]


def _side_by_side(groups: list[list[Any]], column_S: Tensor, group_S: Tensor, *, least_share: float) -> Trees:
    """The trees of all groups as one."""
    width = max(share_NX.shape[1] for group in groups for _, share_NX in group)
    features, thresholds, lefts, rights, leaf_numbers, roots, shares = [], [], [], [], [], [], []
    n_nodes = n_leaves = depth = 0
    for tree, share_NX in (one for group in groups for one in group):
        own_N = np.arange(tree.node_count)
        is_leaf_N = tree.children_left < 0
        features.append(np.where(is_leaf_N, 0, tree.feature))
        thresholds.append(np.where(is_leaf_N, 0, _rounded_down(tree.threshold)))
        lefts.append(np.where(is_leaf_N, own_N, tree.children_left) + n_nodes)
        rights.append(np.where(is_leaf_N, own_N, tree.children_right) + n_nodes)
        leaf_numbers.append(np.where(is_leaf_N, np.cumsum(is_leaf_N) - 1 + n_leaves, 0))
        roots.append(n_nodes)
        shares.append(np.pad(share_NX[is_leaf_N], ((0, 0), (0, width - share_NX.shape[1]))))
        n_nodes, n_leaves = n_nodes + len(own_N), n_leaves + int(is_leaf_N.sum())
        depth = max(depth, int(tree.max_depth))

    def joined(parts: list[NDArray[Any]], dtype: torch.dtype) -> Tensor:
        return torch.from_numpy(np.concatenate(parts)).to(dtype)

    return Trees(
        feature_N=joined(features, torch.int64),
        threshold_N=joined(thresholds, torch.float32),
        left_N=joined(lefts, torch.int64),
        right_N=joined(rights, torch.int64),
        leaf_N=joined(leaf_numbers, torch.int64),
        root_T=torch.tensor(roots),
        trees_G=tuple(len(group) for group in groups),
        share_LX=joined(shares, torch.float16),
        column_S=column_S,
        group_S=group_S,
        depth=depth,
        least_share=least_share,
    )


def _rounded_down(threshold_N: Floats) -> NDArray[np.float32]:
    """The largest float32 that is not above: features in float32 are on the same side of it."""
    single_N = threshold_N.astype(np.float32)
    lower_N: NDArray[np.float32] = np.where(
        single_N > threshold_N, np.nextafter(single_N, np.float32(-np.inf)), single_N
    )
    return lower_N
