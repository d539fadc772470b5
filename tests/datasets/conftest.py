"""What tests of virtual worlds share."""

import pytest

from presence_only.datasets.virtual import dataset as dataset_module


@pytest.fixture(scope="module")
def fewer_places():
    """A tenth of the places that observers may visit, for speed; nothing tested depends on their number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset_module, "PLACES", 20_000)
        yield
