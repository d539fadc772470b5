"""Polynomial penalties against 50 digits, by hand, and in the shapes that they promise."""

import math
from functools import partial

import pytest
import support.losses_reference as reference
import torch
from support.losses_reference import LOGITS, TOLERANCE, worst_error

from presence_only.losses.base import parse_variant
from presence_only.losses.fast_curves import absence_curve
from presence_only.losses.numerics import margined_sigmoid
from presence_only.losses.penalties import Asymmetric, CrossEntropy
from presence_only.losses.polynomial_penalties import AsymmetricPolynomial, RobustAsymmetric

DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
# gamma_pos, gamma_neg, clip, eps_pos, eps_pos_pow, eps_neg.
POLYNOMIALS = (
    (0.0, 4.0, 0.05, 1.0, -2.5, 0.0),
    (0.0, 0.0, 0.0, 1.0, 1.0, 1.0),
    (1.0, 2.0, 0.2, 0.5, 0.0, 0.5),
    (0.5, 0.5, 0.05, 0.0, 1.0, 3.0),
    (2.7, 1.5, 0.0, -3.0, -10.0, 0.3),
    (0.0, 0.0, 0.9, 0.0, 0.0, 0.0),
)
# gamma_pos, gamma_neg, clip, lambda, eps_pos, eps_pos_pow.
ROBUSTS = (
    (0.0, 4.0, 0.05, 1.5, 1.0, -2.5),
    (0.0, 0.0, 0.0, 2.0, 1.0, 1.0),
    (1.0, 1.5, 0.2, 3.0, 0.5, 0.0),
    (0.5, 0.5, 0.9, 1.5, 0.0, 1.0),
)
PENALTIES = [*(AsymmetricPolynomial(*values) for values in POLYNOMIALS), *(RobustAsymmetric(*v) for v in ROBUSTS)]


def logits_around(clip):
    """Logits where textbook code breaks and just beside the margin; at the margin itself the slope may jump."""
    bound = math.log(clip / (1 - clip)) if clip else 0.0
    return [x for x in LOGITS if x != bound] + [bound + step for step in (-0.01, 1e-5, 1e-3, 0.1)]


@DTYPES
@pytest.mark.parametrize("values", POLYNOMIALS)
def test_the_asymmetric_polynomial_is_exact(values, dtype):
    penalty = AsymmetricPolynomial(*values)
    for curve, target in ((penalty.positive, 1), (penalty.negative, 0)):
        truth = partial(polynomial_of, y=target, values=values)
        error, where = worst_error(curve, truth, logits_around(values[2]), dtype)
        assert error < TOLERANCE[dtype], where


def polynomial_of(x, y, values):
    return reference.polynomial(x, y, *values)


@DTYPES
@pytest.mark.parametrize("values", ROBUSTS)
def test_the_robust_asymmetric_is_exact(values, dtype):
    penalty = RobustAsymmetric(*values)
    for curve, target in ((penalty.positive, 1), (penalty.negative, 0)):
        truth = partial(robust_of, y=target, values=values)
        error, where = worst_error(curve, truth, logits_around(values[2]), dtype)
        assert error < TOLERANCE[dtype], where


def robust_of(x, y, values):
    return reference.robust_asymmetric(x, y, *values)


def test_by_hand_at_one_half():
    """p = 1/2, clip 0.05: p_m = 0.45, -log 0.55 = 0.597837, 0.45^4 = 0.04100625; Hill 1 * 1/4; lambda - 0.55 = 0.95."""
    x = torch.zeros(1, dtype=torch.float64)
    present = math.log(2) - 1 / 2 + 2.5 / 8
    for penalty, absent in (
        (AsymmetricPolynomial(), 0.04100625 * 0.597837),
        (RobustAsymmetric(), 0.04100625 * 0.597837 / 4 * 0.95),
        (AsymmetricPolynomial(poly_eps_neg=2.0), 0.04100625 * (0.597837 + 0.9)),
    ):
        assert penalty.positive(x).item() == pytest.approx(present, rel=1e-14)
        assert penalty.negative(x).item() == pytest.approx(absent, rel=1e-6)


def test_unchanged_coefficients_leave_asymmetric_loss():
    x = torch.linspace(-12, 12, 49, dtype=torch.float64)
    plain = AsymmetricPolynomial(1.0, 2.0, 0.1, 0.0, 0.0, 0.0)
    torch.testing.assert_close(plain.positive(x), Asymmetric(1.0, 2.0, 0.1).positive(x), rtol=1e-13, atol=0)
    assert torch.equal(plain.negative(x), Asymmetric(1.0, 2.0, 0.1).negative(x))
    bare = AsymmetricPolynomial(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    torch.testing.assert_close(bare.positive(x), CrossEntropy().positive(x), rtol=1e-13, atol=0)


def test_a_presence_almost_found_costs_as_its_first_coefficient_that_is_left():
    """Far above 0, q = exp(-x): 1.75 q^2 by the defaults, q^3 / 3 with both coefficients gone."""
    x = torch.tensor([20.0, 200.0], dtype=torch.float64)
    torch.testing.assert_close(AsymmetricPolynomial().positive(x), 1.75 * torch.exp(-2 * x), rtol=1e-8, atol=0)
    gone = AsymmetricPolynomial(poly_eps_pos=1.0, poly_eps_pos_pow=1.0)
    torch.testing.assert_close(gone.positive(x), torch.exp(-3 * x) / 3, rtol=1e-8, atol=0)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_presence_falls_an_absence_rises_and_so_do_their_pulls(penalty):
    """The ratio of the slopes falls, so that a loss has one balance."""
    x = torch.linspace(-15, 15, 3001, dtype=torch.float64, requires_grad=True)
    falls, rises = (torch.autograd.grad(curve(x).sum(), x)[0] for curve in (penalty.positive, penalty.negative))
    assert (falls < 0).all()
    assert (rises >= 0).all()
    ratio = (falls.abs().log() - rises.log())[rises > 0]
    assert len(ratio) > 500
    assert (ratio.diff() < 1e-9).all()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_first_two_derivatives(penalty):
    x = torch.tensor([-6.0, -2.5, -0.4, 0.0, 0.7, 3.0, 9.0], dtype=torch.float64, requires_grad=True)
    for curve in (penalty.positive, penalty.negative):
        assert torch.autograd.gradcheck(curve, (x,))
        assert torch.autograd.gradgradcheck(curve, (x,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_nothing_is_infinite_and_nan_propagates(penalty, dtype):
    x = torch.cat([torch.linspace(-1e4, 1e4, 401), torch.linspace(-120, 120, 481)]).to(dtype).requires_grad_()
    for curve in (penalty.positive, penalty.negative):
        values = curve(x)
        (slopes,) = torch.autograd.grad(values.sum(), x)
        assert values.isfinite().all()
        assert slopes.isfinite().all()
        assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert torch.equal(values, curve(x.float() if values.dtype == torch.float32 else x))
        assert curve(torch.tensor([math.nan, 1.0], dtype=dtype)).isnan().tolist() == [True, False]


def test_absences_of_the_polynomial_are_fast_where_those_of_asymmetric_loss_are():
    assert AsymmetricPolynomial().fast_negative() is not None
    assert absence_curve(AsymmetricPolynomial()) is not None
    assert AsymmetricPolynomial(poly_eps_neg=1.0).fast_negative() is None
    assert RobustAsymmetric().fast_negative() is None


def test_margined_sigmoid_has_the_digits_beside_its_margin():
    bound = math.log(0.05 / 0.95)
    x = torch.tensor([bound - 1, bound + 1e-9, bound + 1, 50.0], dtype=torch.float64)
    got = margined_sigmoid(x, 0.05)
    expected = [0, 0.05 * 0.95 * 1e-9, 1 / (1 + math.exp(-bound - 1)) - 0.05, 0.95]
    assert got.tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"loss": "apl", "poly_eps_pos": 1.1}, r"v\.poly_eps_pos = 1\.1: must be less than or equal to 1"),
        ({"loss": "an_full", "penalty": "ral", "ral_lambda": 1.0}, r"v\.ral_lambda = 1\.0: must be greater than or"),
        ({"loss": "an_full", "penalty": "ral", "poly_clip": 0.1}, r"poly_clip = 0\.1: must be left out .* 'apl'"),
        ({"loss": "ral", "ral_eps_pos_pow": -math.inf}, r"v\.ral_eps_pos_pow = -inf"),
    ],
)
def test_a_wrong_variant_is_refused_in_one_sentence(raw, message):
    with pytest.raises(ValueError, match=message):
        parse_variant(raw, "v")


def test_a_wrong_parameter_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"^poly_eps_pos = 2\.0: must be in \(-inf, 1\]$"):
        AsymmetricPolynomial(poly_eps_pos=2.0)
    with pytest.raises(ValueError, match=r"^ral_lambda = 1\.0: must be finite and >= 1\.5$"):
        RobustAsymmetric(ral_lambda=1.0)
