"""Adam, for whole tensors and for some rows of a matrix.

Source: Adam, Kingma and Ba (2015), https://arxiv.org/abs/1412.6980; AdamW, Loshchilov and Hutter (2019),
https://arxiv.org/abs/1711.05101

Shape legend: S species, D embedding, J species taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

# Decay of the running mean of gradients, and torch's of their squares.
BETA1, BETA2 = 0.9, 0.999
EPSILON = 1e-8


class DenseAdam:
    """What ``torch.optim.Adam`` and ``AdamW`` do with ``fused=True``, by torch's own function.

    Their classes import torch's compiler when first used: two seconds in every process that trains,
    a fifth of what a seed of the default study takes.

    Args:
        parameters: Updated in place; one without a gradient is left alone.
        beta2: Decay of the running mean of squared gradients.
        weight_decay: Decay of every step.
        decoupled: Whether decay shrinks the weights (AdamW) or joins the gradient (Adam with L2).
    """

    def __init__(
        self, parameters: Sequence[Tensor], *, beta2: float = BETA2, weight_decay: float = 0.0, decoupled: bool = False
    ) -> None:
        self.parameters = list(parameters)
        self.beta2 = beta2
        self.weight_decay = weight_decay
        self.decoupled = decoupled
        self._means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        self._steps = [torch.zeros((), device=parameter.device) for parameter in self.parameters]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move along the gradients."""
        moved = [
            (parameter, parameter.grad, *state)
            for parameter, *state in zip(self.parameters, self._means, self._squares, self._steps, strict=True)
            if parameter.grad is not None
        ]
        if not moved:
            return
        parameters, gradients, means, squares, steps = map(list, zip(*moved, strict=True))
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


class RowAdam:
    """Adam that updates some rows of a matrix and does not touch the others.

    A row's moments and its bias correction count the steps that took it. Where every step takes every
    row this is Adam; a row left out neither moves nor forgets.

    Args:
        weight_SD: The matrix, updated in place.
        beta2: Decay of the running mean of squared gradients.
    """

    def __init__(self, weight_SD: Tensor, beta2: float = BETA2) -> None:
        self.weight_SD = weight_SD.detach()
        self.beta2 = beta2
        self.moments_2SD = torch.zeros((2, *weight_SD.shape), dtype=weight_SD.dtype, device=weight_SD.device)
        self.steps_S = torch.zeros(len(weight_SD), dtype=torch.int64, device=weight_SD.device)

    def rows(self, species_J: Tensor) -> Tensor:
        """A copy of some rows that asks for a gradient."""
        return self.weight_SD.index_select(0, species_J).requires_grad_()

    def step(self, species_J: Tensor, gradient_JD: Tensor, learning_rate: float) -> None:
        """Move those rows by Adam's rule.

        Args:
            species_J: The rows, each once.
            gradient_JD: Their gradient.
            learning_rate: Step size.
        """
        self.steps_S[species_J] += 1
        steps_J1 = self.steps_S[species_J, None].to(gradient_JD)
        (first, second), (mean_SD, square_SD) = (BETA1, self.beta2), self.moments_2SD
        mean_JD = mean_SD.index_select(0, species_J).lerp_(gradient_JD, 1 - first)
        square_JD = square_SD.index_select(0, species_J).mul_(second)
        square_JD.addcmul_(gradient_JD, gradient_JD, value=1 - second)
        mean_SD.index_copy_(0, species_J, mean_JD)
        square_SD.index_copy_(0, species_J, square_JD)
        root_JD = square_JD.div_(1 - second**steps_J1).sqrt_().add_(EPSILON)
        move_JD = mean_JD.div_(1 - first**steps_J1).div_(root_JD)
        self.weight_SD.index_add_(0, species_J, move_JD, alpha=-learning_rate)
