"""Undeclared nodata: numbers that stand for "no value" in a raster that does not say so.

Two rules find them. A float of 1e19 or more, of either sign, is no measurement: the lowest float (-3.4e38), NetCDF's
9.97e36 and CMIP's 1e20 are undefined in every layer. A constant that programs write for "no value" (-9999, 9999 and
their like, the extremes of an integer type) is undefined where it stands alone: where every other value of the layer
is further from it than half its size. So -9999 is a depth in a map of the ocean floor, and no temperature.

Of 8-bit layers nothing is taken away, for 255 may be a class or white; a note names it. A note also names a constant
that does not stand alone and is frequent, or the extreme of an integer type.

Shape legend: X cells, in any shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

HUGE = 1e19
# Share of the cells from which a constant that has values near it is named too, as after a layer was resampled.
OFTEN = 0.005
CONSTANTS = (-999, -9999, -99999, -999999, -32768, -2147483648, 9999, 99999, 999999)


@dataclass(frozen=True)
class Fill:
    """What stands for "no value" in a layer.

    Args:
        values: Cells that equal one of these are undefined.
        notes: Sentences for the reader of the results.
    """

    values: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()


def undeclared_fill(layer: str, cells_X: NDArray[Any]) -> Fill:
    """The constants of a layer that stand for "no value", judged by some of its cells.

    A constant that none of the cells has is found too: what counts is that no other value is near it.

    Args:
        layer: Name of the layer, for notes.
        cells_X: Its cells, or a part of them from everywhere in the layer, as they are stored; where they have a
            mask, those that it leaves.
    """
    cells_X = _with_room(cells_X)
    kind = cells_X.dtype
    if kind.kind not in "iuf":
        return Fill()
    known_X = cells_X[np.isfinite(cells_X) & (np.abs(cells_X.astype(np.float64)) < HUGE)]
    candidates = _candidates(kind)
    constant_X = np.isin(known_X, candidates)
    others_X = known_X[~constant_X]
    present = {int(value) for value in np.unique(known_X[constant_X])}
    alone = [value for value in candidates if _is_alone(value, others_X)]
    taken = [] if kind.itemsize == 1 else alone
    notes = []
    for value in sorted(present):
        share = f"{np.mean(known_X == value):.2%} of the cells that were looked at"
        if value in taken:
            notes.append(
                f"Layer {layer!r} declares no nodata value. Its cells of {value} ({share}) lie far from all others and "
                "are taken as undefined."
            )
        elif value in alone or np.mean(known_X == value) >= OFTEN or (value in _extremes(kind) and kind.itemsize > 1):
            notes.append(
                f"Layer {layer!r} declares no nodata value. Its cells of {value} ({share}) are taken as a measurement; "
                "if they stand for no value, declare that, as with gdal_edit.py -a_nodata."
            )
    return Fill(tuple(float(value) for value in taken), tuple(notes))


def undefined(cells_X: NDArray[Any], values: Sequence[float]) -> NDArray[np.bool_]:
    """Cells that are not finite, of 1e19 or more, or equal to one of ``values``, in the shape of the cells."""
    cells_X = _with_room(cells_X)
    if cells_X.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            undefined_X: NDArray[np.bool_] = ~(np.abs(cells_X) < HUGE)
    else:
        undefined_X = np.zeros(cells_X.shape, dtype=bool)
    for value in values:
        undefined_X |= cells_X == value
    return undefined_X


def _with_room(cells_X: NDArray[Any]) -> NDArray[Any]:
    """Half precision, which cannot hold the constants, as float32; other numbers as they are."""
    return cells_X.astype(np.float32) if cells_X.dtype == np.float16 else cells_X


def _candidates(kind: np.dtype[Any]) -> list[int]:
    """What may stand for "no value" in a layer of this type."""
    if kind.kind == "f":
        return list(CONSTANTS)
    limits = np.iinfo(kind)
    return sorted({*_extremes(kind), *(value for value in CONSTANTS if limits.min <= value <= limits.max)})


def _extremes(kind: np.dtype[Any]) -> set[int]:
    """Lowest and highest value of an integer type; 0 is a number like others."""
    return set() if kind.kind == "f" else {int(np.iinfo(kind).min), int(np.iinfo(kind).max)} - {0}


def _is_alone(value: int, others_X: NDArray[Any]) -> bool:
    """Whether all other values are further from a constant than half its size."""
    if value < 0:
        return len(others_X) == 0 or float(others_X.min()) > value / 2
    # A mask of two values, such as 0 and 65535, lacks none.
    return len(others_X) > 0 and others_X.min() < others_X.max() and float(others_X.max()) < value / 2
