"""How one element is penalised: cross-entropy, focal, asymmetric, entropy.

Every penalty is a pair of curves over the logit x, one for a present and one for an absent species.
They are written in forms that stay exact at every finite logit: no sigmoid that has rounded to 1 is
ever put into a logarithm, and no small constant is added to hide it. Sums of positive terms do not
cancel, so automatic differentiation of these forms is as exact as the forms themselves.

Notation: p = sigmoid(x), q = sigmoid(-x), softplus(x) = -log q, all in nats. Half and bfloat16 are
computed, and returned, in float32; float64 stays float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from presence_only.losses.checks import check_number

PENALTIES = ("bce", "focal", "asl")


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

    ``torch.nn.functional.softplus`` returns x above a threshold; log-sigmoid keeps every digit.
    """
    result: Tensor = -logsigmoid(-x)
    return result


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
    part of log-sigmoid leaves one rounding of ``g * x``, the least that float32 allows.
    """
    if exponent == 0:
        return torch.ones_like(x)
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
    """p softplus(-x) + q softplus(x).

    Its slope -x p q is the difference of two nearly equal terms for automatic differentiation; the
    closed form keeps its digits, and being made of differentiable operations it has a second slope.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return sigmoid(x) * softplus(-x) + sigmoid(-x) * softplus(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        x: Tensor
        (x,) = ctx.saved_tensors
        return -gradient * x * sigmoid(x) * sigmoid(-x)


class _Mixed:
    """A penalty that is linear in the target."""

    def positive(self, logits: Tensor) -> Tensor:
        raise NotImplementedError

    def negative(self, logits: Tensor) -> Tensor:
        raise NotImplementedError

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
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

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """a_t (1 - p_t)^gamma BCE with p_t = y p + (1 - y) q and a_t mixed alike, for y in [0, 1]."""
        x = widen(logits)
        targets = targets.to(x.dtype)
        soft = (targets > 0) & (targets < 1)
        # For hard targets both classes are one curve in z = -x or x: half the work of mixing two.
        flipped = targets == 1
        loss = _focused(torch.where(flipped, -x, x), self.gamma)
        if bool(soft.any()):
            # 1 - p_t = y q + (1-y) p, arranged so that value and slope are each one term, and y
            # inside (0, 1) keeps the base of the power away from 0.
            half = torch.where(soft, targets, 0.5)
            low = torch.minimum(half, 1 - half)
            base = low + (1 - 2 * low) * sigmoid(torch.where(half > 0.5, -x, x))
            mixed = base**self.gamma * (half * softplus(-x) + (1 - half) * softplus(x))
            loss = torch.where(soft, mixed, loss)
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
        margin = self.clip
        if margin < torch.finfo(x.dtype).tiny:  # below the smallest p that the dtype can hold
            return _focused(x, self.gamma_neg)
        bound_high, bound_low = _logit(margin, 24 if x.dtype == torch.float32 else 53)
        above = (x - bound_high) - bound_low  # the first difference is exact near the bound
        inactive = above <= 0  # False for NaN, which must reach the result
        # Double where: the inactive branch is never evaluated where it has an infinite slope.
        safe_x = torch.where(inactive, bound_high + 1.0, x)
        safe_above = torch.where(inactive, 1.0, above)
        p_m = sigmoid(safe_x) * (1 - margin) * _one_minus_exp(safe_above)
        low_half = ~(p_m > 0.5)
        # 1 - p_m = q + margin; log1p where p_m is small, log where 1 - p_m is.
        cost = torch.where(
            low_half,
            -torch.log1p(-torch.where(low_half, p_m, 0.0)),
            -torch.log(sigmoid(-safe_x) + margin),
        )
        if self.gamma_neg != 0:
            cost = p_m**self.gamma_neg * cost
        return torch.where(inactive, 0.0, cost)


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


def _focused(z: Tensor, gamma: float) -> Tensor:
    """sigmoid(z)^gamma softplus(z): z = x penalises a presence predicted, z = -x one missed."""
    return softplus(z) if gamma == 0 else sigmoid_power(z, gamma) * softplus(z)


def _one_minus_exp(x: Tensor) -> Tensor:
    """1 - exp(-x) for x > 0, its slope exact too.

    The slope of expm1 is taken from its value, which has rounded to -1 where x is large.
    """
    near = ~(x > 1)
    return torch.where(near, -torch.expm1(-torch.where(near, x, 0.0)), 1 - torch.exp(-x))


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
