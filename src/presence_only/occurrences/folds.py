"""Blocks of an area, dealt to folds that have about as many records each.

Shape legend: B blocks.
"""

from __future__ import annotations

from heapq import heapreplace

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Ints


def deal(rows_B: Ints, folds: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """The fold of every block, shape (B,), the folds balanced by rows."""
    order_B = generator.permutation(len(rows_B))
    # Those of the same order of magnitude stay in random order.
    order_B = order_B[np.argsort(-np.floor(np.log2(rows_B[order_B])), kind="stable")]
    loads = [(0, fold) for fold in range(folds)]
    fold_B = np.empty(len(rows_B), dtype=np.int64)
    for block in order_B.tolist():
        load, fold = loads[0]
        fold_B[block] = fold
        heapreplace(loads, (load + int(rows_B[block]), fold))
    return fold_B
