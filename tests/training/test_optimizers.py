import subprocess
import sys

import numpy as np
import pytest
import torch

from presence_only.training.optimizers import DenseAdam, RowAdam

D = 3


@pytest.mark.parametrize("decoupled", [False, True], ids=["adam", "adamw"])
@pytest.mark.parametrize(("weight_decay", "beta2"), [(0.0, 0.999), (0.1, 0.999), (0.0, 0.95)])
def test_dense_adam_is_torchs_own_bit_for_bit(decoupled, weight_decay, beta2):
    source = torch.Generator().manual_seed(0)
    theirs = [torch.randn(n, D, generator=source).requires_grad_() for n in (4, 7)]
    mine = [parameter.detach().clone().requires_grad_() for parameter in theirs]
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    reference = kind(theirs, lr=0.01, betas=(0.9, beta2), weight_decay=weight_decay, fused=True)
    optimizer = DenseAdam(mine, beta2=beta2, weight_decay=weight_decay, decoupled=decoupled)
    for step in range(20):
        for one, other in zip(theirs, mine, strict=True):
            one.grad = torch.randn(one.shape, generator=source)
            other.grad = one.grad.clone()
        rate = 0.01 / (step + 1)
        for group in reference.param_groups:
            group["lr"] = rate
        reference.step()
        optimizer.step(rate)
    assert all(torch.equal(one, other) for one, other in zip(theirs, mine, strict=True))


def test_a_parameter_without_gradient_stays_and_gradients_are_forgotten():
    still, moved = torch.ones(2, D).requires_grad_(), torch.ones(2, D).requires_grad_()
    optimizer = DenseAdam([still, moved])
    optimizer.step(0.1)  # no gradient anywhere
    moved.grad = torch.ones(2, D)
    optimizer.step(0.1)
    assert torch.equal(still, torch.ones(2, D))
    assert moved.detach().numpy() == pytest.approx(np.full((2, D), 0.9))
    optimizer.zero_grad()
    assert moved.grad is None


def test_training_does_not_import_torchs_compiler():
    # It takes two seconds in every process.
    code = (
        "import sys, torch; from presence_only.training.optimizers import DenseAdam\n"
        "weight = torch.ones(2, requires_grad=True); optimizer = DenseAdam([weight]); optimizer.zero_grad()\n"
        "weight.sum().backward(); optimizer.step(0.1); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("beta2", [0.999, 0.95])
def test_row_adam_with_all_rows_is_adam(beta2):
    source = torch.Generator().manual_seed(0)
    start = torch.randn(6, D, generator=source)
    theirs, mine = start.clone().requires_grad_(), start.clone()
    adam, rows = torch.optim.Adam([theirs], lr=0.01, betas=(0.9, beta2)), RowAdam(mine, beta2)
    for _ in range(20):
        gradient = torch.randn(6, D, generator=source)
        theirs.grad = gradient
        adam.step()
        rows.step(torch.arange(6), gradient, 0.01)
    np.testing.assert_allclose(mine, theirs.detach(), rtol=1e-5, atol=1e-6)


def test_row_adam_leaves_other_rows_and_their_moments_alone():
    source = torch.Generator().manual_seed(0)
    start = torch.randn(6, D, generator=source)
    weight = start.clone()
    optimizer = RowAdam(weight)
    taken = torch.tensor([1, 4])
    alone = start[taken].clone()
    reference = RowAdam(alone)
    for step in range(10):
        gradient = torch.randn(2, D, generator=source)
        optimizer.step(taken, gradient, 0.1)
        reference.step(torch.arange(2), gradient, 0.1)
        optimizer.step(torch.tensor([5]), gradient[:1], 0.1)
        assert torch.equal(weight[[0, 2, 3]], start[[0, 2, 3]]), step
    # Steps that took other rows count for nothing.
    assert torch.equal(weight[taken], alone)
    assert optimizer.moments_2SD[:, [0, 2, 3]].eq(0).all()


def test_rows_are_a_copy_that_asks_for_a_gradient():
    weight = torch.randn(6, D).requires_grad_()
    rows = RowAdam(weight).rows(torch.tensor([2, 3]))
    assert rows.requires_grad
    assert rows.is_leaf
    assert torch.equal(rows, weight[2:4])
    assert rows.data_ptr() != weight[2:4].data_ptr()
