"""Penalties of one pair of site and species: cross-entropy, focal, with a margin, asymmetric, Hill, entropy.

A penalty is a pair of curves over the logit x: ``positive`` where the species is present, ``negative`` where it is
absent. These two formulas are what every loss computes, in every way of computing it.

To add one, write its class here or in a module of its own and give it a line in ``PENALTIES`` of ``registry.py``; every
loss with a setting ``penalty`` then takes it. A penalty may name a ``fast_negative`` (``fast_curves.py``), which
stands in for ``negative`` on large blocks of logits, and only while the two agree.

Notation: p = sigmoid(x), q = sigmoid(-x), softplus(x) = -log q, all in nats.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from presence_only.losses.fast_curves import (
    Curve,
    cross_entropy_curve,
    entropy_curve,
    focused_curve,
    hill_curve,
    margined_curve,
    scaled,
    smoothed_cross_entropy_curve,
)
from presence_only.losses.host_reads import is_mapped
from presence_only.losses.numerics import (
    WHOLE,
    entropy,
    focused_softplus,
    hill,
    margined_softplus,
    soft_focal,
    softplus,
    weighed,
    widen,
)
from presence_only.losses.parameters import check_parameters, parameter


class Penalty(ABC):
    """How one pair is penalised, given its logit and its label."""

    @abstractmethod
    def positive(self, logits: Tensor) -> Tensor:
        """The penalty of each logit if the species is present, same shape, in nats."""

    @abstractmethod
    def negative(self, logits: Tensor) -> Tensor:
        """The penalty of each logit if the species is absent, same shape, in nats."""

    def fast_negative(self) -> Curve | None:
        """A faster way to ``negative`` and its slope; None: there is none."""
        return None

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The penalty of each logit for targets anywhere in [0, 1], same shape, in nats."""
        present = targets == 1
        if all_hard(targets, present):
            return choose(self, logits, present)
        return self.mixed(logits, targets)

    def mixed(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The same without asking first whether all targets are 0 or 1: linear in the target."""
        share = targets.to(widen(logits.reshape(-1)[:0]).dtype)
        return weighed(share, self.positive(logits)) + weighed(1 - share, self.negative(logits))


@dataclass(frozen=True)
class CrossEntropy(Penalty):
    """Binary cross-entropy: -log p if present, -log q if absent."""

    def positive(self, logits: Tensor) -> Tensor:
        """-log p."""
        return softplus(-widen(logits))

    def negative(self, logits: Tensor) -> Tensor:
        """-log q."""
        return softplus(widen(logits))

    def fast_negative(self) -> Curve:
        """One exponential a logit, one logarithm for up to 64."""
        return cross_entropy_curve


@dataclass(frozen=True)
class Focal(Penalty):
    """Cross-entropy times a_t (1 - p_t)^gamma: easy pairs count less.

    Source: Lin et al. (2017), https://arxiv.org/abs/1708.02002

    Args:
        alpha: Weight of positives in [0, 1], negatives have 1 - alpha; None: no weights.
        gamma: Focusing exponent, finite and >= 0; 0 is cross-entropy.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is out of range.
    """

    alpha: float | None = parameter(0.25, low=0, high=1, optional=True)
    gamma: float = parameter(2.0, low=0)

    def __post_init__(self) -> None:
        check_parameters(self)

    def positive(self, logits: Tensor) -> Tensor:
        """Alpha q^gamma softplus(-x)."""
        return _scaled(self.alpha, focused_softplus(-widen(logits), self.gamma))

    def negative(self, logits: Tensor) -> Tensor:
        """(1 - alpha) p^gamma softplus(x)."""
        return _scaled(None if self.alpha is None else 1 - self.alpha, focused_softplus(widen(logits), self.gamma))

    def fast_negative(self) -> Curve | None:
        """Whole exponents are products."""
        if self.gamma not in WHOLE:
            return None
        return scaled(focused_curve(self.gamma), 1.0 if self.alpha is None else 1 - self.alpha)

    def mixed(self, logits: Tensor, targets: Tensor) -> Tensor:
        """a_t (1 - p_t)^gamma BCE with p_t = y p + (1 - y) q and a_t mixed alike, for y in [0, 1]."""
        x = widen(logits)
        targets = targets.to(x.dtype)
        loss = soft_focal(x, targets, self.gamma)
        if self.alpha is None:
            return loss
        return weighed(self.alpha * targets + (1 - self.alpha) * (1 - targets), loss)


@dataclass(frozen=True)
class Asymmetric(Penalty):
    """Cross-entropy with a focusing exponent per class, and no cost of absences with p below a margin.

    Source: Ridnik et al. (2021), https://arxiv.org/abs/2009.14119

    Args:
        gamma_pos: Focusing exponent of positives, finite and >= 0.
        gamma_neg: Focusing exponent of negatives, finite and >= 0.
        clip: Probability margin m in [0, 1): negatives with p <= m cost nothing.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is out of range.
    """

    gamma_pos: float = parameter(0.0, low=0)
    gamma_neg: float = parameter(2.0, low=0)
    clip: float = parameter(0.05, low=0, high=1, open_ends="high")

    def __post_init__(self) -> None:
        check_parameters(self)

    def positive(self, logits: Tensor) -> Tensor:
        """q^gamma_pos softplus(-x)."""
        return focused_softplus(-widen(logits), self.gamma_pos)

    def negative(self, logits: Tensor) -> Tensor:
        """p_m^gamma_neg * -log(1 - p_m), p_m = max(p - clip, 0)."""
        return margined_softplus(widen(logits), self.gamma_neg, self.clip)

    def fast_negative(self) -> Curve | None:
        """Whole exponents are products; a margin near 0 has digits that p - m would lose."""
        if self.gamma_neg in WHOLE and self.clip == 0:
            return focused_curve(self.gamma_neg)
        if self.gamma_neg in WHOLE and self.gamma_neg > 0 and self.clip > 1e-4:
            return partial(margined_curve, gamma=self.gamma_neg, margin=self.clip)
        return None


@dataclass(frozen=True)
class FocalMargin(Penalty):
    """Focal loss in which a presence has to be surer by a margin: its logit is lowered before it is penalised.

    Source: Zhang et al. (2021), https://arxiv.org/abs/2112.07368

    Args:
        fm_margin: What a present species' logit is lowered by, in nats, finite and >= 0; 0 is focal loss without alpha.
        fm_gamma: Focusing exponent of both classes, finite and >= 0.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is out of range.
    """

    fm_margin: float = parameter(1.0, low=0)
    fm_gamma: float = parameter(2.0, low=0)

    def __post_init__(self) -> None:
        check_parameters(self)

    def positive(self, logits: Tensor) -> Tensor:
        """(1 - p_m)^gamma * -log p_m, p_m = sigmoid(x - margin)."""
        return focused_softplus(self.fm_margin - widen(logits), self.fm_gamma)

    def negative(self, logits: Tensor) -> Tensor:
        """p^gamma * -log q."""
        return focused_softplus(widen(logits), self.fm_gamma)

    def fast_negative(self) -> Curve | None:
        """Whole exponents are products."""
        return focused_curve(self.fm_gamma) if self.fm_gamma in WHOLE else None


@dataclass(frozen=True)
class Hill(Penalty):
    """Focal loss of the logit less a margin if present; if absent, (lambda - p) p^2, which gives up on confident ones.

    With lambda = 1.5, its slope against an assumed absence is 3 p^2 q^2: highest at p = 1/2, and 0 at p = 1. So a
    species that the model is sure of is taken for a presence that nobody reported.

    Source: Zhang et al. (2021), https://arxiv.org/abs/2112.07368

    Args:
        hill_lambda: Height, finite and >= 1.5, from which on the penalty rises with p everywhere.
        hill_margin: What is subtracted from the logits of positives, finite and >= 0.
        hill_gamma: Focusing exponent of positives, finite and >= 0.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is out of range.
    """

    hill_lambda: float = parameter(1.5, low=1.5)
    hill_margin: float = parameter(1.0, low=0)
    hill_gamma: float = parameter(2.0, low=0)

    def __post_init__(self) -> None:
        check_parameters(self)

    def positive(self, logits: Tensor) -> Tensor:
        """q_m^gamma * -log p_m with p_m = sigmoid(x - margin)."""
        return focused_softplus(self.hill_margin - widen(logits), self.hill_gamma)

    def negative(self, logits: Tensor) -> Tensor:
        """(lambda - p) p^2."""
        return hill(widen(logits), self.hill_lambda)

    def fast_negative(self) -> Curve:
        """One exponential a logit, and products."""
        return partial(hill_curve, height=self.hill_lambda)


@dataclass(frozen=True)
class MaximumEntropy(Penalty):
    """Cross-entropy if present; if assumed absent, minus the entropy, which prefers to be unsure.

    Source: Cole et al. (2023), https://arxiv.org/abs/2306.02564
    """

    def positive(self, logits: Tensor) -> Tensor:
        """-log p."""
        return softplus(-widen(logits))

    def negative(self, logits: Tensor) -> Tensor:
        """Minus the entropy, p log p + q log q, between -log 2 and 0."""
        return -entropy(widen(logits))

    def fast_negative(self) -> Curve:
        """One exponential a logit for value and slope."""
        return entropy_curve


@dataclass(frozen=True)
class Smoothed(Penalty):
    """Another penalty with its hard labels moved to e and 1 - e: its two curves are mixed in these shares.

    Source: Szegedy et al. (2016), https://arxiv.org/abs/1512.00567

    Args:
        penalty: What is smoothed.
        label_smoothing: How far labels move, e in [0, 0.5).

    Raises:
        TypeError: If ``label_smoothing`` is not a number.
        ValueError: If ``label_smoothing`` is out of range.
    """

    penalty: Penalty
    label_smoothing: float = parameter(0.0, low=0, high=0.5, open_ends="high")

    def __post_init__(self) -> None:
        check_parameters(self)

    def positive(self, logits: Tensor) -> Tensor:
        """(1 - e) of the penalty if present, e of that if absent."""
        e = self.label_smoothing
        if e == 0:
            return self.penalty.positive(logits)
        return (1 - e) * self.penalty.positive(logits) + e * self.penalty.negative(logits)

    def negative(self, logits: Tensor) -> Tensor:
        """(1 - e) of the penalty if absent, e of that if present."""
        e = self.label_smoothing
        if e == 0:
            return self.penalty.negative(logits)
        return (1 - e) * self.penalty.negative(logits) + e * self.penalty.positive(logits)

    def mixed(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The penalty's curves mixed by the target clamped to [e, 1 - e]."""
        e = self.label_smoothing
        share = targets.to(widen(logits).dtype).clamp(e, 1 - e)
        return weighed(share, self.penalty.positive(logits)) + weighed(1 - share, self.penalty.negative(logits))

    def fast_negative(self) -> Curve | None:
        """Cross-entropy with a smoothed label is cross-entropy and a straight line."""
        if self.penalty != CrossEntropy():
            return None
        return partial(smoothed_cross_entropy_curve, label_smoothing=self.label_smoothing)


def _scaled(weight: float | None, cost: Tensor) -> Tensor:
    """``weight * cost``; a weight of 0 silences an infinite cost too, and leaves NaN."""
    if weight is None:
        return cost
    return torch.where(cost.isnan(), cost, 0.0) if weight == 0 else weight * cost


def smoothed(penalty: Penalty, label_smoothing: float) -> Penalty:
    """``penalty`` with label smoothing; without any it is the same object, which costs less."""
    wrapped = Smoothed(penalty, label_smoothing)
    return penalty if label_smoothing == 0 else wrapped


def choose(penalty: Penalty, logits: Tensor, present: Tensor, pos_weight: Tensor | None = None) -> Tensor:
    """The positive penalty where a species is present, the negative one elsewhere.

    Positives are few: overwriting theirs evaluates hardly more than one curve per pair.

    Args:
        penalty: How a pair is penalised.
        logits: Any shape.
        present: Where a species is present, bool, the same shape.
        pos_weight: Factor of the positives, the same shape (expanded, it takes no memory); None: 1.
    """
    x = widen(logits)
    if is_mapped(x) or is_mapped(present):
        terms = penalty.positive(x)
        return torch.where(present, terms if pos_weight is None else pos_weight * terms, penalty.negative(x))
    present_P = penalty.positive(x.masked_select(present))
    if pos_weight is not None:
        present_P = pos_weight.masked_select(present) * present_P
    # Not in place: a penalty may have kept its result for its slope.
    return penalty.negative(x).masked_scatter(present, present_P)


def at_positives(
    penalty: Penalty, logits_BS: Tensor, row_P: Tensor, species_P: Tensor, pos_weight_S: Tensor | None = None
) -> Tensor:
    """What :func:`choose` gives where a species is present at some pairs, each given once: the same numbers."""
    x_BS = widen(logits_BS)
    present_P = penalty.positive(x_BS[row_P, species_P])
    if pos_weight_S is not None:
        present_P = pos_weight_S.to(x_BS)[species_P] * present_P
    return penalty.negative(x_BS).index_put((row_P, species_P), present_P)


def all_hard(targets: Tensor, present: Tensor) -> bool:
    """Whether every target is exactly 0 or 1, given where it is 1.

    One that asks for a slope counts as soft, and so does one whose value cannot be read.
    """
    if targets.requires_grad or is_mapped(targets):
        return False
    return bool(targets.count_nonzero() == present.count_nonzero())
