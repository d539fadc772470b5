"""Fast curves of assumed absences against 50 digits and against the penalties that they stand for."""

from functools import partial

import mpmath
import pytest
import support.losses_reference as reference
import torch

from presence_only.common.registry import resolve
from presence_only.losses import fast_curves
from presence_only.losses.fast_curves import ABSENT, Taken, Tile, absence_curve
from presence_only.losses.penalties import Asymmetric, CrossEntropy, Focal, Hill, MaximumEntropy, Smoothed
from presence_only.losses.poisson import Intensity
from presence_only.losses.registry import PENALTIES

CURVES = {
    "bce": (CrossEntropy(), partial(reference.bce, y=0)),
    "focal": (Focal(), partial(reference.focal, y=0, alpha=0.25, gamma=2)),
    "focal_1": (Focal(None, 1.0), partial(reference.focal, y=0, alpha=None, gamma=1)),
    "focal_3": (Focal(0.5, 3.0), partial(reference.focal, y=0, alpha=0.5, gamma=3)),
    "focal_0": (Focal(0.5, 0.0), partial(reference.focal, y=0, alpha=0.5, gamma=0)),
    "focal_half": (Focal(0.5, 0.5), partial(reference.focal, y=0, alpha=0.5, gamma=0.5)),
    "asl": (Asymmetric(), partial(reference.asl, y=0, gamma_pos=0, gamma_neg=2, clip=0.05)),
    "asl_1": (Asymmetric(0.0, 1.0, 0.2), partial(reference.asl, y=0, gamma_pos=0, gamma_neg=1, clip=0.2)),
    "asl_4": (Asymmetric(1.0, 4.0, 0.001), partial(reference.asl, y=0, gamma_pos=1, gamma_neg=4, clip=0.001)),
    "asl_no_clip": (Asymmetric(0.0, 2.0, 0.0), partial(reference.asl, y=0, gamma_pos=0, gamma_neg=2, clip=0)),
    "asl_no_gamma": (Asymmetric(0.0, 0.0, 0.05), partial(reference.asl, y=0, gamma_pos=0, gamma_neg=0, clip=0.05)),
    "asl_faint_clip": (Asymmetric(0.0, 2.0, 1e-9), partial(reference.asl, y=0, gamma_pos=0, gamma_neg=2, clip=1e-9)),
    "hill": (Hill(), partial(reference.hill, y=0, height=1.5, margin=1, gamma=2)),
    "hill_4": (Hill(4.0), partial(reference.hill, y=0, height=4, margin=1, gamma=2)),
    "poisson": (Intensity(15.0), partial(reference.capped_exponential, cap=15)),
    "entropy": (MaximumEntropy(), lambda x: -reference.entropy(x)),
}
pytestmark = pytest.mark.usefixtures("way")
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def evaluate(penalty, logits_RC, mask_RC=None, taken_P=None, wants_slope=True):
    x_RC, taken = logits_RC.clone(), None
    if taken_P is not None:
        taken = Taken(taken_P)
        taken.write(x_RC, ABSENT)
    tile = Tile(x_RC, mask_RC, taken, torch.empty_like(x_RC), torch.empty_like(x_RC), wants_slope)
    return absence_curve(penalty)(tile)


@pytest.mark.parametrize("name", CURVES)
@DTYPES
def test_value_and_slope_at_every_breakpoint(name, dtype):
    penalty, function = CURVES[name]
    logits = torch.tensor(reference.LOGITS, dtype=dtype)
    value_C, slope_RC = evaluate(penalty, logits[None])  # a logit a column: the sums are single terms
    faint = {torch.float32: 1e-30, torch.float64: 1e-300}[dtype]  # slopes that no sum would notice
    for x, value, slope in zip(logits.tolist(), value_C.tolist(), slope_RC[0].tolist(), strict=True):
        for got, expected in zip((value, slope), reference.truth(function, x), strict=True):
            near = reference.TOLERANCE[dtype] * abs(expected) + faint
            assert abs(mpmath.mpf(got) - expected) <= near, (x, got, mpmath.nstr(expected, 20))


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("rows", [1, 2, 63, 64, 131])
def test_sums_over_rows_with_masked_and_observed_pairs(name, rows):
    penalty, _ = CURVES[name]
    source = torch.Generator().manual_seed(rows)
    x_RC = torch.randn(rows, 5, generator=source, dtype=torch.float64) * 6
    x_RC[:, 3] = -9.0
    x_RC[0, 4] = 300.0
    mask_RC = torch.rand(rows, 5, generator=source) < 0.7
    taken_P = torch.randperm(rows * 5, generator=source)[: rows // 3 + 1]
    counts_RC = mask_RC.clone()
    counts_RC.view(-1)[taken_P] = False
    leaf_RC = x_RC.clone().requires_grad_()
    expected_C = torch.where(counts_RC, penalty.negative(leaf_RC), 0.0).sum(dim=0)
    expected_C.sum().backward()
    value_C, slope_RC = evaluate(penalty, x_RC, mask_RC, taken_P)
    torch.testing.assert_close(value_C, expected_C.detach(), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(slope_RC, leaf_RC.grad, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("top", [-12.0, 0.0, 3.0, 19.9, 25.0, 90.0])
@DTYPES
def test_products_of_rows_neither_overflow_nor_lose_small_terms(top, dtype):
    x_RC = torch.full((200, 2), top, dtype=dtype)
    x_RC[:, 1] = -11.0
    value_C, _ = evaluate(CrossEntropy(), x_RC, wants_slope=False)
    expected_C = torch.nn.functional.softplus(x_RC.double()).sum(dim=0)
    torch.testing.assert_close(value_C.double(), expected_C, rtol=2e-6 if dtype == torch.float32 else 1e-12, atol=0)


@pytest.mark.parametrize("name", CURVES)
def test_without_a_slope_the_value_is_the_same(name):
    x_RC = torch.linspace(-8, 30, 60, dtype=torch.float64).view(20, 3)
    value_C, slope_RC = evaluate(CURVES[name][0], x_RC, wants_slope=False)
    assert slope_RC is None
    torch.testing.assert_close(value_C, evaluate(CURVES[name][0], x_RC)[0], rtol=1e-14, atol=0)


def differentiates(penalty):
    """Whether a penalty's negative curve is evaluated by its own formula."""
    used = absence_curve(penalty)
    return getattr(used, "func", used) is fast_curves._differentiated


@pytest.mark.parametrize("name", CURVES)
def test_a_fast_curve_is_used_where_there_is_one(name):
    without = name in ("focal_half", "asl_no_gamma", "asl_faint_clip")
    assert (CURVES[name][0].fast_negative() is None) == differentiates(CURVES[name][0]) == without


@pytest.mark.parametrize("name", PENALTIES)
def test_every_penalty_of_params_yaml_but_one_has_a_fast_curve_that_agrees(name):
    assert differentiates(resolve(PENALTIES[name])()) == (name == "ral")


def steeper(logits):
    return 1.5 * torch.nn.functional.softplus(logits) + 0.1 * logits


@pytest.mark.parametrize("name", PENALTIES)
def test_an_edit_of_the_readable_formula_is_followed(name, monkeypatch):
    kind = resolve(PENALTIES[name])
    evaluate(kind(), torch.zeros(2, 2, dtype=torch.float64))  # what was found before must not stick
    monkeypatch.setattr(kind, "negative", lambda self, logits: steeper(logits))
    assert_is_steeper(kind())


@pytest.mark.parametrize("name", PENALTIES)
def test_a_subclass_with_another_formula_is_followed(name):
    kind = resolve(PENALTIES[name])
    assert_is_steeper(type("Steeper", (kind,), {"negative": lambda self, logits: steeper(logits)})())


def assert_is_steeper(penalty):
    x_RC = torch.linspace(-9, 9, 12, dtype=torch.float64).view(4, 3)
    value_C, slope_RC = evaluate(penalty, x_RC)
    torch.testing.assert_close(value_C, steeper(x_RC).sum(dim=0), rtol=1e-12, atol=0)
    torch.testing.assert_close(slope_RC, 1.5 * torch.sigmoid(x_RC) + 0.1, rtol=1e-12, atol=0)


@pytest.mark.parametrize("wrong", [fast_curves.entropy_curve, fast_curves.focused_curve(1.0)])
def test_a_fast_curve_of_another_formula_is_not_used(wrong):
    penalty = type("Mistaken", (CrossEntropy,), {"fast_negative": lambda self: wrong})()
    x_RC = torch.linspace(-9, 9, 12, dtype=torch.float64).view(4, 3)
    value_C, _ = evaluate(penalty, x_RC)
    torch.testing.assert_close(value_C, torch.nn.functional.softplus(x_RC).sum(dim=0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_a_smoothed_cross_entropy_is_evaluated_fast_and_any_other_by_its_own(own, masked):
    kind = type("Other", (CrossEntropy,), {}) if own else CrossEntropy
    penalty = Smoothed(kind(), 0.1)
    assert differentiates(penalty) is own
    x_RC = torch.linspace(-40, 40, 24, dtype=torch.float64).view(6, 4)
    taken_P = torch.tensor([0, 9])
    mask_RC = torch.arange(24).view(6, 4) % 3 > 0 if masked else None
    value_C, slope_RC = evaluate(penalty, x_RC, mask_RC, taken_P)
    terms_RC = 0.1 * torch.nn.functional.softplus(-x_RC) + 0.9 * torch.nn.functional.softplus(x_RC)
    expected_RC = torch.sigmoid(x_RC) - 0.1
    for tensor_RC in (terms_RC, expected_RC):
        tensor_RC.view(-1)[taken_P] = 0
        if masked:
            tensor_RC[~mask_RC] = 0
    torch.testing.assert_close(value_C, terms_RC.sum(dim=0), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(slope_RC, expected_RC, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CURVES)
def test_nan_reaches_value_and_slope(name):
    x_RC = torch.tensor([[0.0, 1.0], [float("nan"), 2.0]])
    value_C, slope_RC = evaluate(CURVES[name][0], x_RC)
    assert value_C.isnan().tolist() == [True, False]
    assert slope_RC.isnan().tolist() == [[False, False], [True, False]]
