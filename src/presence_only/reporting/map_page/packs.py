"""Packs of the map page: bytes in script files, which a page may load from the disk where it may not read any file.

A browser lets a page that was opened from the disk load scripts, and refuses it everything else. A pack is therefore
a script of one call with the bytes compressed by gzip, in base64.
"""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Bytes of a pack before compression: it loads in a few hundredths of a second.
PACK_BYTES = 2**20
# Names that the page gives to the two functions that packs call.
PACK, DESCRIPTION = "presenceOnlyPack", "presenceOnlyMap"
# In the folder `data` of a page.
DESCRIPTION_FILE = "description.js"


def write_pack(folder: Path, name: str, content: bytes) -> None:
    """Write bytes under a name such as ``run_0/species_3``, which the page asks for."""
    path = folder / f"{name}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a time, equal bytes make equal files.
    packed = base64.b64encode(gzip.compress(content, compresslevel=6, mtime=0)).decode()
    path.write_text(f'{PACK}("{name}","{packed}");\n', encoding="ascii")


def read_pack(path: Path) -> bytes:
    """What :func:`write_pack` wrote."""
    return gzip.decompress(base64.b64decode(path.read_text().split('"')[3]))


def write_description(path: Path, content: dict[str, Any]) -> None:
    """Write what the page must know before it can draw anything: a script of one call.

    Names of species come from data. In ASCII with < as an escape, no name can end the script or a line of it.
    """
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    path.write_text(f"{DESCRIPTION}({text});\n", encoding="ascii")


def read_description(path: Path) -> dict[str, Any]:
    """What :func:`write_description` wrote."""
    content: dict[str, Any] = json.loads(path.read_text().removeprefix(f"{DESCRIPTION}(").removesuffix(");\n"))
    return content


def steps_of(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Differences between neighbours along the last axis, the cells, modulo 256: they are small, and compress well."""
    steps: NDArray[np.uint8] = np.diff(codes, axis=-1, prepend=np.uint8(0))
    return steps
