"""How long does one training step take on a GPU: textbook, all logits and chunks, in float32, tf32 and bfloat16?

A step is everything but reading files: drawing the batch, encoder forward and backward, head, loss, Adam. The textbook
step is that of ``textbook.py`` with its data on the GPU: dropout as torch has it, sigmoid and log(p + 1e-5) on all
logits (Cole et al. 2023), ``torch.optim.Adam``. ``gemm`` is the step's matrix products alone, by plain ``torch.mm`` of
the same shapes in the same precision: no step can be faster, and its share of a step says how near that is.

Implementations take turns; a turn is several steps between two synchronisations, and medians are compared.

    python benchmarks/gpu.py                       # an_full at 10,000 and 50,000 species
    python benchmarks/gpu.py --loss bce
    python benchmarks/gpu.py --device cpu --small  # whether the script runs; nothing is written
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import torch
from step import LOSSES, make_data
from textbook import LEARNING_RATE, TEXTBOOK, textbook_an_full, textbook_model
from torch import Tensor

from presence_only.losses.base import TrainingCounts, parse_variant
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.model.settings import EncoderSettings
from presence_only.training.devices import exactness, rounded_products
from presence_only.training.fit import take_steps
from presence_only.training.loss_computation import make_loss_computation
from presence_only.training.settings import TrainingSettings
from results import write_results

IMPLEMENTATIONS = ("textbook", "all_logits", "chunks", "gemm")
PRECISIONS = ("float32", "tf32", "bf16")
SMALL = {"species": [300], "batch": 64, "width": 32, "depth": 1, "repeats": 2, "steps": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="a size that takes seconds, to try the script")
    parser.add_argument("--loss", choices=LOSSES, default="an_full")
    parser.add_argument("--species", type=int, nargs="+", default=[10_000, 50_000])
    parser.add_argument("--precisions", choices=PRECISIONS, nargs="+", default=list(PRECISIONS))
    parser.add_argument("--batch", type=int, default=2048, help="training rows, and as many background sites")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=9, help="turns of each")
    parser.add_argument("--steps", type=int, default=20, help="of a turn")
    arguments = parser.parse_args()
    if arguments.small:
        vars(arguments).update(SMALL)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: torch sees no GPU here; try the script by --device cpu --small")
    if arguments.device == "cpu":
        arguments.precisions = [precision for precision in arguments.precisions if precision != "tf32"]
    rows = []
    for species in arguments.species:
        for precision in arguments.precisions:
            seconds, mib = measure(arguments, species, precision)
            rows.append((species, precision, seconds, mib))
            print(species, precision, seconds, mib, flush=True)
    lines = report(arguments, rows)
    if arguments.device == "cpu":
        print("\n".join(lines))
        return
    card = re.sub(r"\W+", "_", torch.cuda.get_device_name()).strip("_").lower()
    suffix = "" if arguments.loss == "an_full" else f"_{arguments.loss}"
    print(write_results(Path(__file__), lines, name=f"gpu_{card}{suffix}").read_text())


def measure(arguments: argparse.Namespace, species: int, precision: str) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of a step, and the highest memory in MiB, of every implementation."""
    device = torch.device(arguments.device)
    own = argparse.Namespace(**vars(arguments) | {"species": species})
    seconds: dict[str, list[float]] = {name: [] for name in IMPLEMENTATIONS}
    mib: dict[str, float] = {}
    with exactness(precision, device):
        # One at a time, so that the memory is its own; then all take turns.
        for name in IMPLEMENTATIONS:
            mib[name] = highest_memory(make_steps(name, own, precision), device)
        steps = {name: make_steps(name, own, precision) for name in IMPLEMENTATIONS}
        for turn in range(arguments.repeats + 1):
            for name, step in steps.items():
                wait(device)
                start = perf_counter()
                for _ in range(arguments.steps):
                    next(step)
                wait(device)
                if turn:  # the first one warms up
                    seconds[name].append((perf_counter() - start) / arguments.steps)
    return {name: statistics.median(times) for name, times in seconds.items()}, mib


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def highest_memory(step: Iterator[object], device: torch.device) -> float:
    """MiB on the GPU at the highest of two steps, with weights and data; NaN on a CPU."""
    if device.type != "cuda":
        return float("nan")
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    next(step)
    next(step)
    wait(device)
    return torch.cuda.max_memory_allocated() / 2**20


def make_steps(name: str, arguments: argparse.Namespace, precision: str) -> Iterator[object]:
    """An iterator whose every element is one step."""
    device = torch.device(arguments.device)
    if name == "gemm":
        return matrix_products(arguments, precision)
    if name == "textbook":
        return textbook_steps(arguments, precision)
    data = make_data(arguments)
    settings = TrainingSettings(
        steps=10**6,
        batch_size=arguments.batch,
        background_batch_size=arguments.batch,
        device=arguments.device,
        loss_computation=name,
        precision=precision,
    )
    records_S = torch.from_numpy(data.records.records_per_species()).double().to(device)
    loss = parse_variant(LOSSES[arguments.loss], "loss").build(TrainingCounts(data.records.n_rows, records_S))
    torch.manual_seed(0)
    encoder = EncoderSettings(width=arguments.width, depth=arguments.depth, dropout=0.5, start="zero")
    model = RangeModel(Features(encoder, 0).fit(data), arguments.species).to(device)
    computation = make_loss_computation(name, model, loss, settings, 0)
    return take_steps(model, data, loss, computation, settings, 0)


def textbook_steps(arguments: argparse.Namespace, precision: str) -> Iterator[None]:
    """The step that the formulas suggest, on data that lie on the device."""
    device = torch.device(arguments.device)
    data = make_data(arguments)
    sites_N2 = torch.from_numpy(data.records.sites_N2).float().to(device)
    species_N = torch.from_numpy(data.records.species_P).to(device)
    model = textbook_model(arguments.species, arguments.width, arguments.depth).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    while True:
        index = torch.randint(len(sites_N2), (arguments.batch,), device=device)
        features, species = encode(sites_N2[index]), species_N[index]
        if arguments.loss == "an_full":
            features = torch.cat([features, encode(random_sites(len(features), device))])
        with rounded_products(precision, device):
            logits = model(features)
        if arguments.loss == "an_full":
            logits, far_logits = logits.float().split(arguments.batch)
            loss = textbook_an_full(logits, species, far_logits)
        else:
            targets = torch.zeros_like(logits, dtype=torch.float32)
            targets[torch.arange(len(species), device=device), species] = 1.0
            loss = TEXTBOOK[arguments.loss](logits.float(), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield


def encode(sites_N2: Tensor) -> Tensor:
    """Sines and cosines of longitude and latitude."""
    scaled_N2 = sites_N2 * torch.pi
    scaled_N2 = torch.stack([scaled_N2[:, 0] / 180, scaled_N2[:, 1] / 90], dim=1)
    return torch.cat([torch.sin(scaled_N2), torch.cos(scaled_N2)], dim=1)


def random_sites(n: int, device: torch.device) -> Tensor:
    """Uniform on the sphere."""
    longitude = 360 * torch.rand(n, device=device) - 180
    latitude = torch.rad2deg(torch.arcsin(2 * torch.rand(n, device=device) - 1))
    return torch.stack([longitude, latitude], dim=1)


def matrix_products(arguments: argparse.Namespace, precision: str) -> Iterator[None]:
    """Forward, weight gradient and input gradient of every layer and of the species head."""
    device, width, batch = torch.device(arguments.device), arguments.width, arguments.batch
    rows = batch * (2 if arguments.loss == "an_full" else 1)  # rows, and background sites
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32

    def matrix(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device, dtype=dtype)

    x, y, z = (matrix(rows, width) for _ in range(3))
    weight, weight_gradient = (matrix(width, width) for _ in range(2))
    species, species_gradient = (matrix(arguments.species, width) for _ in range(2))
    logits = matrix(batch, arguments.species)
    while True:
        for _ in range(2 * arguments.depth):
            torch.mm(x, weight, out=y)
            torch.mm(y.t(), x, out=weight_gradient)
            torch.mm(y, weight.t(), out=z)
        for part, gradient in zip(x.split(batch), z.split(batch), strict=True):
            torch.mm(part, species.t(), out=logits)
            torch.mm(logits.t(), part, out=species_gradient)
            torch.mm(logits, species, out=gradient)
        yield


def report(arguments: argparse.Namespace, rows: list[tuple[int, str, dict[str, float], dict[str, float]]]) -> list[str]:
    """The results as lines of Markdown."""
    far = f" + {arguments.batch} background sites" if arguments.loss == "an_full" else ""
    card = "CPU" if arguments.device == "cpu" else f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    ratios = (("textbook", "chunks"), ("all_logits", "chunks"), ("gemm", "chunks"))
    heads = ["species", "precision", *IMPLEMENTATIONS, *(f"{above} / {below}" for above, below in ratios)]
    lines = [
        f"{card}. Loss `{arguments.loss}`; batch {arguments.batch}{far}, width {arguments.width}, depth "
        f"{arguments.depth}. Milliseconds a step, medians of {arguments.repeats} turns of {arguments.steps} steps.",
        "",
        f"| {' | '.join(heads)} |",
        f"|{'---:|' * len(heads)}",
    ]
    for species, precision, seconds, _ in rows:
        cells = [f"{1000 * seconds[name]:.2f}" for name in IMPLEMENTATIONS]
        cells += [f"{seconds[above] / seconds[below]:.2f}" for above, below in ratios]
        lines.append(f"| {species:,} | {precision} | {' | '.join(cells)} |")
    if arguments.device == "cpu":
        return lines
    lines += ["", "Highest memory on the GPU, weights and data included, MiB:", ""]
    names = [name for name in IMPLEMENTATIONS if name != "gemm"]
    heads = ["species", "precision", *names, "chunks / textbook"]
    lines += [f"| {' | '.join(heads)} |", f"|{'---:|' * len(heads)}"]
    for species, precision, _, mib in rows:
        cells = [*(f"{mib[name]:,.0f}" for name in names), f"{mib['chunks'] / mib['textbook']:.2f}"]
        lines.append(f"| {species:,} | {precision} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
