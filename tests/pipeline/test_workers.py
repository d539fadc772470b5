"""Tasks side by side: what each seed gives, what is shown meanwhile, and how a failure or a signal ends them all."""

import os
import platform
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from presence_only.common.errors import SettingsError, TrainingError
from presence_only.common.one_thread import use_one_thread
from presence_only.pipeline.progress import Wording, of_evaluation, of_training
from presence_only.pipeline.workers import run_side_by_side, worker_count

WORDING = of_training("virtual", "bce")


@pytest.fixture(autouse=True)
def _two_workers(monkeypatch):
    monkeypatch.setenv("PRESENCE_ONLY_WORKERS", "2")


def memory_mib(field):
    """A line of /proc/self/status."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[field].split()[0]) / 1024


def square(seed, report):
    for epoch in (1, 2):
        report(epoch, 2, seed / epoch)
    return seed * seed, os.getpid()


def one_thread(seed, report):
    torch.set_num_threads(3)
    use_one_thread()
    # The smallest number above 0, which is rounded to 0 where it is computed with.
    return torch.get_num_threads(), float(torch.tensor([1e-45]) * 1)


def fail(seed, report):
    if seed == 1:
        raise TrainingError("the training loss is nan")
    time.sleep(0.01)


def die(seed, report):
    os._exit(9)


def test_the_result_of_a_task_comes_with_its_seed_in_the_order_of_the_seeds(capsys):
    results = run_side_by_side(square, (3, 1, 2), WORDING)
    assert list(results) == [3, 1, 2]
    assert [value for value, _ in results.values()] == [9, 1, 4]
    assert os.getpid() not in {pid for _, pid in results.values()}
    said = capsys.readouterr().out.splitlines()
    assert sorted(said) == [f"virtual / bce / seed {s}: loss {s / 2:.5f} after 2 epochs" for s in (1, 2, 3)]


def test_a_task_in_one_thread_gives_the_same_sums_anywhere():
    assert run_side_by_side(one_thread, (0, 1), WORDING) == {0: (1, 0.0), 1: (1, 0.0)}


@pytest.mark.parametrize(
    ("wording", "note"),
    [
        (of_training("virtual", "bce"), "loss 0.12346 after 3 epochs"),
        (of_evaluation("virtual", "bce"), "species mAP 0.123"),
    ],
)
def test_a_number_is_told_with_its_meaning(wording, note):
    assert (wording.label, wording.note(3, 0.123456)) == ("virtual / bce", note)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a terminal of its own")
def test_a_terminal_shows_one_bar_per_seed():
    program = (
        "from presence_only.pipeline.progress import of_training\n"
        "from presence_only.pipeline.workers import run_side_by_side\n"
        "def task(seed, report): report(2, 2, seed / 4)\n"
        "run_side_by_side(task, (1, 2), of_training('virtual', 'bce'))"
    )
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        environment = os.environ | {"COLUMNS": "120", "TERM": "xterm"}
        subprocess.run([sys.executable, "-c", program], stdout=theirs, env=environment, check=True)
        os.close(theirs)
        shown = b""
        try:
            while chunk := terminal.read(65536):
                shown += chunk
        except OSError:  # how Linux says that nobody holds the other end
            pass
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).splitlines()
    for seed in (1, 2):
        bars = [line for line in lines if line.startswith(f"virtual / bce / seed {seed}")]
        assert re.search(rf"2/2 loss {seed / 4:.5f} after 2 epochs left", bars[-1])


def resident_mib(seed, report):
    """Memory in use with a block of 64 MiB, and after it was freed."""
    # As every task: a fork of a process that computed in several threads would wait for threads that it has not.
    use_one_thread()
    block = torch.ones(2**24)
    held = memory_mib("VmRSS")
    del block
    return held, memory_mib("VmRSS")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_memory_is_kept_for_the_next_step():
    held, after = run_side_by_side(resident_mib, (0,), WORDING)[0]
    assert held - after < 8


@pytest.mark.parametrize(
    ("task", "seeds", "sentence"),
    [
        (fail, (0, 1, 2), "the training loss is nan"),
        (
            die,
            (0, 1),
            "virtual / bce: a process was killed, most likely for memory; set PRESENCE_ONLY_WORKERS=1 for one seed at "
            "a time, or lower training.batch_size",
        ),
    ],
)
def test_a_failure_is_one_sentence(task, seeds, sentence):
    with pytest.raises(TrainingError) as error:
        run_side_by_side(task, seeds, WORDING)
    assert str(error.value) == sentence


def fail_beside_a_talker(seed, report):
    if seed == 0:
        raise TrainingError("seed 0 fails")
    for step in range(100_000):  # more than a pipe holds
        report(step, 100_000, 0.5)
    time.sleep(60)


def test_a_failure_ends_the_other_seeds_at_once():
    began = time.monotonic()
    with pytest.raises(TrainingError, match="seed 0 fails"):
        run_side_by_side(fail_beside_a_talker, (0, 1, 2, 3), WORDING)
    assert time.monotonic() - began < 30


IMPORTS = (
    "import os, signal, time\n"
    "from presence_only.pipeline.progress import of_training\n"
    "from presence_only.pipeline.workers import run_side_by_side\n"
)


def test_an_interrupt_ends_the_seeds_at_once():
    program = IMPORTS + (
        # A shell's background jobs are born with the signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        # As importing polars does.
        "signal.siginterrupt(signal.SIGINT, False)\n"
        "def task(seed, report): os.write(1, b'.'); time.sleep(60)\n"
        "run_side_by_side(task, (0, 1, 2, 3), of_training('a', 'b'))"
    )
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", program], **options) as process:
        assert process.stdout.read(2) == b".."
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=40) != 0
    assert time.monotonic() - began < 30


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_stage_leaves_no_worker_behind():
    program = IMPORTS + (
        "def task(seed, report): os.write(1, f'{os.getpid()}\\n'.encode()); time.sleep(60)\n"
        "run_side_by_side(task, (0, 1), of_training('a', 'b'))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        workers = [int(process.stdout.readline()) for _ in range(2)]
        process.kill()
        process.wait()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and any(Path(f"/proc/{pid}").exists() for pid in workers):
            time.sleep(0.05)
        left = [pid for pid in workers if Path(f"/proc/{pid}").exists()]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert not left


def test_workers_are_one_per_core_or_as_many_as_are_asked_for(monkeypatch):
    assert worker_count() == 2
    monkeypatch.delenv("PRESENCE_ONLY_WORKERS")
    assert 1 <= worker_count() <= (os.cpu_count() or 1)
    for wrong in ("0", "two", "-1", ""):
        monkeypatch.setenv("PRESENCE_ONLY_WORKERS", wrong)
        with pytest.raises(SettingsError, match=f"PRESENCE_ONLY_WORKERS = '{wrong}': must be a positive whole number"):
            worker_count()


def test_a_wording_without_a_hint_has_none():
    with pytest.raises(TrainingError, match=r"one seed at a time$"):
        run_side_by_side(die, (0,), Wording("a", lambda *_: ""))
