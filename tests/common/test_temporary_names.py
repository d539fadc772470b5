"""What a killed process leaves unfinished is removed; what a living one writes, or another machine, stays."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from presence_only.common import temporary_names
from presence_only.common.atomic_files import write_folder, write_whole
from presence_only.common.temporary_names import (
    UNCHANGED,
    remove_leftovers,
    remove_leftovers_once,
    scratch_folder,
    temporary_name,
)

# Whoever reads its output knows that everything is written; then it waits to be killed.
WRITER = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from presence_only.common.atomic_files import write_folder, write_whole
from presence_only.common.temporary_names import scratch_folder
with ExitStack() as stack:
    stack.enter_context(write_whole(Path("table.csv"))).write_text("half")
    (stack.enter_context(write_folder(Path("data"))) / "part").write_text("half")
    (stack.enter_context(scratch_folder()) / "part").write_text("half")
    print("written", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path, monkeypatch):
    """A process that writes a file, a folder and a scratch folder, all of them below the test's folder."""
    monkeypatch.setattr(temporary_names, "_searched", set())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(temporary_names.tempfile, "tempdir", str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", WRITER], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "written\n"
        yield process
        process.kill()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_a_living_process_writes_stays_and_is_removed_once_it_is_killed(writer, tmp_path):
    assert len(names(tmp_path)) == 3
    remove_leftovers(tmp_path)
    assert len(names(tmp_path)) == 3
    os.kill(writer.pid, 9)
    # Nobody has asked for its exit code yet: it is a zombie, which os.kill finds.
    while temporary_names._state_and_start(writer.pid)[0] not in ("Z", ""):
        time.sleep(0.01)
    remove_leftovers(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("again", ["file", "folder", "scratch"])
def test_the_next_to_write_into_the_folder_removes_what_was_left(writer, tmp_path, again):
    writer.kill()
    writer.wait()
    if again == "scratch":
        with scratch_folder() as folder:
            assert names(tmp_path) == [folder.name]
        assert names(tmp_path) == []
    else:
        with write_whole(tmp_path / "x") if again == "file" else write_folder(tmp_path / "x") as temporary:
            if again == "file":
                temporary.write_text("whole")
            assert names(tmp_path) == [temporary.name]
        assert names(tmp_path) == ["x"]


def leave(path, age=0.0):
    """A file that was last changed so many seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("half")
    os.utime(path, (time.time() - age,) * 2)
    return path


def a_name(pid=None, start=None, machine=None, suffix=".csv"):
    """A temporary name of this process, or with parts of others."""
    own = temporary_name("table").partition(".tmp-")[2].split("-")
    parts = [part if part is not None else mine for part, mine in zip((pid, start, machine), own, strict=True)]
    return f".table.tmp-{'-'.join(map(str, parts))}{suffix}"


def dead_pid():
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.communicate()
    return done.pid


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells when a process started")
def test_another_process_that_got_the_same_number_does_not_keep_it(tmp_path):
    kept, left = leave(tmp_path / a_name()), leave(tmp_path / a_name(start=1))
    remove_leftovers(tmp_path)
    assert kept.exists()
    assert not left.exists()


def test_what_another_machine_writes_stays_until_it_has_not_changed_for_a_day(tmp_path):
    other = "0" * 8
    young = leave(tmp_path / a_name(dead_pid(), machine=other), UNCHANGED - 60)
    old = leave(tmp_path / a_name(7, machine=other), UNCHANGED + 60)
    folder = tmp_path / a_name(8, machine=other, suffix="")
    leave(folder / "deep/part", 60)
    os.utime(folder, (0, 0))
    remove_leftovers(tmp_path)
    assert (young.exists(), old.exists(), folder.exists()) == (True, False, True)


def test_names_of_older_versions_count_only_where_asked_for(tmp_path):
    dead = dead_pid()
    figures = tmp_path / f".figures.tmp-{dead}"
    leave(figures / "map.png")
    report, living = leave(tmp_path / f".report.tmp-{dead}.html"), leave(tmp_path / f".report.tmp-{os.getpid()}.html")
    remove_leftovers(tmp_path)
    assert figures.exists()
    remove_leftovers(tmp_path, older_names=True)
    assert names(tmp_path) == [living.name]
    assert not report.exists()
    remove_leftovers(tmp_path, older_names=True, locked=True)
    assert names(tmp_path) == []


def test_other_files_stay_and_links_are_not_followed(tmp_path):
    dead = dead_pid()
    outside = leave(tmp_path / "outside" / a_name(dead))
    folder = tmp_path / "folder"
    kept = [
        leave(folder / name)
        for name in (".tmp-1-2-00000000", "table.tmp-1-2-3.csv", ".a.tmp-x", ".git", f"table{a_name(dead)}x", ".x.tmp-")
    ]
    (folder / "link").symlink_to(tmp_path / "outside")
    left = folder / a_name(dead, suffix="")
    left.symlink_to(tmp_path / "outside")
    deep = leave(folder / "deep/deeper" / a_name(dead))
    remove_leftovers(folder)
    assert deep.exists()
    remove_leftovers(folder, deep=True, older_names=True)
    assert all(path.exists() for path in kept if path.name != f"table{a_name(dead)}x")
    assert outside.exists()
    assert not left.is_symlink()
    assert not deep.exists()
    remove_leftovers(tmp_path / "no such folder", deep=True)
    remove_leftovers(outside)


def test_a_folder_that_was_to_be_replaced_is_put_back_where_its_successor_never_came(tmp_path):
    former, new = (tmp_path / a_name(dead_pid(), suffix=end) for end in ("-former", ""))
    leave(former / "old")
    leave(new / "new")
    remove_leftovers(tmp_path)
    assert (names(tmp_path), names(tmp_path / "table")) == (["table"], ["old"])
    leave(former / "older")
    remove_leftovers(tmp_path)
    assert (names(tmp_path), names(tmp_path / "table")) == (["table"], ["old"])


def test_a_folder_is_looked_into_once_by_every_process(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary_names, "_searched", set())
    first = leave(tmp_path / a_name(dead_pid()))
    remove_leftovers_once(tmp_path)
    assert not first.exists()
    leave(first)
    remove_leftovers_once(tmp_path)
    assert first.exists()


def test_a_temporary_name_fits_and_keeps_the_ending(tmp_path):
    for name in ("table", "n" * 245, "\N{GREEK SMALL LETTER ALPHA}" * 120, "a.b", " ", "\udcff" * 200):
        with write_whole(tmp_path / f"{name}.parquet") as temporary:
            assert temporary.suffix == ".parquet"
            assert ".tmp-" in temporary.name
            temporary.write_text("whole")
            remove_leftovers(tmp_path)
        assert names(tmp_path) == [f"{name}.parquet"]
        (tmp_path / f"{name}.parquet").unlink()
    assert temporary_name("n" * 200) != temporary_name("n" * 201)
