"""CPU time to equal mAP: the loss from sampled species against the exact loss, on virtual species.

Both train the same encoder under the same loss on the same records, one thread each. At growing amounts of CPU
time, which neither checks nor the first step count towards, a run is scored by the mAP of the survey (over at most
1,000 species) and by the exact loss of 2,000 records that training never saw. The learning rate of either is the
one whose held-out loss, averaged over seeds, is lowest at the end; the survey chooses nothing.

    python benchmarks/head_to_head.py --species 5000 --records 200000 --seconds 120
    python benchmarks/head_to_head.py --species 20000 --records 600000 --seconds 60 --sampled 256 1024 4096
    python benchmarks/head_to_head.py --loss bce --species 5000 --records 200000 --seconds 60
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from time import process_time

import numpy as np
import torch
from curves import Check, level, moment

from presence_only.data.dataset import Dataset
from presence_only.data.records import PresenceRecords
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.datasets.virtual import DatasetSettings, build
from presence_only.evaluation.metrics import average_precision
from presence_only.execution.heap import keep_pages
from presence_only.losses.base import TrainingCounts, parse_variant
from presence_only.losses.scalable import ScalableLoss
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.model.settings import EncoderSettings
from presence_only.training.fit import take_steps
from presence_only.training.loss_computation import make_loss_computation
from presence_only.training.optimizers import BETA2
from presence_only.training.settings import TrainingSettings
from presence_only.training.start import start_logits
from results import write_results

HELD_OUT, JUDGED = 2000, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--loss", choices=["an_full", "bce", "focal", "asl", "softmax"], default="an_full", help="its defaults"
    )
    parser.add_argument("--species", type=int, default=5000)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=40.0, help="CPU seconds of a run")
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-3, 1e-2, 3e-2])
    parser.add_argument("--sampled", type=int, nargs="+", default=[1024], help="species drawn a step")
    parser.add_argument("--beta2", type=float, default=BETA2, help="of Adam, as training.beta2")
    parser.add_argument("--start", choices=["zero", "prevalence", "balance"], default="zero", help="of the encoder")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help="of the virtual species")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of training; tables are of their means")
    parser.add_argument("--data", type=Path, help="folder to keep the virtual species in, for the next run")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    keep_pages()  # as the package's workers do
    training, held_out, survey = make_data(arguments)
    ways: list[int | None] = [None, *arguments.sampled]
    lines = [
        f"{arguments.species:,} virtual species, {arguments.records:,} records; `{arguments.loss}`, batch "
        f"{arguments.batch} and as many background sites where it has any, width {arguments.width}, depth "
        f"{arguments.depth}, constant learning rate, beta2 {arguments.beta2:g}, start "
        f"{arguments.start}, {arguments.seconds:g} CPU seconds a "
        f"run, one thread; species of seed {arguments.seed}, means of training "
        f"with the seeds {' '.join(map(str, arguments.seeds))}.",
        "",
        "| loss | learning rate | steps | held-out loss | mAP | mAP of each seed |",
        "|:--|---:|---:|---:|---:|:--|",
    ]
    best: dict[int | None, list[Check]] = {}
    for sampled in ways:
        for rate in arguments.rates:
            runs = [run(training, held_out, survey, sampled, rate, seed, arguments) for seed in arguments.seeds]
            checks = [mean(moments) for moments in zip(*runs, strict=True)]
            last = checks[-1]
            each = " ".join(f"{of_seed[-1].species_map:.4f}" for of_seed in runs)
            cells = (
                name(sampled),
                f"{rate:g}",
                f"{last.steps:,.0f}",
                f"{last.held_out:.5f}",
                f"{last.species_map:.4f}",
            )
            line = f"| {' | '.join(cells)} | {each} |"
            print(line, flush=True)
            lines.append(line)
            if sampled not in best or last.held_out < best[sampled][-1].held_out:
                best[sampled] = checks
    lines += ["", *compare(best)]
    print(write_results(Path(__file__), lines, name=file_name(arguments)).read_text())


def make_data(arguments: argparse.Namespace) -> tuple[TrainingData, tuple[np.ndarray, np.ndarray], Survey]:
    """Training data, held-out records and the survey of at most ``JUDGED`` species."""
    settings = DatasetSettings(
        kind="virtual",
        species=arguments.species,
        records=arguments.records,
        background_sites=100_000,
        survey_resolution=2,
        seed=arguments.seed,
    )
    folder = arguments.data
    if folder is not None and (folder / "survey").exists():
        data = Dataset(TrainingData.load(folder / "training"), Survey.load(folder / "survey"))
    else:
        data = build(settings)
        if folder is not None:
            data.training.save(folder / "training")
            data.survey.save(folder / "survey")
    records = data.training.records
    rng = np.random.default_rng(arguments.seed)
    # Every species keeps its first record for training.
    _, first_S = np.unique(records.species_P, return_index=True)
    spare = np.setdiff1d(np.arange(records.n_rows), first_S)
    out = np.zeros(records.n_rows, dtype=bool)
    out[rng.choice(spare, HELD_OUT, replace=False)] = True
    kept = part(records, ~out)
    held_out = (records.sites_N2[out], records.species_P[out])
    return replace(data.training, records=kept), held_out, data.survey


def part(records: PresenceRecords, rows: np.ndarray) -> PresenceRecords:
    """Some rows, each with one record."""
    return replace(
        records,
        sites_N2=records.sites_N2[rows],
        covariates_NC=records.covariates_NC[rows],
        row_P=np.arange(rows.sum()),
        species_P=records.species_P[rows],
    )


def run(
    data: TrainingData,
    held_out: tuple[np.ndarray, np.ndarray],
    survey: Survey,
    sampled: int | None,
    rate: float,
    seed: int,
    arguments: argparse.Namespace,
) -> list[Check]:
    """Train for some CPU seconds, with eleven checks at growing distances."""
    settings = TrainingSettings(
        steps=10**7,
        batch_size=arguments.batch,
        background_batch_size=arguments.batch,
        learning_rate=rate,
        beta2=arguments.beta2,
        device="cpu",
        loss_computation="chunks" if sampled is None else "sampled",
        sampled_species=sampled,
    )
    records = data.records
    counts = TrainingCounts(records.n_rows, torch.from_numpy(records.records_per_species()).double())
    variant = parse_variant({"loss": arguments.loss}, "loss")
    loss = variant.build(counts)
    torch.manual_seed(seed)
    encoder = EncoderSettings(width=arguments.width, depth=arguments.depth, dropout=0.1, start=arguments.start)
    start_S = start_logits(encoder.start, data, variant, counts, settings)
    model = RangeModel(Features(encoder, len(records.covariate_names)).fit(data), records.n_species, start_S=start_S)
    computation = make_loss_computation(settings.loss_computation, model, loss, settings, seed)
    steps = take_steps(model, data, loss, computation, settings, seed)
    due = list(arguments.seconds * 0.75 ** np.arange(11.0)[::-1])
    next(steps)  # the first one also prepares the features of all records
    checks, spent, taken = [], 0.0, 1
    while due:
        start = process_time()
        next(steps)
        spent += process_time() - start
        taken += 1
        if spent >= due[0]:
            now = check(model, data, held_out, survey, loss, spent, taken)
            # A step that is longer than the next distance meets several at once.
            checks += [now for moment in due if moment <= spent]
            due = [moment for moment in due if moment > spent]
    return checks


def mean(checks: Sequence[Check]) -> Check:
    """The same check of several seeds."""
    return Check(*(statistics.fmean(getattr(check, field.name) for check in checks) for field in fields(Check)))


@torch.no_grad()
def check(
    model: RangeModel,
    data: TrainingData,
    held_out: tuple[np.ndarray, np.ndarray],
    survey: Survey,
    loss: ScalableLoss,
    seconds: float,
    steps: int,
) -> Check:
    """MAP of the survey and exact loss of the held-out records; the model goes back to training."""
    model.eval()
    every = max(1, len(survey.species) // JUDGED)
    nothing = np.zeros((len(survey.sites_M2), model.n_covariates))
    location_MD = model.embed(model.features(survey.sites_M2, nothing))
    scores_MS = (location_MD @ model.species_head.weight[::every].T).numpy()
    precision_S = average_precision(scores_MS, survey.truth.columns(slice(None, None, every)))
    sites_H2, species_H = held_out
    far_K2 = data.background.sites_K2[: len(sites_H2)]
    near_HD, far_KD = (
        model.embed(model.features(sites_N2, np.zeros((len(sites_N2), model.n_covariates))))
        for sites_N2 in (sites_H2, far_K2)
    )
    species_H = torch.from_numpy(species_H)
    row_H = torch.arange(len(species_H))
    far_KD = far_KD if loss.needs_background else None
    weight_SD, start_S = model.species_head.weight, model.start_S
    value = loss.in_chunks(near_HD, weight_SD, row_H, species_H, start_S=start_S, background_KD=far_KD)
    model.train()
    return Check(seconds, steps, float(np.nanmean(precision_S)), value.item())


def compare(best: dict[int | None, list[Check]]) -> list[str]:
    """When either, at its best learning rate, first reached shares of the lower of the final mAPs."""
    goal = min(max(check.species_map for check in checks) for checks in best.values())
    lines = [
        "CPU seconds until a way, at the learning rate with its lowest held-out loss, reached a mAP:",
        "",
        f"| mAP | {' | '.join(name(way) for way in best)} |",
        f"|---:|{'---:|' * len(best)}",
    ]
    for share in (0.5, 0.7, 0.8, 0.9, 0.95, 1.0):
        cells = [f"{moment(checks, share * goal):.1f}" for checks in best.values()]
        lines.append(f"| {share * goal:.3f} | {' | '.join(cells)} |")
    lines += ["", "mAP at the same CPU seconds:", ""]
    lines += [f"| seconds | {' | '.join(name(way) for way in best)} |", f"|---:|{'---:|' * len(best)}"]
    longest = min(checks[-1].seconds for checks in best.values())
    for seconds in longest * 0.5 ** np.arange(4.0)[::-1]:
        cells = [f"{level(checks, seconds):.3f}" for checks in best.values()]
        lines.append(f"| {seconds:.1f} | {' | '.join(cells)} |")
    return lines


def file_name(arguments: argparse.Namespace) -> str:
    """Of the table."""
    loss = f"_{arguments.loss}" if arguments.loss != "an_full" else ""
    beta2 = f"_beta2_{arguments.beta2:g}" if arguments.beta2 != BETA2 else ""
    start = f"_{arguments.start}" if arguments.start != "zero" else ""
    return f"head_to_head_{arguments.species}{loss}{beta2}{start}"


def name(sampled: int | None) -> str:
    """What the exact loss, or that from some sampled species, is called in the tables."""
    return "exact" if sampled is None else f"sampled, {sampled}"


if __name__ == "__main__":
    main()
