"""The species list with the highest expected F1, from probabilities of presence.

Shape legend: B places, S species, K places of a list (ranks), A counts of species. Probabilities are within 0..1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from presence_only.common.array_likes import real_numbers

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Numbers that are held at a time.
_HELD = 2**22


def expected_f1(falling_S: ArrayLike) -> Floats:
    """The expected F1 of the lists of the k most probable species, for every k from 0 to S; shape (S + 1,).

    Species are taken as independent of each other at the place. F1 of a list is twice the number of its species that
    are present, over its length plus the number of species present; that of the empty list is 1 where nothing is
    present, and 0 otherwise. It is exact, by dynamic programming in a time that grows with the square of S.

    Source: Ye et al. (2012), https://arxiv.org/abs/1206.4625

    Args:
        falling_S: Probabilities of presence, the highest first.

    Raises:
        ValueError: If they do not fall, or one lies outside of 0..1.
    """
    f1_K: Floats = _expected_f1(_checked(real_numbers("probabilities", falling_S)[None]))[0]
    return f1_K


def best_lengths(falling_BS: ArrayLike) -> Ints:
    """The length of the list with the highest expected F1 at every place, shape (B,); of equal ones the shortest.

    For independent species no other set has a higher expected F1 than the most probable species of this number.

    Source: Lewis (1995), https://doi.org/10.1145/215206.215366, theorem on ranking by probability

    Args:
        falling_BS: Probabilities of presence at every place, the highest first.

    Raises:
        ValueError: If those of a place do not fall, or one lies outside of 0..1.
    """
    falling_BS = _checked(real_numbers("probabilities", falling_BS))
    n_species = falling_BS.shape[1]
    step = max(1, _HELD // max(1, n_species**2))
    parts = [_expected_f1(falling_BS[start : start + step]).argmax(axis=1) for start in range(0, len(falling_BS), step)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def _checked(falling_BS: Array) -> Floats:
    if falling_BS.ndim != 2:
        raise ValueError(f"probabilities have shape {falling_BS.shape}: must be (places, species)")
    if not ((falling_BS >= 0) & (falling_BS <= 1)).all():
        raise ValueError("probabilities must lie within 0..1, none missing")
    if (np.diff(falling_BS, axis=1) > 0).any():
        raise ValueError("probabilities must stand in falling order, the highest first")
    return falling_BS.astype(np.float64)


def _expected_f1(falling_BS: Floats) -> Floats:
    n_places, n_species = falling_BS.shape
    # Of the first k species, the probability that a are present: row k of a triangle.
    among_BKA = np.zeros((n_places, n_species + 1, n_species + 1))
    among_BKA[:, 0, 0] = 1
    for k in range(n_species):
        p_B1 = falling_BS[:, k, None]
        among_BKA[:, k + 1, : k + 2] = among_BKA[:, k, : k + 2] * (1 - p_B1)
        among_BKA[:, k + 1, 1 : k + 2] += among_BKA[:, k, : k + 1] * p_B1
    f1_BK = np.empty((n_places, n_species + 1))
    f1_BK[:, 0] = among_BKA[:, n_species, 0]
    # Mean of 1 / (a + number of present species beyond the first k), for a from 1 to 2 k.
    inverse_BA = np.broadcast_to(1 / np.arange(1.0, 2 * n_species + 1), (n_places, 2 * n_species)).copy()
    for k in range(n_species, 0, -1):
        counts_A = np.arange(1, k + 1)
        # Length k and a of the list present: a / (k + a + those beyond).
        f1_BK[:, k] = 2 * (counts_A * among_BKA[:, k, 1 : k + 1] * inverse_BA[:, k : 2 * k]).sum(axis=1)
        p_B1 = falling_BS[:, k - 1, None]
        inverse_BA = inverse_BA[:, : 2 * k - 2] * (1 - p_B1) + inverse_BA[:, 1 : 2 * k - 1] * p_B1
    return f1_BK
