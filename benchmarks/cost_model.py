"""The cost model of docs/scaling.md: its constants measured here, and what follows from them.

    time a step = rows * (encoder + species * (6 * width / rate + curve)) + species * width * adam

``rate`` is the speed of the head's matrix products, ``encoder`` a row's share of the encoder's forward and backward
pass with the batch and Adam of the encoder, ``curve`` the cost of one logit's value and slope, ``adam`` of updating
one number of the species matrix. A step on sampled species has those it takes in place of all, and its own Adam. One
thread, CPU time, medians. Everything beyond the table of constants is computed, not measured.

    python benchmarks/cost_model.py
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from time import process_time

import torch

from presence_only.losses.base import TrainingCounts, parse_variant
from presence_only.losses.chunks import loss_in_chunks
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.model.settings import EncoderSettings
from presence_only.training.row_optimizers import RowAdam
from results import write_results

BATCH, DEPTH, DROPOUT = 2048, 4, 0.5
ROWS = 2 * BATCH  # records, and as many background sites
SPECIES = 4000
CURVES = {"bce": {}, "focal": {}, "asl": {}, "an_full_me": {}}
CASES = (
    ("a small study, its encoder 256 wide", 500, 50_000),
    ("iNaturalist as SINR has it", 47_000, 35_000_000),
    ("all described species, roughly", 1_000_000, 1_000_000_000),
)
TAKEN = 1024 + 1500  # species drawn, and observed in a batch of many species


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    lines = ["| constant | width 64 | width 128 | width 256 |", "|:--|---:|---:|---:|"]
    widths = (64, 128, 256)
    products = {width: product_seconds(width, repeats) for width in widths}
    rate = {width: 6 * width / products[width] / 1e9 for width in widths}
    lines.append(f"| rate, GFLOP/s | {' | '.join(f'{rate[width]:.0f}' for width in widths)} |")
    curve = {name: {width: loss_seconds(name, width, repeats) - products[width] for width in widths} for name in CURVES}
    for name, values in curve.items():
        lines.append(f"| curve `{name}`, ns a logit | {' | '.join(f'{values[w] * 1e9:.1f}' for w in widths)} |")
    encoder = {width: encoder_seconds(width, repeats) for width in widths}
    lines.append(f"| encoder, us a row | {' | '.join(f'{encoder[w] * 1e6:.1f}' for w in widths)} |")
    adam = {width: adam_seconds(width, repeats) for width in widths}
    lines.append(f"| adam, ns a number | {' | '.join(f'{adam[w] * 1e9:.1f}' for w in widths)} |")
    row_adam = {width: row_adam_seconds(width, repeats) for width in widths}
    lines.append(f"| Adam of sampled species, ns a number | {' | '.join(f'{row_adam[w] * 1e9:.1f}' for w in widths)} |")

    lines += [
        "",
        f"Computed from it, width 256, {BATCH} records and {BATCH} background sites a step, `bce` curve; a sampled "
        f"step takes {TAKEN:,} species:",
        "",
        "| case | species | records | exact, s a step | sampled, s a step | exact, core days an epoch | "
        "sampled, core days an epoch | species matrix with gradient and moments, GiB |",
        "|:--|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for case, n_species, n_records in CASES:
        pair = products[256] + curve["bce"][256]
        exact = ROWS * (encoder[256] + n_species * pair) + n_species * 256 * adam[256]
        taken = min(TAKEN, n_species)
        sampled = ROWS * (encoder[256] + taken * pair) + taken * 256 * row_adam[256]
        steps = n_records / BATCH
        days = (f"{seconds * steps / 86400:,.3g}" for seconds in (exact, sampled))
        lines.append(
            f"| {case} | {n_species:,} | {n_records:,} | {exact:.2f} | {sampled:.2f} | {' | '.join(days)} | "
            f"{n_species * 256 * 4 * 4 / 2**30:.2f} |"
        )
    print(write_results(Path(__file__), lines).read_text())


def median_seconds(function: Callable[[], object], repeats: int) -> float:
    """Median CPU seconds of a call."""
    times = []
    for turn in range(repeats + 1):
        start = process_time()
        function()
        if turn:
            times.append(process_time() - start)
    return statistics.median(times)


def product_seconds(width: int, repeats: int, chunk: int = 320) -> float:
    """The head's three matrix products, seconds a pair of row and species."""
    row_BD, part_CD, logits_BC = torch.randn(BATCH, width), torch.randn(chunk, width), torch.empty(BATCH, chunk)
    gradient_CD, gradient_BD = torch.zeros(chunk, width), torch.zeros(BATCH, width)

    def products() -> None:
        for _ in range(SPECIES // chunk):
            torch.mm(row_BD, part_CD.t(), out=logits_BC)
            gradient_CD.addmm_(logits_BC.t(), row_BD)
            gradient_BD.addmm_(logits_BC, part_CD)

    return median_seconds(products, repeats) / (SPECIES // chunk * chunk * BATCH)


def loss_seconds(name: str, width: int, repeats: int) -> float:
    """The loss in chunks, seconds a pair of row and species."""
    counts = TrainingCounts(BATCH, torch.ones(SPECIES, dtype=torch.float64))
    loss = parse_variant({"loss": name}, name).build(counts)
    near, far = (torch.randn(BATCH, width).relu().requires_grad_() for _ in range(2))
    species = (torch.randn(SPECIES, width) * 0.05 - 0.02).requires_grad_()
    background = far if loss.needs_background else None
    species_P = torch.randint(SPECIES, (BATCH,))

    def step() -> None:
        loss_in_chunks(loss, near, species, torch.arange(BATCH), species_P, background_KD=background).backward()
        near.grad = far.grad = species.grad = None

    return median_seconds(step, repeats) / (BATCH * SPECIES * (1 if background is None else 2))


def encoder_seconds(width: int, repeats: int) -> float:
    """The encoder's two passes and its Adam, seconds a row."""
    settings = EncoderSettings(width=width, depth=DEPTH, dropout=DROPOUT, start="zero")
    model = RangeModel(Features(settings, 0), 1)
    optimizer = torch.optim.Adam(model.encoder.parameters(), fused=True)
    features, gradient = torch.randn(ROWS, 4), torch.randn(ROWS, width)

    def step() -> None:
        optimizer.zero_grad()
        model.embed(features).backward(gradient)
        optimizer.step()

    return median_seconds(step, repeats) / ROWS


def adam_seconds(width: int, repeats: int) -> float:
    """Adam on a species matrix, seconds a number."""
    matrix = torch.randn(SPECIES, width).requires_grad_()
    matrix.grad = torch.randn(SPECIES, width)
    optimizer = torch.optim.Adam([matrix], fused=True)
    return median_seconds(optimizer.step, repeats) / matrix.numel()


def row_adam_seconds(width: int, repeats: int) -> float:
    """Adam of sampled species with taking the rows, seconds a number taken."""
    optimizer = RowAdam(torch.randn(10 * SPECIES, width))
    rows, gradient = torch.arange(SPECIES) * 10, torch.randn(SPECIES, width)

    def step() -> None:
        optimizer.rows(rows)
        optimizer.step(rows, gradient, 1e-3)

    return median_seconds(step, repeats) / gradient.numel()


if __name__ == "__main__":
    main()
