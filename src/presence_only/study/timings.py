"""Seconds of training and fitting, which lie beside the results, as no two runs take the same time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from presence_only.common.atomic_files import content_hash, read_json


def timed(timing: Path, key: str, made: Path) -> Any:
    """What a timing file says of the seconds, if it is whole and belongs to what lies in ``made``; otherwise None.

    Args:
        timing: The file.
        key: Entry of the file that holds the hash of what was timed.
        made: What was timed: a file or a folder.
    """
    if not timing.exists() or not made.exists():
        return None
    try:
        # No stage but the training writes it: what is damaged is as good as absent.
        found = read_json(timing)
        seconds = found["seconds"] if found[key] == content_hash(made) else None
        # Of a cell they are by seed.
        return {name: float(value) for name, value in seconds.items()} if isinstance(seconds, dict) else seconds
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
