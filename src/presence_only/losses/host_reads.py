"""Numbers that the program reads off a tensor: free on the CPU, a wait for all queued work on a GPU.

A GPU works while the program prepares what comes next. It has to stop wherever the program asks for a value, or for a
tensor whose shape depends on values, such as ``x[x > 0]``. Losses ask :func:`on_host` before they do so, and have a way
without such a question for every other device.

Shape legend: P pairs of a batch, S species or rows that are counted.
"""

from __future__ import annotations

import torch
from torch import Tensor

# The type of device whose values are at hand. Tests set another one, so that the CPU takes the way of a GPU.
HOST = "cpu"


def on_host(x: Tensor) -> bool:
    """Whether the values of a tensor can be read without waiting for a device, and at all."""
    return x.device.type == HOST and not is_mapped(x)


def is_mapped(x: Tensor) -> bool:
    """Whether ``torch.func.vmap`` maps over a tensor, whose values nobody can read then."""
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(x):
        if functorch.is_batchedtensor(x):
            return True
        x = functorch.get_unwrapped(x)
    return False


def keep(counted_P: Tensor, *values_P: Tensor) -> tuple[Tensor, ...]:
    """Those elements that count; on a GPU all of them, of which the caller weighs the others with 0.

    Args:
        counted_P: Bool, whether an element counts.
        values_P: What belongs to the elements.

    Returns:
        ``counted_P`` and the values: on the CPU of the elements that count, elsewhere of all.
    """
    if on_host(counted_P):
        return (counted_P[counted_P], *(values[counted_P] for values in values_P))
    return (counted_P, *values_P)


def count_each(index_P: Tensor, size: int) -> Tensor:
    """How often each of 0..size-1 occurs, int64: ``torch.bincount`` without its look at the largest index."""
    ones_P = torch.ones((), dtype=torch.int64, device=index_P.device).expand(len(index_P))
    return torch.zeros(size, dtype=torch.int64, device=index_P.device).index_add_(0, index_P, ones_P)
