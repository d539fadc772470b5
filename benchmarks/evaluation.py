"""What does the evaluation of a cell cost, in CPU seconds, against the package as it was at another commit?

A cell is a data set under a variant, here with four trained seeds. Both sides read it from files and write its tables
and metrics, in one process with one thread and the heap of a worker; the older code ran a process per seed, whose
start is not counted against it. Sides take turns in fresh processes. A worker scores cell after cell, so every process
scores the cell a second time, as if it were the next one of the same data set. Imports are counted apart.

Cells: `default`, the kind `virtual` with its defaults; `small`, 40 species with 3,000 records at 500 sites, where half
of the species are surveyed at each site, as in the tables of NCEAS. The tables of both sides must have the same bytes.

    git worktree add ../before COMMIT
    python benchmarks/evaluation.py --before ../before/src
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from presence_only.common.one_thread import use_one_thread
from presence_only.data.dataset import Dataset
from presence_only.data.survey import Survey
from presence_only.data.truth import SurveyTruth
from presence_only.datasets.virtual import DatasetSettings, build
from presence_only.losses.base import parse_variant
from presence_only.model.files import save_model
from presence_only.model.settings import EncoderSettings
from presence_only.training.fit import fit
from presence_only.training.settings import TrainingSettings
from results import write_results

SEEDS = (0, 1, 2, 3)
CELLS = ("default", "small")
# Names of the files that both sides write.
TABLES = ("per_species", "per_site", "curves", "maps")
CHILD = """
import json, resource, sys
from functools import partial
from pathlib import Path

def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))

cell, out, seeds = Path(sys.argv[1]), Path(sys.argv[2]), tuple(json.loads(sys.argv[3]))
began = used()
import polars as pl
from presence_only.common.atomic_files import write_json
from presence_only.evaluation import seed_scores
try:
    from presence_only.execution.heap import keep_pages
except ImportError:
    from presence_only.pipeline.workers import keep_pages
imports, empty = used() - began, peak()
keep_pages()

def quiet(*_):
    pass

def score():
    if hasattr(seed_scores, "score_cell"):
        inputs = {"training": cell / "training", "survey": cell / "survey"}
        inputs |= {f"encoder_{seed}": cell / f"seed_{seed}" for seed in seeds}
        seed_scores.score_cell(seeds, inputs, out, quiet)
        return
    encoder = lambda seed: cell / f"seed_{seed}" / "encoder.pt"
    evaluate = partial(seed_scores.evaluate_seed, cell / "training", cell / "survey", encoder, seeds[0])
    results = [evaluate(seed, quiet) for seed in seeds]
    for name in sys.argv[4:]:
        tables = [getattr(result, name) for result in results]
        pl.concat([table for table in tables if table is not None]).write_parquet(out / f"{name}.parquet")
    summary = seed_scores.summarise([result.numbers for result in results], seeds)
    write_json(out / "metrics.json", summary | seed_scores.ensemble([encoder(s) for s in seeds], cell / "survey"))

times = []
for _ in range(2):
    began = used()
    score()
    times.append(used() - began)
print(json.dumps({"imports": imports, "first": times[0], "next": times[1], "memory": peak() - empty}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="folder `src` of a checkout of the older commit")
    parser.add_argument("--epochs", type=int, default=2, help="length of training of the seeds, by default %(default)s")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    use_one_thread()
    sources = {"before": arguments.before.resolve(), "now": Path(__file__).parents[1] / "src"}
    lines = [
        f"CPU seconds, medians of {arguments.repeats} processes a side, in turns; load average at the start "
        f"{os.getloadavg()[0]:.0f}. Memory: by how much the highest resident memory (VmHWM) grew after the imports.",
        "",
        "| cell | code | imports (s) | first cell (s) | next cell of the data set (s) | memory (MB) |",
        "|---|---|--:|--:|--:|--:|",
    ]
    ratios = []
    with tempfile.TemporaryDirectory(prefix="presence-only-") as folder:
        for name in CELLS:
            cell = Path(folder, name)
            make_cell(name, cell, arguments.epochs)
            found: dict[str, list[dict[str, float]]] = {side: [] for side in sources}
            for _ in range(arguments.repeats):
                for side, source in sources.items():
                    found[side].append(measure(cell, cell / side, source))
            check_equal(cell / "before", cell / "now")
            for side, turns in found.items():
                middle = {key: statistics.median(turn[key] for turn in turns) for key in turns[0]}
                lines.append(
                    f"| {name} | {side} | {middle['imports']:.2f} | {middle['first']:.3f} | {middle['next']:.3f} | "
                    f"{middle['memory']:.0f} |"
                )
            turns = list(zip(found["now"], found["before"], strict=True))
            shares = [[now[key] / before[key] for now, before in turns] for key in ("first", "next")]
            ratios.append(f"| {name} | " + " | ".join(spread(values) for values in shares) + " |")
    lines += [
        "",
        "Share of the older code's CPU time, pair by pair of neighbouring processes: median (lowest to highest).",
        "",
    ]
    lines += ["| cell | first cell | next cell of the data set |", "|---|--:|--:|", *ratios]
    lines += ["", "Metrics and tables of both sides have the same bytes."]
    write_results(Path(__file__), lines)
    Console(width=120).print("\n".join(lines))


def make_cell(name: str, folder: Path, epochs: int) -> None:
    """Write a data set and four trained seeds, in a form that the older code reads too."""
    species, records = (500, 50_000) if name == "default" else (40, 3_000)
    dataset = build(DatasetSettings(kind="virtual", species=species, records=records))
    if name == "small":
        dataset = replace(dataset, survey=thinned(dataset))
    dataset.training.save(folder / "training")
    dataset.save_survey(folder / "survey")
    loss, encoder = parse_variant({"loss": "bce"}, "bce"), EncoderSettings(start="zero", dropout=0.2)
    training = TrainingSettings(epochs=epochs, learning_rate=0.005)
    for seed in SEEDS:
        model, _ = fit(dataset.training, loss, encoder, training, seed)
        save_model(model, folder / f"seed_{seed}" / "encoder.pt")
        print(f"{name}: seed {seed} trained", flush=True)


def thinned(dataset: Dataset) -> Survey:
    """The survey at 500 sites, with half of the species at each: those of even number, or the others."""
    rng, survey = np.random.default_rng(0), dataset.survey
    kept_M = np.sort(rng.permutation(len(survey.sites_M2))[:500])
    truth_MS = survey.truth.matrix()[kept_M]
    truth_MS[np.arange(500)[:, None] % 2 != np.arange(truth_MS.shape[1]) % 2] = -1
    return replace(
        survey,
        sites_M2=survey.sites_M2[kept_M],
        covariates_MC=survey.covariates_MC[kept_M],
        truth=SurveyTruth.of_matrix(truth_MS),
    )


def measure(cell: Path, out: Path, source: Path) -> dict[str, Any]:
    """What a fresh process reports of itself that evaluates a cell by the code in a folder."""
    out.mkdir(exist_ok=True)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
    command = [sys.executable, "-c", CHILD, str(cell), str(out), json.dumps(SEEDS), *TABLES]
    environment = os.environ | threads | {"PYTHONPATH": str(source)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout)


def check_equal(before: Path, now: Path) -> None:
    """Stop unless both sides wrote the same bytes."""
    for file in [f"{name}.parquet" for name in TABLES] + ["metrics.json"]:
        if (before / file).read_bytes() != (now / file).read_bytes():
            raise SystemExit(f"error: {file} of {now.parent.name} differs between the two sides")


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
