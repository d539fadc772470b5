"""Optimizers that update some rows of a matrix and do not touch the others: Adam, SGD with momentum, RMSprop.

What is remembered of a row counts the steps that took it. Where every step takes every row, these are the optimizers
of whole tensors (``optimizers.py``, which names the sources); a row left out neither moves nor forgets.

Shape legend: S species, D embedding, J species taken.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from presence_only.training.optimizers import BETA1, BETA2, EPSILON, MOMENTUM
from presence_only.training.settings import TrainingSettings


class RowOptimizer(ABC):
    """An optimizer of the rows of a matrix.

    Args:
        weight_SD: The matrix, updated in place.
    """

    def __init__(self, weight_SD: Tensor) -> None:
        self.weight_SD = weight_SD.detach()

    def rows(self, species_J: Tensor) -> Tensor:
        """A copy of some rows that asks for a gradient."""
        return self.weight_SD.index_select(0, species_J).requires_grad_()

    @abstractmethod
    def step(self, species_J: Tensor, gradient_JD: Tensor, learning_rate: float) -> None:
        """Move some rows.

        Args:
            species_J: The rows, each once.
            gradient_JD: Their gradient.
            learning_rate: Step size.
        """


class RowAdam(RowOptimizer):
    """Adam of the rows of a matrix, each with a bias correction of its own.

    Args:
        weight_SD: The matrix, updated in place.
        beta2: Decay of the running mean of squared gradients.
    """

    def __init__(self, weight_SD: Tensor, beta2: float = BETA2) -> None:
        super().__init__(weight_SD)
        self.beta2 = beta2
        self.moments_2SD = torch.zeros((2, *weight_SD.shape), dtype=weight_SD.dtype, device=weight_SD.device)
        self.steps_S = torch.zeros(len(weight_SD), dtype=torch.int64, device=weight_SD.device)

    def step(self, species_J: Tensor, gradient_JD: Tensor, learning_rate: float) -> None:
        """Move some rows by Adam's rule."""
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


class RowSgd(RowOptimizer):
    """SGD with momentum of the rows of a matrix.

    Args:
        weight_SD: The matrix, updated in place.
        momentum: Share that a row keeps of the direction of the last step that took it.
    """

    def __init__(self, weight_SD: Tensor, momentum: float = MOMENTUM) -> None:
        super().__init__(weight_SD)
        self.momentum = momentum
        self.direction_SD = torch.zeros_like(self.weight_SD)

    def step(self, species_J: Tensor, gradient_JD: Tensor, learning_rate: float) -> None:
        """Move some rows along their gradient and their last direction."""
        direction_JD = self.direction_SD.index_select(0, species_J).mul_(self.momentum).add_(gradient_JD)
        self.direction_SD.index_copy_(0, species_J, direction_JD)
        self.weight_SD.index_add_(0, species_J, direction_JD, alpha=-learning_rate)


class RowRmsprop(RowOptimizer):
    """RMSprop of the rows of a matrix, without momentum.

    Args:
        weight_SD: The matrix, updated in place.
        beta2: Decay of the running mean of squared gradients.
    """

    def __init__(self, weight_SD: Tensor, beta2: float = BETA2) -> None:
        super().__init__(weight_SD)
        self.beta2 = beta2
        self.square_SD = torch.zeros_like(self.weight_SD)

    def step(self, species_J: Tensor, gradient_JD: Tensor, learning_rate: float) -> None:
        """Move some rows along their gradient over its root mean square."""
        square_JD = self.square_SD.index_select(0, species_J).mul_(self.beta2)
        square_JD.addcmul_(gradient_JD, gradient_JD, value=1 - self.beta2)
        self.square_SD.index_copy_(0, species_J, square_JD)
        move_JD = gradient_JD / square_JD.sqrt_().add_(EPSILON)
        self.weight_SD.index_add_(0, species_J, move_JD, alpha=-learning_rate)


def row_optimizer(weight_SD: Tensor, settings: TrainingSettings) -> RowOptimizer:
    """The optimizer that the settings name, of the rows of a matrix; decay, which moves every row, is none of it."""
    if settings.optimizer == "sgd":
        return RowSgd(weight_SD, settings.momentum)
    if settings.optimizer == "rmsprop":
        return RowRmsprop(weight_SD, settings.beta2)
    return RowAdam(weight_SD, settings.beta2)
