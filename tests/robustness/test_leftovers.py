"""Killed writers leave whole files and folders, and whatever else they leave is removed by the next one."""

import os
import random
import signal
import sys
import tempfile
import time

import pytest
from support.torture import record_trials, trials

from presence_only.common.atomic_files import write_folder, write_whole
from presence_only.common.temporary_names import scratch_folder, temporary_name

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")

# Two versions of each: a file of 200 kB, and a folder of 20 files.
VERSIONS = (b"a" * 200_000, b"b" * 200_000)
PARTS = 20


def write_again_and_again(folder, ready):
    """Write both versions in turn, as a file, as a folder and as scratch, until somebody kills it; first say so."""
    os.write(ready, b"!")
    while True:
        for version in VERSIONS:
            write_once(folder, version)


def write_once(folder, version):
    with write_whole(folder / "table.csv") as temporary:
        temporary.write_bytes(version)
    with write_folder(folder / "results/figures") as temporary:
        for part in range(PARTS):
            (temporary / f"{part}.png").write_bytes(version[:1000])
    with scratch_folder() as scratch:
        (scratch / "part").write_bytes(version)


def fork(work, *arguments):
    pid = os.fork()
    if pid == 0:
        try:
            work(*arguments)
        finally:
            os._exit(0)
    return pid


def whole(folder):
    """What is there and not whole, in words; nothing if all is."""
    table, figures = folder / "table.csv", folder / "results/figures"
    if table.exists() and table.read_bytes() not in VERSIONS:
        return "half a file"
    if figures.exists():
        parts = {path.read_bytes() for path in figures.iterdir()}
        if len(list(figures.iterdir())) != PARTS or len(parts) != 1:
            return "half a folder"
    return ""


def left(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if ".tmp-" in path.name)


def test_writers_that_are_killed_at_any_moment(tmp_path, monkeypatch):
    """Everything is there from the beginning, and so must be whole at the end."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    draw, number, fell, leaving = random.Random("killed writers"), trials(40, 1500), [], 0
    os.waitpid(fork(write_once, tmp_path, VERSIONS[0]), 0)
    for i in range(number):
        moment, (told, ready) = draw.uniform(0.0, 0.02), os.pipe()
        pid = fork(write_again_and_again, tmp_path, ready)
        os.read(told, 1)
        time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(told)
        os.close(ready)
        leaving += bool(left(tmp_path))
        wrong = whole(tmp_path)
        os.waitpid(fork(write_once, tmp_path, VERSIONS[i % 2]), 0)
        wrong = wrong or whole(tmp_path) or ", ".join(left(tmp_path))
        if wrong or not (tmp_path / "results/figures").is_dir():
            fell.append(f"trial {i}, killed after {moment:.4f} s: {wrong or 'no folder'}")
    assert leaving > number / 10, "hardly any kill came amid a write, so that the test shows nothing"
    record_trials("kills of writers of files and folders", number, fell)


def test_the_former_folder_comes_back_if_its_successor_does_not(tmp_path):
    """A kill between the two renames, which is a moment too short to be met by chance."""
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/old").touch()

    def die_between(folder):
        with write_folder(folder / "figures") as temporary:
            (temporary / "new").touch()
            real = type(folder).replace
            type(folder).replace = lambda path, to: os.kill(os.getpid(), 9) if path == temporary else real(path, to)

    os.waitpid(fork(die_between, tmp_path), 0)
    assert not (tmp_path / "figures").exists()
    with write_whole(tmp_path / "table.csv") as temporary:
        temporary.touch()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figures", "table.csv"]
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["old"]


def test_writers_at_the_same_time_leave_each_other_alone(tmp_path, monkeypatch):
    """Each looks for what others left, and must not take it for left what others are writing."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def write_own(folder, name):
        for version in VERSIONS * trials(5, 50):
            write_once(folder / name, version)
            write_in_common(folder, name, version)
        (folder / f"{name} is done").touch()

    def write_in_common(folder, name, version):
        with write_whole(folder / f"{name}.csv") as temporary:
            temporary.write_bytes(version)
            assert temporary.name.startswith(temporary_name(name).removesuffix(".csv"))

    names = [f"writer {i}" for i in range(4)]
    pids = [fork(write_own, tmp_path, name) for name in names]
    for pid in pids:
        os.waitpid(pid, 0)
    for name in names:
        assert (tmp_path / f"{name} is done").exists()
        assert whole(tmp_path / name) == ""
        assert (tmp_path / f"{name}.csv").read_bytes() == VERSIONS[1]
    assert left(tmp_path) == []


if sys.platform == "linux":

    def test_a_number_that_another_process_has_got_by_now_keeps_nothing(tmp_path):
        own = temporary_name("table")
        pid, _, machine = own.rpartition(".tmp-")[2].split("-")
        (tmp_path / f".table.tmp-{pid}-1-{machine}").touch()
        with write_whole(tmp_path / "x") as temporary:
            temporary.touch()
        assert [path.name for path in tmp_path.iterdir()] == ["x"]
