"""Safe unpacking of the .gz, .zip and .tar files that users bring.

A zip's member is never written under its own name, a packed file may unpack only to what a table can
need, and every failure is one sentence that names the file. Limits are checked on the bytes that come
out, for a zip's directory can say anything.
"""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from presence_only.common.errors import DataError

BLOCK_BYTES = 16 * 2**20
_DAMAGED = (
    EOFError,
    OSError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
    NotImplementedError,
    RuntimeError,
)


@dataclass(frozen=True)
class Limits:
    """How much a packed file may unpack to, so that a small one cannot fill the machine.

    Args:
        total_bytes: Never more than this.
        ratio: Nor more than so many times its packed size. Tables of records reach 20.
        always_bytes: Up to here any ratio is harmless.
    """

    total_bytes: int = 500 * 2**30
    ratio: int = 200
    always_bytes: int = 64 * 2**20

    def allowed(self, packed_bytes: int) -> int:
        """The most that a file of ``packed_bytes`` may unpack to."""
        return min(self.total_bytes, max(self.always_bytes, self.ratio * packed_bytes))


LIMITS = Limits()


def first_bytes(path: Path, empty: bool = False) -> bytes:
    """The first four bytes of a file, which tell its format.

    Raises:
        DataError: If there is no such file, or it is empty and must not be.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if not head and not empty:
        raise DataError(f"{path}: the file is empty")
    return head


def is_zip(head: bytes) -> bool:
    """Whether a file that begins so is a zip."""
    return head in (b"PK\x03\x04", b"PK\x05\x06")


def open_text(path: Path, limits: Limits = LIMITS) -> io.BufferedIOBase:
    """The bytes of a text table, unpacked if it is a .gz."""
    head = first_bytes(path)
    if head[:2] != b"\x1f\x8b":
        return io.BufferedReader(io.FileIO(path), BLOCK_BYTES)
    if path.name.endswith((".tar.gz", ".tgz")):
        raise DataError(f"{path}: is a tar archive; unpack it and name the table inside")
    allowed = limits.allowed(path.stat().st_size)
    return io.BufferedReader(_Unpacked(gzip.open(path, "rb"), str(path), allowed), 2**20)


class Archive:
    """A zip that is not trusted: nothing in it is unpacked to a name of its own.

    Args:
        path: The zip.
        limits: How much a member may unpack to, whatever the zip's directory says.

    Raises:
        DataError: If it is no zip, is damaged, or a member's name leads out of it or is a link.
    """

    def __init__(self, path: Path, limits: Limits = LIMITS) -> None:
        self.path, self._limits = path, limits
        try:
            self._zip = zipfile.ZipFile(path)
        except _DAMAGED as error:
            raise DataError(
                f"{path}: is a damaged or incomplete zip ({error_text(error)}); download it again"
            ) from None
        try:
            for member in self._zip.infolist():
                self._check(member)
        except DataError:
            self._zip.close()
            raise
        self.names = tuple(member.filename for member in self._zip.infolist() if not member.is_dir())

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.close()

    def first_bytes(self, name: str) -> bytes:
        """The first four bytes of a member, which tell its format."""
        with self.open(name) as stream:
            return stream.read(4)

    def open(self, name: str) -> io.BufferedReader:
        """The unpacked bytes of a member; reading stops with an error where the limit is passed."""
        member = self._zip.getinfo(name)
        where = f"{self.path}/{name}"
        if member.flag_bits & 1:
            raise DataError(f"{where}: is encrypted; unpack it with its password first")
        allowed = self._limits.allowed(member.compress_size)
        if member.file_size > allowed:
            raise DataError(_bomb(where, allowed))
        try:
            source = self._zip.open(member)
        except _DAMAGED as error:
            raise DataError(f"{where}: cannot be unpacked ({error_text(error)}); download it again") from None
        return io.BufferedReader(_Unpacked(source, where, allowed), 2**20)

    def unpack(self, name: str, target: Path) -> Path:
        """Write a member to ``target``, a path of the caller's choice, and return it."""
        try:
            with self.open(name) as stream, target.open("wb") as file:
                while block := stream.read(BLOCK_BYTES):
                    file.write(block)
        except OSError as error:
            raise DataError(
                f"{self.path}/{name}: cannot be unpacked into {target.parent} ({error.strerror}); "
                "set TMPDIR to a folder with room"
            ) from None
        return target

    def _check(self, member: zipfile.ZipInfo) -> None:
        """Refuse a name that leads out of the archive, and links."""
        name = member.filename
        if is_unsafe(name):
            raise DataError(f"{self.path}: member {name!r} leads out of the archive; do not trust this file")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DataError(f"{self.path}: member {name!r} is a link; do not trust this file")


def tar_members(path: Path, limits: Limits = LIMITS) -> Generator[tuple[str, io.BufferedReader], None, None]:
    """Name and bytes of the files in a tar, compressed or not, one after the other; nothing is written to disk.

    A stream is read before the next member is asked for, as a compressed tar is read once from its beginning. Links
    and folders are left out.

    Raises:
        DataError: If the tar is damaged, or unpacks to more than the limits allow.
    """
    allowed = limits.allowed(path.stat().st_size)
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                source = archive.extractfile(member) if member.isfile() else None
                if source is not None:
                    yield member.name, io.BufferedReader(_Unpacked(source, f"{path}/{member.name}", allowed), 2**20)
    except _DAMAGED as error:
        raise DataError(f"{path}: is a damaged or incomplete tar ({error_text(error)}); download it again") from None


def unpacked_gz(stream: io.BufferedReader, where: str, packed_bytes: int, limits: Limits = LIMITS) -> io.BufferedReader:
    """The bytes of a .gz that is itself a member of an archive."""
    source = gzip.GzipFile(fileobj=stream)
    return io.BufferedReader(_Unpacked(source, where, limits.allowed(packed_bytes)), 2**20)


def is_unsafe(name: str) -> bool:
    """Whether a path inside an archive leads out of it."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return "\\" in name or ".." in parts or name.startswith("/") or (bool(parts) and parts[0].endswith(":"))


class _Unpacked(io.RawIOBase):
    """The bytes of a packed source, with a limit and errors that name the file."""

    def __init__(self, source: IO[bytes] | gzip.GzipFile, where: str, allowed: int) -> None:
        super().__init__()
        self._source, self._where, self._allowed, self._left = source, where, allowed, allowed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            block = self._source.read(len(buffer))
        except EOFError:
            raise DataError(f"{self._where}: is cut off: the packed data ends too early; download it again") from None
        except _DAMAGED as error:
            raise DataError(f"{self._where}: is damaged ({error_text(error)}); download it again") from None
        self._left -= len(block)
        if self._left < 0:
            raise DataError(_bomb(self._where, self._allowed))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._source.close()
        super().close()


def _bomb(where: str, allowed: int) -> str:
    """The sentence for data that unpacks to too much."""
    return (
        f"{where}: unpacks to more than {allowed:,} bytes, far more than its packed size allows for a table; "
        "it may be made to fill the disk: unpack it yourself if you trust it"
    )


def error_text(error: Exception) -> str:
    """The first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
