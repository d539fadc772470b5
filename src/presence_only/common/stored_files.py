"""Files that stages made and others read: a damaged one is told in one sentence, with what makes it again."""

from __future__ import annotations

import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presence_only.common.atomic_files import read_json
from presence_only.common.errors import DataError

if TYPE_CHECKING:
    import polars as pl

AGAIN = "`dvc repro` makes it again"
# What the libraries that read tables, arrays and JSON say of bytes that are no such thing, and what looking for a
# part says that is not there.
_SAID_OF_DAMAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
_MOST_CHARACTERS = 120


class DamagedError(DataError):
    """A file that a stage made is damaged; the message is one sentence with the file and what makes it again."""


@contextmanager
def reading(path: Path, again: str = AGAIN) -> Iterator[None]:
    """Turn what libraries say of a damaged file into one sentence, while the block reads it and does nothing else.

    Args:
        path: The file, or the folder of the files that are read.
        again: What makes it again, the end of a sentence.

    Raises:
        DamagedError: If the block fails by what the file holds, or because the system cannot read it.
        FileNotFoundError: If it is not there.
    """
    try:
        yield
    except (DamagedError, FileNotFoundError):
        raise
    except OSError as error:
        reason = error.strerror or _short(error)
        raise DamagedError(f"{path}: cannot be read ({reason}); move it away, and {again}") from error
    except DataError as error:
        raise DamagedError(f"{path}: is damaged ({error}); {again}") from error
    except BaseException as error:
        if not isinstance(error, _SAID_OF_DAMAGE + _said_by_polars()):
            raise
        raise DamagedError(f"{path}: is damaged ({_short(error)}); {again}") from error


def stored_json(path: Path, again: str = AGAIN) -> Any:
    """What a JSON file holds; see :func:`reading` for errors."""
    with reading(path, again):
        return read_json(path)


def stored_table(path: Path, columns: Sequence[str] | None = None, again: str = AGAIN) -> pl.DataFrame:
    """A Parquet file, or some of its columns; see :func:`reading` for errors."""
    # Not at the top: most commands read no table before they have looked at their arguments.
    import polars as pl

    with reading(path, again):
        return pl.read_parquet(path, columns=columns if columns is None else list(columns))


def _said_by_polars() -> tuple[type[BaseException], ...]:
    """Errors of polars, and panics of the code below it, where it is imported."""
    polars = sys.modules.get("polars")
    return () if polars is None else (polars.exceptions.PolarsError, polars.exceptions.PanicException)


def _short(error: BaseException) -> str:
    """The kind of an error and the beginning of what it says, in one line."""
    said = " ".join(str(error).split())
    shown = said if len(said) <= _MOST_CHARACTERS else f"{said[:_MOST_CHARACTERS]}..."
    return f"{type(error).__name__}: {shown}" if said else type(error).__name__
