"""sigmoid_f1 against its definition in mpmath, on paper, and against F1 itself."""

import math
import re

import mpmath
import pytest
import torch
from mpmath import mpf
from sklearn.metrics import f1_score
from support.losses_reference import p_of

from presence_only.losses import sigmoid_f1
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant

SOURCE = torch.Generator().manual_seed(0)
X_BS = torch.randn(6, 4, generator=SOURCE, dtype=torch.float64) * 3
# The last species has no record, the third is everywhere.
TARGETS_BS = torch.tensor([[1, 0, 1, 0], [0, 0, 1, 0], [1, 1, 1, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 0, 1, 0]])


def slow(x_BS, targets_BS, beta=1.0, eta=0.0):
    """The definition with enough digits for shares of exp(-1e5), species by species."""
    with mpmath.workdps(60):
        errors = []
        for column, present in zip(x_BS.T.tolist(), targets_BS.T.tolist(), strict=True):
            z = [mpf(beta) * (mpf(x) + mpf(eta)) for x in column]
            tp = sum((p_of(v) for v, y in zip(z, present, strict=True) if y), mpf(0))
            fn = sum((p_of(-v) for v, y in zip(z, present, strict=True) if y), mpf(0))
            fp = sum((p_of(v) for v, y in zip(z, present, strict=True) if not y), mpf(0))
            errors.append((fn + fp) / (2 * tp + fn + fp))
        return sum(errors) / len(errors)


@pytest.mark.parametrize(("beta", "eta"), [(1.0, 0.0), (10.0, -1.0), (0.1, 3.0)])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_it_is_the_definition(beta, eta, scale):
    got = sigmoid_f1(X_BS * scale, TARGETS_BS, beta=beta, eta=eta)
    assert got.item() == pytest.approx(float(slow(X_BS * scale, TARGETS_BS, beta, eta)), rel=1e-12)


@pytest.mark.parametrize("x", [-800.0, -40.0, 0.0, 40.0, 300.0])
def test_value_and_slope_keep_their_digits_where_shares_round_to_0_or_1(x):
    """A record at x and an unobserved pair at -x: tp = p, fn = fp = q, and the error is q."""
    x_BS = torch.tensor([[x], [-x]], dtype=torch.float64, requires_grad=True)
    value = sigmoid_f1(x_BS, torch.tensor([[1], [0]]))
    (slope_BS,) = torch.autograd.grad(value, x_BS)
    p, q = float(p_of(x)), float(p_of(-x))
    assert value.item() == pytest.approx(q, rel=1e-12)
    # d/dx of (fn + fp) / (2 tp + fn + fp), with fn = q and fp = q held apart: (2 tp d(fn + fp) - 2 (fn + fp) dtp) / 4.
    assert slope_BS[0].item() == pytest.approx(-p * q * (2 * p + 4 * q) / 4, rel=1e-12)
    assert slope_BS[1].item() == pytest.approx(p * q * 2 * p / 4, rel=1e-12)


def test_on_paper():
    """Species 0: shares 3/4 at its record, 1/2 and 1/4 elsewhere: 1/4 + 3/4 wrong of 3/2 + 1. Species 1: no record."""
    x_BS = torch.tensor([[3.0, 1], [1, 1], [1 / 3, 1]], dtype=torch.float64).log()
    value = sigmoid_f1(x_BS, torch.tensor([[1, 0], [0, 0], [0, 0]]))
    assert value.item() == pytest.approx((1 / 2.5 + 1) / 2, rel=1e-14)


def test_a_steep_decision_is_f1_itself():
    for eta in (0.0, 2.0):
        expected = f1_score(TARGETS_BS.numpy(), (X_BS + eta > 0).numpy(), average="macro", zero_division=0)
        got = sigmoid_f1(X_BS, TARGETS_BS, beta=1e6, eta=eta)
        assert got.item() == pytest.approx(1 - expected, abs=1e-12)


def test_a_species_without_a_record_has_no_slope():
    x_BS = X_BS.clone().requires_grad_()
    (slope_BS,) = torch.autograd.grad(sigmoid_f1(x_BS, TARGETS_BS), x_BS)
    assert slope_BS[:, 3].eq(0).all()
    assert slope_BS[:, :3].ne(0).all()
    none = sigmoid_f1(x_BS, torch.zeros_like(TARGETS_BS))
    assert none == 1
    assert torch.autograd.grad(none, x_BS)[0].eq(0).all()


def test_derivatives_and_nan():
    x_BS = X_BS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sigmoid_f1(x, TARGETS_BS, beta=2.0), (x_BS,))
    assert torch.autograd.gradgradcheck(lambda x: sigmoid_f1(x, TARGETS_BS, beta=2.0), (x_BS,))
    for species in (0, 3):
        broken_BS = X_BS.clone()
        broken_BS[3, species] = math.nan
        assert sigmoid_f1(broken_BS, TARGETS_BS).isnan()


def test_a_batch_is_the_public_function():
    loss = parse_variant({"loss": "sigmoid_f1", "beta": 2.0, "eta": 0.5}, "v").build(TrainingCounts(9, torch.ones(4)))
    got = loss(LossBatch(X_BS, *TARGETS_BS.nonzero(as_tuple=True), torch.Generator()))
    assert torch.equal(got, sigmoid_f1(X_BS, TARGETS_BS, beta=2.0, eta=0.5))


def test_refusals():
    x_BS = torch.zeros(2, 3)
    for call, sentence in (
        (lambda: sigmoid_f1(x_BS, x_BS, beta=0.0), "beta = 0.0: must be finite and > 0"),
        (lambda: sigmoid_f1(x_BS, x_BS, eta=math.nan), "eta = nan: must be finite"),
        (lambda: sigmoid_f1(x_BS, x_BS + 0.5), "targets_BS hold 0.5: must be exactly 0 or 1"),
        (lambda: sigmoid_f1(x_BS, x_BS[:1]), "targets_BS has shape (1, 3)"),
        (lambda: sigmoid_f1(x_BS[0], x_BS[0]), "logits_BS has shape (3,): must have 2 dimensions"),
    ):
        with pytest.raises(ValueError, match=re.escape(sentence)):
            call()
    assert sigmoid_f1(x_BS[:0], x_BS[:0]) == 0
