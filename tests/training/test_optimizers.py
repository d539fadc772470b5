import subprocess
import sys

import numpy as np
import pytest
import torch

from presence_only.training.optimizers import DenseAdam, dense_optimizer
from presence_only.training.row_optimizers import RowAdam, RowRmsprop, RowSgd, row_optimizer
from presence_only.training.settings import TrainingSettings

D = 3
# Settings, and torch's own class with the arguments that mean the same.
TWINS = [
    ({"optimizer": "adam"}, torch.optim.Adam, {"betas": (0.9, 0.95)}),
    ({"optimizer": "adam", "beta2": 0.999}, torch.optim.Adam, {"betas": (0.9, 0.999)}),
    ({"optimizer": "adamw"}, torch.optim.AdamW, {"betas": (0.9, 0.95)}),
    ({"optimizer": "sgd"}, torch.optim.SGD, {"momentum": 0.9}),
    ({"optimizer": "sgd", "momentum": 0.0}, torch.optim.SGD, {"momentum": 0.0}),
    ({"optimizer": "rmsprop"}, torch.optim.RMSprop, {"alpha": 0.95}),
    ({"optimizer": "rmsprop", "beta2": 0.99}, torch.optim.RMSprop, {"alpha": 0.99}),
]
every_optimizer = pytest.mark.parametrize(
    ("named", "kind", "more"), TWINS, ids=["-".join(map(str, named.values())) for named, _, _ in TWINS]
)


@every_optimizer
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_a_dense_optimizer_is_torchs_own_bit_for_bit(named, kind, more, weight_decay):
    source = torch.Generator().manual_seed(0)
    theirs = [torch.randn(n, D, generator=source).requires_grad_() for n in (4, 7)]
    mine = [parameter.detach().clone().requires_grad_() for parameter in theirs]
    way = "fused" if named["optimizer"].startswith("adam") else "foreach"
    reference = kind(theirs, lr=0.01, weight_decay=weight_decay, **more, **{way: True})
    optimizer = dense_optimizer(mine, TrainingSettings(**named, weight_decay=weight_decay))
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


@pytest.mark.parametrize(("name", "moved_by"), [("adam", 0.1), ("sgd", 0.1), ("rmsprop", 0.1 / np.sqrt(0.05))])
def test_a_parameter_without_gradient_stays_and_gradients_are_forgotten(name, moved_by):
    still, moved = torch.ones(2, D).requires_grad_(), torch.ones(2, D).requires_grad_()
    optimizer = dense_optimizer([still, moved], TrainingSettings(optimizer=name))
    optimizer.step(0.1)  # no gradient anywhere
    moved.grad = torch.ones(2, D)
    optimizer.step(0.1)
    assert torch.equal(still, torch.ones(2, D))
    assert moved.detach().numpy() == pytest.approx(np.full((2, D), 1 - moved_by))
    optimizer.zero_grad()
    assert moved.grad is None


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "rmsprop"])
def test_training_does_not_import_torchs_compiler(name):
    # It takes two seconds in every process.
    code = (
        "import sys, torch; from presence_only.training.optimizers import dense_optimizer\n"
        "from presence_only.training.settings import TrainingSettings; weight = torch.ones(2, requires_grad=True)\n"
        f"optimizer = dense_optimizer([weight], TrainingSettings(optimizer={name!r})); optimizer.zero_grad()\n"
        "weight.sum().backward(); optimizer.step(0.1); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@every_optimizer
def test_a_row_optimizer_with_all_rows_is_torchs_own(named, kind, more):
    source = torch.Generator().manual_seed(0)
    start = torch.randn(6, D, generator=source)
    theirs, mine = start.clone().requires_grad_(), start.clone()
    # Rows do not decay, and AdamW without is Adam.
    reference = kind([theirs], lr=0.01, **more | ({"weight_decay": 0.0} if kind is torch.optim.AdamW else {}))
    rows = row_optimizer(mine, TrainingSettings(**named))
    for _ in range(20):
        gradient = torch.randn(6, D, generator=source)
        theirs.grad = gradient
        reference.step()
        rows.step(torch.arange(6), gradient, 0.01)
    np.testing.assert_allclose(mine, theirs.detach(), rtol=1e-5, atol=1e-6)


MEMORY = {RowAdam: "moments_2SD", RowSgd: "direction_SD", RowRmsprop: "square_SD"}


@pytest.mark.parametrize("kind", MEMORY)
def test_a_row_optimizer_leaves_other_rows_and_their_memory_alone(kind):
    source = torch.Generator().manual_seed(0)
    start = torch.randn(6, D, generator=source)
    weight = start.clone()
    optimizer = kind(weight)
    taken = torch.tensor([1, 4])
    alone = start[taken].clone()
    reference = kind(alone)
    for step in range(10):
        gradient = torch.randn(2, D, generator=source)
        optimizer.step(taken, gradient, 0.1)
        reference.step(torch.arange(2), gradient, 0.1)
        optimizer.step(torch.tensor([5]), gradient[:1], 0.1)
        assert torch.equal(weight[[0, 2, 3]], start[[0, 2, 3]]), step
    # Steps that took other rows count for nothing.
    assert torch.equal(weight[taken], alone)
    memory = getattr(optimizer, MEMORY[kind])
    assert memory[..., [0, 2, 3], :].eq(0).all()
    assert memory[..., [1, 4, 5], :].ne(0).all()


def test_rows_are_a_copy_that_asks_for_a_gradient():
    weight = torch.randn(6, D).requires_grad_()
    rows = RowAdam(weight).rows(torch.tensor([2, 3]))
    assert rows.requires_grad
    assert rows.is_leaf
    assert torch.equal(rows, weight[2:4])
    assert rows.data_ptr() != weight[2:4].data_ptr()


def test_the_default_decay_of_adams_memory_is_torchs():
    assert DenseAdam([torch.ones(1)]).beta2 == torch.optim.Adam([torch.ones(1)]).defaults["betas"][1]
