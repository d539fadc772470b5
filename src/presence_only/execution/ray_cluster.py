"""Tasks on a Ray cluster, whose machines need no common file system: inputs and outputs travel as bytes.

Source: Ray, https://docs.ray.io; Moritz et al. (2018), https://arxiv.org/abs/1712.05889
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import presence_only
from presence_only.common.atomic_files import KnownHashes, write_folder
from presence_only.common.errors import ExecutionError, SettingsError
from presence_only.common.temporary_names import remove_leftovers, scratch_folder, temporary_name
from presence_only.execution.executor import Executor, refuse_options
from presence_only.execution.folders import pack, unpack
from presence_only.execution.heap import keep_pages
from presence_only.execution.processes import TELL_EVERY, worker_count
from presence_only.execution.task import Event, Failed, Finished, Lost, Progressed, Task
from presence_only.execution.work import run_work, sendable

# How long an address may take to answer, in seconds.
ANSWER_WITHIN = 5.0
# How often progress is asked for, in seconds.
ASK_EVERY = 0.2
# How long a machine keeps inputs for further runs, in seconds: a week.
KEEP_INPUTS = 7 * 24 * 3600


class RayCluster(Executor):
    """Tasks of one core each, as many at a time as the cluster has cores.

    Every input reaches a machine once, however many tasks read it there, and so does the code of this package: all
    machines run what runs here. They need Python and the libraries that the package needs, in the same versions for
    the same bytes. A machine that is lost loses the tasks that it runs, and one that joins gets some.

    Args:
        workers: How many tasks run at a time; None: one per core of the cluster.
        address: Of the cluster, ``host:port`` or ``auto``; None: a cluster of this machine alone, for this run.
    """

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        self._asked = workers
        # Ray would join a cluster that it finds on this machine unless it is told not to.
        local = {"address": "local", "num_cpus": workers or worker_count(), "include_dashboard": False}
        # Ray's own messages are for its makers; lost machines are told as events.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            ray.init(
                **(local if address is None else {"address": address}),
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"py_modules": [str(Path(presence_only.__file__).parent)]},
            )
        except Exception as error:
            # Ray has no class of its own for what goes wrong here.
            first = str(error).strip().splitlines()[0]
            where = "--executor ray" if address is None else f"--address {address}"
            raise ExecutionError(f"{where}: no Ray cluster takes work: {first}") from None
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        self._board: Any = _Board.options(  # type: ignore[attr-defined]
            num_cpus=0, scheduling_strategy=here
        ).remote()
        self._packed: dict[str, Any] = {}
        self._hashes = KnownHashes()
        self._running: dict[Any, Task] = {}
        self._events: deque[Event] = deque()
        self._asked_at = 0.0

    @classmethod
    def prepare(cls, workers: int | None, options: dict[str, Any]) -> Callable[[], Self]:
        """For ``--executor ray``, with ``--address``."""
        refuse_options("ray", options, ("address",))
        address = options.get("address")
        if address is not None:
            _check_answers(address)
        return lambda: cls(workers, address)

    @property
    def slots(self) -> int:
        """Cores of the cluster as it is now, or as many as were asked for."""
        cores = int(ray.cluster_resources().get("CPU", 0))
        return cores if self._asked is None else min(self._asked, max(cores, 1))

    def has_room(self, task: Task) -> bool:
        """Whether fewer tasks run than there are slots."""
        return len(self._running) < self.slots

    def submit(self, task: Task) -> None:
        """Send a task to the cluster, and what it reads unless that was sent before."""
        inputs = {name: self._send(path) for name, path in task.inputs.items()}
        # A reference in a list stays one: a machine that has the folder does not fetch it.
        gpus = 1 if task.needs_gpu and ray.cluster_resources().get("GPU", 0) else 0
        remote = _work.options(num_cpus=1, num_gpus=gpus)
        self._running[remote.remote(task.key, task.work, inputs, task.output is not None, [self._board])] = task

    def next_event(self, timeout: float | None = None) -> Event | None:
        """Wait for the next event."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self._events:
            if self._running:
                done, _ = ray.wait(list(self._running), num_returns=1, timeout=ASK_EVERY)
                for reference in done:
                    self._events.extend(self._results(reference))
            else:
                time.sleep(ASK_EVERY)
            if time.monotonic() - self._asked_at >= ASK_EVERY and not self._events:
                self._asked_at = time.monotonic()
                self._events.extend(self._progress())
            if not self._events and until is not None and time.monotonic() >= until:
                return None
        return self._events.popleft()

    def close(self) -> None:
        """End every task, and the cluster if it was made for this run."""
        for reference in self._running:
            ray.cancel(reference, force=True)
        self._running.clear()
        ray.shutdown()

    def _send(self, path: Path) -> tuple[str, str, list[Any]]:
        """An input's hash, the name of its file, if it is one, and its bytes in the cluster's memory."""
        digest = self._hashes.of(path)
        if digest not in self._packed:
            self._packed[digest] = ray.put(pack(path))
        return digest, "" if path.is_dir() else path.name, [self._packed[digest]]

    def _results(self, reference: Any) -> list[Event]:
        """What became of a task, after the last progress that it reported."""
        task = self._running.pop(reference)
        try:
            event, packed, last = ray.get(reference)
        except (ray.exceptions.RayTaskError, ray.exceptions.RuntimeEnvSetupError) as error:
            return [Failed(task.key, ExecutionError(f"Ray could not run it: {error}"))]
        except ray.exceptions.RayError as error:
            return [Lost(task.key, f"Ray lost it ({type(error).__name__})")]
        if isinstance(event, Finished) and task.output is not None:
            with write_folder(task.output) as folder:
                unpack(packed, folder)
        return [event] if last is None else [Progressed(task.key, *last), event]

    def _progress(self) -> list[Event]:
        """What tasks have reported since the last time."""
        try:
            told = ray.get(self._board.told.remote(), timeout=ANSWER_WITHIN)
        except ray.exceptions.RayError:
            # The display stands still; the tasks do not.
            return []
        return [Progressed(key, *numbers) for key, numbers in told.items()]


def _check_answers(address: str) -> None:
    """Refuse an address at which nothing listens; Ray itself would try for a minute.

    Raises:
        SettingsError: If it is no address.
        ExecutionError: If nothing answers there.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise SettingsError(f"--address {address}: must be host:port, as `ray start --head` says it, or auto")
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_WITHIN).close()
    except OSError as error:
        raise ExecutionError(
            f"--address {address}: nothing answers there ({error.strerror or error}); start a cluster with "
            "`ray start --head`"
        ) from None


@ray.remote
class _Board:
    """Where tasks write their progress."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[int, int, float]] = {}

    def tell(self, key: str, done: int, total: int, number: float) -> None:
        """Take note of a task's progress."""
        self._told[key] = (done, total, number)

    def told(self) -> dict[str, tuple[int, int, float]]:
        """The newest progress of every task that reported since the last call."""
        told, self._told = self._told, {}
        return told


# Lost tasks are run again by whoever submitted them, for a display that says so.
@ray.remote(max_retries=0)  # type: ignore[untyped-decorator]
def _work(
    key: str, work: Any, inputs: Mapping[str, tuple[str, str, list[Any]]], fills: bool, board: list[Any]
) -> tuple[Event, bytes, tuple[int, int, float] | None]:
    """Run one task where Ray has put it; returns the event, the packed output, and the last progress."""
    keep_pages()
    report = _Reporter(key, board[0])
    try:
        paths = {name: _fetched(*sent) for name, sent in inputs.items()}
        with scratch_folder() as scratch:
            output = scratch / "output" if fills else None
            value = run_work(work, paths, output, report)
            return Finished(key, value), pack(output) if output is not None else b"", report.last
    except Exception as error:
        return Failed(key, sendable(error)), b"", None


class _Reporter:
    """What a task reports by: not so often that it would cost anything."""

    def __init__(self, key: str, board: Any) -> None:
        self._key, self._board, self._told = key, board, 0.0
        self.last: tuple[int, int, float] | None = None

    def __call__(self, done: int, total: int, number: float) -> None:
        self.last = (done, total, number)
        now = time.monotonic()
        if now - self._told >= TELL_EVERY:
            self._told = now
            # Nobody waits for an answer: if the board is gone, the display stands still, and the task does not.
            self._board.tell.remote(self._key, done, total, number)


def _fetched(digest: str, name: str, reference: list[Any]) -> Path:
    """An input on this machine, fetched unless it is here."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    kept = Path(tempfile.gettempdir(), f"presence_only-inputs-{user}")
    folder = kept / digest
    if not folder.is_dir():
        kept.mkdir(parents=True, exist_ok=True)
        for other in kept.iterdir():
            if time.time() - other.stat().st_mtime > KEEP_INPUTS:
                shutil.rmtree(other, ignore_errors=True)
        remove_leftovers(kept)
        temporary = kept / temporary_name(digest, f".{secrets.token_hex(4)}")
        temporary.mkdir()
        unpack(ray.get(reference[0]), temporary)
        try:
            temporary.rename(folder)
        except OSError:
            # Another task was faster, and may be reading.
            shutil.rmtree(temporary, ignore_errors=True)
    return folder / name if name else folder
