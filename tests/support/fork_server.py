"""Python commands that start in milliseconds: a server that has imported the libraries forks for each command.

A stage imports torch, scipy, polars or MLflow for four seconds and works for half a second. The server imports them
once. Its `python` and its `dvc`, put first on the PATH, ask it for a fork, which takes over the caller's arguments,
folder, environment, streams and process group, and ends when the caller is killed. This package and whatever else a
command needs is imported by the fork, as ever.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from pathlib import Path

# What stages and DVC import of other packages, where that takes time.
LIBRARIES = (
    *("torch", "polars", "scipy.stats", "scipy.spatial", "pydantic", "ruamel.yaml", "rich.progress", "pyproj", "h3"),
    *("jinja2", "matplotlib.figure", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
    *("mlflow", "mlflow.store.tracking.sqlalchemy_store", "sqlalchemy.dialects.sqlite", "alembic.command"),
    *("dvc.cli.parser", "dvc.repo.experiments.queue.celery"),
)
# A caller that sets this has what its command starts by `sys.executable` forked too.
EXECUTABLE = "FORK_SERVER_EXECUTABLE"


class ForkServer:
    """The server, in a process of its own, and ``commands``, the folder of its python and its dvc."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.commands = folder / "commands"
        self.commands.mkdir()
        address = str(folder / "socket")
        client = shlex.join([sys.executable, "-IS", str(Path(__file__).with_name("fork_client.py")), address])
        for name, module in {"python": "", "dvc": "-m dvc "}.items():
            (self.commands / name).write_text(f'#!/bin/sh\nexec {client} {module}"$@"\n')
            (self.commands / name).chmod(0o755)
        command = [sys.executable, "-I", __file__, address]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, env=environment, **pipes)
        assert self.process.stdout.readline() == b"ready\n"

    def environment(self, environment: dict[str, str]) -> dict[str, str]:
        """An environment with the server's commands in place of the real ones."""
        return {**environment, "PATH": f"{self.commands}{os.pathsep}{environment['PATH']}"}

    def stop(self) -> None:
        self.process.communicate()


def serve(address: str) -> None:
    """Import the libraries, then fork for everyone who connects."""
    for name in LIBRARIES:
        importlib.import_module(name)
    # A fork continues the calling thread alone: locks that others hold would stay locked.
    assert threading.active_count() == 1
    # Spares forks the pages that their garbage collection would touch, and so copy.
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        # The standard input ends with the process that started this one.
        while sys.stdin not in select.select([server, sys.stdin], [], [])[0]:
            caller, _ = server.accept()
            if os.fork() == 0:
                server.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                run(caller)
            caller.close()


def run(caller: socket.socket) -> None:
    """Be the command that a caller asks for, and send it the exit code."""
    leave = os._exit

    def tell_and_leave(code: int) -> None:
        """What a command may call by itself as ``os._exit``."""
        # In a worker the connection is closed.
        with contextlib.suppress(OSError):
            caller.sendall(bytes([code & 0xFF]))
        leave(code)

    os._exit = tell_and_leave
    size, streams, _, _ = socket.recv_fds(caller, 8, 3)
    with caller.makefile("rb") as file:
        arguments, folder, environment = json.loads(file.read(int.from_bytes(size, "big")))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # The server's own objects remember whether its streams were files, which a caller's pipes are not.
    sys.stdout, sys.stderr = (open(number, "w", closefd=False, buffering=1) for number in (1, 2))  # noqa: SIM115
    code = 1
    try:
        follow(caller)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.executable = environment.get(EXECUTABLE, sys.executable)
        execute(arguments)
        code = 0
    except SystemExit as stopped:
        code = stopped.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        tell_and_leave(code)


def follow(caller: socket.socket) -> None:
    """Join the process group of a caller, so that a kill of the group reaches this fork, and end if the caller does."""
    pid, _, _ = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    # A caller may be in a session of its own, or be gone.
    with contextlib.suppress(OSError):
        os.setpgid(0, os.getpgid(pid))
    # A worker that is forked from here would keep the caller waiting after this process was killed.
    os.register_at_fork(after_in_child=caller.close)

    def end_with_caller() -> None:
        with contextlib.suppress(OSError):
            caller.recv(1)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=end_with_caller, daemon=True).start()


def execute(arguments: list[str]) -> None:
    """What ``python -m module ...`` does."""
    option, module, *rest = arguments
    assert option == "-m", arguments
    sys.path[:0] = ["", *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [option, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(sys.argv[1])
