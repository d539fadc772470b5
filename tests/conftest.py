"""The order of the tests: the longest file first, so that the other processes work beside it; torch as it was."""

import sys

import pytest

LONGEST = "test_pipeline.py"


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name != LONGEST)


@pytest.fixture(autouse=True)
def _torch_as_it_was():
    """What trains or scores sets these for its process; other tests look at the smallest numbers."""
    threads = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    yield
    if threads is not None:
        sys.modules["torch"].set_num_threads(threads)
        sys.modules["torch"].set_flush_denormal(False)
