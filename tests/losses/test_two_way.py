"""two_way against mpmath sums over groups, on paper, and where its groups have nothing to compare."""

import math
import re

import mpmath
import pytest
import torch
from mpmath import mpf

from presence_only.losses import two_way
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant

SOURCE = torch.Generator().manual_seed(0)
X_BS = torch.randn(5, 4, generator=SOURCE, dtype=torch.float64) * 3
# A row without records, a row of all species, a species in all other rows, one that is in the full row alone.
TARGETS_BS = torch.tensor([[1, 0, 0, 1], [0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 1]])


def slow(x_BS, targets_BS, pos_temperature=4.0, neg_temperature=1.0):
    """The definition at 60 digits, group by group."""
    with mpmath.workdps(60):

        def cost(pairs):
            free = [mpf(x) / neg_temperature for x, y in pairs if not y]
            found = [-mpf(x) / pos_temperature for x, y in pairs if y]
            if not free:
                return mpf(0)
            logs = [mpmath.log(sum(map(mpmath.exp, values))) for values in (free, found)]
            return mpmath.log1p(mpmath.exp(neg_temperature * logs[0] + pos_temperature * logs[1]))

        total = mpf(0)
        for x, y in ((x_BS, targets_BS), (x_BS.T, targets_BS.T)):
            groups = [list(zip(a.tolist(), b.tolist(), strict=True)) for a, b in zip(x, y, strict=True) if b.any()]
            total += sum(map(cost, groups)) / max(len(groups), 1)
        return float(total)


@pytest.mark.parametrize("temperatures", [(4.0, 1.0), (1.0, 1.0), (0.5, 7.0)])
@pytest.mark.parametrize("scale", [1.0, 100.0, 3000.0])
def test_it_is_the_definition(scale, temperatures):
    got = two_way(X_BS * scale, TARGETS_BS, pos_temperature=temperatures[0], neg_temperature=temperatures[1])
    assert got.item() == pytest.approx(slow(X_BS * scale, TARGETS_BS, *temperatures), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("level", [0.0, 100.0, 9000.0])
def test_a_level_common_to_all_logits_costs_no_digits(level, dtype):
    x_BS = (X_BS + level).to(dtype)
    assert two_way(x_BS, TARGETS_BS).item() == pytest.approx(slow(x_BS, TARGETS_BS), rel=5e-6)


def test_on_paper():
    """One row, odds 3 recorded and 2, 5 not: among species T_n log(2 + 5) - log 3; each species has no contrast."""
    x_BS = torch.tensor([[3.0, 2.0, 5.0]], dtype=torch.float64).log()
    value = two_way(x_BS, torch.tensor([[1, 0, 0]]), pos_temperature=7.0)
    assert value.item() == pytest.approx(math.log(1 + 7 / 3), rel=1e-14)
    # Its transpose has the same groups.
    assert two_way(x_BS.T, torch.tensor([[1], [0], [0]])).item() == pytest.approx(math.log(1 + 7 / 3), rel=1e-14)


def test_records_below_and_above_all_else():
    """It is the gap where records lie far below, and exp(-gap) where they lie far above; the sums have one member."""
    for gap, expected in ((5000.0, 5000.0), (50.0, 50.0), (-50.0, math.exp(-50)), (-5000.0, 0.0)):
        x_BS = torch.tensor([[0.0, gap]], dtype=torch.float64)
        assert two_way(x_BS, torch.tensor([[1, 0]])).item() == pytest.approx(expected, rel=1e-12)


def test_slopes_against_a_plain_log_sum_exp():
    x_BS = X_BS.clone().requires_grad_()
    plain = 0.0
    for x, y in ((x_BS, TARGETS_BS), (x_BS.T, TARGETS_BS.T)):
        groups = [(a, b) for a, b in zip(x, y, strict=True) if b.any()]
        for a, b in groups:
            if not b.all():
                gap = a[b == 0].exp().sum().log() + 4 * (-a[b == 1] / 4).exp().sum().log()
                plain = plain + (1 + gap.exp()).log() / len(groups)
    expected, got = (torch.autograd.grad(value, x_BS)[0] for value in (plain, two_way(x_BS, TARGETS_BS)))
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-14)


def test_derivatives():
    x_BS = X_BS.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: two_way(x, TARGETS_BS), (x_BS,))
    assert torch.autograd.gradgradcheck(lambda x: two_way(x, TARGETS_BS), (x_BS,))


def test_what_all_or_none_hold_costs_nothing_and_nan_propagates():
    x_BS = X_BS.clone().requires_grad_()
    for targets_BS in (torch.zeros_like(TARGETS_BS), torch.ones_like(TARGETS_BS)):
        value = two_way(x_BS, targets_BS)
        assert value == 0
        assert torch.autograd.grad(value, x_BS)[0].eq(0).all()
    for row in (0, 3):
        broken_BS = X_BS.clone()
        broken_BS[row, 0] = math.nan
        assert two_way(broken_BS, TARGETS_BS).isnan()


def test_a_batch_is_the_public_function():
    loss = parse_variant({"loss": "two_way", "pos_temperature": 2.0, "neg_temperature": 0.5}, "v").build(
        TrainingCounts(9, torch.ones(4))
    )
    got = loss(LossBatch(X_BS, *TARGETS_BS.nonzero(as_tuple=True), torch.Generator()))
    assert torch.equal(got, two_way(X_BS, TARGETS_BS, pos_temperature=2.0, neg_temperature=0.5))


def test_refusals():
    x_BS = torch.zeros(2, 3)
    for call, sentence in (
        (lambda: two_way(x_BS, x_BS, pos_temperature=0.0), "pos_temperature = 0.0: must be finite and > 0"),
        (lambda: two_way(x_BS, x_BS, neg_temperature=math.inf), "neg_temperature = inf: must be finite and > 0"),
        (lambda: two_way(x_BS, x_BS + 0.5), "targets_BS hold 0.5: must be exactly 0 or 1"),
        (lambda: two_way(x_BS, x_BS[:1]), "targets_BS has shape (1, 3)"),
        (lambda: two_way(x_BS[0], x_BS[0]), "logits_BS has shape (3,): must have 2 dimensions"),
    ):
        with pytest.raises(ValueError, match=re.escape(sentence)):
            call()
    assert two_way(x_BS[:0], x_BS[:0]) == 0
