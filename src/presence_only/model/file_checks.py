"""Checks of a model's file before anything is built from it: whole, made of tensors, and no larger than it says.

A forged file may name sizes of a thousand million, or repeat one tensor by reference. What it can make is bounded here
by the bytes that it has.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# Blends within blends; a variant has one level of members.
MOST_LEVELS = 8
_KINDS = {"n_covariates": int, "weeks": bool, "n_species": int, "settings": dict, "state": dict}


def check_archive(path: Path) -> int:
    """Refuse a file that is no archive as ``torch.save`` writes it, or in which a byte was altered.

    Returns:
        Number of bytes of the file.

    Raises:
        ValueError: If it is none, or its parts are compressed, overlap or have other checksums than it says.
        OSError: If it cannot be read.
    """
    size = path.stat().st_size
    if not path.is_file():
        raise ValueError("it is no file")
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                raise ValueError("a part is compressed")
            if sum(part.file_size for part in parts) > size:
                raise ValueError("the parts are larger than the file")
            altered = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise ValueError(f"it is no archive of tensors: {error}") from None
    if altered is not None:
        raise ValueError(f"{altered} was altered")
    return size


def check_content(content: Any, most_bytes: int, levels: int = MOST_LEVELS) -> int:
    """Refuse what is no content of an encoder, a forest or a blend, or names sizes that its tensors do not have.

    Args:
        content: As ``torch.load`` gives it.
        most_bytes: What all tensors may have together.
        levels: How deep blends may lie within each other.

    Returns:
        Bytes of all tensors.

    Raises:
        ValueError: If it is something else.
    """
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}")
    if "members" in content:
        members = content["members"]
        if set(content) != {"members"} or not isinstance(members, list) or not members or levels == 0:
            raise ValueError("it is no blend of encoders")
        n_bytes = 0
        for member in members:
            n_bytes += check_content(member, most_bytes - n_bytes, levels - 1)
        return n_bytes
    kinds = _KINDS | ({"forest": dict} if "forest" in content else {})
    if set(content) != set(kinds):
        raise ValueError(f"it has the parts {sorted(map(str, content))}")
    for name, kind in kinds.items():
        if type(content[name]) is not kind:
            raise ValueError(f"{name} is a {type(content[name]).__name__}")
    if content["n_species"] < 1 or content["n_covariates"] < 0:
        raise ValueError("a number of species or covariates is too small")
    return _check_state(content, most_bytes)


def _check_state(content: dict[str, Any], most_bytes: int) -> int:
    """Bytes of the tensors of an encoder, whose settings must not name more than they have."""
    state, settings, n_bytes, n_values = content["state"], content["settings"], 0, 0
    for name, tensor in state.items():
        if not isinstance(name, str) or type(tensor) is not Tensor:
            raise ValueError(f"{name!r} is no tensor by name")
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_complex() or tensor.is_quantized:
            raise ValueError(f"{name} is a tensor of another kind")
        n_bytes += tensor.numel() * tensor.element_size()
        n_values += tensor.numel()
        if n_bytes > most_bytes:
            raise ValueError("the tensors are larger than the file")
    if "start_S" in state and state["start_S"].shape != (content["n_species"],):
        raise ValueError("start_S is not of as many species as it says")
    named = [content["n_species"], content["n_covariates"]]
    # An additive encoder and a forest have no layers, whatever the width.
    layers = "forest" not in content and settings.get("kind") != "additive"
    named += [settings.get("depth", 0), settings.get("width", 0)] * layers
    if any(type(number) is not int or number > n_values for number in named):
        raise ValueError("a size is no number, or larger than the tensors are")
    # A block has four tensors.
    if layers and 4 * settings.get("depth", 0) > len(state):
        raise ValueError("it has fewer blocks than it says")
    return n_bytes


def check_same_sizes(expected: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    """Refuse tensors of other names, shapes or types than a model has.

    Args:
        expected: The model's own; of torch's device ``meta``, they take no memory.
        state: Those of the file.

    Raises:
        ValueError: If they differ.
    """
    if set(expected) != set(state):
        raise ValueError(f"it has other tensors: {min(set(expected) ^ set(state))}")
    for name, tensor in expected.items():
        if tensor.shape != state[name].shape or tensor.dtype != state[name].dtype:
            raise ValueError(f"{name} has another shape or type")
