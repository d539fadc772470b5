"""Files that are written whole or not at all, and hashes of what they hold."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from presence_only.common.temporary_names import FORMER, remove_leftovers_once, temporary_name


@contextmanager
def write_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds and the disk has taken it.

    A reader sees the old file, the new file or no file, never half of one. What killed processes left in the folder of
    such temporary files and folders is removed. The block must see errors of writing, as
    Python's own files do; what a library writes is better written by :func:`write_stream`.

    Raises:
        OSError: If the file cannot be written; it names ``path``.
    """
    temporary = path.with_name(temporary_name(path.stem, path.suffix))
    with _named(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers_once(path.parent)
        try:
            yield temporary
            _reach_disk(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def write_stream(path: Path) -> Iterator[io.BytesIO]:
    """Yield a file in memory for a library to write into; put it to ``path`` whole if the block succeeds.

    Some libraries keep errors of writing to themselves: GDAL leaves half a map on a full disk and says nothing.

    Raises:
        OSError: If the file cannot be written; it names ``path``.
    """
    stream = io.BytesIO()
    yield stream
    with write_whole(path) as temporary:
        temporary.write_bytes(stream.getbuffer())


@contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; put it to ``path``, in place of a former folder, if the block succeeds.

    Raises:
        OSError: If a file cannot be written, or ``path`` is a file; it names the file by the place that it would have.
    """
    temporary = path.with_name(temporary_name(path.name))
    former = path.with_name(f"{temporary.name}{FORMER}")
    with _named(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers_once(path.parent)
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _reach_disk(file)
            # Renamed before it is removed, as a kill amid the removal would leave half of it.
            if path.exists():
                path.rename(former)
            temporary.replace(path)
        finally:
            shutil.rmtree(former, ignore_errors=True)
            shutil.rmtree(temporary, ignore_errors=True)


def _reach_disk(file: Path) -> None:
    """Have the system write a file out, as some file systems tell only then that they are full."""
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


@contextmanager
def _named(path: Path, temporary: Path) -> Iterator[None]:
    """Have errors of the system name a file by the place that it would have, instead of a temporary one or nothing."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        named = str(path) if error.filename is None else str(error.filename)
        raise OSError(error.errno, error.strerror, named.replace(str(temporary), str(path), 1)) from error


def write_text(path: Path, text: str) -> None:
    """Write text in UTF-8, whole or not at all."""
    with write_stream(path) as stream:
        stream.write(text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, whole or not at all; NaN becomes null."""
    write_text(path, json.dumps(_finite(content), indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text())


def content_hash(*paths: Path) -> str:
    """The first 16 hex digits of a SHA-256 over the names and bytes of files and folders."""
    digest = hashlib.sha256()
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            digest.update(file.relative_to(path.parent).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


class KnownHashes:
    """The :func:`content_hash` of files and folders, taken once as long as their time of change stays the same."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, str]] = {}

    def of(self, path: Path) -> str:
        """The hash of a file or a folder."""
        changed = path.stat().st_mtime_ns
        if path not in self._known or self._known[path][0] != changed:
            self._known[path] = (changed, content_hash(path))
        return self._known[path][1]


def json_hash(content: Any) -> str:
    """The first 16 hex digits of a SHA-256 over anything that JSON can hold; the order of keys does not count."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _finite(value: Any) -> Any:
    """``value`` with every float NaN or infinity replaced by None, which JSON can hold."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
