"""Tasks in processes of this machine: long-lived workers, lost ones, GPUs, and how signals end them all."""

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support import works
from support.executors import Contract, Heard, events_until

from presence_only.common.errors import ExecutionError, SettingsError, TrainingError
from presence_only.common.one_thread import use_one_thread
from presence_only.execution.processes import Processes, worker_count
from presence_only.execution.run_tasks import run_tasks
from presence_only.execution.task import Failed, Finished, Lost, Progressed, Task


@pytest.fixture
def executor():
    with Processes(2) as processes:
        yield processes


class TestProcesses(Contract):
    pass


def test_workers_live_through_many_tasks(executor, tmp_path):
    values = run_tasks([works.of_number(tmp_path, number) for number in range(8)], executor)
    assert len({pid for _, pid in values.values()} - {os.getpid()}) <= 2


def test_a_worker_that_dies_loses_its_own_task_only(executor, tmp_path):
    (tmp_path / "place").mkdir()
    executor.submit(Task("victim", works.note_process, {"place": tmp_path / "place"}))
    while not (pids := [int(path.name) for path in (tmp_path / "place").iterdir()]):
        time.sleep(0.01)
    executor.submit(Task("long", works.talk))
    os.kill(pids[0], signal.SIGKILL)
    ended = {}
    while len(ended) < 2:
        event = executor.next_event(timeout=60)
        assert event is not None
        if not isinstance(event, Progressed):
            ended[event.key] = event
    assert ended["victim"] == Lost("victim", "its process ended with signal 9")
    assert isinstance(ended["long"], Finished)


def test_a_task_is_given_up_after_three_losses(executor):
    task = Task("dies", works.die, label="virtual / bce / seed 0", hint=", or lower training.batch_size")
    heard = Heard()
    with pytest.raises(ExecutionError) as error:
        run_tasks([task], executor, watcher=heard)
    assert str(error.value) == (
        "virtual / bce / seed 0: given up after 3 attempts, as its process ended with exit code 9, most likely for "
        "memory; run fewer tasks at a time, or lower training.batch_size"
    )
    assert heard.begun == ["dies"] * 3


def test_an_error_that_cannot_be_sent_is_told_all_the_same(executor):
    executor.submit(Task("odd", works.fail_on_a_library_error))
    assert "ArgumentError" in str(events_until(executor, Failed).error)


def test_a_task_in_one_thread_gives_the_same_sums_anywhere(executor):
    assert run_tasks([Task("a", works.one_thread)], executor) == {"a": (1, 0.0)}


def gpus(inputs, output, report):
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def test_a_worker_with_a_gpu_takes_the_tasks_that_need_one_and_no_others():
    need = [Task(f"needs {i}", gpus, needs_gpu=True) for i in range(4)]
    other = [Task(f"other {i}", gpus) for i in range(4)]
    with Processes(4, gpus=2) as executor:
        values = run_tasks([*need, *other], executor)
    assert {values[task.key] for task in need} <= {"0", "1"}
    assert {values[task.key] for task in other} == {""}
    with Processes(2) as executor:
        # Without a GPU here, whatever the environment says stays as it is.
        assert set(run_tasks(need, executor).values()) == {os.environ.get("CUDA_VISIBLE_DEVICES")}


def memory_mib(field):
    """A line of /proc/self/status."""
    lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[field].split()[0]) / 1024


def resident_mib(inputs, output, report):
    """Memory in use with a block of 64 MiB, and after it was freed."""
    # As every task: a fork of a process that computed in several threads would wait for threads that it has not.
    use_one_thread()
    block = torch.ones(2**24)
    held = memory_mib("VmRSS")
    del block
    return held, memory_mib("VmRSS")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_memory_is_kept_for_the_next_step(executor):
    held, after = run_tasks([Task("a", resident_mib)], executor)["a"]
    assert held - after < 8


def test_a_failure_ends_the_other_tasks_at_once():
    began = time.monotonic()
    with pytest.raises(TrainingError, match="the training loss is nan"), Processes(2) as executor:
        run_tasks([Task("long", works.wait_long), Task("fails", works.fail, output=Path("never"))], executor)
    assert time.monotonic() - began < 30


PROGRAM = (
    "import signal\n"
    "from pathlib import Path\n"
    "from support import works\n"
    "from presence_only.execution.processes import Processes\n"
    "from presence_only.execution.run_tasks import run_tasks\n"
    "from presence_only.execution.task import Task\n"
    # A shell's background jobs are born with the signal ignored, and importing polars makes waits go on after it.
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "signal.siginterrupt(signal.SIGINT, False)\n"
    "tasks = [Task(str(i), works.note_process, {{'place': Path({place!r})}}) for i in range(4)]\n"
    "with Processes(2) as executor: run_tasks(tasks, executor)\n"
)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_the_workers_too(how, tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", PROGRAM.format(place=str(tmp_path))]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment) as process:
        deadline = time.monotonic() + 60
        while len(workers := [int(path.name) for path in tmp_path.iterdir()]) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        began = time.monotonic()
        process.send_signal(how)
        assert process.wait(timeout=40) != 0
        while time.monotonic() < began + 20 and any(Path(f"/proc/{pid}").exists() for pid in workers):
            time.sleep(0.05)
        left = [pid for pid in workers if Path(f"/proc/{pid}").exists()]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert len(workers) == 2
    assert not left


def test_workers_are_one_per_core_or_as_many_as_are_asked_for(monkeypatch):
    monkeypatch.delenv("PRESENCE_ONLY_WORKERS", raising=False)
    assert 1 <= worker_count() <= (os.cpu_count() or 1)
    monkeypatch.setenv("PRESENCE_ONLY_WORKERS", "3")
    assert worker_count() == 3
    for wrong in ("0", "two", "-1", ""):
        monkeypatch.setenv("PRESENCE_ONLY_WORKERS", wrong)
        with pytest.raises(SettingsError, match=f"PRESENCE_ONLY_WORKERS = '{wrong}': must be a positive whole number"):
            worker_count()
