"""A command that runs under a fault: files that cannot grow, or a disk that tells of being full at the last moment.

python -m support.faults FAULT MODULE ARGUMENT ...

FAULT is ``size=<bytes>``, which no file may exceed, or ``sync=<n>``: the n-th time that a file is to reach the disk,
the disk is full; ``none`` is no fault.
"""

import errno
import itertools
import os
import resource
import runpy
import sys


def begin(fault):
    """Set up a fault in this process and in those that it starts."""
    kind, _, number = fault.partition("=")
    match kind:
        case "size":
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), resource.RLIM_INFINITY))
        case "sync":
            times, sync = itertools.count(), os.fsync

            def full(descriptor):
                if next(times) == int(number):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                sync(descriptor)

            os.fsync = full
        case _:
            assert fault == "none", fault


if __name__ == "__main__":
    _, fault, module, *arguments = sys.argv
    begin(fault)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
