"""Small tensors: threads that wait for each other would cost ten times the work."""

import pytest
import torch

from presence_only.losses import fast_curves, host_reads

# The assertions of the shared contract show their values too.
pytest.register_assert_rewrite("support.losses")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=["cpu", "gpu"])
def way(request, monkeypatch):
    """The CPU's way to compute a loss, and a GPU's, which asks for no value: here both on the CPU."""
    if request.param == "gpu":
        monkeypatch.setattr(host_reads, "HOST", "none")
    fast_curves._agrees.cache_clear()
    yield request.param
    fast_curves._agrees.cache_clear()
