"""Tasks side by side, one process per seed, with their progress shown."""

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

from presence_only.common.errors import SettingsError, TrainingError
from presence_only.pipeline.progress import Display, Wording

WORKERS_VARIABLE = "PRESENCE_ONLY_WORKERS"
# Called with the steps done, the steps in all, and a number that tells how well it goes.
Report = Callable[[int, int, float], None]
Result = TypeVar("Result")
_updates: Any = None


def run_side_by_side(
    task: Callable[[int, Report], Result], seeds: Sequence[int], wording: Wording
) -> dict[int, Result]:
    """Run ``task(seed, report)`` for every seed, as many at a time as :func:`worker_count` says.

    Args:
        task: A picklable function that computes in one thread; it loads its own data, so that a process starts with
            little.
        seeds: What the task is run for, one process per seed.
        wording: What is said while they run.

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
        try:
            futures = {pool.submit(_run, task, seed): seed for seed in seeds}
            with Display(wording, seeds, updates):
                for future in as_completed(futures):
                    results[futures[future]] = future.result()
        except BrokenProcessPool:
            raise TrainingError(
                f"{wording.label}: a process was killed, most likely for memory; "
                f"set {WORKERS_VARIABLE}=1 for one seed at a time{wording.hint}"
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
    """Give the process the way to report, and tie its end to that of the stage."""
    global _updates
    _updates = updates
    # Ctrl-C reaches the whole group; the parent alone decides, and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_pages()
    threading.Thread(target=_end_with_parent, daemon=True).start()


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
    """Exit when the parent process dies, so that a killed stage leaves no orphans."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _run(task: Callable[[int, Report], Result], seed: int) -> Result:
    """Run one task in a worker process."""

    def report(done: int, total: int, number: float) -> None:
        _updates.put((seed, done, total, number))

    return task(seed, report)
