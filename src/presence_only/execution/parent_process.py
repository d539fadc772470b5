"""The end of a process with the process that started it, so that a killed command leaves nothing that works on."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

PR_SET_PDEATHSIG = 1  # of sys/prctl.h


def end_with_parent() -> None:
    """Have the system kill this process as soon as its parent has ended, however that ended.

    Linux alone can; elsewhere nothing happens.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # Of a parent that ended in between, nothing would be heard.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


# Options of ``subprocess.run`` for a command that ends with this process.
ENDS_WITH_PARENT: dict[str, Any] = {"preexec_fn": end_with_parent} if sys.platform == "linux" else {}
