"""The order of the tests: the longest file first, so that other processes work beside it (`make test`)."""

LONGEST = "test_pipeline.py"


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name != LONGEST)
