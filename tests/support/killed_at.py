"""A command that kills itself right before one of its changes of files: at every place where a kill can tear something.

python -m support.killed_at NUMBER MODULE ARGUMENTS

A kill at a random moment seldom hits the milliseconds between two renames. Python tells of every file that is opened
to write, renamed or removed before it happens; the process is killed at the change of that number, counted from 0.
With a greater number than there are changes the command ends as ever, and their count is the last line that it says.
"""

import os
import runpy
import signal
import sys
from pathlib import Path

CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate")
TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# What Python compiles is no matter of the command, and devices are no files.
ELSEWHERE = ("__pycache__", "/dev/", "/proc/", "/sys/")


class Changes:
    """Counts the changes of files that this process makes, and kills it at one of them; its forks go on.

    Args:
        last: The number of the change that is not made any more.
    """

    def __init__(self, last: int) -> None:
        self.last, self.count, self.process = last, 0, os.getpid()

    def __call__(self, event: str, arguments: tuple) -> None:
        if os.getpid() != self.process:
            return
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & TO_WRITE
        if not opened and event not in CHANGES:
            return
        path = arguments[0]
        if isinstance(path, int) or any(part in os.fsdecode(path) for part in ELSEWHERE):
            return
        if self.count == self.last:
            os.kill(self.process, signal.SIGKILL)
        self.count += 1


def main() -> None:
    """Run the command."""
    _, number, module, *arguments = sys.argv
    changes = Changes(int(number))
    sys.argv = [module, *arguments]
    sys.path.insert(0, str(Path.cwd()))
    sys.addaudithook(changes)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        print(changes.count, flush=True)


if __name__ == "__main__":
    main()
