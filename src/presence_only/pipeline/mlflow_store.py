"""MLflow's local database, made whole or not at all.

MLflow makes the tables of an empty database by some fifty steps, each for good as soon as it is done. Whoever is killed
amid them leaves a database with which MLflow can do nothing any more. So the database is made aside and gets its place
when it is whole, and one that was left half-made is replaced if nothing is in it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from presence_only.common.temporary_names import remove_leftovers, temporary_name

# What SQLite keeps beside a database. What lies there of a former database must not meet a new one: SQLite would take
# a journal for that of the new one, and write old pages into it.
BESIDE = ("-journal", "-wal", "-shm")
# A database that another program is making, such as `mlflow ui`, changes all the time: it counts as left behind once
# nothing has changed for so many seconds.
QUIET = 5.0
# How often to look, in seconds.
LOOK_EVERY = 0.25
# Tables in which MLflow has a row from the beginning: the version of its tables, and the one default workspace.
_ROW_FROM_THE_BEGINNING = ("alembic_version", "workspaces")


def local_database(uri: str) -> Path | None:
    """The file of a local SQLite store; None for any other store."""
    scheme, found, path = uri.partition("sqlite:///")
    return Path(path) if found and not scheme and path not in ("", ":memory:") and "?" not in path else None


def make_database(database: Path, make: Callable[[str], object]) -> None:
    """Make MLflow's database if there is none, or only one that was left half-made and holds nothing.

    A kill leaves the database as it was, or whole. Whoever calls holds the lock of the store. Another program that does
    not know the lock, such as ``mlflow ui``, may be making the same database: it is given the time to end, and what it
    has made is taken.

    Args:
        database: The file, in a folder that exists.
        make: Has MLflow make its tables in the store of this address.

    Raises:
        sqlite3.Error: If the file is no database, damaged or locked.
        OSError: If the database cannot be written.
    """
    remove_leftovers(database.parent)
    while _unfinished(database):
        _wait_until_quiet(database)
        aside = database.with_name(temporary_name(database.stem))
        aside.mkdir()
        try:
            made = _made(aside, make)
            if _unfinished(database):
                _remove(database)
                _place(made, database)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def runs_in(database: Path) -> int:
    """Number of runs in a database, of all experiments; 0 where there is no table of them."""
    with closing(_connect(database)) as store:
        return _count(store, "runs") if "runs" in _tables(store) else 0


def _unfinished(database: Path) -> bool:
    """Whether a database is missing, or MLflow has not ended making it and nothing is in it.

    The last that MLflow makes is its default experiment, without which there are no others, and no runs.
    """
    # Of size 0 it is one as well, without tables.
    if not database.exists():
        return True
    with closing(_connect(database)) as store:
        tables = _tables(store)
        return not any(_count(store, table) for table in tables if table not in _ROW_FROM_THE_BEGINNING)


def _connect(database: Path) -> sqlite3.Connection:
    """Open a database that exists. At its first use SQLite takes back what a killed process had not ended."""
    return sqlite3.connect(f"file:{quote(str(database))}?mode=rw", uri=True)


def _tables(store: sqlite3.Connection) -> list[str]:
    """Names of all tables but SQLite's own."""
    return [
        name
        for (name,) in store.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
    ]


def _count(store: sqlite3.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    (count,) = store.execute(f'select count(*) from "{quoted}"').fetchone()
    return int(count)


def _wait_until_quiet(database: Path) -> None:
    """Wait until nothing about a database has changed for :data:`QUIET` seconds, or it is finished."""
    state, changed = _state(database), time.monotonic()
    if state and time.time() - max(when for _, when, _ in state) > QUIET:
        return
    while state and _unfinished(database) and time.monotonic() - changed < QUIET:
        time.sleep(LOOK_EVERY)
        if (now := _state(database)) != state:
            state, changed = now, time.monotonic()


def _state(database: Path) -> list[tuple[str, float, int]]:
    """Name, time of change and size of a database and of what lies beside it."""
    found = []
    for path in _files(database):
        with suppress(FileNotFoundError):
            known = path.stat()
            found.append((path.name, known.st_mtime, known.st_size))
    return found


def _files(database: Path) -> list[Path]:
    return [database, *(database.with_name(database.name + ending) for ending in BESIDE)]


def _remove(database: Path) -> None:
    """Remove a database and what lies beside it.

    The database goes first: without its journal, what a kill leaves of it would be damaged.
    """
    for path in _files(database):
        path.unlink(missing_ok=True)


def _made(aside: Path, make: Callable[[str], object]) -> Path:
    """A whole new database in a folder, which no connection has open."""
    make(f"sqlite:///{aside / 'making.db'}")
    # MLflow keeps its connection to the file that it made.
    made = aside / "made.db"
    with closing(_connect(aside / "making.db")) as source, closing(sqlite3.connect(made)) as copy:
        source.backup(copy)
    return made


def _place(made: Path, database: Path) -> None:
    """Give a whole database its place, unless another program has put one there meanwhile."""
    try:
        os.link(made, database)
    except FileExistsError:
        return
    except OSError:
        # The file system has no hard links.
        if not database.exists():
            made.replace(database)
