"""GR loss: an unobserved pair is a presence with a share that grows with its score, and weighs most near one score.

Shape legend: B rows of a batch, S species.

Notation: p = sigmoid(x), q = sigmoid(-x), t = share of the training that is done.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from presence_only.losses.argument_checks import check_flag
from presence_only.losses.balance import balanced_logits
from presence_only.losses.base import LossBatch, LossSettings, TrainingCounts
from presence_only.losses.negatives import open_targets, zero
from presence_only.losses.numerics import sigmoid, sigmoid_power, softplus, times, widen
from presence_only.losses.pair_weights import PairWeights, loss_from_all_logits
from presence_only.losses.parameters import check_parameters, parameter
from presence_only.losses.penalties import Penalty

# Where a species starts that is recorded so often that the loss pulls its logit up without end.
HIGHEST_START = 4.0


@dataclass(frozen=True)
class GeneralizedRobust(Penalty):
    """-log p if present; if unobserved, v(p) [k(p) (1 - p^q2) / q2 + (1 - k(p)) (1 - q^q3) / q3].

    k(p) = sigmoid(w p + b) is how likely an unobserved species is present given its score, a soft label, and
    v(p) = exp(-(p - mu)^2 / (2 sigma^2)) how much the pair counts. The two losses between which k mixes lie between
    cross-entropy, for an exponent of 0, and the absolute error, for 1.

    Source: Chen et al. (2024), https://arxiv.org/abs/2405.03501

    Args:
        w: Slope of the soft label's logit against p, finite.
        b: Its intercept, finite.
        mu: Score of the pairs that count most, in [0, 1].
        sigma: Width of the weight around it, > 0.
        q2: Exponent of the loss of a presence that nobody recorded, in [0, 1].
        q3: Exponent of the loss of an absence, in [0, 1].
        stop_gradients: Whether k and v are constants for the slope, as a label and a weight are. The slope is then not
            that of the value.

    Raises:
        TypeError: If one is not a number.
        ValueError: If one is out of range.
    """

    w: float = parameter(0.0, low=-torch.inf, open_ends="low")
    b: float = parameter(-2.0, low=-torch.inf, open_ends="low")
    mu: float = parameter(0.5, low=0, high=1)
    sigma: float = parameter(2.0, low=0, open_ends="low")
    q2: float = parameter(0.01, low=0, high=1)
    q3: float = parameter(1.0, low=0, high=1)
    stop_gradients: bool = True

    def __post_init__(self) -> None:
        check_parameters(self)

    def positive(self, logits: Tensor) -> Tensor:
        """-log p."""
        return softplus(-widen(logits))

    def negative(self, logits: Tensor) -> Tensor:
        """The mix of two losses, weighted: v [k (1 - p^q2) / q2 + (1 - k) (1 - q^q3) / q3]."""
        x = widen(logits)
        p = sigmoid(x.detach() if self.stop_gradients else x)
        label = self.w * p + self.b
        weight = torch.exp(-0.5 * ((p - self.mu) / self.sigma).square())
        present, absent = generalized_cross_entropy(x, self.q2), generalized_cross_entropy(-x, self.q3)
        return times(weight, times(sigmoid(label), present) + times(sigmoid(-label), absent))


def generalized_cross_entropy(x: Tensor, exponent: float) -> Tensor:
    """(1 - p^exponent) / exponent with p = sigmoid(x), which is -log p for an exponent of 0.

    Source: Zhang and Sabuncu (2018), https://arxiv.org/abs/1805.07836
    """
    if exponent == 0:
        return softplus(-x)
    result: Tensor = _Generalized.apply(x, exponent)  # type: ignore[no-untyped-call, unused-ignore]
    return result


class _Generalized(torch.autograd.Function):
    """The difference from 1 by expm1; its slope -p^exponent q, which the derivative of expm1 would take from 1 too."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, exponent: float) -> Tensor:
        return -torch.expm1(exponent * logsigmoid(x)) / exponent

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.exponent = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x: Tensor
        (x,) = ctx.saved_tensors
        return -gradient * (sigmoid_power(x, ctx.exponent) * sigmoid(-x)), None


def gr(
    logits_BS: Tensor,
    targets_BS: Tensor,
    *,
    w: float = 0.0,
    b: float = -2.0,
    mu: float = 0.5,
    sigma: float = 2.0,
    q2: float = 0.01,
    q3: float = 1.0,
    stop_gradients: bool = True,
) -> Tensor:
    """The mean of :class:`GeneralizedRobust` over all pairs, at one moment of the training.

    Source: Chen et al. (2024), https://arxiv.org/abs/2405.03501

    Args:
        logits_BS: Logits.
        targets_BS: Exactly 0 or 1, the same shape; integers and bools are cast.
        w: Slope of the soft label's logit against p.
        b: Its intercept.
        mu: Score of the pairs that count most.
        sigma: Width of the weight around it.
        q2: Exponent of the loss of a presence that nobody recorded.
        q3: Exponent of the loss of an absence.
        stop_gradients: Whether soft label and weight are constants for the slope.

    Returns:
        Scalar loss in nats.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If shapes disagree, a target is neither 0 nor 1, or a parameter is out of range.
    """
    positives = open_targets(logits_BS, targets_BS)
    check_flag("stop_gradients", stop_gradients)
    penalty = GeneralizedRobust(w, b, mu, sigma, q2, q3, stop_gradients)
    if logits_BS.numel() == 0:
        return zero(logits_BS)
    return loss_from_all_logits(PairWeights(penalty), logits_BS, positives)


@dataclass(frozen=True)
class GrLoss:
    """:func:`gr` on the pairs of a batch, with parameters that move straight from their first values to their last.

    Args:
        first: The penalty at the start of training.
        last: That at its end.
    """

    first: GeneralizedRobust
    last: GeneralizedRobust
    needs_background: bool = False

    @property
    def stops_gradients(self) -> bool:
        """Whether the slope is that of the value with some factors held constant."""
        return self.first.stop_gradients

    def at(self, progress: float) -> GeneralizedRobust:
        """The penalty when a share of the training is done."""
        moved = {
            part.name: (1 - progress) * getattr(self.first, part.name) + progress * getattr(self.last, part.name)
            for part in fields(self.first)
            if part.name != "stop_gradients"
        }
        return GeneralizedRobust(**moved, stop_gradients=self.first.stop_gradients)

    def __call__(self, batch: LossBatch) -> Tensor:
        """The loss of one batch: a scalar in nats."""
        return PairWeights(self.at(batch.progress))(batch)


class GrSettings(LossSettings):
    """GR loss: unobserved pairs have soft labels and weights that depend on score and on progress.

    Args:
        w_start: Slope of the soft label's logit against p at the start of training.
        w_end: The same at its end.
        b_start: Intercept of the soft label's logit at the start.
        b_end: The same at the end.
        mu_start: Score of the pairs that count most at the start, in [0, 1].
        mu_end: The same at the end.
        sigma_start: Width of the weight around it at the start, > 0.
        sigma_end: The same at the end.
        q2: Exponent of the loss of a presence that nobody recorded, in [0, 1]; 0 is cross-entropy.
        q3: Exponent of the loss of an absence, in [0, 1]; 1 is the absolute error.
        stop_gradients: Whether soft label and weight are constants for the slope, as in the authors' code.
    """

    loss: Literal["gr"]
    w_start: float = 0.0
    w_end: float = 2.0
    b_start: float = -2.0
    b_end: float = -2.0
    mu_start: float = Field(default=0.5, ge=0, le=1)
    mu_end: float = Field(default=0.8, ge=0, le=1)
    sigma_start: float = Field(default=2.0, gt=0)
    sigma_end: float = Field(default=0.5, gt=0)
    q2: float = Field(default=0.01, ge=0, le=1)
    q3: float = Field(default=1.0, ge=0, le=1)
    stop_gradients: bool = True

    def expected_weights(self, counts: TrainingCounts) -> PairWeights | None:
        """The loss at the start of training."""
        return PairWeights(self.build(counts).first)

    def balance(self, counts: TrainingCounts) -> Tensor | None:
        """Where the pulls cancel at the start of training, at most ``HIGHEST_START``."""
        weights = PairWeights(self.build(counts).first)
        no_sites_S = torch.zeros_like(counts.records_per_species_S)
        return balanced_logits(weights, counts.prevalence(), no_sites_S).clamp(max=HIGHEST_START)

    def build(self, counts: TrainingCounts) -> GrLoss:
        """The loss from its first parameters to its last."""
        rest = (self.q2, self.q3, self.stop_gradients)
        return GrLoss(
            GeneralizedRobust(self.w_start, self.b_start, self.mu_start, self.sigma_start, *rest),
            GeneralizedRobust(self.w_end, self.b_end, self.mu_end, self.sigma_end, *rest),
        )
