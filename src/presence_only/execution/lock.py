"""A lock file, by which one process at a time works on something; the system releases it when the process ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from presence_only.common.errors import ExecutionError


@contextmanager
def alone(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file while the block runs. Worker processes of a killed command hold it until they end.

    Args:
        path: The file, which stays; its folder is made.
        what: What a process that holds it does, such as ``runs the search virtual/bce``.

    Raises:
        ExecutionError: If another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ExecutionError(f"another process {what}; wait until it has ended, or end it") from None
    try:
        yield
    finally:
        lock.release()
