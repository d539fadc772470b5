"""Losses under torch.compile: graphs break at the checks of the data, values and slopes stay."""

import pytest
import torch
from test_loss_contract import build, leaves, make_batch, reseeded

from presence_only.losses import AssumeNegativeLoss, asymmetric_loss, focal_loss
from presence_only.losses.registry import loss_names

# The compiler warns about parts of torch that torch itself still uses.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(
    ("loss", "backend"),
    [(focal_loss, "inductor"), (asymmetric_loss, "aot_eager"), (AssumeNegativeLoss(2.0, 0), "aot_eager")],
)
def test_compiling_changes_nothing(loss, backend):
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    targets = torch.eye(4, 3)
    expected = loss(logits, targets)
    (slope,) = torch.autograd.grad(expected, logits)
    got = torch.compile(loss, backend=backend)(logits, targets)
    (compiled_slope,) = torch.autograd.grad(got, logits)
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(compiled_slope, slope, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", loss_names())
def test_compiling_a_registered_loss_changes_nothing(name):
    loss = build({"loss": name})
    batch = make_batch(loss, torch.float32)
    used = tuple(leaves(loss, batch).values())
    expected = loss(batch)
    got = torch.compile(loss, backend="aot_eager")(reseeded(batch))
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=0)
    slopes = [torch.autograd.grad(value, used) for value in (got, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-8)
