"""How much faster is `metrics.average_precision` than scikit-learn, one species after the other?

Random float32 scores without a mask, one presence in ``1 / prevalence`` sites. Both sides take turns and
the medians are compared, so that a busy machine slows both. scikit-learn is timed on the first
``--reference`` species of the same matrix and scaled to all of them; it runs on one core, the package on
as many as there are.

    python benchmarks/average_precision.py --species 10000 --sites 10000
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import sklearn
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score

from presence_only.metrics import average_precision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--species", type=positive, default=10_000)
    parser.add_argument("--sites", type=positive, default=10_000)
    parser.add_argument("--prevalence", type=fraction, default=0.01)
    parser.add_argument("--reference", type=positive, default=200, help="species that scikit-learn is timed on")
    parser.add_argument("--repeats", type=positive, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    rng = np.random.default_rng(arguments.seed)
    scores_MS = rng.standard_normal((arguments.sites, arguments.species), dtype=np.float32)
    truth_MS = np.empty(scores_MS.shape, dtype=np.int8)
    for truth_S in truth_MS:
        truth_S[:] = rng.random(arguments.species, dtype=np.float32) < arguments.prevalence
    truth_MS[0] = 1
    n_reference = min(arguments.reference, arguments.species)

    def package() -> np.ndarray:
        return average_precision(scores_MS, truth_MS)

    def loop() -> np.ndarray:
        return np.array([average_precision_score(truth_MS[:, i], scores_MS[:, i]) for i in range(n_reference)])

    error = np.abs(package()[:n_reference] - loop()).max()
    ours, theirs = interleaved_medians([package, loop], arguments.repeats)
    theirs *= arguments.species / n_reference

    table = Table(title=f"average precision, {arguments.species:,} species x {arguments.sites:,} sites")
    for heading in ("implementation", "seconds", "microseconds a species", "times as fast"):
        table.add_column(heading, justify="left" if heading == "implementation" else "right")
    for name, seconds in (("scikit-learn, loop", theirs), ("presence_only", ours)):
        table.add_row(name, f"{seconds:.3f}", f"{seconds / arguments.species * 1e6:.1f}", f"{theirs / seconds:.1f}")
    console = Console(width=100)
    console.print(table)
    console.print(
        f"largest difference {error:.1e}; medians of {arguments.repeats} turns; prevalence {arguments.prevalence}"
    )
    console.print(f"{machine()}; commit {commit()}; numpy {np.__version__}, scikit-learn {sklearn.__version__}")


def interleaved_medians(functions: list[Callable[[], np.ndarray]], repeats: int) -> list[float]:
    """Median seconds of each function, called in turns."""
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for function, times in zip(functions, seconds, strict=True):
            start = perf_counter()
            function()
            times.append(perf_counter() - start)
    return [statistics.median(times) for times in seconds]


def machine() -> str:
    """Processor, cores and Python."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}"


def commit() -> str:
    """Short hash of the checked-out commit, with a plus sign if files differ from it."""
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be an integer of at least 1")
    return int(text)


def fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} must lie above 0 and up to 1")
    return value


if __name__ == "__main__":
    main()
