"""Files of a GeoPlant download: which are the records, the surveys, their labels and the tables of predictors.

Downloads from Kaggle and Seafile, and those of each year, have other folders, but the names of files follow patterns:

| what | names |
|---|---|
| records | ``GLC24_PO_metadata_train.csv``, ``GLC24_P0_metadata_train.csv``; 2023: ``Presences_only_train.csv`` |
| surveys | ``GLC25_PA_metadata_train.csv``, ``PA_metadata_test_iid.csv``; 2023: ``Presences_Absences_train.csv`` |
| labels of test surveys | ``test_labels_iid.csv`` |
| predictors | ``GLC24-PO-train-bioclimatic-average.csv``, ``PA-test-iid-elevation.csv`` |

Source: https://github.com/plantnet/GeoPlant; https://www.kaggle.com/competitions/geolifeclef-2025
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from presence_only.common.errors import DataError
from presence_only.common.user_paths import user_path

Side = Literal["PO", "PA"]

# Kaggle packs single files as `.csv.zip`.
ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.zip", ".parquet")
_SHOWN = 8
# Millions of image patches lie in folders of two digits, two deep.
_TILES = re.compile(r"^\d{1,2}$")
_PREDICTOR = re.compile(
    r"^(?:.*[^a-z0-9])?(?P<side>p[ao0])[-_ ](?P<part>train|test(?:[-_ ](?:iid|ood|glc\d+))?)[-_ ](?P<name>.+)$",
    re.IGNORECASE,
)
_SIDE = re.compile(r"(?:^|[^a-z0-9])(p[ao0])(?:[^a-z0-9]|$)", re.IGNORECASE)
# What the tables of one theme are called beside its name: those of 2024 say `bioclimatic-average` of the records.
_SAME = {"bioclimaticaverage": "bioclimatic"}


@dataclass(frozen=True)
class Download:
    """The tables in a folder.

    Args:
        root: The folder.
        tables: All of its tables, however deep, sorted.
    """

    root: Path
    tables: tuple[Path, ...]

    @classmethod
    def under(cls, root: str) -> Download:
        """The tables of a folder, without those in hidden ones.

        Raises:
            DataError: If there is no such folder.
        """
        folder = user_path(root)
        if not folder.is_dir():
            raise DataError(f"root = {root!r}: there is no such folder; it must hold the files of GeoPlant")
        found = []
        for where, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name[0] != "." and name != "__MACOSX" and not _TILES.match(name)]
            found += [Path(where) / name for name in names if name[0] != "." and name.lower().endswith(ENDINGS)]
        return cls(folder, tuple(sorted(found)))

    def named(self, given: str, setting: str) -> Path:
        """A file that a setting names, relative to the folder or not.

        Raises:
            DataError: If there is no such file.
        """
        path = self.root / user_path(given)
        if not path.is_file():
            raise DataError(f"{setting} = {given!r}: there is no file {path}")
        return path

    def one(self, patterns: Sequence[str], what: str, setting: str) -> Path:
        """The one table whose name follows one of the patterns.

        Args:
            patterns: Of names without their endings, with ``*``, ``?`` and ``[]``.
            what: What is looked for, for messages.
            setting: Which names a file instead.

        Raises:
            DataError: If there are several, or none.
        """
        found = self.matching(patterns)
        if len(found) == 1:
            return found[0]
        rule = " or ".join(f"{pattern}{{{','.join(ENDINGS)}}}" for pattern in patterns)
        if found:
            raise DataError(
                f"{self.root}: {len(found)} files could hold the {what} ({rule}): {self.listed(found)}; name one by "
                f"{setting}"
            )
        # Those that are not deep first, where the tables of metadata are.
        flat = sorted(self.tables, key=lambda path: (len(path.parts), path))
        tables = f"its tables are {self.listed(flat)}" if self.tables else "it holds no table at all"
        raise DataError(
            f"{self.root}: no file holds the {what} ({rule}); {tables}. Unpack zip files, or name the file by {setting}"
        )

    def matching(self, patterns: Sequence[str]) -> list[Path]:
        """The tables whose names follow one of the patterns."""
        return [path for path in self.tables if any(fnmatchcase(stem(path), pattern) for pattern in patterns)]

    def predictor(self, word: str, side: Side, part: str) -> Path:
        """The one table of predictors of a name, or that follows a pattern.

        Args:
            word: A name such as ``bioclimatic``, or a pattern of the path below the folder, such as ``*/v2/*``.
            side: Of the records (``PO``) or of the surveys (``PA``).
            part: ``train``, ``test``, ``test_iid`` and so on.

        Raises:
            DataError: If there are several, or none.
        """
        pattern = any(sign in word for sign in "*?[/")
        mine = [(path, part_of) for path, part_of, name in self._predictors(side) if self._means(path, name, word)]
        found = [path for path, part_of in mine if part_of == part]
        if not found and part.startswith("test"):
            # The table of some test surveys is called as if it were that of all.
            found = [path for path, part_of in mine if part_of == "test"]
        if len(found) == 1:
            return found[0]
        whose = f"{side}-{part.replace('_', '-')}"
        if found:
            raise DataError(
                f"predictors: {word!r} means {len(found)} tables of {whose}: {self.listed(found)}; give a pattern of "
                "the path of one, such as '*/v2/*soilgrids*'"
            )
        names = sorted({name for _, part_of, name in self._predictors(side) if part_of in (part, part.split("_")[0])})
        known = f"known of {whose}: {', '.join(names)}" if names else f"{self.root} has no table named {whose}-*"
        kind = "no table follows the pattern" if pattern else "there is no table of predictors"
        raise DataError(f"predictors: {kind} {word!r} of {whose}; {known}")

    def listed(self, paths: Sequence[Path]) -> str:
        """Paths below the folder, for messages."""
        shown = ", ".join(str(path.relative_to(self.root)) for path in paths[:_SHOWN])
        return f"{shown} and {len(paths) - _SHOWN:,} others" if len(paths) > _SHOWN else shown

    def _predictors(self, side: Side) -> list[tuple[Path, str, str]]:
        """Path, part and name of all tables of predictors of a side."""
        found = []
        for path in self.tables:
            match = _PREDICTOR.match(stem(path))
            if match is not None and _side(match["side"]) == side and "metadata" not in match["name"].lower():
                part = re.sub(r"[-_ ]", "_", match["part"].lower())
                found.append((path, part, match["name"]))
        return found

    def _means(self, path: Path, name: str, word: str) -> bool:
        """Whether a word of the settings means a table."""
        if not any(sign in word for sign in "*?[/"):
            return _plain(name) == _plain(word)
        below = path.relative_to(self.root).as_posix()
        forms = (below, f"/{below}", below[: -len(_ending(path))], stem(path))
        return any(fnmatchcase(form, pattern) for form in forms for pattern in (word, f"*/{word}"))


def stem(path: Path) -> str:
    """The name of a table without its ending."""
    return path.name[: len(path.name) - len(_ending(path))]


def side_of(path: Path) -> Side | None:
    """Whether a table is one of the records or of the surveys, as far as its name says."""
    sides = {_side(match) for match in _SIDE.findall(stem(path))}
    return sides.pop() if len(sides) == 1 else None


def _ending(path: Path) -> str:
    """The ending of a table's name, which may have two parts."""
    lower = path.name.lower()
    return max((ending for ending in ENDINGS if lower.endswith(ending)), key=len, default=path.suffix)


def _side(text: str) -> Side:
    """The letters before a name, in which a zero is an O."""
    return "PA" if text.upper() == "PA" else "PO"


def _plain(name: str) -> str:
    """A name without signs and case."""
    plain = re.sub(r"[^a-z0-9]", "", re.sub(r"\s*\(\d+\)$", "", name).lower())
    return _SAME.get(plain, plain)
