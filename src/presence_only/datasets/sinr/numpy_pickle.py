"""Safe reader of pickled .npy files: nothing that a file names is run.

A pickle names functions that are called while it is loaded, so that ``np.load(..., allow_pickle=True)``
runs whatever a file's author wants. Here the few names that an array of plain values needs stand for
functions of this module, which check what they are given; every other name is refused, and nothing
is imported. numpy's own would not do: its ndarray takes raw bytes for pointers to objects.
"""

from __future__ import annotations

import ast
import io
import math
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from presence_only.common.errors import DataError

# Truth values, integers, floats, complex numbers, bytes, texts and Python objects; no structures.
_PLAIN = re.compile(r"[?biufcSUO]\d*")


class _PlainType:
    """Stands for a numpy.dtype of plain values; its byte order comes after it."""

    def __init__(self, code: str, align: bool = False, copy: bool = True) -> None:
        if not _PLAIN.fullmatch(code):
            raise pickle.UnpicklingError(f"it holds values of type {code!r}, and only plain values are let in")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"it has the byte order {state[1]!r}")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray[Any, Any]):
    """An array that is filled as numpy's is, after its parts are checked."""

    def __setstate__(self, state: Any) -> None:
        _, shape, plain, fortran, values = state
        dtype = plain.dtype
        wanted = math.prod(shape) * (1 if dtype.hasobject else dtype.itemsize)
        if type(values) is not (list if dtype.hasobject else bytes) or len(values) != wanted or min((0, *shape)) < 0:
            raise pickle.UnpicklingError(f"an array of shape {shape} does not come with its {wanted} values")
        super().__setstate__((1, shape, dtype, bool(fortran), values))  # type: ignore[arg-type]


# What a pickle says instead of the class ndarray: a token, so that it cannot be called.
_NDARRAY = object()


def _reconstruct(of: object, shape: object, kind: object) -> _Array:
    """An empty array, to be filled by its ``__setstate__``."""
    if of is not _NDARRAY:
        raise pickle.UnpicklingError("it makes an array of something that is no array")
    return _Array.__new__(_Array, (0,), "b")


def _scalar(plain: _PlainType, value: bytes) -> Any:
    """One number or text of a plain type; frombuffer refuses objects."""
    return np.frombuffer(value, plain.dtype, count=1)[0]


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _PlainType,
    # The name before and since numpy 2; files hold either.
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
}


class _Unpickler(pickle.Unpickler):
    """Refuses every name that is not in the list."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"it asks for {module_name}.{global_name}, and only arrays and plain values are let in"
            )
        return _ALLOWED[module_name, global_name]


def load_pickled_dict(path: Path) -> dict[Any, Any]:
    """The dictionary that ``np.save`` wrote to ``path``.

    Args:
        path: A ``.npy`` file that holds one dictionary of numpy arrays, lists, numbers and texts.

    Raises:
        DataError: If there is no such file, it is truncated or holds no such dictionary, or it names
            anything but arrays and plain values; nothing that it names is run.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); it must be a file") from None
    try:
        loaded = _Unpickler(io.BytesIO(_pickle_behind_header(content))).load()
    # What a damaged pickle raises is not limited to one kind of error, as the pickle module's page says.
    except Exception as error:
        raise DataError(f"{path}: cannot be read as a pickled dictionary: {error}") from None
    if not (isinstance(loaded, np.ndarray) and loaded.shape == () and isinstance(loaded.item(), dict)):
        raise DataError(f"{path}: holds no dictionary; it must hold one, as np.save writes it")
    dictionary: dict[Any, Any] = loaded.item()
    return dictionary


def _pickle_behind_header(content: bytes) -> bytes:
    """The pickle in an .npy file of Python objects."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    length = int.from_bytes(file.read(2 if version == (1, 0) else 4), "little")
    header = ast.literal_eval(file.read(length).decode("utf-8" if version >= (3, 0) else "latin1"))
    if header["descr"] != "|O":
        raise ValueError(f"it holds numbers of type {header['descr']}, no Python objects")
    return file.read()
