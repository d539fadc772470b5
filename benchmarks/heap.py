"""This process's memory and the C library's heap, for the benchmarks."""

from __future__ import annotations

from pathlib import Path

from presence_only.execution import heap


def keep_pages() -> None:
    """Have the C library's heap keep what is freed, as the package's workers do.

    Raises:
        OSError: If the C library has no such setting: it is glibc's.
    """
    if not heap.keep_pages():
        raise OSError("this C library has no mallopt: only the default heap can be measured")


def memory_mib(field: str) -> float:
    """``VmRSS``, memory in use, or ``VmHWM``, its highest so far, of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}")
