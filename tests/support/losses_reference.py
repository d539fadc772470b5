"""A second, slow implementation of the losses: 50 digits or plain loops, from their definitions alone.

Nothing here is shared with the package: values come from the textbook formulas evaluated in mpmath,
slopes from numerical differentiation at many more digits than are compared.
"""

import math

import mpmath
import torch
from mpmath import mpf

DIGITS = 50
TOLERANCE = {torch.float64: 1e-12, torch.float32: 5e-6}
# The places where textbook code breaks: sigmoid rounding to 1 in bfloat16, float32 and float64, exp
# underflowing in float32 and float64, and the far ends.
BREAKPOINTS = (
    0.0,
    1e-8,
    1e-3,
    0.1,
    0.5,
    1.0,
    2.5,
    5.0,
    6.3,
    11.1,
    16.6,
    17.5,
    36.8,
    50.0,
    87.0,
    104.0,
    350.0,
    746.0,
    1e4,
)
LOGITS = sorted({sign * x for x in BREAKPOINTS for sign in (-1, 1)})


def p_of(x):
    return 1 / (1 + mpmath.exp(-mpf(x)))


def log_p(x):
    return -mpmath.log1p(mpmath.exp(-mpf(x)))


def bce(x, y):
    return -(mpf(y) * log_p(x) + (1 - mpf(y)) * log_p(-x))


def focal(x, y, alpha, gamma):
    x, y = mpf(x), mpf(y)
    one_minus_pt = y * p_of(-x) + (1 - y) * p_of(x)
    weight = 1 if alpha is None else mpf(alpha) * y + (1 - mpf(alpha)) * (1 - y)
    return weight * one_minus_pt ** mpf(gamma) * bce(x, y)


def asl(x, y, gamma_pos, gamma_neg, clip):
    x, y, clip = mpf(x), mpf(y), mpf(clip)
    p_m = p_of(x) - clip
    absent = mpf(0)
    if p_m > 0:
        # 1 - p_m with q from its own formula: 1 - p would need thousands of digits
        one_minus = p_of(-x) + clip
        log_one_minus = mpmath.log1p(-p_m) if p_m < 0.5 else mpmath.log(one_minus)
        absent = -(p_m ** mpf(gamma_neg)) * log_one_minus
    return -y * p_of(-x) ** mpf(gamma_pos) * log_p(x) + (1 - y) * absent


def entropy(x):
    return -(p_of(x) * log_p(x) + p_of(-x) * log_p(-x))


def hill(x, y, height, margin, gamma):
    x, height = mpf(x), mpf(height)
    if y == 1:
        return -(p_of(mpf(margin) - x) ** mpf(gamma)) * log_p(x - mpf(margin))
    return (height - 1 + p_of(-x)) * p_of(x) ** 2


def polynomial(x, y, gamma_pos, gamma_neg, clip, eps_pos, eps_pos_pow, eps_neg):
    """Asymmetric polynomial loss; the terms of a presence cancel up to the third power of q."""
    x, p_m = mpf(x), p_of(x) - mpf(clip)
    if y == 0:
        return asl(x, 0, 0, gamma_neg, clip) + (mpf(eps_neg) * p_m ** mpf(gamma_neg + 1) if p_m > 0 else 0)
    with mpmath.extradps(3 * int(min(abs(x), 800))):
        q = p_of(-x)
        return q ** mpf(gamma_pos) * (-mpmath.log1p(-q) - mpf(eps_pos) * q - mpf(eps_pos_pow) * q**2 / 2)


def robust_asymmetric(x, y, gamma_pos, gamma_neg, clip, height, eps_pos, eps_pos_pow):
    """Robust asymmetric loss; 1 - p_m as the authors have it."""
    x = mpf(x)
    if y == 1:
        return polynomial(x, 1, gamma_pos, gamma_neg, clip, eps_pos, eps_pos_pow, 0)
    p = p_of(x)
    return asl(x, 0, 0, gamma_neg, clip) * hill(x, 0, height, 0, 0) * (mpf(height) - min(1 - p + mpf(clip), 1))


def capped_exponential(x, cap):
    """exp(x), and its tangent at the cap beyond it."""
    x, cap = mpf(x), mpf(cap)
    return mpmath.exp(x) if x <= cap else mpmath.exp(cap) * (1 + x - cap)


def slope(function, x):
    """The derivative by central differences, with enough digits that 50 are left.

    Where a probability has rounded to 1 the difference is exp(-|x|) of the value; beyond |x| = 800 that
    is 0 in float64.
    """
    with mpmath.workdps(4 * DIGITS + int(min(abs(x), 800))):
        step = mpf(10) ** -(DIGITS + 10)
        return (function(mpf(x) + step) - function(mpf(x) - step)) / (2 * step)


def truth(function, x):
    """Value and slope at x, as mpf of 50 digits."""
    with mpmath.workdps(2 * DIGITS + int(min(abs(x), 800))):
        return function(mpf(x)), slope(function, x)


def relative_error(got, expected, dtype):
    """|got - expected| / |expected|; below the smallest normal number of the dtype a result may be anything small."""
    tiny = mpf(torch.finfo(dtype).tiny)
    if not math.isfinite(got):
        return math.inf
    return float(abs(mpf(got) - expected) / max(abs(expected), tiny * 1000))


def worst_error(curve, function, logits, dtype):
    """Largest relative error of value and slope of an elementwise curve over some logits.

    Returns:
        The error and what it belongs to, for a readable failure.
    """
    x = torch.tensor(logits, dtype=dtype, requires_grad=True)
    values = curve(x)
    (slopes,) = torch.autograd.grad(values.sum(), x)
    assert values.dtype == slopes.dtype == dtype
    worst = (0.0, "")
    for at, value, gradient in zip(x.tolist(), values.tolist(), slopes.tolist(), strict=True):
        true_value, true_slope = truth(function, at)
        for kind, got, expected in (("value", value, true_value), ("slope", gradient, true_slope)):
            error = relative_error(got, expected, dtype)
            worst = max(worst, (error, f"{kind} at {at!r}: {got!r}, not {mpmath.nstr(expected, 20)}"))
    return worst


def loop_bce(x, y):
    """Plain Python cross-entropy for moderate logits."""
    return math.log1p(math.exp(-x)) if y == 1 else math.log1p(math.exp(x))


def loop_entropy(x):
    p = 1 / (1 + math.exp(-x))
    return -p * math.log(p) - (1 - p) * math.log(1 - p)
