"""Tasks as jobs of a Slurm cluster, whose machines share a file system.

Source: submitit, https://github.com/facebookincubator/submitit
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import submitit

from presence_only.common.errors import ExecutionError, SettingsError
from presence_only.execution.executor import Executor, refuse_options
from presence_only.execution.heap import keep_pages
from presence_only.execution.task import Event, Failed, Finished, Lost, Progressed, Task, Work
from presence_only.execution.work import run_work, sendable

# Jobs in the queue unless said otherwise.
JOBS = 100
# How often files tell whether a job is done, in seconds.
ASK_EVERY = 1.0
FOLDER = Path(".cells/slurm")


class Slurm(Executor):
    """Jobs of one core each. A job that the cluster ends is told as lost.

    Every task imports torch anew, a few seconds, and its progress is told only at its end.

    Args:
        workers: How many jobs are in the queue at a time; None: 100.
        partition: The partition to use; None: the cluster's own choice.
        minutes: The longest that a task may take.
        gpus: How many GPUs to ask for per job, for tasks that can use one; 0: none, so that they run on a core.
        folder: Where jobs write their logs; on the file system that all machines share.
        cluster: ``slurm``; ``local`` runs jobs as processes of this machine, to try it out.
    """

    def __init__(
        self,
        workers: int | None = None,
        partition: str | None = None,
        minutes: int = 240,
        gpus: int = 0,
        folder: Path = FOLDER,
        cluster: str = "slurm",
    ) -> None:
        self._slots = workers or JOBS
        try:
            self._executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        except RuntimeError as error:
            raise ExecutionError(f"--executor slurm: there is no Slurm here: {error}") from None
        self._options: dict[str, Any] = {"timeout_min": minutes, "cpus_per_task": 1, "name": "presence_only"}
        if partition is not None:
            self._options["slurm_partition"] = partition
        self._gpus = gpus
        self._running: dict[str, tuple[submitit.Job[list[Event]], Task]] = {}
        self._events: deque[Event] = deque()

    @classmethod
    def prepare(cls, workers: int | None, options: dict[str, Any]) -> Callable[[], Self]:
        """For ``--executor slurm``, with ``--partition``, ``--minutes`` and ``--gpus``."""
        refuse_options("slurm", options, ("partition", "minutes", "gpus"))
        minutes, gpus = str(options.get("minutes", 240)), str(options.get("gpus", 0))
        if not minutes.isdecimal() or int(minutes) < 1:
            raise SettingsError(f"--minutes {minutes}: must be a positive whole number")
        if not gpus.isdecimal():
            raise SettingsError(f"--gpus {gpus}: must be a whole number, 0 or more")
        return lambda: cls(workers, options.get("partition"), int(minutes), int(gpus))

    @property
    def slots(self) -> int:
        """How many jobs are in the queue at most."""
        return self._slots

    def has_room(self, task: Task) -> bool:
        """Whether fewer jobs are in the queue than there may be."""
        return len(self._running) < self._slots

    def submit(self, task: Task) -> None:
        """Put a job into the queue."""
        inputs = {name: path.absolute() for name, path in task.inputs.items()}
        output = None if task.output is None else task.output.absolute()
        # A cluster without GPUs may refuse a job that says how many, even if it says none.
        gpus = {"gpus_per_node": self._gpus if task.needs_gpu else 0} if self._gpus else {}
        self._executor.update_parameters(**self._options, **gpus)
        self._running[task.key] = (self._executor.submit(_work, task.key, task.work, inputs, output), task)

    def next_event(self, timeout: float | None = None) -> Event | None:
        """Wait for the next event."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self._events:
            for key, (job, _) in list(self._running.items()):
                if job.done():
                    del self._running[key]
                    self._events.extend(self._results(key, job))
            if not self._events:
                if until is not None and time.monotonic() >= until:
                    return None
                time.sleep(ASK_EVERY if until is None else min(ASK_EVERY, max(0.0, until - time.monotonic())))
        return self._events.popleft()

    def close(self) -> None:
        """Cancel every job."""
        for job, _ in self._running.values():
            job.cancel()
        self._running.clear()

    def _results(self, key: str, job: submitit.Job[list[Event]]) -> list[Event]:
        """What became of a job."""
        try:
            events: list[Event] = job.result()
            return events
        except submitit.core.utils.FailedJobError as error:
            return [Failed(key, ExecutionError(f"the job {job.job_id} failed: {error}"))]
        except submitit.core.utils.UncompletedJobError:
            return [Lost(key, f"the job {job.job_id} ended without a result")]


def _work(key: str, work: Work, inputs: Mapping[str, Path], output: Path | None) -> list[Event]:
    """Run one task as a job; returns its last progress and its end."""
    keep_pages()
    last: list[Event] = []

    def report(done: int, total: int, number: float) -> None:
        last[:] = [Progressed(key, done, total, number)]

    try:
        value = run_work(work, inputs, output, report)
        return [*last, Finished(key, value)]
    except Exception as error:
        return [Failed(key, sendable(error))]
