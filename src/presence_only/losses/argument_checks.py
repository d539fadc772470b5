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

LARGEST_COUNT, LARGEST_NUMBER, LONGEST_SHOWN = 2**63 - 1, torch.finfo(torch.float32).max, 80


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
        raise TypeError(f"{name} = {shown(value)}: must be a real number, not {type(value).__name__}")
    try:
        number = float(value)
        given = repr(number)
    except OverflowError:
        number, given = -math.inf if operator.lt(value, 0) else math.inf, shown(value)
    above = number > low if open_ends in ("low", "both") else number >= low
    below = number < high if open_ends in ("high", "both") else number <= high
    # Losses are computed in float32, where larger numbers are infinite.
    if not (abs(number) <= LARGEST_NUMBER and above and below):
        left, right = "(" if open_ends in ("low", "both") else "[", ")" if open_ends in ("high", "both") else "]"
        if math.isfinite(number) and abs(number) > LARGEST_NUMBER:
            rule = f"at most {LARGEST_NUMBER:.3g} in size, as in float32"
        elif math.isinf(high):
            rule = f"finite and {'>' if left == '(' else '>='} {low:g}"
        else:
            rule = f"in {left}{low:g}, {high:g}{right}"
        raise ValueError(f"{name} = {given}: must be {rule}")
    return number


def check_count(name: str, value: object) -> int:
    """Refuse anything but an int >= 0, Python's or NumPy's.

    Raises:
        TypeError: If it is not an int (a bool is not one).
        ValueError: If it is negative.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} = {shown(value)}: must be an int, not {type(value).__name__}")
    count = operator.index(value)
    if not 0 <= count <= LARGEST_COUNT:
        rule = ">= 0" if count < 0 else "at most 2^63 - 1, which a tensor can count to"
        raise ValueError(f"{name} = {shown(count)}: must be {rule}")
    return count


def check_choice(name: str, value: object, known: Collection[str]) -> None:
    """Refuse a name that is not among ``known``; the message lists what exists.

    Raises:
        ValueError: If ``value`` is unknown.
    """
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"unknown {name} {shown(value)}; known: {', '.join(known)}")


def check_floating(name: str, value: object, ndim: int | None = None) -> None:
    """Refuse what is not a floating-point tensor, or has the wrong number of dimensions.

    Raises:
        TypeError: If it is no tensor, or its dtype is not a real floating-point one.
        ValueError: If it does not have ``ndim`` dimensions.
    """
    check_tensor(name, value)
    assert isinstance(value, Tensor)
    if not value.is_floating_point():
        raise TypeError(f"{name} has dtype {value.dtype}: must be a floating-point tensor")
    if value.element_size() == 1:
        # They are for storage: torch does not compare or add them.
        raise TypeError(f"{name} has dtype {value.dtype}: must be a floating-point tensor of 16 bits or more")
    if ndim is not None and value.ndim != ndim:
        raise ValueError(f"{name} has shape {tuple(value.shape)}: must have {ndim} dimensions")


def check_same_shape(name: str, value: object, other_name: str, other: Tensor) -> None:
    """Refuse two tensors whose shapes differ, for nothing broadcasts, or that lie on different devices.

    Raises:
        TypeError: If ``value`` is no tensor.
        ValueError: If the shapes or the devices differ.
    """
    check_tensor(name, value)
    assert isinstance(value, Tensor)
    check_real(name, value)
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
    check_tensor(name, value)
    assert isinstance(value, Tensor)
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(value.shape)}: must be {shape}")


def check_unit_interval(name: str, value: Tensor) -> None:
    """Refuse values outside [0, 1], NaN included.

    Raises:
        ValueError: If a value is outside; the message holds the extremes found.
    """
    check_real(name, value)
    if value.numel() == 0 or value.dtype == torch.bool or is_mapped(value):
        return
    check_has_values(name, value)
    # Of most types there is no temporary of the tensor's size.
    low, high = torch.stack(with_order(value.detach()).aminmax()).tolist()
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
    check_has_values(name, presences_P)
    wrong_P = presences_P[presences_P != 1]
    if len(wrong_P):
        raise ValueError(f"{name} hold {wrong_P[0].item():g}: must be exactly 0 or 1")


def check_indices(name: str, value: object, shape: tuple[int, ...], size: int) -> None:
    """Refuse anything but an integer tensor of ``shape`` with values in 0..size-1.

    Raises:
        TypeError: If it is no integer tensor.
        ValueError: If the shape or a value is wrong.
    """
    check_tensor(name, value)
    assert isinstance(value, Tensor)
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{name} has dtype {value.dtype}: must be an integer tensor")
    check_shape(name, value, shape)
    if value.numel() and not is_mapped(value):
        check_has_values(name, value)
        low, high = torch.stack(with_order(value).aminmax()).tolist()
        if low < 0 or high >= size:
            raise ValueError(f"{name} span [{low}, {high}]: must lie in 0..{size - 1}")


def check_mask(name: str, value: object, shape: tuple[int, ...]) -> None:
    """Refuse anything but a bool tensor of ``shape``.

    Raises:
        TypeError: If it is no bool tensor.
        ValueError: If the shape is wrong.
    """
    check_tensor(name, value)
    assert isinstance(value, Tensor)
    if value.dtype != torch.bool:
        raise TypeError(f"{name} has dtype {value.dtype}: must be a bool tensor")
    check_shape(name, value, shape)


def check_background(background_KS: Any, mask_KS: Any, logits_BS: Tensor, name: str = "background_KS") -> None:
    """Refuse background logits or a mask that do not fit the logits at the rows.

    Raises:
        TypeError: If one is no tensor of the right kind.
        ValueError: If a shape or a device is wrong, or a mask is given without logits.
    """
    n_species = logits_BS.shape[1]
    if background_KS is None:
        if mask_KS is not None:
            raise ValueError("background_mask_KS is given without background logits: both or none")
        return
    check_floating(name, background_KS, 2)
    if background_KS.shape[1] != n_species:
        raise ValueError(
            f"{name} has shape {tuple(background_KS.shape)}: must have the {n_species} species of the logits"
        )
    _check_device(name, background_KS, logits_BS)
    if mask_KS is not None:
        check_mask("background_mask_KS", mask_KS, tuple(background_KS.shape))
        _check_device("background_mask_KS", mask_KS, logits_BS)


def check_numbers(name: str, value: object, shape: tuple[int, ...], like: Tensor) -> None:
    """Refuse anything but real numbers of ``shape``, whose values can be read.

    Raises:
        TypeError: If it is no tensor of real numbers.
        ValueError: If the shape is wrong, or it has no values and ``like`` has.
    """
    check_shape(name, value, shape)
    assert isinstance(value, Tensor)
    check_real(name, value)
    if value.is_meta and not like.is_meta:
        check_has_values(name, value)


def check_flag(name: str, value: object) -> None:
    """Refuse anything but a bool.

    Raises:
        TypeError: If it is something else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} = {shown(value)}: must be a bool, not {type(value).__name__}")


def check_generator(generator: object) -> None:
    """Refuse what is neither a source of draws nor None.

    Raises:
        TypeError: If it is something else.
    """
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"generator is a {type(generator).__name__}: must be a torch.Generator or None")


def shown(value: object) -> str:
    """A value for a message, cut where it is long; Python writes no int of more than 4,300 digits."""
    try:
        text = repr(value)
    except Exception:
        # Whoever wrote the type decides what fails.
        return f"a {type(value).__name__}"
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _check_device(name: str, value: Tensor, logits_BS: Tensor) -> None:
    if value.device != logits_BS.device:
        raise ValueError(f"{name} lies on {value.device}: must lie on {logits_BS.device}, as the logits do")


def check_tensor(name: str, value: object) -> None:
    """Refuse what is no dense tensor of plain numbers.

    Raises:
        TypeError: If it is something else.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is a {type(value).__name__}: must be a torch.Tensor")
    if value.layout != torch.strided or value.is_nested:
        kind = "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
        raise TypeError(f"{name} is a {kind} tensor: must be a dense one, as to_dense() makes it")
    if value.is_quantized:
        raise TypeError(f"{name} has dtype {value.dtype}: must be plain numbers, as dequantize() makes them")


def check_real(name: str, value: Tensor) -> None:
    """Refuse complex numbers.

    Raises:
        TypeError: If they are some.
    """
    if value.is_complex():
        raise TypeError(f"{name} has dtype {value.dtype}: must be real numbers")


def check_has_values(name: str, value: Tensor) -> None:
    """Refuse a tensor of the device ``meta``, where there are shapes alone.

    Raises:
        ValueError: If it lies there.
    """
    if value.is_meta:
        raise ValueError(f"{name} lies on meta and has no values: must lie on a device")


def with_order(value: Tensor) -> Tensor:
    """The values in a type that torch compares; those of uint64 beyond int64 are negative, and as wrong."""
    if value.dtype in (torch.uint16, torch.uint32, torch.uint64):
        return value.to(torch.int64)
    return value.float() if value.is_floating_point() and value.element_size() == 1 else value
