"""Paths that settings give: ``~`` is the home folder, and a path that no system takes is told in one sentence."""

from __future__ import annotations

import errno
from pathlib import Path

from presence_only.common.errors import DataError

# A path that leads nowhere is told by whoever reads it, with what should be there.
_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR)
_SHOWN = 80


def user_path(given: str | Path) -> Path:
    """A path from the settings, which may be asked whether it is a file or a folder.

    Raises:
        DataError: If a part of it is too long, it may not be looked at, or the home folder is not known.
    """
    try:
        path = Path(given).expanduser()
        path.stat()
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _NOTHING_THERE:
            return path
        text = str(given)
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        reason = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        raise DataError(f"path = {shown!r}: cannot be looked at ({reason})") from None
    return path
