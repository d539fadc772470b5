"""The heap of a process that trains."""

from __future__ import annotations

import ctypes
import sys


def keep_pages() -> bool:
    """Have the C library keep what this process frees, instead of returning it to the system.

    A training step frees and takes the same blocks again and again; faulting them in anew costs it a tenth
    of its time if the loss is computed in chunks, half from all logits at 50,000 species. The price is memory: the
    process stays at its highest point.

    Returns:
        Whether there is such a setting: glibc has it.
    """
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, 2**31 - 1))
