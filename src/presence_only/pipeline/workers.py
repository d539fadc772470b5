"""Run tasks side by side in single-threaded processes, with their progress shown."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any, TypeVar

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from presence_only.common.errors import TrainingError
from presence_only.common.settings import SettingsError

WORKERS_VARIABLE = "PRESENCE_ONLY_WORKERS"
# Called with the epochs done, the epochs in all, and a few words on where things stand.
Progressed = Callable[[int, int, str], None]
Result = TypeVar("Result")
_updates: Any = None


def run_side_by_side(
    task: Callable[[int, Progressed], Result], seeds: Sequence[int], label: str, hint: str = ""
) -> dict[int, Result]:
    """Run ``task(seed, report)`` for every seed.

    Two processes with one thread each beat one process with two, and one thread makes the sums,
    and so the metrics, the same on machines with any number of cores.

    Args:
        task: A picklable function; it loads its own data, so that a process starts with little.
        seeds: What the task is run for, one process a seed.
        label: Shown before each seed, such as ``virtual / asl_m005``.
        hint: What else helps where memory is short; the end of a sentence.

    Returns:
        The result of every seed.

    Raises:
        TrainingError: If a process dies (out of memory, say); an exception of a task is raised as it is.
    """
    # fork starts in milliseconds where importing torch again takes seconds; a stage has used no
    # thread pool, such as polars', by then. Elsewhere (macOS, Windows) fork is not safe.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    updates = context.SimpleQueue()
    if sys.platform != "win32":
        # Importing polars makes waits go on after a signal: Ctrl-C would be heard when all seeds are done.
        signal.siginterrupt(signal.SIGINT, True)
    count = min(worker_count(), len(seeds))
    results: dict[int, Result] = {}
    with ProcessPoolExecutor(count, context, _start_worker, (updates,)) as pool:
        futures = {pool.submit(_run, task, seed): seed for seed in seeds}
        with _Shown(label, seeds, updates):
            try:
                for future in as_completed(futures):
                    results[futures[future]] = future.result()
            except BrokenProcessPool:
                raise TrainingError(
                    f"{label}: a process was killed, most likely for memory; "
                    f"set {WORKERS_VARIABLE}=1 for one seed at a time{hint}"
                ) from None
            except BaseException:
                # The other seeds would train on for nothing, and the pool would wait for them.
                for process in multiprocessing.active_children():
                    process.terminate()
                raise
    return {seed: results[seed] for seed in seeds}


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


def _start_worker(updates: Any) -> None:
    """Give the process one thread and the way to report."""
    global _updates
    _updates = updates
    # Ctrl-C reaches the whole group; the parent alone decides, and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    keep_pages()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Focusing powers of easy negatives underflow; arithmetic on such remnants is ten times slower.
    torch.set_flush_denormal(True)


def keep_pages() -> bool:
    """Have the C library keep what this process frees, instead of returning it to the system.

    A training step frees and takes the same blocks again and again; faulting them in anew costs it a tenth
    of its time if the loss is computed in chunks, half from all logits at 50,000 species. The price is memory: the
    process stays at its highest point.

    Returns:
        Whether there is such a setting: glibc has it.
    """
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    return mallopt is not None and bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, 2**31 - 1))


def _end_with_parent() -> None:
    """A killed stage leaves no process that trains on for nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _run(task: Callable[[int, Progressed], Result], seed: int) -> Result:
    """Run one task in a worker process."""

    def report(done: int, total: int, note: str) -> None:
        _updates.put((seed, done, total, note))

    return task(seed, report)


class _Shown:
    """Draws one progress bar a seed while a block runs; in a log file, one line a finished seed."""

    def __init__(self, label: str, seeds: Sequence[int], updates: Any) -> None:
        self.label = label
        self.updates = updates
        self.console = Console()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.tasks: dict[int, TaskID] = {
            seed: self.progress.add_task(f"{label} / seed {seed}", total=None, note="") for seed in seeds
        }
        self.thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> None:
        self.progress.start()
        self.thread.start()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.updates.put(None)
            self.thread.join()
        # After an error a dead worker may hold the queue's lock; the daemon thread is left to itself.
        self.progress.stop()

    def _follow(self) -> None:
        """Show updates until the closing None."""
        while (update := self.updates.get()) is not None:
            seed, done, total, note = update
            self.progress.update(self.tasks[seed], completed=done, total=total, note=note)
            if done == total and not self.console.is_terminal:
                print(f"{self.label} / seed {seed}: {note}", flush=True)
