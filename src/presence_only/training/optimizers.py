"""Optimizers of whole tensors: Adam, AdamW, SGD with momentum and RMSprop, by torch's own functions.

torch's classes import its compiler when first used: two seconds in every process that trains, a fifth of what a seed of
the default study takes.

Source: Adam, Kingma and Ba (2015), https://arxiv.org/abs/1412.6980; AdamW, Loshchilov and Hutter (2019),
https://arxiv.org/abs/1711.05101; momentum, Sutskever et al. (2013), https://proceedings.mlr.press/v28/sutskever13.html;
RMSprop, Hinton (2012), https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from presence_only.training.settings import TrainingSettings

# Decay of the running mean of gradients, and torch's of their squares.
BETA1, BETA2 = 0.9, 0.999
EPSILON = 1e-8
MOMENTUM = 0.9


class DenseOptimizer(ABC):
    """An optimizer of some tensors, which it updates in place.

    Args:
        parameters: Updated in place; one without a gradient is left alone, and what is remembered of it stays.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = list(parameters)
        self._memory = [self._remembered(parameter) for parameter in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move along the gradients."""
        moved = [
            (parameter, parameter.grad, *memory)
            for parameter, memory in zip(self.parameters, self._memory, strict=True)
            if parameter.grad is not None
        ]
        if moved:
            self._move(learning_rate, *map(list, zip(*moved, strict=True)))

    @abstractmethod
    def _remembered(self, parameter: Tensor) -> tuple[Tensor, ...]:
        """What is remembered of a parameter's gradients, before the first."""

    @abstractmethod
    def _move(
        self, learning_rate: float, parameters: list[Tensor], gradients: list[Tensor], *memory: list[Tensor]
    ) -> None:
        """Update parameters, and what is remembered, in place."""


class DenseAdam(DenseOptimizer):
    """What ``torch.optim.Adam`` and ``AdamW`` do with ``fused=True``.

    Args:
        parameters: Updated in place.
        beta2: Decay of the running mean of squared gradients.
        weight_decay: Decay of every step.
        decoupled: Whether decay shrinks the weights (AdamW) or joins the gradient (Adam with L2).
    """

    def __init__(
        self, parameters: Sequence[Tensor], *, beta2: float = BETA2, weight_decay: float = 0.0, decoupled: bool = False
    ) -> None:
        super().__init__(parameters)
        self.beta2 = beta2
        self.weight_decay = weight_decay
        self.decoupled = decoupled

    def _remembered(self, parameter: Tensor) -> tuple[Tensor, ...]:
        """Running means of gradients and of their squares, and the number of steps."""
        return torch.zeros_like(parameter), torch.zeros_like(parameter), torch.zeros((), device=parameter.device)

    def _move(
        self, learning_rate: float, parameters: list[Tensor], gradients: list[Tensor], *memory: list[Tensor]
    ) -> None:
        means, squares, steps = memory
        adam(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            fused=True,
            decoupled_weight_decay=self.decoupled,
            amsgrad=False,
            beta1=BETA1,
            beta2=self.beta2,
            lr=learning_rate,
            weight_decay=self.weight_decay,
            eps=EPSILON,
            maximize=False,
        )


class DenseSgd(DenseOptimizer):
    """What ``torch.optim.SGD`` does with ``foreach=True``, without dampening and not in Nesterov's form.

    Args:
        parameters: Updated in place.
        momentum: Share of the last step's direction that is kept.
        weight_decay: Joins the gradient (L2).
    """

    def __init__(self, parameters: Sequence[Tensor], *, momentum: float = MOMENTUM, weight_decay: float = 0.0) -> None:
        super().__init__(parameters)
        self.momentum = momentum
        self.weight_decay = weight_decay

    def _remembered(self, parameter: Tensor) -> tuple[Tensor, ...]:
        """The direction of the last step; torch starts with the first gradient, which added to 0 is the same."""
        return (torch.zeros_like(parameter),)

    def _move(
        self, learning_rate: float, parameters: list[Tensor], gradients: list[Tensor], *memory: list[Tensor]
    ) -> None:
        (directions,) = memory
        sgd(
            parameters,
            gradients,
            [*directions],
            foreach=True,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=learning_rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )


class DenseRmsprop(DenseOptimizer):
    """What ``torch.optim.RMSprop`` does with ``foreach=True``, without momentum.

    The running mean starts at 0 and is not corrected for it: the first step is 1 / sqrt(1 - beta2) times as large as
    Adam's.

    Args:
        parameters: Updated in place.
        beta2: Decay of the running mean of squared gradients, torch's ``alpha``.
        weight_decay: Joins the gradient (L2).
    """

    def __init__(self, parameters: Sequence[Tensor], *, beta2: float = BETA2, weight_decay: float = 0.0) -> None:
        super().__init__(parameters)
        self.beta2 = beta2
        self.weight_decay = weight_decay

    def _remembered(self, parameter: Tensor) -> tuple[Tensor, ...]:
        """The running mean of squared gradients, and the number of steps, which torch asks for."""
        return torch.zeros_like(parameter), torch.zeros(())

    def _move(
        self, learning_rate: float, parameters: list[Tensor], gradients: list[Tensor], *memory: list[Tensor]
    ) -> None:
        squares, steps = memory
        rmsprop(
            parameters,
            gradients,
            squares,
            [],
            [],
            steps,
            foreach=True,
            lr=learning_rate,
            alpha=self.beta2,
            eps=EPSILON,
            weight_decay=self.weight_decay,
            momentum=0.0,
            centered=False,
        )


def dense_optimizer(parameters: Sequence[Tensor], settings: TrainingSettings) -> DenseOptimizer:
    """The optimizer that the settings name, of these parameters."""
    decay = settings.weight_decay
    if settings.optimizer == "sgd":
        return DenseSgd(parameters, momentum=settings.momentum, weight_decay=decay)
    if settings.optimizer == "rmsprop":
        return DenseRmsprop(parameters, beta2=settings.beta2, weight_decay=decay)
    decoupled = settings.optimizer == "adamw"
    return DenseAdam(parameters, beta2=settings.beta2, weight_decay=decay, decoupled=decoupled)
