"""What a study costs on each executor, in turns, against `dvc repro`, which runs one cell after the other.

Each turn makes the same cells anew in a copy of the project whose data set exists: training and evaluation, from the
command to DVC's record. The share of the cores is the CPU time of the whole machine over wall time x workers, so the
machine must do nothing else.

    python benchmarks/study.py
    python benchmarks/study.py --variants bce an_full --seeds 0 1 --epochs 3 --repeats 1
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from rich.console import Console
from ruamel.yaml import YAML

from results import write_results

ROOT = Path(__file__).parents[1]
RUN = (sys.executable, "-m", "presence_only.pipeline.run", "--cells-only")
# Name to command, and workers.
WAYS: Mapping[str, tuple[tuple[str, ...], int]] = {
    "`dvc repro`, 2 seeds at a time": ((sys.executable, "-m", "dvc", "repro", "-q", "train", "evaluate"), 2),
    "processes, 1 worker": ((*RUN, "--workers", "1"), 1),
    "processes, 2 workers": ((*RUN, "--workers", "2"), 2),
    "ray, 1 worker": ((*RUN, "--executor", "ray", "--workers", "1"), 1),
    "ray, 2 workers": ((*RUN, "--executor", "ray", "--workers", "2"), 2),
}


@dataclass(frozen=True)
class Cost:
    """Seconds of one turn: on the clock, and of all cores together."""

    wall: float
    cpu: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", help="names in params.yaml; default: all of the study")
    parser.add_argument("--seeds", nargs="+", type=int, help="default: those of the study")
    parser.add_argument("--epochs", type=int, help="length of training; default: that of the study")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    console = Console()
    costs: dict[str, list[Cost]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        n_cells, n_seeds = prepare(project, arguments)
        for turn in range(arguments.repeats):
            for way, (command, workers) in WAYS.items():
                forget(project)
                cost = timed(project, command, workers)
                costs[way].append(cost)
                console.print(f"turn {turn + 1}, {way}: {cost.wall:.1f} s, {cost.cpu:.1f} CPU s")
    medians = {
        way: Cost(*(statistics.median(getattr(cost, name) for cost in turns) for name in ("wall", "cpu")))
        for way, turns in costs.items()
    }
    baseline = next(iter(medians.values())).wall
    rows = [
        f"| {way} | {cost.wall:.1f} | {cost.wall / baseline:.2f} | {cost.cpu:.1f} | "
        f"{cost.cpu / (cost.wall * WAYS[way][1]):.2f} |"
        for way, cost in medians.items()
    ]
    write_results(
        Path(__file__),
        [
            f"{n_cells} cells of {n_seeds} seeds, trained and evaluated; {os.cpu_count()} cores; medians of "
            f"{arguments.repeats} turns.",
            "",
            "| way | wall (s) | ratio | CPU time of the machine (s) | CPU time / (wall x workers) |",
            "|---|---:|---:|---:|---:|",
            *rows,
            "",
            *on_paper(medians, n_cells * n_seeds),
        ],
    )


def on_paper(medians: Mapping[str, Cost], n_seeds: int) -> list[str]:
    """What larger machines would take: computed, from a part that does not shrink and one that is shared."""
    lines = [
        "Computed from it, not measured: the wall time with one and two workers is fixed + shared / workers. A",
        "seed is one task, so that nothing is faster than fixed + one seed. On Ray, `fixed` holds Ray's start.",
        "",
        "| executor | fixed (s) | shared (s) | 16 cores (s) | 100 machines of 16 (s) | and 20 x the seeds (s) |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in ("processes", "ray"):
        one, two = (medians[f"{name}, {workers}"].wall for workers in ("1 worker", "2 workers"))
        shared = 2 * (one - two)
        fixed = one - shared

        def wall(workers: int, times: int = 1, fixed: float = fixed, shared: float = shared) -> float:
            return fixed + shared / n_seeds * -(-n_seeds * times // workers)

        many = f"{wall(1600):.0f} | {wall(1600, 20):.0f}" if name == "ray" else "- | -"
        lines.append(f"| {name} | {fixed:.1f} | {shared:.1f} | {wall(16):.0f} | {many} |")
    return lines


def prepare(project: Path, arguments: argparse.Namespace) -> tuple[int, int]:
    """A copy of the project with the cells that were asked for, and its data set made; returns cells and seeds."""
    subprocess.run(["git", "clone", "-q", ROOT, project], check=True)
    yaml = YAML()
    params = yaml.load(project / "params.yaml")
    for name in ("variants", "seeds"):
        params["study"][name] = getattr(arguments, name) or params["study"][name]
    if arguments.epochs:
        params["training"]["epochs"] = arguments.epochs
    yaml.dump(params, project / "params.yaml")
    subprocess.run([sys.executable, "-m", "dvc", "repro", "-q", "code", "generate"], cwd=project, env=ENV, check=True)
    study = params["study"]
    return len(study["datasets"]) * len(study["variants"]), len(study["seeds"])


def forget(project: Path) -> None:
    """Remove what the last turn made, and what DVC knows of it."""
    for name in ("runs", ".cells", ".dvc/cache/runs", "results/metrics", "results/per_species"):
        shutil.rmtree(project / name, ignore_errors=True)
    subprocess.run(["git", "checkout", "-q", "dvc.lock"], cwd=project, check=True)
    subprocess.run(
        [sys.executable, "-m", "dvc", "commit", "-q", "-f", "code", "generate"], cwd=project, env=ENV, check=True
    )


def timed(project: Path, command: tuple[str, ...], workers: int) -> Cost:
    """What a command takes."""
    before, began = busy(), perf_counter()
    environment = ENV | {"PRESENCE_ONLY_WORKERS": str(workers)}
    subprocess.run(command, cwd=project, env=environment, check=True, stdout=subprocess.DEVNULL)
    return Cost(perf_counter() - began, busy() - before)


def busy() -> float:
    """CPU seconds that all cores together have worked since the machine started."""
    user, nice, system, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


ENV = os.environ | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
}

if __name__ == "__main__":
    main()
