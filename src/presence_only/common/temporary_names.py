"""Names of unfinished files and folders, which tell who writes them; removal of those that killed processes left.

A name holds the number of the process, the time at which this process started and the machine, such as
``.report.tmp-4711-83920-1f2e3d4c.html``. So another process can find out whether anybody still writes, also where
several machines share a disk. git and DVC ignore such names by the pattern ``*.tmp-*``.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

# At the end of the name of a folder that is being replaced by a new one.
FORMER = "-former"
_NAME = re.compile(r"\.(.+)\.tmp-(\d+)-(\d+)-([0-9a-f]{8})(?:[.-].*)?", re.DOTALL)
# As versions before wrote it, without a machine: only folders that nobody but the package writes are searched for it.
_OLDER_NAME = re.compile(r"\..+\.tmp-(\d+)(?:\.[^.]*)?", re.DOTALL)
# Whether a process of another machine lives cannot be seen from here. What it writes is taken for left behind once
# nothing in it has changed for so many seconds: a day.
UNCHANGED = 24 * 3600.0
# Bytes of a file's own name that its temporary name keeps: file systems allow 255 in all.
_KEPT = 120
_NULL_START = 0
# Folders that a process has looked into.
_searched: set[tuple[int, str]] = set()


def temporary_name(name: str, suffix: str = "") -> str:
    """The name under which this process writes a file or a folder before it is whole.

    Args:
        name: What it will be called, without its ending; of a long name, the temporary one has a part and a hash.
        suffix: Its ending with the dot; some libraries go by it.
    """
    encoded = name.encode(errors="surrogateescape")
    if len(encoded) > _KEPT:
        start = encoded[:_KEPT].decode(errors="ignore")
        name = f"{start}-{hashlib.sha256(encoded).hexdigest()[:8]}"
    pid = os.getpid()
    return f".{name}.tmp-{pid}-{_state_and_start(pid)[1]}-{_machine()}{suffix}"


def remove_leftovers(folder: Path, *, deep: bool = False, older_names: bool = False, locked: bool = False) -> None:
    """Remove unfinished files and folders whose process is gone; those of living processes stay.

    A folder that was to be replaced, and whose successor never got its place, is put back. What a process of another
    machine writes is removed once it has not changed for :data:`UNCHANGED` seconds. What cannot be removed, as it
    belongs to another user, stays without a word.

    Args:
        folder: Where to look; it need not exist.
        deep: Whether to look into all folders below as well, without following links.
        older_names: Whether names that older versions of this package gave count, which do not tell the machine; only
            for folders in which nobody but this package writes.
        locked: Whether the caller holds a lock without which nobody writes there. Then all such older names are
            removed, and not only those whose number no process has: it may be another process by now.
    """
    for entry in _entries(folder, deep):
        if _left_behind(entry, older_names, locked):
            with suppress(OSError):
                _put_back(entry)
                _remove(entry)


def remove_leftovers_once(folder: Path) -> None:
    """What :func:`remove_leftovers` does in one folder, unless this process has done it there before."""
    key = os.getpid(), str(folder.absolute())
    if key not in _searched:
        _searched.add(key)
        remove_leftovers(folder)


@contextmanager
def scratch_folder(name: str = "presence_only") -> Iterator[Path]:
    """Yield an empty folder among the system's temporary ones, which is removed afterwards.

    What killed processes left there under such names is removed first.

    Args:
        name: What the folder is called first; short, where sockets are to lie in it.
    """
    within = Path(tempfile.gettempdir())
    remove_leftovers_once(within)
    folder = within / temporary_name(name, f".{secrets.token_hex(4)}")
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _entries(folder: Path, deep: bool) -> Iterator[Path]:
    """What lies in a folder, but nothing inside of unfinished folders."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:
        return
    for entry in entries:
        yield Path(entry.path)
        if deep and ".tmp-" not in entry.name and entry.is_dir(follow_symlinks=False):
            yield from _entries(Path(entry.path), deep)


def _left_behind(path: Path, older_names: bool, locked: bool) -> bool:
    """Whether the name is that of something unfinished on which nobody works any more."""
    if found := _NAME.fullmatch(path.name):
        pid, start, machine = int(found[2]), int(found[3]), found[4]
        return not _alive(pid, start) if machine == _machine() else _unchanged(path)
    if older_names and (older := _OLDER_NAME.fullmatch(path.name)):
        return locked or not _alive(int(older[1]), _NULL_START)
    return False


def _alive(pid: int, start: int) -> bool:
    """Whether a process of this machine is the one that started at this time; True where nobody can tell."""
    # On Windows os.kill ends the process, whatever the signal is.
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    state, started = _state_and_start(pid)
    # A process that has ended, and whose parent has not asked for its exit code, is a zombie.
    return state not in ("Z", "X") and (_NULL_START in (start, started) or start == started)


def _state_and_start(pid: int) -> tuple[str, int]:
    """State of a process, and the time of its start in ticks; empty and 0 where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        # The command in brackets, which is the second field, may hold brackets and spaces itself.
        fields = text.rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, IndexError, ValueError):
        return "", _NULL_START


@cache
def _machine() -> str:
    """Eight digits for the machine, and for the container, as containers number their processes anew."""
    try:
        numbering = str(Path("/proc/self/ns/pid").readlink())
    except (OSError, NotImplementedError):
        numbering = ""
    return hashlib.sha256(f"{platform.node()} {numbering}".encode()).hexdigest()[:8]


def _unchanged(path: Path) -> bool:
    """Whether nothing of a file or a folder has changed for :data:`UNCHANGED` seconds."""
    try:
        changed = max(entry.lstat().st_mtime for entry in (path, *_inside(path)))
    except OSError:
        return False
    return time.time() - changed > UNCHANGED


def _inside(path: Path) -> Iterable[Path]:
    return path.rglob("*") if path.is_dir() and not path.is_symlink() else ()


def _put_back(path: Path) -> None:
    """Give a folder that was to be replaced its name again, if nothing has it."""
    found = _NAME.fullmatch(path.name)
    if found and path.name.endswith(FORMER) and not path.with_name(found[1]).exists():
        path.rename(path.with_name(found[1]))


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder; nothing if there is none."""
    if stat.S_ISDIR(path.lstat().st_mode):
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()
