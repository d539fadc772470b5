"""Losses under torch.compile: graphs break at the checks of the data, values and slopes stay."""

import shutil

import pytest
import torch
from support.losses import build, leaves, make_batch, reseeded

from presence_only.losses import AssumeNegativeLoss, asymmetric_loss, focal_loss, full_weighted, nnpu

# The compiler warns about parts of torch that torch itself still uses.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("loss", [focal_loss, asymmetric_loss, AssumeNegativeLoss(2.0, 0)])
def test_compiling_a_public_loss_changes_nothing(loss):
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    targets = torch.eye(4, 3)
    expected = loss(logits, targets)
    (slope,) = torch.autograd.grad(expected, logits)
    got = torch.compile(loss, backend="aot_eager")(logits, targets)
    (compiled_slope,) = torch.autograd.grad(got, logits)
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(compiled_slope, slope, rtol=1e-5, atol=1e-9)


# One of every kind: dense, with margin, drawn, softmax over sites and over species, several tasks.
@pytest.mark.parametrize("name", ["an_full", "asl", "an_slds_me", "maxent", "softmax", "multitask"])
def test_compiling_a_loss_of_the_pipeline_changes_nothing(name):
    loss = build({"loss": name})
    batch = make_batch(loss, torch.float32)
    used = tuple(leaves(loss, batch).values())
    expected = loss(batch)
    got = torch.compile(loss, backend="aot_eager")(reseeded(batch))
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=0)
    slopes = [torch.autograd.grad(value, used) for value in (got, expected)]
    torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-8)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch's default backend needs a C++ compiler")
@pytest.mark.parametrize("loss", [lambda x, y: nnpu(x, y, 0.3), lambda x, y: full_weighted(x, y, lambda2=1.0)])
def test_the_default_backend_keeps_the_slopes_of_sums_over_rows(loss):
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    targets = torch.eye(4, 3)
    slopes = [torch.autograd.grad(run(logits, targets), logits)[0] for run in (loss, torch.compile(loss))]
    torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-5, atol=1e-7)
