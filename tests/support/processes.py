"""Processes that train one model together, for tests: gloo on this machine."""

import multiprocessing
import sys
import traceback

import torch
from torch import distributed

from presence_only.training.data_parallel import World


def run_together(size, task, folder, *arguments):
    """Call ``task(world, *arguments)`` in ``size`` processes that are joined; returns what each of them returned.

    A task is a function of a module. What it returns goes through a file of ``folder``.
    """
    # Where forking is safe it spares every process the import of torch.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    processes = [
        context.Process(target=_joined, args=(World(rank, size), task, folder, arguments)) for rank in range(size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    results = [torch.load(folder / f"result_{rank}.pt", weights_only=False) for rank in range(size)]
    for trace, _ in results:
        assert trace is None, trace
    return [result for _, result in results]


def _joined(world, task, folder, arguments):
    torch.set_num_threads(1)
    trace = result = None
    try:
        distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/meeting", rank=world.rank, world_size=world.size
        )
        result = task(world, *arguments)
        distributed.destroy_process_group()
    except BaseException:
        trace = traceback.format_exc()
    torch.save((trace, result), folder / f"result_{world.rank}.pt")
