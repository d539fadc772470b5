"""Exact functions of the logit: cross-entropy, its focused and margined forms, entropy, powers of the sigmoid.

All are exact at every finite logit: no sigmoid that has rounded to 1 is put into a logarithm, and no small constant
is added to hide it. At an infinite logit a value is its limit, which may be infinite, and a slope its limit, which is
finite. Values and slopes are sums of positive terms, which do not cancel. Functions of several operations carry their
slope in closed form and keep only the logits for it: what those operations would leave behind is many times the logits'
memory.

Notation: x logit, p = sigmoid(x), q = sigmoid(-x), softplus(x) = -log q, all in nats. Half and bfloat16 are widened to
float32 by :func:`widen`; float64 stays float64.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from presence_only.losses.host_reads import on_host

# Exponents for which a power is a few products.
WHOLE = frozenset(range(17))
# What stands for an infinite number in a product with something that has fallen to 0 long before: the product is 0.
LARGE = 1e30


def widen(x: Tensor) -> Tensor:
    """``x`` in the precision losses are computed in: float64 as it is, everything else in float32."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def power_of(base: Tensor, exponent: float) -> Tensor:
    """``base ** exponent``, a small whole exponent by squaring: each product is 30 times faster than a power."""
    if exponent not in WHOLE:
        return base**exponent
    result, left = None, int(exponent)
    while left:
        if left % 2:
            result = base if result is None else result * base
        left //= 2
        if left:
            base = base * base
    return torch.ones_like(base) if result is None else result


def times(factor: Tensor, cost: Tensor) -> Tensor:
    """``factor * cost``, whose slope stays finite where the cost is infinite and the factor no longer changes.

    Args:
        factor: Finite, above 0 where the cost is infinite.
        cost: The same shape.
    """
    result: Tensor = _Times.apply(factor, cost)  # type: ignore[no-untyped-call, unused-ignore]
    return result


class _Times(torch.autograd.Function):
    """A product; in the slope for the factor, an infinite cost counts as ``LARGE``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(factor: Tensor, cost: Tensor) -> Tensor:
        return factor * cost

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        factor, cost = ctx.saved_tensors
        of_factor, of_cost = ctx.needs_input_grad
        return (
            gradient * cost.clamp(-LARGE, LARGE) if of_factor else None,
            gradient * factor if of_cost else None,
        )


def weighed(weight: Tensor, cost: Tensor) -> Tensor:
    """``weight * cost``, and 0 where the weight is 0 and the cost infinite."""
    return torch.where((weight == 0) & cost.isinf(), 0.0, weight * cost)


def finite_logits(x: Tensor) -> Tensor:
    """Logits in the precision of the computation, of which infinite ones are +-``LARGE``, with the slopes of ``LARGE``.

    For losses that compare logits with each other: the difference of two infinite ones would be NaN.
    """
    result: Tensor = _Bounded.apply(widen(x))  # type: ignore[no-untyped-call, unused-ignore]
    return result


class _Bounded(torch.autograd.Function):
    """``x`` clamped to +-``LARGE``, with slope 1 everywhere."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clamp(-LARGE, LARGE)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), exact at any logit.

    Above a threshold torch returns x itself: at its own, 20, that loses digits of float64; at 40 the
    rest, exp(-40), lies below the last digit. One kernel, where -logsigmoid(-x) takes three.
    """
    return torch.nn.functional.softplus(x, threshold=40)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), its slope exact too.

    The slope of ``torch.sigmoid`` is p (1 - p), which loses all digits where p rounds to 1, and in
    float32 its value is 0 where exp(-x) overflows.
    """
    falls = x < 0
    small = torch.exp(torch.where(falls, x, -x))  # exp(-|x|), with a slope at 0
    return torch.where(falls, small, 1.0) / (1 + small)


def sigmoid_power(x: Tensor, exponent: float) -> Tensor:
    """sigmoid(x) ** exponent with all its digits, for exponents >= 0.

    ``pow(sigmoid(x), g)`` has an infinite slope where the sigmoid underflows and g < 1, and
    ``exp(g * logsigmoid(x))`` loses digits with the size of its argument. Splitting off the linear
    part of log-sigmoid leaves one rounding of ``g * x``, the least that float32 allows. A whole
    exponent is a few products.
    """
    if exponent in WHOLE:
        return power_of(sigmoid(x), exponent)
    scaled = exponent * (2.0**29 + 1)
    head = scaled - (scaled - exponent)  # the exponent in 24 bits (Veltkamp), exact in float32
    if x.dtype == torch.float64:
        head = exponent
    falls = x < 0
    # Far below, where the power is 0 in any precision, the product of an infinite logit and 0 would be NaN.
    linear = torch.where(falls, x, 0.0).clamp(min=max(-1000 / exponent, -LARGE))
    bend = logsigmoid(torch.where(falls, -x, x))  # logsigmoid(x) - linear, between -log 2 and 0
    remainder = exponent * bend
    if head != exponent:
        remainder = remainder + (exponent - head) * linear
    return torch.exp(head * linear) * torch.exp(remainder)


def entropy(x: Tensor) -> Tensor:
    """Entropy of a Bernoulli variable with logit x, in nats.

    Source: the maximum-entropy losses of Cole et al. (2023), https://arxiv.org/abs/2306.02564
    """
    result: Tensor = _Entropy.apply(x)  # type: ignore[no-untyped-call, unused-ignore]
    return result


class _Entropy(torch.autograd.Function):
    """log(1 + e) + |x| e / (1 + e) with e = exp(-|x|), which is p softplus(-x) + q softplus(x).

    Its slope -x p q is the difference of two nearly equal terms for automatic differentiation; the
    closed form keeps its digits, and being made of differentiable operations it has a second slope.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        size = x.abs().clamp(max=LARGE)
        small = torch.exp(-size)
        return torch.log1p(small) + size * (small / (1 + small))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x: Tensor
        (x,) = ctx.saved_tensors
        small = torch.exp(-x.abs())
        return -gradient * x.clamp(-LARGE, LARGE) * (small / (1 + small).square())


def focused_softplus(z: Tensor, gamma: float) -> Tensor:
    """sigmoid(z)^gamma softplus(z): z = x penalises a presence predicted, z = -x one missed."""
    if gamma == 0:
        return softplus(z)
    result: Tensor = _Focused.apply(z, gamma)  # type: ignore[no-untyped-call, unused-ignore]
    return result


class _Focused(torch.autograd.Function):
    """p^gamma softplus(z) with p = sigmoid(z); its slope is p^gamma [p + gamma q softplus(z)]."""

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, gamma: float) -> Tensor:
        return _factor(z, gamma)[1] * softplus(z)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.gamma = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        z: Tensor
        (z,) = ctx.saved_tensors
        p, power = _factor(z, ctx.gamma)
        q = sigmoid(-z) if torch.is_grad_enabled() else torch.sigmoid(-z)
        return gradient * (power * (p + ctx.gamma * (q * softplus(z).clamp(max=LARGE)))), None


def _factor(z: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Sigmoid(z), called p, and p^gamma.

    Where only values count, torch's sigmoid will do: the p that it rounds to 0 are beyond any number
    of the dtype once multiplied by p^gamma or its like. A second slope needs that of p.
    """
    p = sigmoid(z) if torch.is_grad_enabled() else torch.sigmoid(z)
    return p, power_of(p, gamma) if gamma in WHOLE else sigmoid_power(z, gamma)


def hill(x: Tensor, height: float) -> Tensor:
    """(height - p) p^2 with p = sigmoid(x), for a height >= 1.5: it rises with the logit and levels off.

    Source: the Hill loss of Zhang et al. (2021), https://arxiv.org/abs/2112.07368
    """
    result: Tensor = _Hill.apply(x, height)  # type: ignore[no-untyped-call, unused-ignore]
    return result


class _Hill(torch.autograd.Function):
    """p^2 (height - 1 + q); its slope is p^2 q (2 height - 3 + 3 q), in which nothing cancels."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, height: float) -> Tensor:
        return sigmoid(x).square() * (height - 1 + sigmoid(-x))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.height = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x: Tensor
        (x,) = ctx.saved_tensors
        q = sigmoid(-x)
        return gradient * (sigmoid(x).square() * q * (2 * ctx.height - 3 + 3 * q)), None


def margined_softplus(x: Tensor, gamma: float, margin: float) -> Tensor:
    """p_m^gamma * -log(1 - p_m) with p_m = max(p - margin, 0): nothing up to the margin."""
    if margin < torch.finfo(x.dtype).tiny:  # below the smallest p that the dtype can hold
        return focused_softplus(x, gamma)
    result: Tensor = _Margined.apply(x, gamma, margin)  # type: ignore[no-untyped-call, unused-ignore]
    return result


class _Margined(torch.autograd.Function):
    """p_m^gamma * -log(1 - p_m), p_m = max(p - margin, 0); its slope p q p_m^(gamma - 1) [gamma l + r].

    With r = p_m / (1 - p_m) the logarithm l is log1p(r), and 1 - p_m = q + margin: no difference is
    left that could cancel. Only elements above the margin are evaluated: the others would have
    infinite slopes, and once training has silenced most of them, leaving them out is also faster.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, gamma: float, margin: float) -> Tensor:
        active, x_A, bound = _above(x, margin)
        _, p_m, odds = _beyond(x_A, margin, bound)
        cost_A = torch.log1p(odds)
        if gamma != 0:
            cost_A = power_of(p_m, gamma) * cost_A
        return _place(x, active, cost_A)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.gamma, ctx.margin = inputs[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        x: Tensor
        (x,) = ctx.saved_tensors
        active, x_A, bound = _above(x, ctx.margin)
        p_q, p_m, odds = _beyond(x_A, ctx.margin, bound)
        growth = odds if ctx.gamma == 0 else ctx.gamma * torch.log1p(odds) + odds
        slope_A = p_q * (power_of(p_m, ctx.gamma - 1) * growth)
        return gradient * _place(x, active, slope_A), None, None


def margined_sigmoid(x: Tensor, margin: float) -> Tensor:
    """p_m = max(p - margin, 0) with all its digits just above the margin."""
    if margin < torch.finfo(x.dtype).tiny:
        return sigmoid(x)
    result: Tensor = _MarginedSigmoid.apply(x, margin)  # type: ignore[no-untyped-call, unused-ignore]
    return result


class _MarginedSigmoid(torch.autograd.Function):
    """max(p - margin, 0), slope p q above the margin."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, margin: float) -> Tensor:
        active, x_A, bound = _above(x, margin)
        return _place(x, active, _beyond(x_A, margin, bound)[1])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.margin = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x: Tensor
        (x,) = ctx.saved_tensors
        active, x_A, bound = _above(x, ctx.margin)
        return gradient * _place(x, active, _beyond(x_A, ctx.margin, bound)[0]), None


def _above(x: Tensor, margin: float) -> tuple[Tensor, Tensor, tuple[float, float]]:
    """Where p exceeds the margin, the logits there, and the margin's own logit.

    On a GPU, where their number would be waited for, the logits have the shape of ``x``, and beside those above the
    margin there is some number above it.
    """
    high, low = _logit(margin, 24 if x.dtype == torch.float32 else 53)
    # Negated, so that NaN counts as above: it must reach the result.
    active = ~(x < high) if low < 0 else ~(x <= high)
    x_A = x.masked_select(active) if on_host(x) else torch.where(active, x, high + 1)
    return active, x_A, (high, low)


def _place(x: Tensor, active: Tensor, values_A: Tensor) -> Tensor:
    """What :func:`_above` took out of ``x``, in its place, with 0 elsewhere."""
    if on_host(x):
        return torch.zeros_like(x).masked_scatter_(active, values_A)
    return torch.where(active, values_A, 0.0)


def _beyond(x_A: Tensor, margin: float, bound: tuple[float, float]) -> tuple[Tensor, Tensor, Tensor]:
    """Of logits above the margin: p q, p_m and p_m / (1 - p_m)."""
    small = torch.exp(-x_A)  # finite: the margin is no denormal number
    p = 1 / (1 + small)
    q = small * p
    above = (x_A - bound[0]) - bound[1]  # the first difference is exact near the margin
    # p - m = p (1 - m) (1 - exp(-above)); kept off 0, to which a tiny margin would let it round
    p_m = ((1 - margin) * p * -torch.expm1(-above)).clamp_min(torch.finfo(x_A.dtype).tiny)
    return p * q, p_m, p_m / (q + margin)


def _logit(probability: float, bits: int) -> tuple[float, float]:
    """log(m / (1 - m)) as a leading float of ``bits`` bits and the rest of it.

    With the logit in one float alone, all digits just above the margin would be lost.
    """
    with localcontext() as context:
        context.prec = 50
        exact = Decimal(probability)
        logit = exact.ln() - (1 - exact).ln()
        high = float(logit)
        if bits == 24:
            scaled = high * (2.0**29 + 1)
            high = scaled - (scaled - high)
        return high, float(logit - Decimal(high))


def soft_focal(x: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """(1 - p_t)^gamma BCE with p_t = y p + (1 - y) q, for targets anywhere in [0, 1], of the dtype of ``x``."""
    present = targets == 1
    soft = (targets > 0) & (targets < 1)
    # 1 - p_t = y q + (1-y) p, arranged so that value and slope are each one term, and y
    # inside (0, 1) keeps the base of the power away from 0.
    half = torch.where(soft, targets, 0.5)
    low = torch.minimum(half, 1 - half)
    base = low + (1 - 2 * low) * sigmoid(torch.where(half > 0.5, -x, x))
    mixed = times(base**gamma, half * softplus(-x) + (1 - half) * softplus(x))
    return torch.where(soft, mixed, focused_softplus(torch.where(present, -x, x), gamma))


def focal_of_probabilities(p: Tensor, targets: Tensor, gamma: float, dtype: torch.dtype) -> Tensor:
    """(1 - p_t)^gamma BCE of probabilities in [0, 1], infinite where one is exactly 0 or 1 on the wrong side.

    The slope is finite also there: it is that of the probability next to it, the smallest normal number of the dtype
    for 0, and the largest number below 1 for 1.

    Args:
        p: Probabilities, float32 or float64.
        targets: In [0, 1], of the same dtype.
        gamma: Focusing exponent >= 0.
        dtype: What the probabilities were given in, which may be narrower, and has to hold the slope.
    """
    present, absent = targets > 0, targets < 1
    # Double where: a class with weight 0 is not evaluated where its logarithm is infinite.
    log_p = _log(torch.where(present, p, 0.5), dtype)
    inside_q = torch.where(absent, p, 0.5)
    # A sum, so that the slope does not end at the bound as that of a clamp does; below it, 0 is added.
    log_q = torch.log1p(-(inside_q - (inside_q.detach() - (1 - torch.finfo(dtype).eps / 2)).clamp(min=0)))
    cost = -torch.where(present, targets * log_p, 0.0) - torch.where(absent, (1 - targets) * log_q, 0.0)
    if gamma != 0:
        miss = targets * (1 - p) + (1 - targets) * p
        easy = miss <= 0  # a slope of 0^(gamma - 1) would be infinite for gamma < 1
        cost = torch.where(easy, 0.0, torch.where(easy, 1.0, miss) ** gamma) * cost
    wrong = (present & (p == 0)) | (absent & (p == 1))
    return torch.where(p.isnan(), p, torch.where(wrong, cost + torch.inf, cost))


def _log(p: Tensor, dtype: torch.dtype) -> Tensor:
    """Logarithm of p, and a slope of at most 1 over the smallest normal number of the dtype."""
    value = p.detach()
    bounded = torch.log(p + (torch.finfo(dtype).tiny - value).clamp(min=0))
    return bounded + torch.where(value > 0, torch.log(value) - bounded.detach(), 0.0)
