"""How one element is penalised: cross-entropy, focal, asymmetric, entropy.

Every penalty is a pair of curves over the logit x, one for a present and one for an absent species.
They are written in forms that stay exact at every finite logit: no sigmoid that has rounded to 1 is
ever put into a logarithm, and no small constant is added to hide it. Values and slopes are sums of
positive terms, which do not cancel. The curves that take several operations carry their slope in
closed form and keep only the logits for it: what those operations left behind would be many times
the logits' memory.

To add a penalty, write its class, name it in ``PENALTIES`` and declare its parameters in
``variant.PenaltySettings``.

A penalty may name a ``fast_curve``, its negative curve on a tile of logits (``tiles.py``); without one it is evaluated
by ``negative`` and automatic differentiation there too.

Notation: p = sigmoid(x), q = sigmoid(-x), softplus(x) = -log q, all in nats. Half and bfloat16 are
computed, and returned, in float32; float64 stays float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from presence_only.losses.checks import check_number
from presence_only.losses.powers import WHOLE, power_of
from presence_only.losses.tiles import Curve, cross_entropy_curve, entropy_curve, focused_curve, forgiving_curve, scaled


class Penalty(Protocol):
    """How one element is penalised, given its logit and its label."""

    def positive(self, logits: Tensor) -> Tensor:
        """The penalty of each logit if the species is present, same shape, in nats."""

    def negative(self, logits: Tensor) -> Tensor:
        """The penalty of each logit if the species is absent, same shape, in nats."""

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The penalty of each logit for targets anywhere in [0, 1], same shape, in nats."""


def widen(x: Tensor) -> Tensor:
    """``x`` in the precision losses are computed in: float64 as it is, everything else in float32."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


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
    linear = torch.where(falls, x, 0.0)
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
        size = x.abs()
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
        return -gradient * x * (small / (1 + small).square())


class _Mixed:
    """A penalty that is linear in the target."""

    def positive(self, logits: Tensor) -> Tensor:
        raise NotImplementedError

    def negative(self, logits: Tensor) -> Tensor:
        raise NotImplementedError

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        present = targets == 1
        if all_hard(targets, present):
            return choose(self, logits, present)
        return targets * self.positive(logits) + (1 - targets) * self.negative(logits)


@dataclass(frozen=True)
class CrossEntropy(_Mixed):
    """Binary cross-entropy: softplus(-x) if present, softplus(x) if absent."""

    def positive(self, logits: Tensor) -> Tensor:
        """-log p."""
        return softplus(-widen(logits))

    def negative(self, logits: Tensor) -> Tensor:
        """-log q."""
        return softplus(widen(logits))

    def fast_curve(self) -> Curve:
        """The negative curve on a tile."""
        return cross_entropy_curve


@dataclass(frozen=True)
class Focal:
    """Cross-entropy times a_t (1 - p_t)^gamma: easy elements count less.

    Source: Lin et al. (2017), https://arxiv.org/abs/1708.02002

    Args:
        alpha: Weight of positives in [0, 1], negatives have 1 - alpha; None: no weights.
        gamma: Focusing exponent, finite and >= 0; 0 is cross-entropy.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is out of range.
    """

    alpha: float | None = 0.25
    gamma: float = 2.0

    def __post_init__(self) -> None:
        if self.alpha is not None:
            check_number("alpha", self.alpha, 0.0, 1.0)
        check_number("gamma", self.gamma, 0.0)

    def positive(self, logits: Tensor) -> Tensor:
        """Alpha q^gamma softplus(-x)."""
        curve = _focused(-widen(logits), self.gamma)
        return curve if self.alpha is None else self.alpha * curve

    def negative(self, logits: Tensor) -> Tensor:
        """(1 - alpha) p^gamma softplus(x)."""
        curve = _focused(widen(logits), self.gamma)
        return curve if self.alpha is None else (1 - self.alpha) * curve

    def fast_curve(self) -> Curve | None:
        """The negative curve on a tile, for whole exponents."""
        return (
            scaled(focused_curve(self.gamma), 1.0 if self.alpha is None else 1 - self.alpha)
            if self.gamma in WHOLE
            else None
        )

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """a_t (1 - p_t)^gamma BCE with p_t = y p + (1 - y) q and a_t mixed alike, for y in [0, 1]."""
        present = targets == 1
        if all_hard(targets, present):
            return choose(self, logits, present)
        x = widen(logits)
        targets = targets.to(x.dtype)
        soft = (targets > 0) & (targets < 1)
        # 1 - p_t = y q + (1-y) p, arranged so that value and slope are each one term, and y
        # inside (0, 1) keeps the base of the power away from 0.
        half = torch.where(soft, targets, 0.5)
        low = torch.minimum(half, 1 - half)
        base = low + (1 - 2 * low) * sigmoid(torch.where(half > 0.5, -x, x))
        mixed = base**self.gamma * (half * softplus(-x) + (1 - half) * softplus(x))
        loss = torch.where(soft, mixed, _focused(torch.where(present, -x, x), self.gamma))
        if self.alpha is None:
            return loss
        return (self.alpha * targets + (1 - self.alpha) * (1 - targets)) * loss


@dataclass(frozen=True)
class Asymmetric(_Mixed):
    """Cross-entropy with one focusing exponent per class and a margin that forgives easy negatives.

    Source: Ridnik et al. (2021), https://arxiv.org/abs/2009.14119

    Args:
        gamma_pos: Focusing exponent of positives, finite and >= 0.
        gamma_neg: Focusing exponent of negatives, finite and >= 0.
        clip: Probability margin m in [0, 1): negatives with p <= m cost nothing.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is out of range.
    """

    gamma_pos: float = 0.0
    gamma_neg: float = 2.0
    clip: float = 0.05

    def __post_init__(self) -> None:
        check_number("gamma_pos", self.gamma_pos, 0.0)
        check_number("gamma_neg", self.gamma_neg, 0.0)
        check_number("clip", self.clip, 0.0, 1.0, open_ends="high")

    def positive(self, logits: Tensor) -> Tensor:
        """q^gamma_pos softplus(-x)."""
        return _focused(-widen(logits), self.gamma_pos)

    def negative(self, logits: Tensor) -> Tensor:
        """p_m^gamma_neg * -log(1 - p_m), p_m = max(p - clip, 0)."""
        x = widen(logits)
        if self.clip < torch.finfo(x.dtype).tiny:  # below the smallest p that the dtype can hold
            return _focused(x, self.gamma_neg)
        result: Tensor = _Forgiving.apply(x, self.gamma_neg, self.clip)  # type: ignore[no-untyped-call, unused-ignore]
        return result

    def fast_curve(self) -> Curve | None:
        """The negative curve on a tile, for whole exponents; a margin near 0 has digits that p - m would lose."""
        if self.gamma_neg in WHOLE and self.clip == 0:
            return focused_curve(self.gamma_neg)
        if self.gamma_neg in WHOLE and self.gamma_neg > 0 and self.clip > 1e-4:
            return partial(forgiving_curve, gamma=self.gamma_neg, margin=self.clip)
        return None


@dataclass(frozen=True)
class MaximumEntropy(_Mixed):
    """Cross-entropy if present; if assumed absent, minus the entropy, which prefers to be unsure.

    Source: Cole et al. (2023), https://arxiv.org/abs/2306.02564
    """

    def positive(self, logits: Tensor) -> Tensor:
        """-log p."""
        return softplus(-widen(logits))

    def negative(self, logits: Tensor) -> Tensor:
        """Minus the entropy, p log p + q log q, between -log 2 and 0."""
        return -entropy(widen(logits))

    def fast_curve(self) -> Curve:
        """The negative curve on a tile."""
        return entropy_curve


@dataclass(frozen=True)
class Smoothed:
    """Another penalty with its hard labels moved to [amount, 1 - amount].

    Source: Szegedy et al. (2016), https://arxiv.org/abs/1512.00567

    Args:
        penalty: What is smoothed.
        amount: How far labels move, in [0, 0.5).

    Raises:
        TypeError: If ``amount`` is not a number.
        ValueError: If ``amount`` is out of range.
    """

    penalty: Penalty
    amount: float

    def __post_init__(self) -> None:
        check_number("label_smoothing", self.amount, 0.0, 0.5, open_ends="high")

    def positive(self, logits: Tensor) -> Tensor:
        """The penalty for the target 1 - amount."""
        return self(logits, torch.ones_like(logits))

    def negative(self, logits: Tensor) -> Tensor:
        """The penalty for the target amount."""
        return self(logits, torch.zeros_like(logits))

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The penalty for the clamped target."""
        return self.penalty(logits, targets.to(widen(logits).dtype).clamp(self.amount, 1 - self.amount))


def smoothed(penalty: Penalty, amount: float) -> Penalty:
    """``penalty`` with label smoothing; without any it is the same object, which costs less."""
    wrapped = Smoothed(penalty, amount)
    return penalty if amount == 0 else wrapped


PENALTIES: Mapping[str, type[CrossEntropy | Focal | Asymmetric | MaximumEntropy]] = {
    "bce": CrossEntropy,
    "focal": Focal,
    "asl": Asymmetric,
    "entropy": MaximumEntropy,
}


def choose(penalty: Penalty, logits: Tensor, present: Tensor, pos_weight: Tensor | None = None) -> Tensor:
    """The positive penalty where a species is present, the negative one elsewhere.

    Positives are few: overwriting theirs evaluates hardly more than one curve per element.

    Args:
        penalty: How an element is penalised.
        logits: Any shape.
        present: Where a species is present, bool, the same shape.
        pos_weight: Factor of the positives, the same shape (expanded, it takes no memory); None: 1.
    """
    x = widen(logits)
    present_P = penalty.positive(x.masked_select(present))
    if pos_weight is not None:
        present_P = pos_weight.masked_select(present) * present_P
    # In place, on a tensor made just now, as no curve keeps its own result.
    return penalty.negative(x).masked_scatter_(present, present_P)


def all_hard(targets: Tensor, present: Tensor) -> bool:
    """Whether every target is exactly 0 or 1, given where it is 1; one that asks for a slope counts as soft."""
    if targets.requires_grad:
        return False
    return bool(targets.count_nonzero() == present.count_nonzero())


def _focused(z: Tensor, gamma: float) -> Tensor:
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
        return gradient * (power * (p + ctx.gamma * (q * softplus(z)))), None


def _factor(z: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """Sigmoid(z), called p, and p^gamma.

    Where only values count, torch's sigmoid will do: the p that it rounds to 0 are beyond any number
    of the dtype once multiplied by p^gamma or its like. A second slope needs that of p.
    """
    p = sigmoid(z) if torch.is_grad_enabled() else torch.sigmoid(z)
    return p, power_of(p, gamma) if gamma in WHOLE else sigmoid_power(z, gamma)


class _Forgiving(torch.autograd.Function):
    """p_m^gamma * -log(1 - p_m), p_m = max(p - margin, 0); its slope p q p_m^(gamma - 1) [gamma l + r].

    With r = p_m / (1 - p_m) the logarithm l is log1p(r), and 1 - p_m = q + margin: no difference is
    left that could cancel. Only elements above the margin are evaluated: the others would have
    infinite slopes, and once training has silenced most of them, leaving them out is also faster.
    """

    @staticmethod
    def forward(x: Tensor, gamma: float, margin: float) -> Tensor:
        active, x_A, bound = _above(x, margin)
        _, p_m, odds = _margined(x_A, margin, bound)
        cost_A = torch.log1p(odds)
        if gamma != 0:
            cost_A = power_of(p_m, gamma) * cost_A
        return torch.zeros_like(x).masked_scatter_(active, cost_A)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.gamma, ctx.margin = inputs[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        x: Tensor
        (x,) = ctx.saved_tensors
        active, x_A, bound = _above(x, ctx.margin)
        p_q, p_m, odds = _margined(x_A, ctx.margin, bound)
        growth = odds if ctx.gamma == 0 else ctx.gamma * torch.log1p(odds) + odds
        slope_A = p_q * (power_of(p_m, ctx.gamma - 1) * growth)
        return gradient * torch.zeros_like(x).masked_scatter(active, slope_A), None, None


def _above(x: Tensor, margin: float) -> tuple[Tensor, Tensor, tuple[float, float]]:
    """Where p exceeds the margin, the logits there, and the margin's own logit."""
    high, low = _logit(margin, 24 if x.dtype == torch.float32 else 53)
    # Negated, so that NaN counts as above: it must reach the result.
    active = ~(x < high) if low < 0 else ~(x <= high)
    return active, x.masked_select(active), (high, low)


def _margined(x_A: Tensor, margin: float, bound: tuple[float, float]) -> tuple[Tensor, Tensor, Tensor]:
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
