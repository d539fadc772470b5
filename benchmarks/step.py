"""How long does one training step take, and how much memory: textbook, all logits, chunks and sampled species?

A step is everything: drawing the batch, encoder forward and backward, head, loss, Adam. The package's steps are taken
as its stage ``train`` takes them: the C library's heap keeps its pages, and denormal numbers are 0. The textbook step
(``textbook.py``) runs as one starts it, on the heap as it comes; ``textbook_kept`` is the same on a kept
heap, as page faults are a large part of what the textbook step costs. ``gemm`` is the step's matrix products alone, in
buffers that stay in the cache: no step can be faster.

One thread; CPU time, so that other processes disturb little. Every implementation is a process of its own, and the
processes take turns, a step each; medians are compared. Peak memory is that of a fresh process above what its imports
took.

    python benchmarks/step.py                               # an_full, all sizes
    python benchmarks/step.py --loss bce --species 5000     # or focal, or asl
    python benchmarks/step.py --loss softmax --species 1000 10000
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import numpy as np
import torch
from heap import keep_pages, memory_mib
from textbook import textbook_model, textbook_steps

from presence_only.common.one_thread import use_one_thread
from presence_only.data.records import Background, PresenceRecords
from presence_only.data.training import TrainingData
from presence_only.losses.base import TrainingCounts, parse_variant
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.model.settings import EncoderSettings
from presence_only.training.fit import take_steps
from presence_only.training.loss_computation import make_loss_computation
from presence_only.training.settings import TrainingSettings
from presence_only.training.start import start_logits
from results import write_results

LOSSES = {
    "an_full": {"loss": "an_full"},
    "bce": {"loss": "bce"},
    "focal": {"loss": "focal"},
    "asl": {"loss": "asl"},
    "softmax": {"loss": "softmax"},
}
IMPLEMENTATIONS = ("textbook", "textbook_kept", "all_logits", "chunks", "sampled", "gemm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", choices=LOSSES, default="an_full")
    parser.add_argument("--species", type=int, nargs="+", default=[500, 1000, 5000, 10_000, 50_000])
    parser.add_argument("--implementations", choices=IMPLEMENTATIONS, nargs="+", default=list(IMPLEMENTATIONS))
    parser.add_argument("--batch", type=int, default=2048, help="training rows, and as many background sites")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--sampled", type=int, default=1024, help="species drawn a step by sampled")
    parser.add_argument("--repeats", type=int, default=9, help="turns of each; a third of them from 50,000 species")
    parser.add_argument("--no-memory", action="store_true", help="times only")
    parser.add_argument("--name", help="of the file of results; step_LOSS if left out")
    parser.add_argument("--serve", choices=["time", "memory"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        {"time": serve_steps, "memory": serve_memory}[arguments.serve](arguments)
        return
    rows = []
    for species in arguments.species:
        row = {"species": species, "seconds": measure_time(arguments, species), "mib": {}}
        if not arguments.no_memory:
            for name in set(arguments.implementations) - {"gemm"}:
                process = start_process(arguments, species, name, "memory")
                row["mib"][name] = float(process.communicate()[0])
        rows.append(row)
        print(json.dumps(row), flush=True)
    path = write_results(Path(__file__), report(arguments, rows), name=arguments.name or f"step_{arguments.loss}")
    print(path.read_text())


def turns(arguments: argparse.Namespace, species: int) -> int:
    """Steps of each implementation that count."""
    return max(3, arguments.repeats // 3) if species >= 50_000 else arguments.repeats


def start_process(arguments: argparse.Namespace, species: int, name: str, what: str) -> subprocess.Popen[str]:
    """Start a process for one implementation."""
    own = {"species": species, "implementations": name, "serve": what}
    same = {key: getattr(arguments, key) for key in ("loss", "batch", "width", "depth", "sampled")}
    options = [str(part) for key, value in (own | same).items() for part in (f"--{key}", value)]
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, __file__, *options], stdin=pipe, stdout=pipe, text=True)


def measure_time(arguments: argparse.Namespace, species: int) -> dict[str, float]:
    """Median CPU seconds a step; every turn is a step of each implementation, one after the other."""
    processes = {name: start_process(arguments, species, name, "time") for name in arguments.implementations}
    seconds: dict[str, list[float]] = {name: [] for name in processes}
    for turn in range(turns(arguments, species) + 2):
        for name, process in processes.items():
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("step\n")
            process.stdin.flush()
            took = float(process.stdout.readline())
            if turn > 1:  # the first two warm up
                seconds[name].append(took)
    for process in processes.values():
        process.communicate()
    return {name: statistics.median(times) for name, times in seconds.items()}


def serve_steps(arguments: argparse.Namespace) -> None:
    """For every line that comes in take a step, and say how long it took."""
    steps = prepare(arguments)
    for _ in sys.stdin:
        start = process_time()
        next(steps)
        print(process_time() - start, flush=True)


def serve_memory(arguments: argparse.Namespace) -> None:
    """Say how many MiB above the imports two steps took at their highest."""
    before = memory_mib("VmRSS")
    steps = prepare(arguments)
    next(steps)
    next(steps)
    print(memory_mib("VmHWM") - before)


def prepare(arguments: argparse.Namespace) -> Iterator[object]:
    """The steps of one implementation, as whoever uses it runs them."""
    (arguments.species,) = arguments.species
    (name,) = arguments.implementations
    torch.set_num_threads(1)
    if name != "textbook":
        keep_pages()
    if not name.startswith("textbook"):
        use_one_thread()
    return make_steps(name, arguments)


def make_steps(name: str, arguments: argparse.Namespace) -> Iterator[object]:
    """An iterator whose every element is one step."""
    if name == "gemm":
        return matrix_products(arguments)
    data = make_data(arguments)
    if name.startswith("textbook"):
        model = textbook_model(arguments.species, arguments.width, arguments.depth)
        return textbook_steps(model, data, arguments.loss, arguments.batch)
    return package_steps(LOSSES[arguments.loss], name, data, arguments)


def package_steps(
    raw: dict[str, object], name: str, data: TrainingData, arguments: argparse.Namespace
) -> Iterator[object]:
    """An iterator whose every element is one step of the package.

    Args:
        raw: The loss, as a variant of params.yaml.
        name: How it is computed: ``all_logits``, ``chunks`` or ``sampled``.
        data: What is trained on.
        arguments: Sizes: ``batch``, ``width``, ``depth`` and ``sampled``.
    """
    settings = TrainingSettings(
        steps=10**6,
        batch_size=arguments.batch,
        background_batch_size=arguments.batch,
        device="cpu",
        loss_computation=name,
        sampled_species=arguments.sampled if name == "sampled" else None,
    )
    records_S = torch.from_numpy(data.records.records_per_species()).double()
    counts = TrainingCounts(data.records.n_rows, records_S)
    variant = parse_variant(raw, "loss")
    loss = variant.build(counts)
    torch.manual_seed(0)
    heads = dict.fromkeys(variant.heads, True)
    encoder = EncoderSettings(width=arguments.width, depth=arguments.depth, **heads)
    start_S = start_logits(encoder.start, data, variant, counts, settings)
    model = RangeModel(Features(encoder, 0).fit(data), data.records.n_species, start_S=start_S)
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
    """A row for every size, with some values over others."""
    ratios = [pair for pair in ratios if set(pair) <= set(names)]
    heads = ["species", *names, *(f"{above} / {below}" for above, below in ratios)]
    lines = [f"| {' | '.join(heads)} |", f"|{'---:|' * len(heads)}"]
    for row in rows:
        values = row[key]
        cells = [f"{row['species']:,}", *(form.format(values[name]) for name in names)]
        cells += [f"{values[above] / values[below]:.2f}" for above, below in ratios]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
