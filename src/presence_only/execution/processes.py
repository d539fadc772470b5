"""Tasks in processes of this machine, which live through many tasks so that torch is imported once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

from presence_only.common.errors import SettingsError
from presence_only.execution.executor import Executor, refuse_options
from presence_only.execution.heap import keep_pages
from presence_only.execution.task import Event, Failed, Finished, Lost, Progressed, Task
from presence_only.execution.work import run_work, sendable

WORKERS_VARIABLE = "PRESENCE_ONLY_WORKERS"
# How often a worker tells its progress at most, in seconds; the last step is always told.
TELL_EVERY = 0.1


@dataclass
class _Worker:
    """One process, and the task that it runs."""

    process: BaseProcess
    connection: Connection
    gpu: int | None
    key: str | None = None


class Processes(Executor):
    """Workers of one thread each, one per core unless said otherwise.

    Where there are GPUs, each has a worker of its own, which alone sees it; tasks that need one are run there and
    nowhere else. A worker that dies loses its own task only, and another takes its place.

    Args:
        workers: How many; None: one per core that this process may use, or as ``PRESENCE_ONLY_WORKERS`` says.
        gpus: How many GPUs to use.
    """

    def __init__(self, workers: int | None = None, gpus: int = 0) -> None:
        # fork starts in milliseconds where importing torch again takes seconds; whoever makes workers has used no
        # thread pool, such as polars', by then. Elsewhere (macOS, Windows) fork is not safe.
        self._context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        self._slots = workers or worker_count()
        # A worker for every GPU even if fewer workers were asked for would use more than was asked for.
        self._free_gpus = list(range(min(gpus, self._slots)))
        self.gpus = len(self._free_gpus)
        self._workers: list[_Worker] = []
        self._events: deque[Event] = deque()
        if sys.platform != "win32":
            # Importing polars makes waits go on after a signal: Ctrl-C would be heard when all tasks are done.
            signal.siginterrupt(signal.SIGINT, True)

    @classmethod
    def prepare(cls, workers: int | None, options: dict[str, Any]) -> Callable[[], Self]:
        """For ``--executor processes``, which has no options: every core, and every GPU that torch sees."""
        refuse_options("processes", options)
        count = workers or worker_count()
        return lambda: cls(count, gpu_count())

    @property
    def slots(self) -> int:
        """How many workers there are at most."""
        return self._slots

    def has_room(self, task: Task) -> bool:
        """Whether a worker is free, or can be started."""
        return self._free_worker(task) is not None or self._may_start(task)

    def submit(self, task: Task) -> None:
        """Hand a task to a free worker, which is started if there is none."""
        worker = self._free_worker(task)
        if worker is None:
            if not self._may_start(task):
                raise RuntimeError(f"no worker is free for {task.key}")
            worker = self._start(self._wants_gpu(task))
        worker.key = task.key
        try:
            worker.connection.send((task.key, task.work, dict(task.inputs), task.output))
        except (BrokenPipeError, ConnectionResetError):
            self._bury(worker)

    def next_event(self, timeout: float | None = None) -> Event | None:
        """Wait for the next event."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self._events:
            left = None if until is None else max(0.0, until - time.monotonic())
            by_handle = {worker.connection: worker for worker in self._workers}
            ready = wait(list(by_handle), left)
            for handle in ready:
                self._hear(by_handle[handle])  # type: ignore[index]
            if not ready and until is not None and time.monotonic() >= until:
                return None
        return self._events.popleft()

    def close(self) -> None:
        """End every worker now."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()
        self._workers.clear()

    def _wants_gpu(self, task: Task) -> bool:
        return task.needs_gpu and self.gpus > 0

    def _free_worker(self, task: Task) -> _Worker | None:
        """A worker without a task; one with a GPU only for a task that needs it."""
        for worker in self._workers:
            if worker.key is None and (worker.gpu is not None) == self._wants_gpu(task):
                return worker
        return None

    def _may_start(self, task: Task) -> bool:
        if self._wants_gpu(task):
            return bool(self._free_gpus)
        # One more than there are GPUs, so that what needs none goes on where every slot has a GPU.
        without = sum(worker.gpu is None for worker in self._workers)
        return without < max(1, self._slots - self.gpus)

    def _start(self, with_gpu: bool) -> _Worker:
        ours, theirs = self._context.Pipe()
        gpu = self._free_gpus.pop(0) if with_gpu else None
        visible = None if not self.gpus else "" if gpu is None else _visible_gpu(gpu)
        process = self._context.Process(target=_serve, args=(theirs, ours, visible), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours, gpu)
        self._workers.append(worker)
        return worker

    def _hear(self, worker: _Worker) -> None:
        """Take what a worker has to say, or its death."""
        try:
            event = worker.connection.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        if not isinstance(event, Progressed):
            worker.key = None
        self._events.append(event)

    def _bury(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.join(timeout=5)
        worker.connection.close()
        if worker.gpu is not None:
            self._free_gpus.append(worker.gpu)
        if worker.key is not None:
            code = worker.process.exitcode
            how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            self._events.append(Lost(worker.key, f"its process ended with {how}"))


def worker_count() -> int:
    """Processes to start: ``PRESENCE_ONLY_WORKERS``, or one per core that this process may use.

    No setting of params.yaml: it changes no result, and would make every cell look changed.

    Raises:
        SettingsError: If the variable is not a positive whole number.
    """
    asked = os.environ.get(WORKERS_VARIABLE)
    if asked is None:
        # In a container these are fewer than the machine's cores.
        return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    if not asked.isdecimal() or int(asked) == 0:
        raise SettingsError(f"{WORKERS_VARIABLE} = {asked!r}: must be a positive whole number")
    return int(asked)


def gpu_count() -> int:
    """GPUs that torch sees; asking does not make torch use one in this process, which may fork."""
    import torch

    return torch.cuda.device_count()


def _visible_gpu(index: int) -> str:
    """The name of a GPU among those that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[index] if visible else str(index)


def _serve(connection: Connection, other_end: Connection, visible_gpus: str | None) -> None:
    """Work off tasks until the other end is closed."""
    # Held open here it would hide the parent's death.
    other_end.close()
    # Ctrl-C reaches the whole group; the parent alone decides, and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if visible_gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible_gpus
    keep_pages()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        connection.send(_answer(connection, *message))


def _answer(connection: Connection, key: str, work: Any, inputs: Mapping[str, Path], output: Path | None) -> Event:
    """Run one task."""
    told = 0.0

    def report(done: int, total: int, number: float) -> None:
        nonlocal told
        now = time.monotonic()
        if done == total or now - told >= TELL_EVERY:
            told = now
            connection.send(Progressed(key, done, total, number))

    try:
        return Finished(key, run_work(work, inputs, output, report))
    except BaseException as error:
        return Failed(key, sendable(error))


def _end_with_parent() -> None:
    """Exit when the parent process dies, so that a killed command leaves no orphans."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
