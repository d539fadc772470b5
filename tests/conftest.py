"""The order of the tests: the longest file first, so that the other processes work beside it."""

LONGEST = "test_pipeline.py"


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name != LONGEST)
