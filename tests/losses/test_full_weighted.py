"""full_weighted against a double loop, and the weights of the training set."""

import pytest
import torch
from support.losses_reference import loop_bce

from presence_only.losses import full_weighted
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant

SOURCE = torch.Generator().manual_seed(0)
X_BS = torch.randn(4, 3, generator=SOURCE, dtype=torch.float64)
FAR_KS = torch.randn(6, 3, generator=SOURCE, dtype=torch.float64)
TARGETS_BS = torch.tensor([[1, 0, 1], [0, 0, 1], [1, 0, 1], [0, 0, 1]])  # species 1 nowhere, species 2 everywhere


def loop_loss(x, targets, far, lambda1, lambda2, records, n):
    total = 0.0
    for s in range(3):
        for i in range(len(x)):
            if targets[i, s]:
                total += lambda1 * n / records[s] * loop_bce(float(x[i, s]), 1) / len(x)
            else:
                total += lambda2 * n / (n - records[s]) * loop_bce(float(x[i, s]), 0) / len(x)
        total += (1 - lambda2) * sum(loop_bce(v, 0) for v in far[:, s].tolist()) / len(far)
    return total / 3


def test_it_is_the_double_loop_with_weights_counted_in_the_batch():
    expected = loop_loss(X_BS, TARGETS_BS, FAR_KS, 2.0, 0.3, [2, 0, 4], 4)
    assert float(full_weighted(X_BS, TARGETS_BS, FAR_KS, lambda1=2.0, lambda2=0.3)) == pytest.approx(
        expected, rel=1e-13
    )


def test_without_background_absences_come_from_recorded_sites_alone():
    expected = loop_loss(X_BS, TARGETS_BS, FAR_KS, 1.0, 1.0, [2, 0, 4], 4)
    assert float(full_weighted(X_BS, TARGETS_BS, lambda2=1.0)) == pytest.approx(expected, rel=1e-13)
    assert float(full_weighted(X_BS, TARGETS_BS, FAR_KS, lambda2=1.0)) == pytest.approx(expected, rel=1e-13)


def test_given_counts_take_the_place_of_counted_ones():
    expected = loop_loss(X_BS, TARGETS_BS, FAR_KS, 1.0, 0.5, [5, 1, 8], 20)
    records = torch.tensor([5, 1, 8])
    assert float(full_weighted(X_BS, TARGETS_BS, FAR_KS, records_S=records, n_sites=20)) == pytest.approx(
        expected, rel=1e-13
    )


def test_the_mean_over_equal_batches_is_the_loss_of_the_training_set():
    whole = float(full_weighted(X_BS, TARGETS_BS, FAR_KS, lambda2=0.25))
    counts = TrainingCounts(4, TARGETS_BS.sum(dim=0).double())
    loss = parse_variant({"loss": "full_weighted", "lambda2": 0.25}, "variants.x").build(counts)
    halves = [
        loss(LossBatch(X_BS[part], *TARGETS_BS[part].nonzero(as_tuple=True), torch.Generator(), FAR_KS))
        for part in (slice(0, 2), slice(2, 4))
    ]
    assert float(sum(halves)) / 2 == pytest.approx(whole, rel=1e-13)


def test_derivatives():
    x = X_BS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: full_weighted(x, TARGETS_BS, x[:2]), (x,))
    assert torch.autograd.gradgradcheck(lambda x: full_weighted(x, TARGETS_BS, x[:2]), (x,), fast_mode=True)
