"""Kills of a command, and what must hold after them.

A command runs on a small project in a process group of its own. At a moment drawn over the time of an undisturbed run,
or before one of its changes of files, it is killed by SIGKILL, which no program can answer, and looked at; then it runs
again to its end. Every trial starts from a copy of the same project at the same path, as MLflow keeps whole paths.
"""

import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ruamel.yaml import YAML

# What is killed: the command's own process, all processes of its group, or one that the command has started.
TARGETS = ("command", "group", "child")
# What is no output, by the start of its path: notes of git and DVC, seconds, what `run` goes on with after a kill, and
# MLflow's store, which has a check of its own.
NO_OUTPUT = (".git", ".dvc", "timing", ".cells", "mlflow.db", "mlartifacts")
# Folders that are written whole, and so are of one run.
WHOLE_FOLDERS = ("data/*/training", "data/*/survey", "runs/*/*", "results/figures", "results/more_figures")
UNFINISHED = ".tmp-"
# Seconds after which a process that was left behind counts as one that stays.
PATIENCE = 60.0

Files = dict[str, str]


@dataclass(frozen=True)
class Killed:
    """A command, and what is known of an undisturbed run of it.

    Args:
        name: What the trials are called, which is also the seed of their draws.
        command: The command.
        start: A project from which every trial starts.
        place: Where the project lies while a trial runs; its folder exists.
        environment: What the command runs in.
        targets: Which of TARGETS are killed.
        outputs: Reads the project's outputs, by path: a text that stands for the content of each; None: a hash.
        checks: Further checks of a project after the last run; each gives sentences about what does not hold.
        deletes_outputs: Whether the command deletes old outputs file by file before it makes them anew, as DVC does.
    """

    name: str
    command: Sequence[str]
    start: Path
    place: Path
    environment: Mapping[str, str]
    targets: Sequence[str] = TARGETS
    outputs: Callable[[Path], Files] | None = None
    checks: Sequence[Callable[[Path], list[str]]] = ()
    deletes_outputs: bool = False


@dataclass(frozen=True)
class Undisturbed:
    """The outputs before and after a run that nobody disturbs, and its seconds."""

    before: Files
    after: Files
    seconds: float


def run_undisturbed(killed: Killed) -> Undisturbed:
    """Run a command to its end."""
    restore(killed)
    before = read_outputs(killed)
    began = time.monotonic()
    run_to_end(killed)
    seconds = time.monotonic() - began
    return Undisturbed(before, read_outputs(killed), seconds)


def kill_at_a_moment(killed: Killed, undisturbed: Undisturbed, number: int) -> str:
    """Kill a command at a random moment, and run it again.

    Args:
        killed: The command.
        undisturbed: Of :func:`run_undisturbed`.
        number: Of the trial: the same number is the same target, and the same share of the time.

    Returns:
        What did not hold, one sentence; empty if everything did.
    """
    draws = random.Random(f"{killed.name} {number}")
    target, share, which = draws.choice(killed.targets), draws.random(), draws.random()
    restore(killed)
    process = start(killed)
    time.sleep(share * undisturbed.seconds)
    kill(process, target, which)
    fell = torn(killed, undisturbed, read_outputs(killed))
    if target == "child":
        # A command that has lost a child may go on; if it does not, it says so and is run again.
        process.wait()
        if process.returncode and "Traceback" in (said := what_it_said(killed)):
            fell.append(f"a killed child ends in a traceback: {said[-600:]!r}")
    what = f"{killed.name}, trial {number} ({target} killed after {share:.3f} of the time)"
    return in_a_sentence(what, fell + run_again(killed, undisturbed, process))


def count_changes(killed: Killed) -> int:
    """The number of changes of files that a command makes; it is ``python -m MODULE ARGUMENTS``."""
    restore(killed)
    return int(run_to_end(until_change(killed, 10**9)).split()[-1])


def kill_at_a_change(killed: Killed, undisturbed: Undisturbed, number: int) -> str:
    """Have a command kill itself before a change of a file, and run it again.

    Args:
        killed: The command; it is ``python -m MODULE ARGUMENTS``.
        undisturbed: Of :func:`run_undisturbed`.
        number: Of the change, from 0.

    Returns:
        What did not hold, one sentence; empty if everything did.
    """
    restore(killed)
    process = start(until_change(killed, number))
    process.wait()
    fell = torn(killed, undisturbed, read_outputs(killed))
    what = f"{killed.name}, killed before its change {number} of a file"
    return in_a_sentence(what, fell + run_again(killed, undisturbed, process))


def until_change(killed: Killed, number: int) -> Killed:
    """The command that kills itself before a change of a file."""
    python, option, *rest = killed.command
    return replace(killed, command=(python, option, "support.killed_at", str(number), *rest))


def in_a_sentence(what: str, fell: list[str]) -> str:
    """What did not hold, after what was tried; empty if nothing fell."""
    return f"{what}: {'; '.join(fell)}" if fell else ""


def run_to_end(killed: Killed) -> str:
    """Run the command, which must succeed; returns what it said."""
    process = start(killed)
    assert process.wait() == 0, what_it_said(killed)
    left = wait_for_end(process.pid)
    assert not left, f"processes stay: {left}"
    return what_it_said(killed)


def run_again(killed: Killed, undisturbed: Undisturbed, process: subprocess.Popen) -> list[str]:
    """Run a command after a kill; what does not hold at its end.

    Args:
        killed: The command.
        undisturbed: Of :func:`run_undisturbed`.
        process: Which was killed; its group must end.
    """
    fell = []
    again = start(killed)
    if again.wait():
        fell.append(f"the next run ends with exit code {again.returncode}: {what_it_said(killed)[-600:]!r}")
    for group in (process.pid, again.pid):
        if left := wait_for_end(group):
            fell.append(f"processes stay: {left}")
    if differ := difference(undisturbed.after, read_outputs(killed)):
        fell.append(f"outputs differ from those of an undisturbed run: {differ}")
    if unfinished := [path for path in all_files(killed.place) if UNFINISHED in path]:
        fell.append(f"unfinished files stay: {unfinished}")
    if not again.returncode:
        for check in killed.checks:
            fell += check(killed.place)
    return fell


def restore(killed: Killed) -> None:
    """Put the project where trials run, as it was at the start."""
    shutil.rmtree(killed.place, ignore_errors=True)
    shutil.copytree(killed.start, killed.place, symlinks=True)


def start(killed: Killed) -> subprocess.Popen:
    """Start the command in a process group of its own; what it says goes into a file beside the project."""
    # Another file each time: what a process that stays writes goes into the former one.
    said_in(killed).unlink(missing_ok=True)
    with said_in(killed).open("w") as said:
        return subprocess.Popen(
            killed.command,
            cwd=killed.place,
            env=killed.environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            process_group=0,
        )


def said_in(killed: Killed) -> Path:
    """The file with what the command has said."""
    return killed.place.with_name(f"{killed.place.name}_said.txt")


def what_it_said(killed: Killed) -> str:
    """What the command that was started last has said."""
    return said_in(killed).read_text(errors="replace")


def kill(process: subprocess.Popen, target: str, which: float) -> None:
    """Kill what a trial kills; of children, the one at the share ``which``."""
    own = own_processes(process.pid)
    if target == "group":
        for pid in members(process.pid):
            end_process(pid)
    elif target == "command":
        for pid in own:
            end_process(pid)
    elif children := [pid for pid in members(process.pid) if pid not in own]:
        end_process(children[int(which * len(children))])
    if target != "child":
        process.wait()


def own_processes(group: int) -> list[int]:
    """The process that was started, and the fork that stands for it where a fork server runs the command."""
    running = members(group)
    # A fork of the server has its parent outside of the group; the oldest is that of the command.
    roots = [pid for pid, parent in running.items() if pid != group and parent not in running and parent > 1]
    return [*roots[:1], group]


def members(group: int) -> dict[int, int]:
    """Processes of a group that still run, oldest first, with their parents."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # Behind the name of the program, which may hold spaces.
            state, parent, its_group, *others = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(its_group) == group and state not in "ZX":
            began = int(others[16])
            found.append((began, int(stat.parent.name), int(parent)))
    return {pid: parent for _, pid, parent in sorted(found)}


def end_process(pid: int) -> None:
    """Kill a process, unless it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def wait_for_end(group: int) -> list[str]:
    """Wait until a group has no process; what still runs after a while is killed, and returned by its command line."""
    until = time.monotonic() + PATIENCE
    while (left := members(group)) and time.monotonic() < until:
        time.sleep(0.02)
    stay = []
    for pid in left:
        with suppress(OSError):
            stay.append(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
        end_process(pid)
    return stay


def all_files(folder: Path) -> list[str]:
    """Paths of all files below a folder, but for git's; one that vanishes meanwhile is left out."""
    found = []
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        found += [Path(where, name).relative_to(folder).as_posix() for name in files]
    return found


def read_outputs(killed: Killed) -> Files:
    """The outputs of the project where trials run."""
    return (killed.outputs or hashes)(killed.place)


def hashes(folder: Path) -> Files:
    """A hash of every output; files under temporary names are none yet."""
    found = {}
    for path in all_files(folder):
        if path.startswith(NO_OUTPUT) or UNFINISHED in path:
            continue
        try:
            found[path] = hashlib.sha256((folder / path).read_bytes()).hexdigest()
        except FileNotFoundError:
            continue
    return found


def difference(expected: Files, found: Files) -> list[str]:
    """Paths in which two sets of outputs differ."""
    return sorted(path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path))


def torn(killed: Killed, undisturbed: Undisturbed, found: Files) -> list[str]:
    """Outputs that are neither those before a run nor those after it, and folders of which a part is there."""
    before, after = undisturbed.before, undisturbed.after
    fell = [f"{path} is torn" for path, content in found.items() if content not in (before.get(path), after.get(path))]
    for pattern in WHOLE_FOLDERS:
        for folder in sorted({top for path in (*before, *after) if (top := top_folder(path, pattern))}):
            old, new, there = (
                {path: content for path, content in files.items() if path.startswith(f"{folder}/")}
                for files in (before, after, found)
            )
            deleted = killed.deletes_outputs and there.items() <= old.items()
            if there and there not in (old, new) and not deleted:
                missing = sorted((new.keys() | old.keys()) - there.keys())
                fell.append(f"the folder {folder} is torn: it lacks {missing[:3]}")
    return fell


def top_folder(path: str, pattern: str) -> str:
    """The folder of a path that a pattern of as many parts names; empty if none does."""
    parts = Path(path).parts[: len(Path(pattern).parts)]
    folder = Path(*parts)
    return folder.as_posix() if folder.match(pattern) and folder.as_posix() != path else ""


def lock_is_whole(folder: Path) -> list[str]:
    """DVC's record can be read."""
    lock = YAML(typ="safe").load(folder / "dvc.lock")
    return [] if isinstance(lock, dict) and lock.get("stages") else ["dvc.lock is no record"]


def cache_is_whole(folder: Path) -> list[str]:
    """Every file in DVC's cache has the content that its name says."""
    fell = []
    for path in (folder / ".dvc/cache/files/md5").glob("??/*"):
        name = path.parent.name + path.name.removesuffix(".dir")
        if len(name) == 32 and hashlib.md5(path.read_bytes()).hexdigest() != name:
            fell.append(f"the file {path.name} of DVC's cache is torn")
    return fell


def logged_runs(folder: Path) -> list[tuple[str, ...]]:
    """Kind, cell, search, fingerprint and whether it is current: of every run in the store that was not deleted."""
    with closing(sqlite3.connect(f"file:{folder / 'mlflow.db'}?mode=ro", uri=True)) as store:
        runs = dict.fromkeys(
            run for (run,) in store.execute("select run_uuid from runs where lifecycle_stage = 'active'")
        )
        tags = {run: {} for run in runs}
        for run, key, value in store.execute("select run_uuid, key, value from tags"):
            if run in tags:
                tags[run][key] = value
    keys = ("kind", "cell", "search", "fingerprint", "current")
    return sorted(tuple(found.get(key, "") for key in keys) for found in tags.values())


def same_runs(expected: list[tuple[str, ...]]) -> Callable[[Path], list[str]]:
    """A check that the store has each run of an undisturbed one, once, and no other."""

    def check(folder: Path) -> list[str]:
        found = logged_runs(folder)
        if found == expected:
            return []
        more = [run for run in dict.fromkeys(found) if found.count(run) > expected.count(run)]
        fewer = [run for run in dict.fromkeys(expected) if found.count(run) < expected.count(run)]
        return [f"MLflow has runs that should not be there, {more[:4]}, and lacks {fewer[:4]}"]

    return check
