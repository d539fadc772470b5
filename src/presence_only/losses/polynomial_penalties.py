"""Polynomial penalties: asymmetric losses whose first Taylor coefficients are changed, APL and RAL.

-log p is the power series q + q^2 / 2 + q^3 / 3 + ... in q = 1 - p, the error of a presence. Its first two terms rule
where a presence is almost found, and can be made smaller or larger than cross-entropy has them.

Notation: p = sigmoid(x), q = sigmoid(-x), p_m = max(p - clip, 0), all in nats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from presence_only.losses.fast_curves import Curve
from presence_only.losses.numerics import (
    hill,
    margined_sigmoid,
    margined_softplus,
    power_of,
    sigmoid,
    sigmoid_power,
    softplus,
    times,
    widen,
)
from presence_only.losses.parameters import check_parameters, parameter
from presence_only.losses.penalties import Asymmetric, Penalty

# Terms of the series in s^2 <= 1/9 below: the last one is 1e-17 of the first.
TERMS = 17


@dataclass(frozen=True)
class AsymmetricPolynomial(Penalty):
    """Asymmetric loss whose first two coefficients for a presence and first one for an absence are changed.

    If present, q^gamma_pos (-log p - eps_pos q - eps_pos_pow q^2 / 2); if absent, p_m^gamma_neg (-log(1 - p_m) +
    eps_neg p_m). With the authors' eps_pos = 1 the term q is gone, and a presence that is almost found pulls little;
    with their eps_pos_pow = -2.5 the term q^2 / 2 is three and a half times as large.

    Source: Huang et al. (2023), https://arxiv.org/abs/2304.05361

    Args:
        poly_gamma_pos: Focusing exponent of positives, finite and >= 0.
        poly_gamma_neg: Focusing exponent of negatives, finite and >= 0.
        poly_clip: Probability margin in [0, 1): negatives with p up to it cost nothing.
        poly_eps_pos: What the coefficient 1 of q loses, <= 1: above, a presence could cost more as its score rises.
        poly_eps_pos_pow: What the coefficient 1/2 of q^2 loses, times 2, <= 1 for the same reason.
        poly_eps_neg: What the coefficient 1 of p_m gains, >= 0.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is out of range.
    """

    poly_gamma_pos: float = parameter(0.0, low=0)
    poly_gamma_neg: float = parameter(4.0, low=0)
    poly_clip: float = parameter(0.05, low=0, high=1, open_ends="high")
    poly_eps_pos: float = parameter(1.0, low=-torch.inf, high=1, open_ends="low")
    poly_eps_pos_pow: float = parameter(-2.5, low=-torch.inf, high=1, open_ends="low")
    poly_eps_neg: float = parameter(0.0, low=0)

    def __post_init__(self) -> None:
        check_parameters(self)

    def positive(self, logits: Tensor) -> Tensor:
        """q^gamma_pos (-log p - eps_pos q - eps_pos_pow q^2 / 2)."""
        return focused_polynomial(widen(logits), self.poly_gamma_pos, self.poly_eps_pos, self.poly_eps_pos_pow)

    def negative(self, logits: Tensor) -> Tensor:
        """p_m^gamma_neg (-log(1 - p_m) + eps_neg p_m)."""
        x = widen(logits)
        cost = margined_softplus(x, self.poly_gamma_neg, self.poly_clip)
        if self.poly_eps_neg == 0:
            return cost
        return cost + self.poly_eps_neg * margined_power(x, self.poly_gamma_neg + 1, self.poly_clip)

    def fast_negative(self) -> Curve | None:
        """That of asymmetric loss, which it is for absences unless their coefficient is changed."""
        if self.poly_eps_neg != 0:
            return None
        return Asymmetric(0.0, self.poly_gamma_neg, self.poly_clip).fast_negative()


@dataclass(frozen=True)
class RobustAsymmetric(Penalty):
    """Asymmetric polynomial loss whose absences count less the lower their score, and level off as it nears 1.

    If present, as :class:`AsymmetricPolynomial`; if absent, p_m^gamma_neg (-log(1 - p_m)) (lambda - p) p^2
    (lambda - 1 + p_m), where (lambda - p) p^2 is the Hill loss.

    Source: Park et al. (2023), https://arxiv.org/abs/2308.05542

    Args:
        ral_gamma_pos: Focusing exponent of positives, finite and >= 0.
        ral_gamma_neg: Focusing exponent of negatives, finite and >= 0.
        ral_clip: Probability margin in [0, 1): negatives with p up to it cost nothing.
        ral_lambda: Of the Hill loss, >= 1.5: below, (lambda - p) p^2 falls as p nears 1.
        ral_eps_pos: What the coefficient 1 of q loses, <= 1.
        ral_eps_pos_pow: What the coefficient 1/2 of q^2 loses, times 2, <= 1.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is out of range.
    """

    ral_gamma_pos: float = parameter(0.0, low=0)
    ral_gamma_neg: float = parameter(4.0, low=0)
    ral_clip: float = parameter(0.05, low=0, high=1, open_ends="high")
    ral_lambda: float = parameter(1.5, low=1.5)
    ral_eps_pos: float = parameter(1.0, low=-torch.inf, high=1, open_ends="low")
    ral_eps_pos_pow: float = parameter(-2.5, low=-torch.inf, high=1, open_ends="low")

    def __post_init__(self) -> None:
        check_parameters(self)

    def positive(self, logits: Tensor) -> Tensor:
        """q^gamma_pos (-log p - eps_pos q - eps_pos_pow q^2 / 2)."""
        return focused_polynomial(widen(logits), self.ral_gamma_pos, self.ral_eps_pos, self.ral_eps_pos_pow)

    def negative(self, logits: Tensor) -> Tensor:
        """p_m^gamma_neg (-log(1 - p_m)) (lambda - p) p^2 (lambda - 1 + p_m)."""
        x = widen(logits)
        cost = margined_softplus(x, self.ral_gamma_neg, self.ral_clip)
        milder = times(hill(x, self.ral_lambda), cost)
        return times(self.ral_lambda - 1 + margined_sigmoid(x, self.ral_clip), milder)


def focused_polynomial(x: Tensor, gamma: float, eps: float, eps_pow: float) -> Tensor:
    """q^gamma (-log p - eps q - eps_pow q^2 / 2), for ``eps`` and ``eps_pow`` <= 1."""
    cost: Tensor = _Polynomial.apply(x, eps, eps_pow)  # type: ignore[no-untyped-call, unused-ignore]
    return cost if gamma == 0 else times(sigmoid_power(-x, gamma), cost)


class _Polynomial(torch.autograd.Function):
    """(1 - eps) q + (1 - eps_pow) q^2 / 2 + q^3 / 3 + q^4 / 4 + ..., all >= 0, where the terms of -log p would cancel.

    Its slope is -q [(1 - eps) p + q (q + (1 - eps_pow) p)].
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, eps: float, eps_pow: float) -> Tensor:
        q = sigmoid(-x)
        return (1 - eps) * q + (0.5 * (1 - eps_pow)) * q.square() + _from_third(x, q)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.eps, ctx.eps_pow = inputs[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        x: Tensor
        (x,) = ctx.saved_tensors
        p, q = sigmoid(x), sigmoid(-x)
        return -gradient * q * ((1 - ctx.eps) * p + q * (q + (1 - ctx.eps_pow) * p)), None, None


def _from_third(x: Tensor, q: Tensor) -> Tensor:
    """-log p - q - q^2 / 2 = q^3 / 3 + q^4 / 4 + ..., without its cancellation.

    With s = q / (2 - q), -log p is 2 atanh(s) = 2 (s + s^3 / 3 + s^5 / 5 + ...), and q + q^2 / 2 is
    2 s - 2 s^3 / (1 + s)^2. So the rest is s^3 times a series in s^2, which is at most 1/9 where q <= 1/2.
    """
    s = torch.where(x >= 0, q, 0.5) / (2 - torch.where(x >= 0, q, 0.5))
    square, series = s.square(), torch.zeros_like(s)
    for k in reversed(range(TERMS)):
        series = series * square + 1 / (2 * k + 3)
    near = 2 * s * square * (1 / (1 + s).square() + series)
    return torch.where(x >= 0, near, softplus(-x) - q - 0.5 * q.square())


def margined_power(x: Tensor, exponent: float, margin: float) -> Tensor:
    """p_m^exponent for an exponent >= 1, p_m = max(p - margin, 0)."""
    if margin < torch.finfo(x.dtype).tiny:
        return sigmoid_power(x, exponent)
    p_m = margined_sigmoid(x, margin)
    if float(exponent).is_integer():
        return power_of(p_m, exponent)
    # A fractional power has an infinite second slope at 0.
    active = p_m != 0
    return torch.where(active, torch.where(active, p_m, 1.0) ** exponent, 0.0)
