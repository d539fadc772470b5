"""Reading .npz files that users bring: no pickles, nothing that is larger than it may be, every failure one sentence.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from presence_only.common.errors import DataError

LARGEST_BYTES = 4 * 2**30
# What reading bytes of any kind as a zip of arrays raises.
_DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    TypeError,
    KeyError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def read_npz(path: Path, names: Collection[str], advice: str) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` by name, those of ``names`` that it has.

    Args:
        path: The file.
        names: What is wanted.
        advice: What mends a file that cannot be read, the end of a sentence.

    Raises:
        DataError: If it is no ``.npz``, an array is given twice or is made of Python objects, or the arrays have more
            than 4 GiB.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.namelist() if member.removesuffix(".npy") in names]
            arrays = [name.removesuffix(".npy") for name in members]
            twice = {name for name in arrays if arrays.count(name) > 1}
            if twice:
                raise DataError(f"{path}: has the array {min(twice)!r} twice; it must be there once")
            sizes = {name: _declared_bytes(archive, name) for name in members}
            largest = max(sizes, key=sizes.__getitem__, default="")
            if sum(sizes.values()) > LARGEST_BYTES:
                raise DataError(
                    f"{path}: the array {largest.removesuffix('.npy')!r} says to have {sizes[largest]:,} bytes; all "
                    f"together may have {LARGEST_BYTES:,}: {advice}"
                )
            return {name.removesuffix(".npy"): _array(archive, name) for name in members}
    except DataError:
        raise
    except _DAMAGED as error:
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{path}: cannot be read as an .npz of numbers ({said}); {advice}") from None


def _declared_bytes(archive: zipfile.ZipFile, name: str) -> int:
    """How many bytes an array says to have, without reading it."""
    with archive.open(name) as file:
        shape, _, kind = _header(file)
    return math.prod(shape) * kind.itemsize


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type that the beginning of an array says."""
    version = npy.read_magic(file)
    shape, fortran, kind = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
    if kind.hasobject:
        # Only pickle reads them, which can run code.
        raise ValueError("object arrays cannot be read, as pickles can run code")
    if any(length < 0 for length in shape):
        raise ValueError(f"an array says to have the shape {shape}")
    return shape, fortran, kind


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array."""
    with archive.open(name) as file:
        array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
    return array
