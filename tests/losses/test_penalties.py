"""Each penalty, value and slope, against 50 digits and against the properties that define it."""

import math
from functools import partial

import pytest
import support.losses_reference as reference
import torch
from support.losses_reference import LOGITS, TOLERANCE, worst_error

from presence_only.losses.penalties import (
    Asymmetric,
    CrossEntropy,
    Focal,
    Hill,
    MaximumEntropy,
    Smoothed,
    smoothed,
)

GAMMAS = (0.0, 0.3, 0.5, 1.0, 2.0, 2.7, 5.0, 8.0)
MARGINS = (0.0, 0.05, 0.2, 0.5, 0.9)
DTYPES = (torch.float64, torch.float32)
PENALTIES = {
    "bce": CrossEntropy(),
    "focal": Focal(0.25, 2.0),
    "focal_0.5": Focal(None, 0.5),
    "asl": Asymmetric(1.0, 4.0, 0.05),
    "asl_no_margin": Asymmetric(0.0, 0.5, 0.0),
    "hill": Hill(),
    "hill_3": Hill(3.0, 0.5, 0.5),
    "entropy": MaximumEntropy(),
    "smoothed_bce": Smoothed(CrossEntropy(), 0.05),
    "smoothed": Smoothed(Focal(0.25, 2.0), 0.1),
}


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_and_entropy_are_exact(dtype):
    for curve, truth in (
        (CrossEntropy().positive, lambda x: reference.bce(x, 1)),
        (CrossEntropy().negative, lambda x: reference.bce(x, 0)),
        (MaximumEntropy().positive, lambda x: reference.bce(x, 1)),
        (MaximumEntropy().negative, lambda x: -reference.entropy(x)),
    ):
        error, where = worst_error(curve, truth, LOGITS, dtype)
        assert error < TOLERANCE[dtype], where


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gamma", GAMMAS)
def test_focal_is_exact(gamma, dtype):
    penalty = Focal(0.25, gamma)
    for curve, target in ((penalty.positive, 1), (penalty.negative, 0)):
        error, where = worst_error(curve, lambda x, y=target: reference.focal(x, y, 0.25, gamma), LOGITS, dtype)
        assert error < TOLERANCE[dtype], where
        mixed, where = worst_error(
            lambda x, y=target: penalty(x, torch.full_like(x, y)),
            lambda x, y=target: reference.focal(x, y, 0.25, gamma),
            LOGITS,
            dtype,
        )
        assert mixed < TOLERANCE[dtype], where


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("height", "margin", "gamma"), [(1.5, 1.0, 2.0), (1.5, 0.0, 0.5), (4.0, 2.5, 3.0)])
def test_hill_is_exact(height, margin, gamma, dtype):
    penalty = Hill(height, margin, gamma)
    for curve, target in ((penalty.positive, 1), (penalty.negative, 0)):
        truth = partial(reference.hill, y=target, height=height, margin=margin, gamma=gamma)
        error, where = worst_error(curve, truth, LOGITS, dtype)
        assert error < TOLERANCE[dtype], where


def test_hill_pushes_hardest_at_one_half_and_gives_up_on_the_surest():
    """(1.5 - p) p^2 of the paper: the slope against p is 3 p - 3 p^2, against the logit p q times that."""
    x = torch.linspace(-12, 12, 2401, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(Hill().negative(x).sum(), x)
    p = torch.sigmoid(x.detach())
    torch.testing.assert_close(slope, 3 * p**2 * (1 - p) ** 2, rtol=1e-6, atol=1e-12)
    assert p[slope.argmax()].item() == pytest.approx(0.5, abs=1e-3)
    assert (slope > 0).all()


@pytest.mark.parametrize("penalty", [CrossEntropy(), Focal(0.25, 2.0), Asymmetric(0.0, 4.0, 0.2), Hill()])
def test_smoothing_mixes_the_two_curves(penalty):
    x = torch.linspace(-9, 9, 19, dtype=torch.float64)
    soft = Smoothed(penalty, 0.05)
    torch.testing.assert_close(soft.positive(x), 0.95 * penalty.positive(x) + 0.05 * penalty.negative(x))
    torch.testing.assert_close(soft.negative(x), 0.95 * penalty.negative(x) + 0.05 * penalty.positive(x))


def test_smoothed_cross_entropy_is_that_of_torch_with_soft_targets():
    x = torch.linspace(-9, 9, 19, dtype=torch.float64)
    for hard, soft in ((0.0, 0.05), (1.0, 0.95)):
        expected = torch.nn.functional.binary_cross_entropy_with_logits(x, torch.full_like(x, soft), reduction="none")
        got = Smoothed(CrossEntropy(), 0.05)(x, torch.full_like(x, hard))
        torch.testing.assert_close(got, expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", [0.125, 0.5, 0.9375])
def test_soft_focal_is_exact(target, dtype):
    logits = [-1e4, -20.0, -5.0, -1.0, 1.25, 4.0, 17.5, 36.8, 1e4]  # away from the logit where p = y
    error, where = worst_error(
        lambda x: Focal(0.25, 2.7)(x, torch.full_like(x, target)),
        lambda x: reference.focal(x, target, 0.25, 2.7),
        logits,
        dtype,
    )
    assert error < TOLERANCE[dtype], where


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("clip", MARGINS)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 8.0])
def test_asymmetric_is_exact(gamma, clip, dtype):
    # At the margin itself the slope jumps; just beside it all digits of p - m are at stake.
    bound = math.log(clip / (1 - clip)) if clip else 0.0
    logits = [x for x in LOGITS if x != bound] + [bound + step for step in (-0.01, 1e-5, 1e-3, 0.1)]
    penalty = Asymmetric(gamma, gamma, clip)
    for curve, target in ((penalty.positive, 1), (penalty.negative, 0)):
        error, where = worst_error(curve, lambda x, y=target: reference.asl(x, y, gamma, gamma, clip), logits, dtype)
        assert error < TOLERANCE[dtype], where


def test_the_first_number_above_the_margin_already_costs():
    bound = torch.tensor(math.log(0.05 / 0.95), dtype=torch.float64)
    x = torch.stack([torch.nextafter(bound, bound + sign) for sign in (-1, 1)] + [bound - 1])
    cost = Asymmetric(0.0, 1.0, 0.05).negative(x)
    truth = [float(reference.truth(lambda v: reference.asl(v, 0, 0, 1, 0.05), value)[0]) for value in x.tolist()]
    assert cost[1] > 0
    assert cost.tolist() == pytest.approx(truth, rel=1e-12, abs=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0])
def test_value_and_slope_are_finite_everywhere(gamma, dtype):
    x = torch.cat([torch.linspace(-1e4, 1e4, 401), torch.linspace(-120, 120, 481)]).to(dtype).requires_grad_()
    for clip in (0.0, 0.01, 0.05, 0.3, 0.9):
        for penalty in (
            Focal(0.25, gamma),
            Asymmetric(gamma, gamma, clip),
            Hill(1.5, 10 * clip, gamma),
            MaximumEntropy(),
            CrossEntropy(),
        ):
            for curve in (penalty.positive, penalty.negative):
                values = curve(x)
                (slopes,) = torch.autograd.grad(values.sum(), x)
                assert values.isfinite().all()
                assert slopes.isfinite().all()
                assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
                assert slopes.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_computed_in_float32(dtype):
    x = torch.linspace(-30, 30, 61, dtype=dtype)
    for penalty in PENALTIES.values():
        assert torch.equal(penalty.negative(x), penalty.negative(x.float()))


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("half", ["positive", "negative"])
def test_first_and_second_derivatives_agree_with_finite_differences(name, half):
    curve = getattr(PENALTIES[name], half)
    x = torch.tensor([-6.0, -2.5, -0.4, 0.0, 0.7, 3.0, 9.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(curve, (x,))
    assert torch.autograd.gradgradcheck(curve, (x,))


def test_soft_targets_pass_gradcheck():
    x = torch.linspace(-4, 4, 9, dtype=torch.float64, requires_grad=True)
    y = torch.linspace(0, 1, 9, dtype=torch.float64)
    for penalty in PENALTIES.values():
        assert torch.autograd.gradcheck(lambda x, p=penalty: p(x, y), (x,), fast_mode=True)
        assert torch.autograd.gradgradcheck(lambda x, p=penalty: p(x, y), (x,), fast_mode=True)


@pytest.mark.parametrize("name", PENALTIES)
def test_hard_targets_choose_one_of_the_two_curves(name):
    penalty = PENALTIES[name]
    x = torch.linspace(-8, 8, 33, dtype=torch.float64)
    torch.testing.assert_close(penalty(x, torch.ones_like(x)), penalty.positive(x), rtol=1e-14, atol=0)
    torch.testing.assert_close(penalty(x, torch.zeros_like(x)), penalty.negative(x), rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", PENALTIES)
def test_nan_propagates(name):
    x = torch.tensor([math.nan, 1.0])
    for curve in (PENALTIES[name].positive, PENALTIES[name].negative):
        assert curve(x).isnan().tolist() == [True, False]
    for y in (0.0, 0.3, 1.0):
        assert PENALTIES[name](x, torch.full_like(x, y)).isnan().tolist() == [True, False]


def test_the_focal_weight_is_one_minus_pt_to_the_gamma():
    x = torch.linspace(-8, 8, 33, dtype=torch.float64)
    q = 1 / (1 + x.exp())
    ratio = Focal(None, 3.0).positive(x) / CrossEntropy().positive(x)
    torch.testing.assert_close(ratio, q**3)
    torch.testing.assert_close(Focal(None, 3.0).negative(x) / CrossEntropy().negative(x), (1 - q) ** 3)


def test_alpha_0_and_1_silence_one_class():
    x = torch.linspace(-8, 8, 33)
    assert Focal(0.0, 2.0).positive(x).eq(0).all()
    assert Focal(1.0, 2.0).negative(x).eq(0).all()
    assert Focal(1.0, 2.0).positive(x).gt(0).all()


def test_smoothing_moves_hard_labels_and_none_costs_nothing():
    x = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64)
    expected = [float(0.9 * reference.bce(v, 1) + 0.1 * reference.bce(v, 0)) for v in x.tolist()]
    assert Smoothed(CrossEntropy(), 0.1).positive(x).tolist() == pytest.approx(expected, rel=1e-13)
    penalty = CrossEntropy()
    assert smoothed(penalty, 0.0) is penalty
