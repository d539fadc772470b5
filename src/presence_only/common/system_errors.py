"""Errors of the system, such as a full disk, as one sentence with the path, the reason and what helps."""

from __future__ import annotations

import errno
import os
import re
import shutil

# What a user can do about an error, by its number.
ADVICE = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EFBIG: "allow larger files (`ulimit -f`) and run the same command again",
    errno.EROFS: "work in a folder that can be written",
    errno.EACCES: "see that it may be read and, if it is an output, written",
    errno.EPERM: "see that it may be read and, if it is an output, written",
    errno.ENOTDIR: "a file lies where a folder must be: move it away",
    errno.EEXIST: "a file lies where a folder must be: move it away",
    errno.EISDIR: "a folder lies where a file must be: move it away",
    errno.EMFILE: "allow more open files (`ulimit -n`) and run the same command again",
    errno.ENFILE: "allow more open files and run the same command again",
    errno.EIO: "the disk may be broken",
    errno.ELOOP: "a link leads to itself: remove it",
}
# Libraries in Rust give the number in their text alone.
_NUMBER = re.compile(r"\(os error (\d+)\)")


def system_error(error: OSError) -> str:
    """One sentence about an error of the system; empty if the system did not raise it, as in a mistake of the code."""
    if isinstance(error, shutil.Error):
        # Of a tree of files: source, target and reason of each that could not be copied.
        first = error.args[0][0] if error.args and isinstance(error.args[0], list) and error.args[0] else None
        return f"{first[1]}: {first[2]}" if isinstance(first, tuple) else ""
    if error.errno is None:
        found = _NUMBER.search(str(error))
        return "" if found is None else _with_advice(" ".join(str(error).split()), int(found[1]))
    where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    return _with_advice(f"{where}{error.strerror or os.strerror(error.errno)}", error.errno)


def _with_advice(said: str, number: int) -> str:
    return f"{said}; {ADVICE[number]}" if number in ADVICE else said
