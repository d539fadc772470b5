"""How much faster is a study with one single-threaded process a core than one run after the other with all threads?

Trains the same cells and seeds of params.yaml both ways, cell by cell in turns, so that a busy machine
slows both: as the training stage does (seeds side by side, one thread each), and one seed after the
other in one process with a thread a core. Both include starting the processes and reading the data.

    python benchmarks/study.py --variants bce asl_g2_m005 an_full an_l16 --epochs 3
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter

import torch
from rich.console import Console

from presence_only.common.one_thread import use_one_thread
from presence_only.data.training import TrainingData
from presence_only.datasets import build_dataset
from presence_only.pipeline.progress import of_training
from presence_only.pipeline.workers import Report, run_side_by_side
from presence_only.study.params import Params, load_params
from presence_only.study.paths import DatasetFiles
from presence_only.training.fit import fit
from presence_only.training.variant import Variant
from results import write_results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", help="names in params.yaml; default: all of the study")
    parser.add_argument("--epochs", type=int, default=3, help="length of training (the study's own is longer)")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    params = load_params()
    dataset = params.study.datasets[0]
    folder = DatasetFiles(dataset).training
    if not folder.exists():
        build_dataset(params.dataset(dataset)).training.save(folder)
    console, rows = Console(), []
    for name in arguments.variants or params.study.variants:
        variant = params.variant(name)
        variant = replace(variant, training=variant.training.model_copy(update={"epochs": arguments.epochs}))
        together, alone = [], []
        for _ in range(arguments.repeats):
            together.append(timed(partial(side_by_side, folder, variant, params)))
            alone.append(timed(partial(one_after_the_other, folder, variant, params)))
        ours, baseline = statistics.median(together), statistics.median(alone)
        rows.append((name, ours, baseline))
        console.print(f"{name}: {ours:.1f} s side by side, {baseline:.1f} s one after the other: {ours / baseline:.2f}")
    total = ("all", sum(row[1] for row in rows), sum(row[2] for row in rows))
    table = [
        f"| {name} | {ours:.1f} | {baseline:.1f} | {ours / baseline:.2f} |" for name, ours, baseline in [*rows, total]
    ]
    write_results(
        Path(__file__),
        [
            f"{len(params.study.seeds)} seeds, {arguments.epochs} epochs, {os.cpu_count()} cores; medians of "
            f"{arguments.repeats} runs in turns.",
            "",
            "| variant | side by side, one thread each (s) | one after the other, all threads (s) | ratio |",
            "|---|---:|---:|---:|",
            *table,
        ],
    )


def timed(run: partial[None]) -> float:
    """Seconds of a run in a fresh process, as every stage is one."""
    began = perf_counter()
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"a run failed with exit code {process.exitcode}")
    return perf_counter() - began


def side_by_side(folder: Path, variant: Variant, params: Params) -> None:
    """Every seed in a single-threaded process, one a core."""
    run_side_by_side(partial(train, folder, variant), params.study.seeds, of_training("side", "by side"))


def one_after_the_other(folder: Path, variant: Variant, params: Params) -> None:
    """One seed after the other with a thread a core."""
    torch.set_num_threads(os.cpu_count() or 1)
    torch.set_flush_denormal(True)
    data = TrainingData.load(folder)
    for seed in params.study.seeds:
        fit(data, variant.loss, variant.encoder, variant.training, seed)


def train(folder: Path, variant: Variant, seed: int, report: Report) -> None:
    """What the training stage does for a seed, without writing."""
    use_one_thread()
    fit(TrainingData.load(folder), variant.loss, variant.encoder, variant.training, seed)
    report(1, 1, 0.0)


if __name__ == "__main__":
    main()
