"""What does a training step cost under each loss, and in each way to compute it?

A step is everything: drawing the batch, encoder forward and backward, head, loss, Adam. Every loss that params.yaml
can name has its default settings. The baseline is the textbook step of plain cross-entropy (``textbook.py``). The
second one is the package's own cross-entropy in the same way of computing. All take turns in one process, a step each;
CPU seconds, medians, one thread.

    python benchmarks/loss_steps.py                    # 1,000 and 10,000 species
    python benchmarks/loss_steps.py --species 500 --losses bce hill --no-write
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import torch
from heap import keep_pages
from rich.progress import track
from step import make_data, package_steps
from textbook import textbook_model, textbook_steps

from presence_only.common.one_thread import use_one_thread
from presence_only.common.settings import SettingsError
from presence_only.losses.base import TrainingCounts, parse_variant
from presence_only.losses.registry import loss_names
from presence_only.losses.scalable import ScalableLoss
from results import write_results

WAYS = ("all_logits", "chunks", "sampled")
# Settings that take another way than the defaults of their loss.
FURTHER = {
    "bce, label_smoothing 0.05": {"loss": "bce", "label_smoothing": 0.05},
    "focal, label_smoothing 0.05": {"loss": "focal", "label_smoothing": 0.05},
    "bce, logit_adjustment 1": {"loss": "bce", "logit_adjustment": 1.0},
    "em, pseudo_labels asymmetric": {"loss": "em", "pseudo_labels": "asymmetric"},
    "large_loss, scheme permanent": {"loss": "large_loss", "scheme": "permanent"},
    "ranking, both, 4 pairs": {"loss": "ranking", "pairs": "both", "n_pairs": 4},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--species", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--losses", nargs="+", help="names of losses; all if left out")
    parser.add_argument("--batch", type=int, default=512, help="training rows, and as many background sites")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--sampled", type=int, default=1024, help="species drawn a step by sampled")
    parser.add_argument("--repeats", type=int, default=9, help="turns of each")
    parser.add_argument("--no-write", action="store_true", help="print the table only")
    arguments = parser.parse_args()
    use_one_thread()
    keep_pages()
    lines = [
        f"Batch {arguments.batch}, and as many background sites where a loss uses them; width {arguments.width}, depth "
        f"{arguments.depth}, {arguments.sampled} species drawn by sampled. One thread, CPU milliseconds a step, "
        f"medians of {arguments.repeats} turns. `textbook bce` is the baseline, and its ratio is to the fastest way. "
        "A loss that refuses so many pairs is left out. Losses that change as training goes on (`em` with "
        "pseudo-labels, `gr`, `large_loss`, `splc`) are at their beginning.",
    ]
    for n_species in arguments.species:
        lines += ["", f"{n_species:,} species:", "", *table(measure(arguments, n_species))]
    print("\n".join(lines))
    if not arguments.no_write:
        print(write_results(Path(__file__), lines))


def variants(names: list[str] | None) -> dict[str, dict[str, object]]:
    """What is measured, by the words of the table."""
    every: dict[str, dict[str, object]] = {name: {"loss": name} for name in loss_names()} | FURTHER
    chosen = every if names is None else {k: v for k, v in every.items() if v["loss"] in (*names, "bce")}
    return dict(sorted(chosen.items()))


def measure(arguments: argparse.Namespace, n_species: int) -> dict[str, dict[str, float]]:
    """Milliseconds of a step, by loss and way."""
    arguments.species = n_species
    data = make_data(arguments)
    counts = TrainingCounts(data.records.n_rows, torch.from_numpy(data.records.records_per_species()).double())
    model = textbook_model(n_species, arguments.width, arguments.depth)
    steps: dict[tuple[str, str], Iterator[object]] = {
        ("textbook bce", "all_logits"): textbook_steps(model, data, "bce", arguments.batch)
    }
    for words, raw in variants(arguments.losses).items():
        settings = parse_variant(raw, words)
        if settings.heads:
            continue  # a loss of several tasks needs covariates, which these data have not
        try:
            able = isinstance(settings.build(counts), ScalableLoss)
        except SettingsError:
            continue  # em remembers labels of all pairs, and refuses so many
        for way in WAYS if able else WAYS[:1]:
            steps[words, way] = package_steps(raw, way, data, arguments)
    took: dict[tuple[str, str], list[float]] = {key: [] for key in steps}
    for turn in track(range(arguments.repeats + 2), description=f"{n_species:,} species"):
        for key, step in steps.items():
            start = process_time()
            next(step)
            if turn > 1:  # the first two warm up
                took[key].append(process_time() - start)
    found: dict[str, dict[str, float]] = {}
    for (words, way), times in took.items():
        found.setdefault(words, {})[way] = 1000 * statistics.median(times)
    return found


def table(found: dict[str, dict[str, float]]) -> list[str]:
    """A row for every loss."""
    baseline, own = found["textbook bce"]["all_logits"], found["bce"]
    heads = [*WAYS, "textbook bce / fastest", "all_logits / that of bce", "chunks / those of bce"]
    lines = [f"| loss | {' | '.join(heads)} |", f"|:---|{'---:|' * len(heads)}"]
    for words, ways in found.items():
        cells = [f"{ways[way]:.1f}" if way in ways else "" for way in WAYS]
        ratios = [f"{ways[way] / own[way]:.2f}" if way in ways else "" for way in WAYS[:2]]
        lines.append(f"| {words} | {' | '.join([*cells, f'{baseline / min(ways.values()):.2f}', *ratios])} |")
    return lines


if __name__ == "__main__":
    main()
