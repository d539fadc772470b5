"""Memory that a computation will need, estimated before it is taken, and refused where the machine has not so much.

Linux grants memory that is not there and kills the process when it is used, without a word of which setting was too
large.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from presence_only.common.errors import UserError

# Limits of the container that the process runs in, of both kinds of Linux.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Part:
    """One thing that takes memory.

    Args:
        words: What it is, with the numbers that make it large.
        n_bytes: How much it takes.
        setting: The setting to change.
    """

    words: str
    n_bytes: int
    setting: str


def memory_of_machine() -> int:
    """Bytes that this process may have: those of the machine, or the limit of its container or of its user."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _LIMITS:
        try:
            sizes.append(int(path.read_text()))
        except (OSError, ValueError):
            continue  # there is no such file, or it says "max"
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return min(sizes if limit == resource.RLIM_INFINITY else [*sizes, limit])


def check_memory(what: str, parts: Sequence[Part], available: int | None = None) -> None:
    """Refuse what needs more memory than there is.

    Args:
        what: What needs it, such as "training".
        parts: All that takes much, with the least that each needs: what passes may still be too much.
        available: Bytes there are; None: those of the machine.

    Raises:
        UserError: If the parts together need more. The sentence names the largest part and its setting.
    """
    available = memory_of_machine() if available is None else available
    total = sum(part.n_bytes for part in parts)
    if total <= available:
        return
    largest = max(parts, key=lambda part: part.n_bytes)
    raise UserError(
        f"{what} needs about {in_words(total)} of memory, and there are {in_words(available)}: "
        f"{in_words(largest.n_bytes)} for {largest.words}; change {largest.setting}"
    )


def in_words(n_bytes: int) -> str:
    """A number of bytes, such as ``1.5 GB``."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.1f} {unit}"
    return f"{n_bytes / 1e3:,.1f} kB"
