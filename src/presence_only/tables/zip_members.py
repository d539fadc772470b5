"""Members of a zip: which are its table, and which come with it."""

from __future__ import annotations

from pathlib import PurePosixPath

from presence_only.common.errors import DataError
from presence_only.tables.unpacking import Archive

_TEXT_ENDINGS = (".csv", ".tsv", ".txt")
# Tables that come with GBIF's downloads beside the records.
_COMPANIONS = ("citations.txt", "citation.txt", "rights.txt", "readme.txt")


def parquet_members(archive: Archive) -> list[str]:
    """The parquet files of a zip.

    Raises:
        DataError: If it holds text tables too.
    """
    members = [name for name in archive.names if not is_companion(name)]
    parquet = [name for name in members if archive.first_bytes(name) == b"PAR1"]
    others = [name for name in members if name not in parquet and name.lower().endswith(_TEXT_ENDINGS)]
    if parquet and others:
        raise DataError(
            f"{archive.path}: holds parquet files and {min(others)!r}; pack the files of the table alone, or give "
            "the unpacked file"
        )
    return parquet


def only_table(archive: Archive) -> str:
    """The one text table of a zip.

    Raises:
        DataError: If there are none or several.
    """
    members = [name for name in archive.names if not is_companion(name)]
    tables = [name for name in members if name.lower().endswith(_TEXT_ENDINGS)]
    if len(tables) != 1:
        found = ", ".join(sorted(members)[:5]) or "nothing"
        raise DataError(
            f"{archive.path}: holds {len(tables)} tables ({found}); it must hold one .csv, .tsv or .txt, "
            "parquet files, or a Darwin Core Archive with its meta.xml"
        )
    return tables[0]


def is_companion(name: str) -> bool:
    """Whether a member of a zip is not the table but comes with it."""
    parts = PurePosixPath(name).parts
    return parts[0] == "__MACOSX" or parts[-1].startswith(".") or parts[-1].lower() in _COMPANIONS
