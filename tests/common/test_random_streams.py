"""Random streams by name."""

import subprocess
import sys

import numpy as np
import pytest

from presence_only.common.random_streams import numpy_stream, stream, stream_seed

DRAWS = {
    "numpy": lambda *of: numpy_stream(*of).integers(0, 2**62, 4).tolist(),
    "torch": lambda *of: stream(*of).initial_seed(),
    "seed": stream_seed,
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_stream_depends_on_its_seed_and_on_its_name_alone(draw):
    assert draw(0, "folds") == draw(0, "folds")
    many = [draw(seed, name) for seed in (0, 1, 2**31) for name in ("folds", "fold", "s", "/folds")]
    assert len({str(drawn) for drawn in many}) == len(many)


def test_the_seeds_never_change():
    """All results of all studies hang on them."""
    assert stream_seed(0, "batches") == 5237782742855521824
    assert stream(0, "batches").initial_seed() == stream_seed(0, "batches")
    assert numpy_stream(3, "folds").random() == np.random.default_rng(stream_seed(3, "folds")).random()


def test_a_pinned_stream_keeps_its_number_and_a_new_one_beside_it_needs_none():
    pinned = {"species": 0, "towns": 1}
    assert numpy_stream(7, "towns", pinned).random() == np.random.default_rng([7, 1]).random()
    assert numpy_stream(7, "rivers", pinned).random() == numpy_stream(7, "rivers").random()


def test_who_makes_data_does_not_wait_for_torch():
    code = (
        "import sys; from presence_only.common.random_streams import numpy_stream;"
        "from presence_only.datasets import KINDS;"
        "from presence_only.common.registry import resolve; [resolve(entry) for entry in KINDS.values()];"
        "numpy_stream(0, 'x'); sys.exit(' '.join({'torch', 'sklearn'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
