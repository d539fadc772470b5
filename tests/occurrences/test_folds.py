"""Blocks dealt to folds."""

import numpy as np
from numpy.testing import assert_array_equal

from presence_only.occurrences.folds import deal


def test_folds_are_balanced_and_random():
    rng = np.random.default_rng(0)
    rows = np.maximum((10 ** rng.uniform(0, 3, 400)).astype(int), 1)
    folds = deal(rows, 5, np.random.default_rng(1))
    loads = np.bincount(folds, weights=rows)
    assert loads.max() / loads.min() < 1.02
    assert_array_equal(folds, deal(rows, 5, np.random.default_rng(1)))
    # Another seed deals most blocks otherwise.
    assert (folds == deal(rows, 5, np.random.default_rng(2))).mean() < 0.5
    assert_array_equal(np.sort(deal(np.array([9, 9, 9]), 3, np.random.default_rng(0))), [0, 1, 2])
