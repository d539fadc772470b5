"""The C library's heap and this process's memory, for the benchmarks."""

from __future__ import annotations

import ctypes
from pathlib import Path


def keep_pages() -> None:
    """Have the C library's heap keep what is freed, instead of returning it and faulting it in again.

    Raises:
        OSError: If the C library has no such setting: it is glibc's.
    """
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or not (mallopt(mmap_max, 0) and mallopt(trim_threshold, 2**31 - 1)):
        raise OSError("this C library has no mallopt: only the default heap can be measured")


def memory_mib(field: str) -> float:
    """``VmRSS``, memory in use, or ``VmHWM``, its highest so far, of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}")
