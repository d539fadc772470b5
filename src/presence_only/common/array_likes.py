"""Lists, torch tensors and tables of pandas or polars as NumPy arrays, without importing the packages they come from.

Shape legend: M sites, S species; other arrays have any shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from presence_only.common.errors import DataError

Array = NDArray[Any]

TAKEN = "a NumPy array, a list, a torch tensor, or a table of pandas or polars"
# Whole numbers beyond it may round to the same float64, and would be ties.
_EXACT = 2**53


def as_array(name: str, values: Any) -> Array:
    """Numbers from whoever holds them; a NumPy array comes back as it is, anything else as a copy or a view.

    A tensor may lie on any device, ask for a gradient, or be of half precision or bfloat16.

    Args:
        name: The argument, for the message.
        values: What was given; see ``TAKEN``.

    Returns:
        The numbers. Missing values of a table are NaN.

    Raises:
        DataError: If it is nothing of the kind, its rows differ in length, or a part of it is masked.
    """
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            raise DataError(f"{name} has masked values: they must be filled, {_rule(name)}")
        return np.asarray(values.data)
    if isinstance(values, np.ndarray):
        return np.asarray(values)
    kind = type(values).__name__
    try:
        found = np.asarray(_unwrapped(values))
    except (TypeError, ValueError, RuntimeError):
        raise DataError(f"{name} is a {kind} that is no array of numbers: must be {TAKEN}") from None
    if found.ndim == 0 and found.dtype == object:
        raise DataError(f"{name} is a {kind}: must be {TAKEN}")
    if found.dtype == object:
        found = _numbers(found)
    return found


def real_numbers(name: str, values: Any) -> Array:
    """:func:`as_array` of numbers whose order counts.

    Raises:
        DataError: Besides, if they are no real numbers, or whole ones that float64 cannot tell apart.
    """
    found = as_array(name, values)
    if found.dtype.kind not in "biuf":
        raise DataError(f"{name} have dtype {found.dtype}: must be real numbers")
    if found.dtype.kind in "iu" and found.dtype.itemsize == 8 and found.size:
        furthest = max(abs(int(found.min())), abs(int(found.max())))
        if furthest > _EXACT:
            raise DataError(f"{name} reach {furthest}: whole numbers must lie within +-2^53, which float64 tells apart")
    return found


def flags(name: str, values: Any) -> NDArray[np.bool_]:
    """:func:`as_array` of what is true or false: bool, or the numbers 1 and 0.

    Raises:
        DataError: Besides, if it holds anything else.
    """
    found = as_array(name, values)
    if found.dtype != np.bool_ and not (found.dtype.kind in "iuf" and np.isin(found, (0, 1)).all()):
        raise DataError(f"{name} has dtype {found.dtype} or another value: must be bool, or the numbers 1 and 0")
    return found.astype(np.bool_, copy=False)


def check_same_labels(name: str, values: Any, other_name: str, other: Any) -> None:
    """Refuse two tables whose rows or columns are named differently, or stand in another order.

    Names that only count from 0, and those that polars gives by itself, are none.

    Raises:
        DataError: If they differ.
    """
    for of in ("columns", "index"):
        names, others = (_labels(table, of) for table in (values, other))
        if names is None or others is None or names == others:
            continue
        part = "columns" if of == "columns" else "rows"
        if len(names) != len(others):
            return  # the shapes differ, which says more
        first = next(i for i, pair in enumerate(zip(names, others, strict=True)) if pair[0] != pair[1])
        raise DataError(
            f"the {part} of {name} and {other_name} are named differently, {names[first]!r} and {others[first]!r} at "
            f"place {first}: must be the same in the same order"
        )


def _rule(name: str) -> str:
    return "for instance by -1, not surveyed" if name == "truth" else "for instance by NaN where nothing was surveyed"


def _unwrapped(values: Any) -> Any:
    """What NumPy can read, of what has a way of its own to it."""
    if hasattr(values, "detach") and hasattr(values, "numpy"):
        values = values.detach()
        if str(values.layout) != "torch.strided":
            values = values.to_dense()
        if values.is_floating_point() and values.element_size() <= 2 and str(values.dtype) != "torch.float16":
            values = values.float()  # NumPy has no bfloat16
        return values.numpy(force=True)
    for method in ("to_numpy", "toarray"):
        if callable(getattr(values, method, None)):
            return getattr(values, method)()
    if isinstance(values, (set, frozenset, dict, str, bytes)):
        raise TypeError
    if isinstance(values, (list, tuple)) and any(hasattr(value, "detach") for value in values):
        return np.stack([as_array("a part", value) for value in values])
    return values


def _numbers(values: Array) -> Array:
    """Numbers that NumPy was handed as Python objects; what cannot be read as such stays as it is."""
    try:
        flat = [np.nan if value is None else value for value in values.ravel().tolist()]
        typed = np.array(flat) if values.size else values.astype(np.float64)
    except (TypeError, ValueError):
        return values
    if typed.shape == (values.size,) and typed.dtype != object:
        return typed.reshape(values.shape)
    try:
        missing = [float("nan") if str(value) in ("<NA>", "NaT") else value for value in flat]
        return np.array(missing, dtype=np.float64).reshape(values.shape)
    except (TypeError, ValueError):
        return values


def _labels(table: Any, of: str) -> list[Any] | None:
    """Names of a table's columns or rows; None: it has none, or they only count from 0."""
    labels = getattr(table, of, None)
    if labels is None or callable(labels) or isinstance(table, (list, tuple, str)):
        return None
    names = list(labels)
    counted = (list(range(len(names))), [f"column_{i}" for i in range(len(names))])
    return None if names in counted else names
