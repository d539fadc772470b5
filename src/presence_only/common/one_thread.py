"""One thread and no denormal numbers, so that results do not depend on the number of cores."""

from __future__ import annotations

import torch


def use_one_thread() -> None:
    """Have torch compute in one thread of this process, and round denormal numbers to 0.

    Whatever trains or scores calls this first: with several threads, sums depend on the number of cores. Two
    processes with one thread each are also faster than one process with two.
    """
    torch.set_num_threads(1)
    # Focusing powers of easy negatives underflow; arithmetic on such remnants is ten times slower.
    torch.set_flush_denormal(True)


def keep_denormals() -> None:
    """Have this process compute with denormal numbers again.

    Whatever builds scipy's ``cKDTree`` calls this first, where the process may have trained before: the tree moves a
    split off 0 to the next number, which is denormal, and with denormals rounded to 0 it never ends and crashes.
    """
    torch.set_flush_denormal(False)
