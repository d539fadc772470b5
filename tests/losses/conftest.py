"""Small tensors: threads that wait for each other would cost ten times the work."""

import pytest
import torch

# The assertions of the shared contract show their values too.
pytest.register_assert_rewrite("support.losses")


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
