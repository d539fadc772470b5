"""Named random streams: one seed, and a name for every use of it, so that no two draws share a stream."""

from __future__ import annotations

import hashlib

import torch


def stream_seed(seed: int, name: str) -> int:
    """A 63-bit seed for the stream ``name`` of run ``seed``; changing either changes every draw."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def stream(seed: int, name: str) -> torch.Generator:
    """A CPU generator for the stream ``name`` of run ``seed``."""
    return torch.Generator().manual_seed(stream_seed(seed, name))
