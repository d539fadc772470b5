"""Random generators for numpy and torch by seed and name, so that no two draws share their numbers.

A new name shifts no other stream. Torch is imported by :func:`stream` alone: importing it takes seconds, which whoever
reads or makes data need not wait for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def stream_seed(seed: int, name: str) -> int:
    """A 63-bit seed for the stream ``name`` of run ``seed``; changing either changes every draw."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def numpy_stream(seed: int, name: str, pinned: Mapping[str, int] | None = None) -> np.random.Generator:
    """A numpy generator for the stream ``name`` of run ``seed``.

    Args:
        seed: At least 0.
        name: What is drawn.
        pinned: Name to the number that seeded a stream before streams had names; such streams keep their draws.
    """
    number = (pinned or {}).get(name)
    return np.random.default_rng(stream_seed(seed, name) if number is None else [seed, number])


def stream(seed: int, name: str, device: torch.device | None = None) -> torch.Generator:
    """A torch generator for the stream ``name`` of run ``seed``, on a device, by default the CPU."""
    import torch

    return torch.Generator(device or "cpu").manual_seed(stream_seed(seed, name))
