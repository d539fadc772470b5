"""Files of trained models: how an encoder or a blend of them is saved and loaded."""

from __future__ import annotations

import pickle
import struct
import warnings
from pathlib import Path
from typing import Any

import torch

from presence_only.common.atomic_files import write_stream
from presence_only.common.stored_files import DamagedError
from presence_only.model.blend import Blend
from presence_only.model.encoder import RangeModel
from presence_only.model.file_checks import check_archive, check_content, check_same_sizes
from presence_only.model.forest import Forest
from presence_only.model.interface import SpeciesModel

# What torch, pickle and the model's own code say of content that is no model.
_SAID_OF_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)


def save_model(model: SpeciesModel, path: Path) -> None:
    """Write a model to ``path``, whole or not at all; equal models give equal bytes."""
    # Into memory: torch.save writes the file's name into the file, here a temporary one.
    with write_stream(path) as stream:
        torch.save(model.content(), stream)


def load_model(path: Path) -> SpeciesModel:
    """Read what :func:`save_model` wrote, onto the CPU, in evaluation mode.

    Nothing that the file holds is run, and it takes no more memory than a few times its size.

    Raises:
        DamagedError: If the file is cut off, altered, forged, or of another version, or cannot be read.
        FileNotFoundError: If it is not there.
    """
    try:
        n_bytes = check_archive(path)
        with warnings.catch_warnings():
            # What torch says of old or forged files would stand beside the sentence below.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
            check_content(content, n_bytes)
            return _model_of(content)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DamagedError(f"{path}: cannot be read ({error.strerror or error}); `dvc repro` makes it anew") from error
    except _SAID_OF_DAMAGE as error:
        raise DamagedError(
            f"{path}: cannot be read as an encoder of this version; `dvc repro` makes it anew"
        ) from error


def _model_of(content: dict[str, Any]) -> SpeciesModel:
    """The model that ``content()`` describes."""
    if "members" in content:
        members = [_model_of(member) for member in content["members"]]
        if len({(member.n_species, member.n_covariates, member.weeks) for member in members}) > 1:
            raise ValueError("members differ in species, covariates or weeks")
        return Blend(members).eval()
    if "forest" in content:
        return Forest.of(content)
    with torch.device("meta"):
        # The shapes alone, which settings of any size may have.
        shapes = RangeModel.untrained(content).state_dict()
    check_same_sizes(shapes, content["state"])
    return RangeModel.of(content)
