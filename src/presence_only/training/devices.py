"""Where a run computes, and how exactly: its device, and the precision of matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from presence_only.common.errors import TrainingError


def choose_device(name: str) -> torch.device:
    """The device called ``auto``, ``cpu`` or ``cuda``.

    Raises:
        TrainingError: If ``cuda`` is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise TrainingError("training.device = 'cuda': torch sees no GPU here; use 'auto' or 'cpu'")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


@contextmanager
def exactness(precision: str, device: torch.device) -> Iterator[None]:
    """Have matrix products of float32 computed in float32, or in ``tf32``, within the block.

    Torch has one such switch for the whole process; it is put back afterwards.

    Raises:
        TrainingError: If ``tf32`` is asked for on a CPU, which has no such numbers: what the settings say would not be
            what was computed.
    """
    if precision == "tf32" and device.type == "cpu":
        raise TrainingError(
            "training.precision = 'tf32': needs a GPU, and this run computes on the CPU; use 'float32' or 'bf16'"
        )
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def product_dtype(precision: str) -> torch.dtype | None:
    """What factors of matrix products are rounded to: bfloat16 for ``bf16``; None: nothing."""
    return torch.bfloat16 if precision == "bf16" else None


def rounded_products(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Within the block, layers round what they multiply to :func:`product_dtype`; the weights stay float32."""
    dtype = product_dtype(precision)
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype)
