"""The order of the tests: the longest files first, so that the other processes work beside them; torch as it was."""

import sys

import pytest

LONGEST = (
    "test_pipeline.py",
    "test_kills.py",
    "test_mlflow_store.py",
    "test_repeatability.py",
    "test_damaged_files.py",
    "test_full_disk.py",
)


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(LONGEST)))


@pytest.fixture(autouse=True)
def _torch_as_it_was():
    """What trains or scores sets these for its process; other tests look at the smallest numbers."""
    threads = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    yield
    if threads is not None:
        sys.modules["torch"].set_num_threads(threads)
        sys.modules["torch"].set_flush_denormal(False)
