"""gr: its curves against 50 digits, its schedule on paper, and the slope with soft label and weight held constant."""

import math
import re
from dataclasses import replace

import mpmath
import pytest
import torch
from mpmath import mpf
from support.losses import make_batch
from support.losses_reference import LOGITS, TOLERANCE, p_of, relative_error, truth, worst_error

from presence_only.losses import gr
from presence_only.losses.base import LossBatch, TrainingCounts, parse_variant
from presence_only.losses.gr import HIGHEST_START, GeneralizedRobust, generalized_cross_entropy

COUNTS = TrainingCounts(20, torch.tensor([1.0, 3.0, 8.0, 12.0, 5.0], dtype=torch.float64))
# w, b, mu, sigma, q2, q3.
FIRST, LAST = (0, -2, 0.5, 2, 0.01, 1), (2, -2, 0.8, 0.5, 0.01, 1)
PARAMETERS = (FIRST, LAST, (-3, 1, 0, 0.3, 0, 0.5), (4, 0, 1, 1, 1, 0))
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def box_cox(x, exponent):
    """(1 - p^exponent) / exponent at x."""
    log_p = -mpmath.log1p(mpmath.exp(-mpf(x)))
    return -log_p if exponent == 0 else (1 - mpmath.exp(mpf(exponent) * log_p)) / mpf(exponent)


def label_and_weight(x, w, b, mu, sigma):
    return p_of(w * p_of(x) + b), mpmath.exp(-((p_of(x) - mpf(mu)) ** 2) / (2 * mpf(sigma) ** 2))


def slow(x, w, b, mu, sigma, q2, q3, held_at=None):
    """The penalty of an unobserved pair; with ``held_at``, label and weight are those of another logit."""
    k, v = label_and_weight(x if held_at is None else held_at, w, b, mu, sigma)
    return v * (k * box_cox(x, q2) + (1 - k) * box_cox(-x, q3))


@DTYPES
@pytest.mark.parametrize("exponent", [0.0, 1e-3, 0.01, 0.5, 0.7, 1.0])
def test_generalized_cross_entropy_is_exact(exponent, dtype):
    error, where = worst_error(
        lambda x: generalized_cross_entropy(x, exponent), lambda x: box_cox(x, exponent), LOGITS, dtype
    )
    assert error < TOLERANCE[dtype], where


@DTYPES
@pytest.mark.parametrize("parameters", PARAMETERS)
def test_value_and_slope_with_label_and_weight_held_constant(parameters, dtype):
    """Every logit has a truth of its own, whose label and weight do not move."""
    x = torch.tensor(LOGITS, dtype=dtype, requires_grad=True)
    values = GeneralizedRobust(*parameters).negative(x)
    (slopes,) = torch.autograd.grad(values.sum(), x)
    for at, value, slope in zip(x.tolist(), values.tolist(), slopes.tolist(), strict=True):
        true_value, true_slope = truth(lambda y, at=at: slow(y, *parameters, held_at=at), at)
        assert relative_error(value, true_value, dtype) < TOLERANCE[dtype], at
        # Near its roots the slope is a difference of two numbers, which have all their digits.
        k, v = label_and_weight(at, *parameters[:4])
        p, q, (q2, q3) = p_of(at), p_of(-at), parameters[4:]
        size = v * (k * p ** mpf(q2) * q + (1 - k) * q ** mpf(q3) * p)
        assert abs(mpf(slope) - true_slope) <= TOLERANCE[dtype] * max(size, mpf(torch.finfo(dtype).tiny) * 1000), at


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_value_and_slope_when_gradients_flow(parameters):
    penalty = GeneralizedRobust(*parameters, stop_gradients=False)
    error, where = worst_error(penalty.negative, lambda x: slow(x, *parameters), LOGITS, torch.float64)
    assert error < 1e-11, where
    assert torch.equal(penalty.negative(X), GeneralizedRobust(*parameters).negative(X))


X = torch.linspace(-9, 9, 19, dtype=torch.float64)


@pytest.mark.parametrize("stop", [True, False])
@pytest.mark.parametrize(
    ("epoch", "progress", "moved"),
    [(0, 0.0, FIRST), (1, 1 / 3, (2 / 3, -2, 0.6, 1.5, 0.01, 1)), (2, 2 / 3, (4 / 3, -2, 0.7, 1.0, 0.01, 1))],
)
def test_the_schedule_of_three_epochs_on_paper(epoch, progress, moved, stop):
    """Two rows with odds of 1, 3, 1/3 and 1, 1, 3; (0, 0) and (1, 2) are recorded."""
    x_BS = torch.tensor([[1, 3, 1 / 3], [1, 1, 3]], dtype=torch.float64).log().requires_grad_()
    pairs = (torch.tensor([0, 1]), torch.tensor([0, 2]))
    loss = parse_variant({"loss": "gr", "stop_gradients": stop}, "v").build(COUNTS)
    value = loss(LossBatch(x_BS, *pairs, torch.Generator(), epoch=epoch, progress=progress))
    w, b, mu, sigma, q2, _ = moved
    total = math.log(2) + math.log(4 / 3)
    for p in (3 / 4, 1 / 4, 1 / 2, 1 / 2):
        k = 1 / (1 + math.exp(-(w * p + b)))
        v = math.exp(-((p - mu) ** 2) / (2 * sigma**2))
        total += v * (k * (1 - p**q2) / q2 + (1 - k) * p)
    assert value.item() == pytest.approx(total / 6, rel=1e-12)


def test_on_paper_in_numbers():
    """At the start, p = 1/2: k = 1 / (1 + e^2) = 0.1192029, v = 1; (1 - 0.5^0.01) / 0.01 = 0.6907505."""
    value = gr(torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, 1))
    assert value.item() == pytest.approx(0.1192029 * 0.6907505 + 0.8807971 * 0.5, rel=1e-6)


@pytest.mark.parametrize("stop", [True, False])
def test_the_public_function_is_the_definition(stop):
    source = torch.Generator().manual_seed(0)
    x_BS = torch.randn(5, 4, generator=source, dtype=torch.float64) * 4
    targets_BS = torch.rand(5, 4, generator=source) < 0.3
    terms = [
        box_cox(x, 0) if present else slow(x, *LAST)
        for x, present in zip(x_BS.flatten().tolist(), targets_BS.flatten().tolist(), strict=True)
    ]
    names = ("w", "b", "mu", "sigma", "q2", "q3")
    got = gr(x_BS, targets_BS, **dict(zip(names, LAST, strict=True)), stop_gradients=stop)
    assert got.item() == pytest.approx(float(sum(terms) / 20), rel=1e-13)


def test_a_label_of_certain_absence_and_no_weight_leave_cross_entropy():
    """b far below 0 and a very wide weight, with exponents of 0."""
    source = torch.Generator().manual_seed(1)
    x_BS = torch.randn(5, 4, generator=source, dtype=torch.float64) * 4
    targets_BS = (torch.rand(5, 4, generator=source) < 0.3).double()
    got = gr(x_BS, targets_BS, b=-80.0, sigma=1e9, q2=0.0, q3=0.0)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(x_BS, targets_BS)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("changes", [{}, {"stop_gradients": False}, {"q3": 0.3, "b_start": -3.0}])
def test_at_the_balance_the_pulls_cancel_in_the_mean_over_batches(changes):
    """Of constant logits, at the start of training; species 3 is recorded in 12 of 20 rows and only pulled up."""
    settings = parse_variant({"loss": "gr", **changes}, "v")
    balance_S, loss = settings.balance(COUNTS), settings.build(COUNTS)
    assert balance_S.isfinite().all()
    source = torch.Generator().manual_seed(2)
    slopes = []
    for _ in range(400):
        x_BS = balance_S.expand(50, 5).clone().requires_grad_()
        pairs = (torch.rand(50, 5, generator=source) < COUNTS.prevalence()).nonzero(as_tuple=True)
        (slope_BS,) = torch.autograd.grad(loss(LossBatch(x_BS, *pairs, torch.Generator())), x_BS)
        slopes.append(slope_BS.sum(dim=0))
    mean_S, error_S = torch.stack(slopes).mean(dim=0), torch.stack(slopes).std(dim=0) / 20
    found_S = balance_S < HIGHEST_START
    assert found_S.tolist()[:2] == [True, True]
    assert (mean_S.abs() < 5 * error_S)[found_S].all()
    assert (mean_S < 0)[~found_S].all()


def test_nothing_is_infinite_and_nan_propagates():
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        x = torch.cat([torch.linspace(-1e4, 1e4, 101), torch.linspace(-120, 120, 121)]).to(dtype).requires_grad_()
        for parameters in PARAMETERS:
            for stop in (True, False):
                values = GeneralizedRobust(*parameters, stop_gradients=stop).negative(x)
                (slopes,) = torch.autograd.grad(values.sum(), x)
                assert values.isfinite().all()
                assert slopes.isfinite().all()
                assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert gr(torch.full((1, 1), math.nan), torch.zeros(1, 1)).isnan()


def test_progress_alone_moves_it():
    loss = parse_variant({"loss": "gr"}, "v").build(COUNTS)
    batch = make_batch(loss)
    assert torch.equal(loss(batch), loss(replace(batch, epoch=0, index_B=None)))
    assert loss(batch) != loss(replace(batch, progress=0.0))
    assert loss.at(0.0) == loss.first == GeneralizedRobust()


def test_refusals():
    x_BS = torch.zeros(2, 3)
    for call, sentence in (
        (lambda: gr(x_BS, x_BS, q2=1.5), "q2 = 1.5: must be in [0, 1]"),
        (lambda: gr(x_BS, x_BS, sigma=0.0), "sigma = 0.0: must be finite and > 0"),
        (lambda: gr(x_BS, x_BS, w=math.nan), "w = nan: must be finite"),
        (lambda: gr(x_BS, x_BS + 0.5), "targets_BS hold 0.5: must be exactly 0 or 1"),
        (lambda: gr(x_BS, x_BS[:1]), "targets_BS has shape (1, 3)"),
        (lambda: gr(x_BS[0], x_BS[0]), "logits_BS has shape (3,): must have 2 dimensions"),
    ):
        with pytest.raises(ValueError, match=re.escape(sentence)):
            call()
    assert gr(x_BS[:0], x_BS[:0]) == 0
