"""Tables that a setting names by paths and patterns, and the species that a file is named after."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from presence_only.common.errors import DataError
from presence_only.common.user_paths import user_path
from presence_only.tables.zip_members import is_companion

_ENDINGS = re.compile(r"(?:\.(?:csv|tsv|txt|tab|gz|zip|parquet))+$", re.IGNORECASE)
# What people have in place of a table, and how they get one.
_NO_TABLES = {
    (".xlsx", ".xls", ".ods"): "is a spreadsheet; save its sheet as CSV",
    (".rds", ".rda", ".rdata"): "is a file of R; write the table with write.csv(table, 'table.csv', row.names = FALSE)",
    (".shp", ".gpkg", ".geojson", ".kml"): "is a file of geometries; export its points as CSV with their coordinates",
}


def one_or_more(given: object) -> object:
    """A path alone as a list of one, before settings are checked."""
    return (given,) if isinstance(given, str) else given


def table_paths(given: Sequence[str]) -> list[Path]:
    """The files that paths and patterns stand for, each once, the files of a pattern in alphabetical order.

    Args:
        given: Paths, or patterns with ``*``, ``?`` or ``[...]``; ``~`` is the home folder.

    Raises:
        DataError: If a pattern fits no file, a folder holds other tables than parquet files, or a file is of a kind
            that is no table.
    """
    found: dict[Path, None] = {}
    for text in given:
        path = user_path(text)
        if path.exists() or not glob.has_magic(text):
            fitting = [path]
        else:
            # Path.glob takes no absolute patterns.
            fitting = sorted(Path(file) for file in glob.glob(str(path), recursive=True) if Path(file).is_file())  # noqa: PTH207
        if not fitting:
            raise DataError(f"path = {text!r}: no file fits this pattern")
        for one in fitting:
            if one.is_dir() and (tables := [file for file in one.iterdir() if _ENDINGS.search(file.name.lower())]):
                others = [file for file in tables if file.suffix.lower() != ".parquet" and not is_companion(file.name)]
                beside = f" with parquet files and {min(others).name!r}" if others and len(others) < len(tables) else ""
                if others:
                    ending = min(others).suffix
                    raise DataError(f"path = {text!r}: is a folder{beside}; write a pattern such as {one}/*{ending}")
            for endings, sentence in _NO_TABLES.items():
                if one.is_file() and one.suffix.lower() in endings:
                    raise DataError(f"path = {str(one)!r}: {sentence}")
            found[one] = None
    return list(found)


def name_in_file_name(path: Path) -> str:
    """The name that a file is called after, without endings: ``Parus major`` of ``Parus_major.csv.gz``."""
    name = _ENDINGS.sub("", path.name)
    # Points and underscores stand for blanks where there are none.
    return name if " " in name else re.sub(r"[._]+", " ", name).strip()
