"""A folder of named arrays and lists of names: how evaluations other than surveys lie on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from presence_only.common.atomic_files import write_folder, write_json
from presence_only.common.stored_files import reading, stored_json


def save_arrays(
    folder: Path, file: str, arrays: Mapping[str, NDArray[Any]], names: Mapping[str, tuple[str, ...]]
) -> None:
    """Write ``<file>.npz`` and a .json per list of names into ``folder``, whole or not at all."""
    stored: dict[str, Any] = dict(arrays)
    with write_folder(folder) as temporary:
        np.savez_compressed(temporary / f"{file}.npz", **stored)
        for name, values in names.items():
            write_json(temporary / f"{name}.json", values)


def load_arrays(folder: Path, file: str, *names: str) -> dict[str, Any]:
    """Every array and every list of names that :func:`save_arrays` wrote, by name.

    Raises:
        DamagedError: If a file of the folder is damaged.
        FileNotFoundError: If one is missing.
    """
    path = folder / f"{file}.npz"
    with reading(path), np.load(path) as arrays:
        stored: dict[str, Any] = {name: arrays[name] for name in arrays.files}
    lists = {name: stored_json(folder / f"{name}.json") for name in names}
    with reading(folder):
        return stored | {name: tuple(values) for name, values in lists.items()}
