"""How much faster is `metrics.average_precision` than scikit-learn, one species after the other?

Float32 scores of a normal distribution, higher by `advantage` standard deviations where the species is
present; a share of the sites unsurveyed in one row, where scikit-learn is handed what was surveyed.
Both sides take turns and the median ratio counts, so that a busy machine slows both. scikit-learn is
timed on the first `--reference` species of the same matrix and scaled to all of them; it runs on one
core, the package on as many as there are. Afterwards: the bootstrap over species and seeds, from the
values per species, without ranking anything again.

    python benchmarks/average_precision.py --species 10000 --sites 10000
"""

from __future__ import annotations

import argparse
import os
import statistics
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.metrics import average_precision_score

from presence_only.evaluation.metrics import average_precision
from presence_only.statistics.comparison_table import CellResult, compare
from results import machine, write_results

# Prevalence, advantage of presences in standard deviations, share of sites not surveyed.
CASES = [(0.01, 0.0, 0.0), (0.01, 4.0, 0.0), (0.1, 0.0, 0.0), (0.001, 2.0, 0.0), (0.01, 0.0, 0.3)]
HEADINGS = [
    *("prevalence", "advantage", "not surveyed", "scikit-learn, us a species"),
    *("presence_only, us a species", "times as fast", "largest difference"),
]
BOOTSTRAPPED = [(500, 4), (10_000, 4), (50_000, 4)]
BOOTSTRAP_HEADINGS = ["species", "seeds", "resamples", "seconds", "peak memory, MB"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--species", type=positive, default=10_000)
    parser.add_argument("--sites", type=positive, default=10_000)
    parser.add_argument("--reference", type=positive, default=100, help="species that scikit-learn is timed on")
    parser.add_argument("--repeats", type=positive, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write the tables to benchmarks/results")
    arguments = parser.parse_args()

    rows = [ranked_row(arguments, *case) for case in CASES]
    resampled = [bootstrap_row(*case, arguments.seed) for case in BOOTSTRAPPED]
    title = f"average precision, {arguments.species:,} species x {arguments.sites:,} sites"
    console = Console(width=110)
    for name, headings, cells in (
        (title, HEADINGS, rows),
        ("bootstrap of the mean over species and seeds", BOOTSTRAP_HEADINGS, resampled),
    ):
        table = Table(title=name)
        for heading in headings:
            table.add_column(heading, justify="right")
        for row in cells:
            table.add_row(*row)
        console.print(table)
    console.print(machine())
    if arguments.write:
        load = f"load average {os.getloadavg()[1]:.0f} while measuring, of which a quiet machine has 1 to 2"
        lines = [f"{title}; median ratios of {arguments.repeats} turns; {load}.", ""]
        lines += [*markdown(HEADINGS, rows), ""]
        lines += ["The bootstrap from the values per species, with nothing ranked again:", ""]
        write_results(Path(__file__), [*lines, *markdown(BOOTSTRAP_HEADINGS, resampled)])


def ranked_row(arguments: argparse.Namespace, prevalence: float, advantage: float, unsurveyed: float) -> list[str]:
    """One case, timed."""
    rng = np.random.default_rng(arguments.seed)
    scores_MS = rng.standard_normal((arguments.sites, arguments.species), dtype=np.float32)
    truth_MS = np.empty(scores_MS.shape, dtype=np.int8)
    for truth_S, scores_S in zip(truth_MS, scores_MS, strict=True):
        truth_S[:] = rng.random(arguments.species, dtype=np.float32) < prevalence
        scores_S += advantage * truth_S
        truth_S[rng.random(arguments.species, dtype=np.float32) < unsurveyed] = -1
    truth_MS[0] = 1
    n_reference = min(arguments.reference, arguments.species)

    def package() -> np.ndarray:
        return average_precision(scores_MS, truth_MS)

    def loop() -> np.ndarray:
        values = []
        for i in range(n_reference):
            surveyed_M = truth_MS[:, i] >= 0
            values.append(average_precision_score(truth_MS[surveyed_M, i], scores_MS[surveyed_M, i]))
        return np.array(values)

    error = np.abs(package()[:n_reference] - loop()).max()
    ours, theirs = interleaved([package, loop], arguments.repeats)
    ours = [seconds / arguments.species for seconds in ours]
    theirs = [seconds / n_reference for seconds in theirs]
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    return [
        f"{prevalence:g}",
        f"{advantage:g}",
        f"{unsurveyed:g}",
        f"{statistics.median(theirs) * 1e6:,.0f}",
        f"{statistics.median(ours) * 1e6:,.1f}",
        f"{ratio:.1f}",
        f"{error:.1e}",
    ]


def bootstrap_row(species: int, seeds: int, seed: int, resamples: int = 1000) -> list[str]:
    """Time and memory of one cell's interval."""
    values_VS = np.random.default_rng(seed).random((seeds, species))
    cell = CellResult("data", "variant", tuple(range(seeds)), {"species_map": values_VS}, {}, species, 0)
    began = perf_counter()
    compare([cell], resamples=resamples)
    seconds = perf_counter() - began
    tracemalloc.start()
    compare([cell], resamples=resamples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return [f"{species:,}", str(seeds), f"{resamples:,}", f"{seconds:.2f}", f"{peak / 1e6:.0f}"]


def markdown(headings: list[str], rows: list[list[str]]) -> list[str]:
    """A table's lines."""
    return ["| " + " | ".join(cells) + " |" for cells in (headings, ["---:"] * len(headings), *rows)]


def interleaved(functions: list[Callable[[], np.ndarray]], repeats: int) -> list[list[float]]:
    """Seconds of each function in every turn."""
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for function, times in zip(functions, seconds, strict=True):
            start = perf_counter()
            function()
            times.append(perf_counter() - start)
    return seconds


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be an integer of at least 1")
    return int(text)


if __name__ == "__main__":
    main()
