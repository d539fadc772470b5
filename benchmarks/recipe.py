"""CPU time to a given mAP: the package's recommended recipe against the textbook's, on virtual species.

Both train the same encoder, residual and 256 x 4, on the same records, one thread each. The textbook is SINR's recipe
(``textbook.py``): ``an_full`` with log(p + 1e-5), Adam with beta2 .999, learning rate 5e-4 times .98 per epoch, batches
of 2,048 records and as many background sites, dropout .5, a DataLoader, the C library's heap as it is. The package
takes the steps that its stage ``train`` takes, heap included, with the settings of ``RECIPE`` (docs/recipe.md).

Each run is a process of its own, and the processes take turns of a few CPU seconds, whoever has done the smaller share
of its length next, so that all meet the same machine. CPU time is that of the steps alone. At growing distances a run
scores the survey, over at most 1,000 species; nothing is chosen by it. The package's learning rate falls to 0 over a
run, so that every length is a run of its own.

The textbook takes long. ``--curve FILE`` saves its curve over steps, or takes the one that is there: then a textbook
process takes a few steps between those of the package, and a step of the curve counts their median time.

    python benchmarks/recipe.py --species 3000 --records 120000 --textbook-steps 1540 --curve textbook_3000.json
    python benchmarks/recipe.py --species 10000 --records 150000 --textbook-steps 600 --curve textbook_10000.json
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import process_time
from typing import Any, Self

import numpy as np
import torch
from curves import Check, level, moment
from textbook import encode, textbook_model, textbook_steps

from presence_only.common.one_thread import use_one_thread
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.datasets.virtual import DatasetSettings, build
from presence_only.evaluation.metrics import average_precision
from presence_only.execution.heap import keep_pages
from presence_only.losses.base import TrainingCounts, parse_variant
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.model.settings import EncoderSettings
from presence_only.training.fit import take_steps
from presence_only.training.loss_computation import choose_loss_computation, make_loss_computation
from presence_only.training.settings import TrainingSettings
from presence_only.training.start import start_logits
from results import write_results

WIDTH, DEPTH, BATCH, JUDGED = 256, 4, 2048, 1000
# The recommended recipe, apart from loss, shape and length (docs/recipe.md).
RECIPE: dict[str, dict[str, Any]] = {
    "encoder": {"dropout": 0.05, "start": "balance"},
    "training": {
        "batch_size": 512,
        "background_batch_size": 128,
        "learning_rate": 0.005,
        "beta2": 0.95,
        "schedule": "cosine",
        "loss_computation": "sampled",
        "sampled_species": 256,
    },
}
# CPU seconds of a turn; steps that price those of a curve at hand; the distance from check to check as a factor.
TURN, PRICED, GROWTH = 5.0, 20, 1.15


@dataclass
class Run:
    """One process that trains, and what it has said so far.

    Args:
        name: Of the run, in the tables.
        steps: Its length.
        process: The process; None: only its curve is known.
        checks: Its curve.
        times: CPU seconds of every step.
    """

    name: str
    steps: int
    process: subprocess.Popen[str] | None = None
    checks: list[Check] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    @classmethod
    def start(cls, name: str, steps: int, job: dict[str, Any]) -> Self:
        """Start the process, which waits for its first turn."""
        command = [sys.executable, __file__, "--job", json.dumps(job | {"steps": steps})]
        pipe = subprocess.PIPE
        return cls(name, steps, subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))

    @property
    def share(self) -> float:
        """How much of its length is done."""
        return len(self.times) / self.steps

    def take_turn(self) -> None:
        """Have it train for some CPU seconds."""
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name}: its process has ended")
        said = json.loads(line)
        self.times += said["times"]
        self.checks += [Check(**check) for check in said["checks"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--species", type=int, default=3000)
    parser.add_argument("--records", type=int, default=120_000)
    parser.add_argument("--textbook-steps", type=int, default=1540, help="length of the textbook's run")
    parser.add_argument("--epochs", type=int, nargs="+", default=[4, 8, 16], help="lengths of the package's runs")
    parser.add_argument("--loss", nargs="+", default=["an_full"], help="of the package's runs")
    parser.add_argument("--seed", type=int, default=0, help="of the virtual species, and of training")
    parser.add_argument("--curve", type=Path, help="file of the textbook's curve over steps: taken, or written")
    parser.add_argument("--data", type=Path, help="folder to keep the virtual species in, for the next run")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        serve(json.loads(arguments.job))
        return
    if arguments.records < BATCH:
        parser.error(f"--records {arguments.records}: at least {BATCH}, a batch of the textbook")
    data, _ = load_data(arguments.species, arguments.records, arguments.seed, arguments.data)
    job = {key: getattr(arguments, key) for key in ("species", "records", "seed")}
    job["data"] = str(arguments.data) if arguments.data else None
    at_hand = arguments.curve is not None and arguments.curve.exists()
    length = PRICED if at_hand else arguments.textbook_steps
    textbook = Run.start("textbook", length, job | {"recipe": None, "judge": not at_hand})
    runs = [textbook]
    for loss in arguments.loss:
        for epochs in arguments.epochs:
            steps = epochs * math.ceil(data.records.n_rows / RECIPE["training"]["batch_size"])
            recipe = RECIPE | {"loss": {"loss": loss}}
            runs.append(Run.start(f"{loss}, {epochs} epochs", steps, job | {"recipe": recipe, "judge": True}))
    while any(run.share < 1 for run in runs):
        run = min(runs, key=lambda run: run.share)
        run.take_turn()
        print(f"{run.name}: {run.share:.0%}, {run.checks[-1] if run.checks else ''}", flush=True)
    if at_hand:
        price = statistics.median(textbook.times)
        saved = [Check(**check) for check in json.loads(arguments.curve.read_text())]
        textbook.checks = [replace(check, seconds=check.steps * price) for check in saved]
    elif arguments.curve is not None:
        arguments.curve.write_text(json.dumps([asdict(check) for check in textbook.checks]))
    lines = report(arguments, runs, priced=at_hand)
    print(write_results(Path(__file__), lines, name=f"recipe_{arguments.species}").read_text())


def load_data(species: int, records: int, seed: int, folder: Path | None) -> tuple[TrainingData, Survey]:
    """Training data and survey of the virtual species, kept in the folder if there is one."""
    if folder is not None and (folder / "survey").exists():
        return TrainingData.load(folder / "training"), Survey.load(folder / "survey")
    settings = DatasetSettings(
        kind="virtual",
        species=species,
        records=records,
        background_sites=100_000,
        survey_resolution=2,
        seed=seed,
    )
    data = build(settings)
    if folder is not None:
        data.training.save(folder / "training")
        data.survey.save(folder / "survey")
    return data.training, data.survey


def serve(job: dict[str, Any]) -> None:
    """Train in turns: a line in, a turn of steps, a line out with their CPU seconds and the checks that were due."""
    data, survey = load_data(job["species"], job["records"], job["seed"], job["data"] and Path(job["data"]))
    every = math.ceil(job["species"] / JUDGED)
    if job["recipe"] is None:
        torch.set_num_threads(1)
        steps, embed, weight_SD = textbook_run(data, job["seed"])
    else:
        use_one_thread()
        keep_pages()
        steps, embed, weight_SD = package_run(data, job["recipe"], job["steps"], job["seed"])
    truth_MS = survey.truth.columns(slice(None, None, every))
    taken, seconds, due = 0, 0.0, 8
    for _ in sys.stdin:
        times: list[float] = []
        checks: list[dict[str, float]] = []
        while sum(times) < TURN and taken < job["steps"]:
            start = process_time()
            next(steps)
            times.append(process_time() - start)
            if taken == 0:
                times[0] = 0.0  # it also prepares the features of all records
            taken += 1
            if job["judge"] and (taken == due or taken == job["steps"]):
                due = math.ceil(due * GROWTH)
                scores_MS = (embed(survey.sites_M2) @ weight_SD[::every].T).numpy()
                species_map = float(np.nanmean(average_precision(scores_MS, truth_MS)))
                checks.append(asdict(Check(seconds + sum(times), taken, species_map)))
        seconds += sum(times)
        print(json.dumps({"times": times, "checks": checks}), flush=True)


Embed = Callable[[np.ndarray], torch.Tensor]


def textbook_run(data: TrainingData, seed: int) -> tuple[Iterator[object], Embed, torch.Tensor]:
    """Its steps, what embeds sites with dropout off, and the species matrix."""
    model = textbook_model(data.records.n_species, WIDTH, DEPTH, seed)

    @torch.no_grad()
    def embed(sites_M2: np.ndarray) -> torch.Tensor:
        model.eval()
        location_MD = model[:-1](encode(torch.from_numpy(sites_M2).float()))
        model.train()
        return location_MD

    return textbook_steps(model, data, "an_full", BATCH), embed, model[-1].weight.detach()


def package_run(
    data: TrainingData, recipe: dict[str, Any], steps: int, seed: int
) -> tuple[Iterator[object], Embed, torch.Tensor]:
    """The same of the package's recipe."""
    records = data.records
    settings = TrainingSettings.parse(recipe["training"] | {"steps": steps, "device": "cpu"}, "training")
    encoder = EncoderSettings.parse(recipe["encoder"] | {"width": WIDTH, "depth": DEPTH}, "encoder")
    counts = TrainingCounts(records.n_rows, torch.from_numpy(records.records_per_species()).double())
    variant = parse_variant(recipe["loss"], "loss")
    loss = variant.build(counts)
    start_S = start_logits(encoder.start, data, variant, counts, settings)
    how = choose_loss_computation(settings, variant, loss, encoder, records.n_species, torch.device("cpu"))
    torch.manual_seed(seed)
    model = RangeModel(Features(encoder, len(records.covariate_names)).fit(data), records.n_species, start_S=start_S)
    computation = make_loss_computation(how, model, loss, settings, seed)

    @torch.no_grad()
    def embed(sites_M2: np.ndarray) -> torch.Tensor:
        model.eval()
        location_MD = model.embed(model.features(sites_M2, np.zeros((len(sites_M2), model.n_covariates))))
        model.train()
        return location_MD

    return take_steps(model, data, loss, computation, settings, seed), embed, model.species_head.weight.detach()


def report(arguments: argparse.Namespace, runs: Sequence[Run], *, priced: bool) -> list[str]:
    """The tables."""
    textbook, *others = runs
    price = statistics.median(textbook.times)
    top = max(check.species_map for check in textbook.checks)
    last = textbook.checks[-1]
    before = level(textbook.checks, 0.75 * last.seconds)
    settings = "; ".join(f"{key} {value}" for group in ("encoder", "training") for key, value in RECIPE[group].items())
    how = f"its curve is of an earlier run and counts {price:.3f} s a step" if priced else "in turns with the others"
    lines = [
        f"{arguments.species:,} virtual species, {arguments.records:,} records, encoder {WIDTH} x {DEPTH}, one thread.",
        "",
        f"Package: {settings}.",
        "",
        f"Textbook: {last.steps:,.0f} steps of {BATCH:,} records and as many background sites, {price:.3f} CPU seconds "
        f"each, the median of {len(textbook.times)} in turns with the package's; {how}. Over the last quarter of its "
        f"steps its mAP rose by {last.species_map - before:.3f}.",
        "",
        "| run | steps | CPU seconds | mAP | textbook to that mAP | ratio | textbook's mAP after 3 x the time |",
        "|:--|---:|---:|---:|---:|---:|---:|",
    ]
    for run in others:
        end = run.checks[-1]
        same = moment(textbook.checks, end.species_map)
        cells = [
            run.name,
            f"{end.steps:,.0f}",
            f"{end.seconds:.0f}",
            f"{end.species_map:.3f}",
            f"> {last.seconds:.0f}" if math.isnan(same) else f"{same:.0f}",
            f"< {end.seconds / last.seconds:.3f}" if math.isnan(same) else f"{end.seconds / same:.3f}",
            f"{level(textbook.checks, 3 * end.seconds):.3f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    cells = ["textbook", f"{last.steps:,.0f}", f"{last.seconds:.0f}", f"{last.species_map:.3f}", "", "", ""]
    lines += [f"| {' | '.join(cells)} |", "", "CPU seconds until a mAP was first reached:", ""]
    lines += [f"| mAP | {' | '.join(run.name for run in runs)} |", f"|---:|{'---:|' * len(runs)}"]
    for share in (0.5, 0.7, 0.8, 0.9, 0.95, 1.0):
        moments = [moment(run.checks, share * top) for run in runs]
        cells = ["" if math.isnan(seconds) else f"{seconds:.1f}" for seconds in moments]
        lines.append(f"| {share * top:.3f} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
