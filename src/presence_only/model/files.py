"""Files of trained models: how an encoder or a blend of them is saved and loaded."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from presence_only.common.atomic_files import write_whole
from presence_only.common.errors import DataError
from presence_only.model.blend import Blend
from presence_only.model.encoder import RangeModel
from presence_only.model.forest import Forest
from presence_only.model.interface import SpeciesModel


def save_model(model: SpeciesModel, path: Path) -> None:
    """Write a model to ``path``, whole or not at all; equal models give equal bytes."""
    # Through memory: torch.save writes the file's name into the file, here a temporary one.
    buffer = io.BytesIO()
    torch.save(model.content(), buffer)
    with write_whole(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load_model(path: Path) -> SpeciesModel:
    """Read what :func:`save_model` wrote, onto the CPU, in evaluation mode.

    Raises:
        DataError: If the file is cut off, or of another version.
    """
    try:
        return _model_of(torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, EOFError, LookupError, RuntimeError, TypeError, ValueError):
        raise DataError(f"{path}: cannot be read as an encoder of this version; `dvc repro` makes it anew") from None


def _model_of(content: dict[str, Any]) -> SpeciesModel:
    """The model that ``content()`` describes."""
    if "members" in content:
        return Blend([_model_of(member) for member in content["members"]]).eval()
    return Forest.of(content) if "forest" in content else RangeModel.of(content)
