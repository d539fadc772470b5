import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from presence_only.common.errors import TrainingError
from presence_only.common.settings import SettingsError
from presence_only.pipeline.workers import run_side_by_side, worker_count


@pytest.fixture(autouse=True)
def _two_workers(monkeypatch):
    monkeypatch.setenv("PRESENCE_ONLY_WORKERS", "2")


def memory_mib(field):
    """A line of /proc/self/status."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[field].split()[0]) / 1024


def square(seed, report):
    for epoch in (1, 2):
        report(epoch, 2, f"loss {seed / epoch:.5f}")
    return seed * seed, os.getpid(), torch.get_num_threads()


def fail(seed, report):
    if seed == 1:
        raise TrainingError("the training loss is nan")
    time.sleep(0.01)


def die(seed, report):
    os._exit(9)


def test_results_come_by_seed_from_single_threaded_processes(capsys):
    results = run_side_by_side(square, (3, 1, 2), "virtual / bce")
    assert list(results) == [3, 1, 2]
    assert [value for value, _, _ in results.values()] == [9, 1, 4]
    assert all(threads == 1 and pid != os.getpid() for _, pid, threads in results.values())
    shown = capsys.readouterr().out
    assert "virtual / bce / seed 3: loss 1.50000" in shown


def resident_mib(seed, report):
    """Memory in use with a block of 64 MiB, and after it was freed."""
    block = torch.ones(2**24)
    held = memory_mib("VmRSS")
    del block
    return held, memory_mib("VmRSS")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_memory_is_kept_for_the_next_step():
    held, after = run_side_by_side(resident_mib, (0,), "virtual / bce")[0]
    assert held - after < 8


def test_a_failing_seed_raises_its_own_error():
    with pytest.raises(TrainingError, match="the training loss is nan"):
        run_side_by_side(fail, (0, 1, 2), "virtual / bce")


def test_a_killed_process_is_one_sentence():
    with pytest.raises(TrainingError, match="virtual / bce: a process was killed"):
        run_side_by_side(die, (0, 1), "virtual / bce")


def fail_beside_a_talker(seed, report):
    if seed == 0:
        raise TrainingError("seed 0 fails")
    for step in range(100_000):  # more than a pipe holds
        report(step, 100_000, "loss 0.5")
    time.sleep(60)


def test_a_failure_ends_the_other_seeds_at_once():
    began = time.monotonic()
    with pytest.raises(TrainingError, match="seed 0 fails"):
        run_side_by_side(fail_beside_a_talker, (0, 1, 2, 3), "virtual / bce")
    assert time.monotonic() - began < 30


def test_an_interrupt_ends_the_seeds_at_once():
    code = (
        "import signal, time; from presence_only.pipeline.workers import run_side_by_side\n"
        # A shell's background jobs are born with the signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        # As importing polars does.
        "signal.siginterrupt(signal.SIGINT, False)\n"
        "def task(seed, report): time.sleep(60)\n"
        "print('ready', flush=True); run_side_by_side(task, (0, 1, 2, 3), 'x')"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()
        time.sleep(1)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=40) != 0
    assert time.monotonic() - began < 30


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_stage_leaves_no_worker_behind():
    code = (
        "import os, time; from presence_only.pipeline.workers import run_side_by_side\n"
        "def task(seed, report): print(os.getpid(), flush=True); time.sleep(60)\n"
        "run_side_by_side(task, (0, 1), 'x')"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        workers = [int(process.stdout.readline()) for _ in range(2)]
        process.kill()
        process.wait()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in workers):
            time.sleep(0.1)
        left = [pid for pid in workers if Path(f"/proc/{pid}").exists()]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert not left


def test_workers_are_counted(monkeypatch):
    assert worker_count() == 2
    monkeypatch.delenv("PRESENCE_ONLY_WORKERS")
    assert 1 <= worker_count() <= (os.cpu_count() or 1)
    for wrong in ("0", "two", "-1", ""):
        monkeypatch.setenv("PRESENCE_ONLY_WORKERS", wrong)
        with pytest.raises(SettingsError, match="must be a positive whole number"):
            worker_count()
