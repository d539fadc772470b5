"""Checksums of what stages make, so that no stage takes an altered file for a result.

A file may be what ``dvc.lock`` says, as DVC has recorded or restored it, or what the command that made it here noted in
``.checksums/``, also where nobody uses DVC. What neither of them knows is taken as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path

from presence_only.common.atomic_files import write_text
from presence_only.common.stored_files import AGAIN, DamagedError, reading

LOCK = Path("dvc.lock")
# A file per output, at its path, that holds its checksum.
NOTES = Path(".checksums")
_CHECKSUM = re.compile(r"[0-9a-f]{32}(\.dir)?")
# What tells whether a file was changed: its name, time of change and size.
_State = tuple[tuple[str, int, int], ...]


def note_made(*outputs: Path, study: Path = Path()) -> None:
    """Note the checksums of what a command has made.

    Args:
        outputs: Files and folders, relative to the study's folder, as ``dvc.yaml`` names them.
        study: Folder of the study's params.yaml.

    Raises:
        OSError: If no note can be written.
    """
    for output in outputs:
        write_text(study / NOTES / output, f"{checksum(study / output)}\n")


def check_unaltered(path: Path, study: Path = Path(), again: str = AGAIN) -> None:
    """Refuse a file that is not what was made; one that is not there is left to whoever reads it.

    Args:
        path: A file or a folder, relative to the study's folder.
        study: Folder of the study's params.yaml.
        again: What makes it again, the end of a sentence.

    Raises:
        DamagedError: If its checksum is known and another, or it cannot be read.
    """
    recorded = _recorded(study / LOCK)
    for output in (path, *path.parents[:-1]):
        known = {recorded.get(output.as_posix()), _noted(study / NOTES / output)} - {None}
        if not known or not (study / output).exists():
            continue
        with reading(study / output, again):
            found = checksum(study / output)
        if found not in known:
            raise DamagedError(
                f"{study / output}: was altered since it was made, as its checksum is neither that of {LOCK} nor that "
                f"of the command that made it here; {again}"
            )


def checksum(path: Path) -> str:
    """MD5 of a file, or of a folder as DVC has it: of the names and the MD5 of its files, with ``.dir`` behind."""
    if not path.is_dir():
        return _md5_of(path, _state(path))
    # A kill leaves temporary files, which DVC does not see either.
    files = sorted(file for file in path.rglob("*") if file.is_file() and ".tmp-" not in file.name)
    listed = [{"md5": _md5_of(file, _state(file)), "relpath": file.relative_to(path).as_posix()} for file in files]
    listed.sort(key=lambda entry: entry["relpath"])
    return _md5(json.dumps(listed, sort_keys=True).encode()) + ".dir"


@lru_cache(maxsize=10_000)
def _md5_of(path: Path, _: _State) -> str:
    """MD5 of a file in a state; it is taken once in a process."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _state(path: Path) -> _State:
    found = path.stat()
    return ((str(path.resolve()), found.st_mtime_ns, found.st_size),)


def _noted(note: Path) -> str | None:
    """The checksum in a note; None if there is none, or it is damaged."""
    try:
        found = note.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None
    return found if _CHECKSUM.fullmatch(found) else None


def _recorded(lock: Path) -> dict[str, str]:
    """Output to checksum, of all outputs in a dvc.lock; empty where there is none."""
    return _recorded_in(lock, _state(lock)) if lock.is_file() else {}


@lru_cache(maxsize=16)
def _recorded_in(lock: Path, _: _State) -> dict[str, str]:
    # Not at the top: a study without DVC has no such file.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe").load(lock)
        outputs = [output for stage in found["stages"].values() for output in stage.get("outs", ())]
        # Older versions of DVC hashed text with other line ends.
        return {
            output["path"]: output["md5"]
            for output in outputs
            if output.get("hash") == "md5" and _CHECKSUM.fullmatch(output["md5"])
        }
    except (YAMLError, ValueError, LookupError, TypeError, AttributeError):
        raise DamagedError(f"{lock}: is damaged; restore it, as by `git checkout {LOCK}`") from None
