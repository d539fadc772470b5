"""Powers and slopes of the sigmoid where float32 has the fewest digits left."""

import math

import pytest
import support.losses_reference as reference
import torch

from presence_only.losses.numerics import power_of, sigmoid, sigmoid_power


@pytest.mark.parametrize("exponent", [0.1, 0.3, 2.7, 7.3])
def test_a_power_of_sigmoid_keeps_its_digits_down_to_the_smallest_number(exponent):
    """There exp(g * x) has lost most: to the rounding of g and of the product, and each is 3e-6."""
    x = torch.linspace(-86 / exponent, -60 / exponent, 60, dtype=torch.float32)
    truth = [reference.truth(lambda v: reference.p_of(v) ** reference.mpf(exponent), v)[0] for v in x.tolist()]
    power = sigmoid_power(x, exponent).tolist()
    assert max(reference.relative_error(p, t, torch.float32) for p, t in zip(power, truth, strict=True)) < 5e-6
    assert sigmoid_power(x, 0.0).eq(1).all()


def test_the_slope_of_sigmoid_survives_its_rounding_to_one():
    x = torch.tensor([30.0], dtype=torch.float32, requires_grad=True)
    (slope,) = torch.autograd.grad(sigmoid(x).sum(), x)
    assert float(slope) == pytest.approx(math.exp(-30.0), rel=1e-6)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 7, 16, 0.5, 20])
def test_a_power_is_that_of_python(exponent):
    base = torch.tensor([0.3, 0.9, 1.1], dtype=torch.float64)
    before = base.clone()
    assert power_of(base, exponent).tolist() == pytest.approx([x**exponent for x in base.tolist()], rel=1e-14)
    assert torch.equal(base, before)
