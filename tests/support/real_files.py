"""Real files of publishers, where the environment names a folder of them."""

import os
from pathlib import Path

import pytest


def real_files(kind):
    """The folder of one kind of files below PRESENCE_ONLY_RECORDS, and the mark that skips a test without it."""
    folder = Path(os.environ.get("PRESENCE_ONLY_RECORDS", "none")).expanduser() / kind
    reason = f"PRESENCE_ONLY_RECORDS names no folder with {kind}/ of real files"
    return folder, pytest.mark.skipif(not folder.is_dir(), reason=reason)
