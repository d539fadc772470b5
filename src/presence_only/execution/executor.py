"""What runs tasks: the base of executors, and the table of their kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from presence_only.common.errors import SettingsError
from presence_only.common.registry import resolve
from presence_only.execution.task import Event, Task

# Name on the command line to the class, which takes `workers` and options of its own by name.
EXECUTORS = {
    "processes": "presence_only.execution.processes:Processes",
    "ray": "presence_only.execution.ray_cluster:RayCluster",
    "slurm": "presence_only.execution.slurm:Slurm",
}


class Executor(ABC):
    """Runs tasks side by side; a context manager that ends whatever still runs when the block is left."""

    @classmethod
    @abstractmethod
    def prepare(cls, workers: int | None, options: dict[str, Any]) -> Callable[[], Self]:
        """Check what is asked of it, without starting it.

        Args:
            workers: How many tasks run at a time; None: as many as there is room for.
            options: Of this kind of executor, by their names on the command line.

        Returns:
            A function that starts it.

        Raises:
            SettingsError: If it has no such option, or an option breaks its rule.
            ExecutionError: If nothing answers at an address.
        """

    @property
    @abstractmethod
    def slots(self) -> int:
        """How many tasks it runs at a time."""

    @abstractmethod
    def has_room(self, task: Task) -> bool:
        """Whether a task would begin at once."""

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Begin a task; its events are told by :meth:`next_event`."""

    @abstractmethod
    def next_event(self, timeout: float | None = None) -> Event | None:
        """Wait for the next event.

        Args:
            timeout: Seconds to wait at most; None: until there is one.

        Returns:
            The event; None if there was none in time.
        """

    @abstractmethod
    def close(self) -> None:
        """End every task and every worker now."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def prepare_executor(
    name: str, workers: int | None = None, options: Mapping[str, Any] | None = None
) -> Callable[[], Executor]:
    """Check what is asked of an executor, without starting it.

    Args:
        name: A name of :data:`EXECUTORS`.
        workers: How many tasks run at a time; None: what the machine or the cluster has room for.
        options: Of this kind of executor, such as the address of a Ray cluster.

    Returns:
        A function that starts the executor.

    Raises:
        SettingsError: If there is no such executor, it has no such option, or a library that it needs is missing.
        ExecutionError: If nothing answers at an address.
    """
    if name not in EXECUTORS:
        raise SettingsError(f"--executor {name}: must be one of {', '.join(EXECUTORS)}")
    if workers is not None and workers < 1:
        raise SettingsError(f"--workers {workers}: must be a positive whole number")
    try:
        kind: type[Executor] = resolve(EXECUTORS[name])
    except ModuleNotFoundError as error:
        package = {"ray": "ray", "slurm": "submitit"}.get(name)
        if package is None or (error.name or "").partition(".")[0] != package:
            raise
        raise SettingsError(
            f"--executor {name}: needs the extra {name!r}: pip install 'presence-only[{name}]'"
        ) from None
    return kind.prepare(workers, dict(options or {}))


def refuse_options(name: str, options: Mapping[str, Any], known: tuple[str, ...] = ()) -> None:
    """Refuse options that an executor does not have.

    Raises:
        SettingsError: If there is one.
    """
    for option, value in options.items():
        if option not in known:
            has = f"has only --{', --'.join(known)}" if known else "has no options of its own"
            raise SettingsError(f"--{option} {value}: the executor {name!r} {has}")
