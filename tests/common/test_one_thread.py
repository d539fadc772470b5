"""Denormal numbers, which training rounds to 0 and scipy's trees need."""

import subprocess
import sys

PROGRAM = """
import numpy as np
from scipy.spatial import cKDTree
from presence_only.common.one_thread import keep_denormals, use_one_thread

use_one_thread()
assert np.float64(1e-310) * np.float64(0.5) == 0.0
keep_denormals()
assert np.float64(1e-310) * np.float64(0.5) > 0.0
# Most points share the coordinate 0, so that the tree moves a split off it.
points_N3 = np.random.default_rng(0).random((3000, 3))
points_N3[:2500, 2] = 0.0
print(cKDTree(points_N3).n)
"""


def test_a_tree_over_points_that_share_a_zero_is_built_after_a_training():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "3000"), done.stderr
