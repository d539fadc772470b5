"""How long does one training step take, and how much memory: textbook, all logits, chunks and sampled species?

A step is everything: drawing the batch, encoder forward and backward, head, loss, Adam. The textbook step is
written here from the published formulas: single records from a DataLoader, dropout as torch has it, sigmoid and
log(p + 1e-5) on B x S (Cole et al. 2023), focal and asymmetric loss on multi-hot targets (Lin et al. 2017, Ridnik
et al. 2021). ``gemm`` is the step's matrix products alone, in buffers that stay in the cache: no step can be faster.

One thread; CPU time, so that other processes disturb little; implementations take turns, and medians are
compared. The heap is glibc's as it comes, or told to keep its pages: page faults are a large part of what the
textbook step costs. Peak memory is that of a fresh process above what its imports took.

    python benchmarks/step.py                               # an_full, all sizes, both heaps
    python benchmarks/step.py --loss bce --species 5000     # or focal, or asl
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time

import numpy as np
import torch
from heap import keep_pages, memory_mib
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from presence_only.data.records import Background, PresenceRecords
from presence_only.data.training import TrainingData
from presence_only.losses.base import TrainingCounts, parse_variant
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.model.settings import EncoderSettings
from presence_only.training.fit import take_steps
from presence_only.training.loss_computation import make_loss_computation
from presence_only.training.settings import TrainingSettings
from results import write_results

LOSSES = {
    "an_full": {"loss": "an_full"},
    "bce": {"loss": "bce"},
    "focal": {"loss": "focal"},
    "asl": {"loss": "asl"},
}
IMPLEMENTATIONS = ("textbook", "all_logits", "chunks", "sampled", "gemm")
POS_LAMBDA, EPSILON = 2048.0, 1e-5
ALPHA, GAMMA, CLIP = 0.25, 2.0, 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", choices=LOSSES, default="an_full")
    parser.add_argument("--species", type=int, nargs="+", default=[500, 1000, 5000, 10_000, 50_000])
    parser.add_argument("--implementations", choices=IMPLEMENTATIONS, nargs="+", default=list(IMPLEMENTATIONS))
    parser.add_argument("--heaps", choices=["default", "kept"], nargs="+", default=["default", "kept"])
    parser.add_argument("--batch", type=int, default=2048, help="training rows, and as many background sites")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--sampled", type=int, default=1024, help="species drawn a step by sampled")
    parser.add_argument("--repeats", type=int, default=9, help="turns of each; a third of them from 50,000 species")
    parser.add_argument("--no-memory", action="store_true", help="times only")
    parser.add_argument("--name", help="of the file of results; step_LOSS if left out")
    parser.add_argument("--measure", choices=["time", "memory"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps({"time": measure_time, "memory": measure_memory}[arguments.measure](arguments)))
        return
    rows = []
    for species in arguments.species:
        for heap in arguments.heaps:
            seconds = in_a_process(arguments, species, heap, arguments.implementations, "time")
            mib = {}
            if not arguments.no_memory:
                for name in set(arguments.implementations) - {"gemm"}:
                    mib |= in_a_process(arguments, species, heap, [name], "memory")
            rows.append({"species": species, "heap": heap, "seconds": seconds, "mib": mib})
            print(json.dumps(rows[-1]), flush=True)
    path = write_results(Path(__file__), report(arguments, rows), name=arguments.name or f"step_{arguments.loss}")
    print(path.read_text())


def in_a_process(arguments: argparse.Namespace, species: int, heap: str, names: list[str], what: str) -> dict:
    """Measure in a fresh process."""
    repeats = max(3, arguments.repeats // 3) if species >= 50_000 else arguments.repeats
    own = {"species": species, "heaps": heap, "repeats": repeats, "measure": what}
    same = {key: getattr(arguments, key) for key in ("loss", "batch", "width", "depth", "sampled")}
    options = [str(part) for key, value in (own | same).items() for part in (f"--{key}", value)]
    command = [sys.executable, __file__, *options, "--implementations", *names]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure_time(arguments: argparse.Namespace) -> dict[str, float]:
    """Median CPU seconds a step, implementations taking turns."""
    prepare(arguments)
    steps = {name: make_steps(name, arguments) for name in arguments.implementations}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(arguments.repeats + 1):
        for name, step in steps.items():
            start = process_time()
            next(step)
            if turn:  # the first one warms up
                seconds[name].append(process_time() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}


def measure_memory(arguments: argparse.Namespace) -> dict[str, float]:
    """MiB above the imports at the highest of two steps."""
    prepare(arguments)
    before = memory_mib("VmRSS")
    (name,) = arguments.implementations
    step = make_steps(name, arguments)
    next(step)
    next(step)
    return {name: memory_mib("VmHWM") - before}


def prepare(arguments: argparse.Namespace) -> None:
    """One thread, and the heap asked for."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # as the package's workers do
    if arguments.heaps == ["kept"]:
        keep_pages()
    (arguments.species,) = arguments.species


def make_steps(name: str, arguments: argparse.Namespace) -> Iterator[object]:
    """An iterator whose every element is one step."""
    if name == "gemm":
        return matrix_products(arguments)
    data = make_data(arguments)
    if name == "textbook":
        return textbook_steps(data, arguments)
    settings = TrainingSettings(
        steps=10**6,
        batch_size=arguments.batch,
        background_batch_size=arguments.batch,
        device="cpu",
        loss_computation=name,
        sampled_species=arguments.sampled if name == "sampled" else None,
    )
    records_S = torch.from_numpy(data.records.records_per_species()).double()
    variant = parse_variant(LOSSES[arguments.loss], "loss")
    loss = variant.build(TrainingCounts(data.records.n_rows, records_S))
    torch.manual_seed(0)
    encoder = EncoderSettings(width=arguments.width, depth=arguments.depth)
    model = RangeModel(Features(encoder, 0).fit(data), arguments.species)
    computation = make_loss_computation(name, model, loss, settings, 0)
    return take_steps(model, data, loss, computation, settings, 0)


def make_data(arguments: argparse.Namespace) -> TrainingData:
    """Random records, a few common species and many rare ones, and random background sites."""
    rng = np.random.default_rng(0)
    n_species = arguments.species
    n_rows = max(20 * arguments.batch, 10 * n_species)
    share_S = 1 / np.arange(1, n_species + 1)
    drawn = rng.choice(n_species, n_rows - n_species, p=share_S / share_S.sum())
    species_P = rng.permutation(np.concatenate([np.arange(n_species), drawn]))

    def sites(n: int) -> np.ndarray:
        return np.stack([rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))], axis=1)

    names = tuple(f"species_{i}" for i in range(n_species))
    nothing = np.zeros((n_rows, 0), dtype=np.float32)
    records = PresenceRecords(sites(n_rows), nothing, np.arange(n_rows), species_P, names, ("all",) * n_species)
    return TrainingData(records, Background("uniform", sites(n_rows), nothing))


class SingleRecords(Dataset):
    """One record at a time, as a DataLoader wants them."""

    def __init__(self, data: TrainingData) -> None:
        self.features_N4 = encode(torch.from_numpy(data.records.sites_N2).float())
        self.species_N = torch.from_numpy(data.records.species_P)

    def __len__(self) -> int:
        return len(self.species_N)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.features_N4[index], self.species_N[index]


class TextbookBlock(nn.Module):
    """A residual block as one writes it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, width), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return x + self.layers(x)


def encode(sites_N2: Tensor) -> Tensor:
    """Sines and cosines of longitude and latitude."""
    scaled_N2 = sites_N2 / torch.tensor([180.0, 90.0]) * math.pi
    return torch.cat([torch.sin(scaled_N2), torch.cos(scaled_N2)], dim=1)


def random_sites(n: int) -> Tensor:
    """Uniform on the sphere."""
    longitude = 360 * torch.rand(n) - 180
    latitude = torch.rad2deg(torch.arcsin(2 * torch.rand(n) - 1))
    return torch.stack([longitude, latitude], dim=1)


def textbook_steps(data: TrainingData, arguments: argparse.Namespace) -> Iterator[float]:
    """The step that the formulas suggest."""
    torch.manual_seed(0)
    blocks = [TextbookBlock(arguments.width) for _ in range(arguments.depth)]
    encoder = nn.Sequential(nn.Linear(4, arguments.width), nn.ReLU(), *blocks)
    head = nn.Linear(arguments.width, arguments.species, bias=False)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=5e-4)
    loader = DataLoader(SingleRecords(data), batch_size=arguments.batch, shuffle=True, drop_last=True)
    while True:
        for features, species in loader:
            if arguments.loss == "an_full":
                far = encode(random_sites(len(features)))
                logits, far_logits = head(encoder(torch.cat([features, far]))).split(len(features))
                loss = textbook_an_full(logits, species, far_logits)
            else:
                logits = head(encoder(features))
                targets = torch.zeros_like(logits)
                targets[torch.arange(len(species)), species] = 1.0
                loss = TEXTBOOK[arguments.loss](logits, targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.item()


def textbook_an_full(logits: Tensor, species: Tensor, far_logits: Tensor) -> Tensor:
    """L_AN-full of Cole et al. (2023), with their constant inside the logarithms."""
    p, far_p = torch.sigmoid(logits), torch.sigmoid(far_logits)
    terms = -torch.log(1 - p + EPSILON)
    rows = torch.arange(len(species), device=species.device)
    terms[rows, species] = -POS_LAMBDA * torch.log(p[rows, species] + EPSILON)
    return terms.mean() + (-torch.log(1 - far_p + EPSILON)).mean()


def textbook_focal(logits: Tensor, targets: Tensor) -> Tensor:
    """Lin et al. (2017)."""
    p = torch.sigmoid(logits)
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    alpha_t = ALPHA * targets + (1 - ALPHA) * (1 - targets)
    return (alpha_t * (1 - p_t) ** GAMMA * cross_entropy).mean()


def textbook_asl(logits: Tensor, targets: Tensor) -> Tensor:
    """Ridnik et al. (2021), gamma+ = 0."""
    p = torch.sigmoid(logits)
    q_m = (1 - p + CLIP).clamp(max=1)
    log_present = targets * torch.log(p.clamp(min=1e-8))
    log_absent = (1 - targets) * torch.log(q_m.clamp(min=1e-8))
    return -(log_present + (1 - q_m) ** GAMMA * log_absent).mean()


TEXTBOOK: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bce": functional.binary_cross_entropy_with_logits,
    "focal": textbook_focal,
    "asl": textbook_asl,
}


def matrix_products(arguments: argparse.Namespace, chunk: int = 256) -> Iterator[None]:
    """Forward, weight gradient and input gradient of every layer, in buffers made once."""
    batch, width = arguments.batch, arguments.width
    blocks = 2 if arguments.loss == "an_full" else 1  # rows, and background sites
    x, y, z = (torch.randn(blocks * batch, width) for _ in range(3))
    weight, weight_gradient = torch.randn(width, width), torch.randn(width, width)
    species, species_gradient = torch.randn(arguments.species, width), torch.zeros(arguments.species, width)
    flat = torch.empty(batch * chunk)
    while True:
        for _ in range(2 * arguments.depth):
            torch.mm(x, weight, out=y)
            torch.mm(y.t(), x, out=weight_gradient)
            torch.mm(y, weight.t(), out=z)
        for block in range(blocks):
            rows = slice(block * batch, (block + 1) * batch)
            for start in range(0, len(species), chunk):
                part = species[start : start + chunk]
                logits = flat[: batch * len(part)].view(batch, len(part))
                torch.mm(x[rows], part.t(), out=logits)
                torch.mm(logits.t(), x[rows], out=species_gradient[start : start + chunk])
                torch.addmm(z[rows], logits, part, beta=0.0, out=z[rows])
        yield


def report(arguments: argparse.Namespace, rows: list[dict]) -> list[str]:
    """The results as lines of Markdown."""
    far = f" + {arguments.batch} background sites" if arguments.loss == "an_full" else ""
    lines = [
        f"Loss `{arguments.loss}`; batch {arguments.batch}{far}, width {arguments.width}, depth {arguments.depth}, "
        f"{arguments.sampled} species drawn by sampled. One thread, CPU seconds a step, medians of "
        f"{arguments.repeats} turns ({max(3, arguments.repeats // 3)} from 50,000 species).",
        "",
    ]
    names = [name for name in IMPLEMENTATIONS if name in arguments.implementations]
    lines += table(
        rows, "seconds", names, [("textbook", "chunks"), ("textbook", "sampled"), ("gemm", "chunks")], "{:.3f}"
    )
    if not arguments.no_memory:
        names = [name for name in names if name != "gemm"]
        lines += ["", "Highest memory above the imports, MiB:", ""]
        lines += table(rows, "mib", names, [("chunks", "textbook"), ("sampled", "textbook")], "{:,.0f}")
    return lines


def table(rows: list[dict], key: str, names: list[str], ratios: list[tuple[str, str]], form: str) -> list[str]:
    """A row for every size and heap, with some values over others."""
    ratios = [pair for pair in ratios if set(pair) <= set(names)]
    heads = ["species", "heap", *names, *(f"{above} / {below}" for above, below in ratios)]
    lines = [f"| {' | '.join(heads)} |", f"|{'---:|' * len(heads)}"]
    for row in rows:
        values = row[key]
        cells = [f"{row['species']:,}", row["heap"], *(form.format(values[name]) for name in names)]
        cells += [f"{values[above] / values[below]:.2f}" for above, below in ratios]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
