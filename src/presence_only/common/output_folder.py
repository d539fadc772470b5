"""Files and folders that a user names for what a command makes: what else lies there is not touched."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

from presence_only.common.errors import UserError


class OutputError(UserError, ValueError):
    """Files cannot go where the user wants them; the message is one sentence with the path and the rule."""


def try_beside(out: Path) -> None:
    """Try, without leaving a trace, whether a file or folder can be made; what it is made of may take minutes.

    Raises:
        OSError: If it cannot.
    """
    # Folders that are missing are made with it: the nearest that exists decides.
    nearest = next(folder for folder in out.absolute().parents if folder.exists())
    with tempfile.TemporaryFile(dir=nearest):
        pass


def check_folder(out: Path, files: Collection[str], argument: str = "--out") -> None:
    """Refuse a folder that holds anything but the files that the command itself writes, since it replaces the folder.

    Args:
        out: The folder, which need not exist.
        files: Names of files and folders that the command writes into it.
        argument: What the user calls it.

    Raises:
        OutputError: If ``out`` is a file or the present folder, holds something else, or cannot be made.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{argument} {out}: is a file; must be a folder to make, or one that this command made")
    if out.resolve() == Path.cwd():
        raise OutputError(
            f"{argument} {out}: is the folder you are in, which cannot be replaced; name one inside of it"
        )
    others = sorted({path.name for path in out.iterdir()} - set(files)) if out.exists() else []
    if others:
        raise OutputError(
            f"{argument} {out}: holds {others[0]!r}, which this command did not write; must be a folder to make, or "
            "one that this command made"
        )
    try:
        try_beside(out)
    except OSError as error:
        raise OutputError(f"{argument} {out}: cannot be written: {error.strerror}") from None
