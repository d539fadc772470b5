"""Work for executors to do."""

import ctypes
import os
import time
from pathlib import Path

import torch

from presence_only.common.errors import DivergenceError, TrainingError
from presence_only.common.one_thread import use_one_thread
from presence_only.execution.task import Task


def square(inputs, output, report):
    """The square of the number in a file, into a file; returns it with the process."""
    number = int(inputs["number"].read_text())
    for step in (1, 2):
        report(step, 2, number / step)
    (output / "square.txt").write_text(str(number**2))
    return [number**2, os.getpid()]


def one_thread(inputs, output, report):
    torch.set_num_threads(3)
    use_one_thread()
    # The smallest number above 0, which is rounded to 0 where it is computed with.
    return torch.get_num_threads(), float(torch.tensor([1e-45]) * 1)


def fail(inputs, output, report):
    (output / "half.txt").write_text("half")
    raise TrainingError("the training loss is nan")


def diverge(inputs, output, report):
    raise DivergenceError("the training loss is nan: lower training.learning_rate")


def mistake(inputs, output, report):
    return {}["missing"]


def fail_on_a_library_error(inputs, output, report):
    # An exception that cannot be sent as it is.
    raise ctypes.ArgumentError(lambda: None)


def die(inputs, output, report):
    os._exit(9)


def die_once(inputs, output, report):
    """End the process, unless it was done before: a file tells."""
    before = inputs["place"] / "died"
    if not before.exists():
        before.touch()
        os._exit(9)
    (output / "done.txt").write_text("done")
    return "second time"


def wait_long(inputs, output, report):
    """Report for a minute."""
    for step in range(3000):
        report(step, 3000, 0.5)
        time.sleep(0.02)


def note_process(inputs, output, report):
    """Write a file that names the process, and take long."""
    Path(inputs["place"], str(os.getpid())).touch()
    report(1, 2, 0.0)
    time.sleep(60)


def talk(inputs, output, report):
    """Report more often than a pipe can hold."""
    for step in range(1, 20_001):
        report(step, 20_000, 0.5)


def of_number(folder, number, **options):
    """A task that squares a number."""
    path = folder / f"{number}.txt"
    path.write_text(str(number))
    return Task(f"square {number}", square, {"number": path}, folder / f"out_{number}", label=f"{number}", **options)
