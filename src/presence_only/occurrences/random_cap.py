"""Random cap: at most so many records of every species, or of every species and cell.

Shape legend: N records.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Ints


def at_most(group_N: Ints, limit: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Which records stay if no group may have more than ``limit``: the first ones of one random order of all records.

    Source: the cap of Cole et al. (2023), https://github.com/elijahcole/sinr, datasets.py

    Args:
        group_N: Number of the group of every record, such as its species.
        limit: At least 1.
        generator: Source of the one permutation.
    """
    order_N = generator.permutation(len(group_N))
    # Stable, so that within a group the records keep their random order.
    by_group_N = order_N[np.argsort(group_N[order_N], kind="stable")]
    sorted_N = group_N[by_group_N]
    rank_N = np.arange(len(sorted_N)) - np.searchsorted(sorted_N, sorted_N)
    kept_N = np.zeros(len(group_N), dtype=np.bool_)
    kept_N[by_group_N[rank_N < limit]] = True
    return kept_N
