"""Checks of the arguments of losses: each refuses wrong input in one sentence with argument, value and rule."""

from __future__ import annotations

import math
import operator
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from presence_only.losses.host_reads import is_mapped


def check_number(name: str, value: object, low: float, high: float = math.inf, *, open_ends: str = "") -> float:
    """Refuse anything but a finite real number between ``low`` and ``high``.

    Args:
        name: The argument, for the message.
        value: What was given.
        low: Smallest value allowed.
        high: Largest value allowed.
        open_ends: Ends that are themselves refused: ``""``, ``"low"``, ``"high"`` or ``"both"``.

    Returns:
        The value as a float.

    Raises:
        TypeError: If it is not a real number (a bool is not one).
        ValueError: If it is NaN, infinite or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} = {value!r}: must be a real number, not {type(value).__name__}")
    number = float(value)
    above = number > low if open_ends in ("low", "both") else number >= low
    below = number < high if open_ends in ("high", "both") else number <= high
    if not (math.isfinite(number) and above and below):
        left, right = "(" if open_ends in ("low", "both") else "[", ")" if open_ends in ("high", "both") else "]"
        if math.isinf(high):
            rule = f"finite and {'>' if left == '(' else '>='} {low:g}"
        else:
            rule = f"in {left}{low:g}, {high:g}{right}"
        raise ValueError(f"{name} = {number!r}: must be {rule}")
    return number


def check_count(name: str, value: object) -> int:
    """Refuse anything but an int >= 0, Python's or NumPy's.

    Raises:
        TypeError: If it is not an int (a bool is not one).
        ValueError: If it is negative.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} = {value!r}: must be an int, not {type(value).__name__}")
    count = operator.index(value)
    if count < 0:
        raise ValueError(f"{name} = {count}: must be >= 0")
    return count


def check_choice(name: str, value: object, known: Collection[str]) -> None:
    """Refuse a name that is not among ``known``; the message lists what exists.

    Raises:
        ValueError: If ``value`` is unknown.
    """
    if value not in known:
        raise ValueError(f"unknown {name} {value!r}; known: {', '.join(known)}")


def check_floating(name: str, value: object, ndim: int | None = None) -> None:
    """Refuse what is not a floating-point tensor, or has the wrong number of dimensions.

    Raises:
        TypeError: If it is no tensor, or its dtype is not a real floating-point one.
        ValueError: If it does not have ``ndim`` dimensions.
    """
    _check_tensor(name, value)
    assert isinstance(value, Tensor)
    if not value.is_floating_point():
        raise TypeError(f"{name} has dtype {value.dtype}: must be a floating-point tensor")
    if ndim is not None and value.ndim != ndim:
        raise ValueError(f"{name} has shape {tuple(value.shape)}: must have {ndim} dimensions")


def check_same_shape(name: str, value: object, other_name: str, other: Tensor) -> None:
    """Refuse two tensors whose shapes differ, for nothing broadcasts, or that lie on different devices.

    Raises:
        TypeError: If ``value`` is no tensor.
        ValueError: If the shapes or the devices differ.
    """
    _check_tensor(name, value)
    assert isinstance(value, Tensor)
    if value.shape != other.shape:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}: must equal the shape {tuple(other.shape)} of {other_name}"
        )
    if value.device != other.device:
        raise ValueError(f"{name} lies on {value.device}: must lie on {other.device}, as {other_name} does")


def check_shape(name: str, value: object, shape: tuple[int, ...]) -> None:
    """Refuse a tensor of another shape.

    Raises:
        TypeError: If ``value`` is no tensor.
        ValueError: If its shape is not ``shape``.
    """
    _check_tensor(name, value)
    assert isinstance(value, Tensor)
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(value.shape)}: must be {shape}")


def check_unit_interval(name: str, value: Tensor) -> None:
    """Refuse values outside [0, 1], NaN included.

    Raises:
        ValueError: If a value is outside; the message holds the extremes found.
    """
    if value.is_complex():
        raise TypeError(f"{name} has dtype {value.dtype}: must be real numbers")
    if value.numel() == 0 or value.dtype == torch.bool or is_mapped(value):
        return
    low, high = torch.stack(value.detach().aminmax()).tolist()  # no temporary of the tensor's size
    if not (low >= 0.0 and high <= 1.0):
        raise ValueError(f"{name} span [{low:g}, {high:g}]: must lie in [0, 1]")


def check_presences(name: str, presences_P: Tensor) -> None:
    """Refuse targets that are neither 0 nor 1, NaN included.

    Args:
        name: The argument, for the message.
        presences_P: Those targets that are not 0.

    Raises:
        ValueError: If one is not 1 either; the message holds it.
    """
    if is_mapped(presences_P):
        return
    wrong_P = presences_P[presences_P != 1]
    if len(wrong_P):
        raise ValueError(f"{name} hold {wrong_P[0].item():g}: must be exactly 0 or 1")


def check_indices(name: str, value: object, shape: tuple[int, ...], size: int) -> None:
    """Refuse anything but an integer tensor of ``shape`` with values in 0..size-1.

    Raises:
        TypeError: If it is no integer tensor.
        ValueError: If the shape or a value is wrong.
    """
    _check_tensor(name, value)
    assert isinstance(value, Tensor)
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{name} has dtype {value.dtype}: must be an integer tensor")
    check_shape(name, value, shape)
    if value.numel() and not is_mapped(value):
        low, high = torch.stack(value.aminmax()).tolist()
        if low < 0 or high >= size:
            raise ValueError(f"{name} span [{low}, {high}]: must lie in 0..{size - 1}")


def check_mask(name: str, value: object, shape: tuple[int, ...]) -> None:
    """Refuse anything but a bool tensor of ``shape``.

    Raises:
        TypeError: If it is no bool tensor.
        ValueError: If the shape is wrong.
    """
    _check_tensor(name, value)
    assert isinstance(value, Tensor)
    if value.dtype != torch.bool:
        raise TypeError(f"{name} has dtype {value.dtype}: must be a bool tensor")
    check_shape(name, value, shape)


def check_background(background_KS: Any, mask_KS: Any, n_species: int, name: str = "background_KS") -> None:
    """Refuse background logits or a mask that do not fit the species.

    Raises:
        TypeError: If one is no tensor of the right kind.
        ValueError: If a shape is wrong, or a mask is given without logits.
    """
    if background_KS is None:
        if mask_KS is not None:
            raise ValueError("background_mask_KS is given without background logits: both or none")
        return
    check_floating(name, background_KS, 2)
    if background_KS.shape[1] != n_species:
        raise ValueError(
            f"{name} has shape {tuple(background_KS.shape)}: must have the {n_species} species of the logits"
        )
    if mask_KS is not None:
        check_mask("background_mask_KS", mask_KS, tuple(background_KS.shape))


def _check_tensor(name: str, value: object) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is a {type(value).__name__}: must be a torch.Tensor")
