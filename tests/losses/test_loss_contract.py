"""The contract of ``support/losses.py`` for every loss that params.yaml can name."""

import pytest
from support.losses import VARIANTS, LossContract, describe


@pytest.fixture(params=VARIANTS, ids=describe)
def variant(request):
    return request.param


pytestmark = pytest.mark.usefixtures("way")


class TestEveryLoss(LossContract):
    """A loss that is registered is found by its name."""
