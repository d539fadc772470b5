"""The options of commands that run tasks on an executor: which one, how many at a time, and where."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from presence_only.execution.executor import Executor

OPTIONS = ("address", "partition", "minutes", "gpus")


def add_executor_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a command's arguments."""
    parser.add_argument(
        "--executor", default="processes", help="processes (of this machine, the default), ray, or slurm"
    )
    parser.add_argument("--workers", type=int, help="tasks at a time; default: one per core")
    parser.add_argument("--address", help="of a Ray cluster, host:port; default: Ray on this machine alone")
    parser.add_argument("--partition", help="of a Slurm cluster")
    parser.add_argument("--minutes", help="the longest that a task may take on a Slurm cluster")
    parser.add_argument("--gpus", help="GPUs to ask for per job that can use one, on a Slurm cluster; default: 0")


def asked_executor(arguments: argparse.Namespace) -> Callable[[], Executor]:
    """What starts the executor that was asked for; whatever is wrong with it is told now.

    Raises:
        SettingsError: If there is no such executor, it has no such option, or a library that it needs is missing.
        ExecutionError: If nothing answers at an address.
    """
    from presence_only.execution.executor import prepare_executor

    asked = {name: getattr(arguments, name) for name in OPTIONS}
    given = {name: value for name, value in asked.items() if value is not None}
    return prepare_executor(arguments.executor, arguments.workers, given)
