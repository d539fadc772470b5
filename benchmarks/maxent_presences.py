"""Training under ``maxent`` with the presences in its sum over sites, and with the background alone.

Both forms train the default study's encoder in one virtual world of 500 species, one thread each. The table has the
mean loss of the first and the last epoch, the mAP of the survey and the CPU time of training.

    python benchmarks/maxent_presences.py
    python benchmarks/maxent_presences.py --epochs 6 --seeds 0
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time

from presence_only.common.one_thread import use_one_thread
from presence_only.datasets.virtual.dataset import DatasetSettings
from presence_only.evaluation.survey import evaluate_survey
from presence_only.losses.base import parse_variant
from presence_only.study.params import load_params
from presence_only.training.fit import fit
from presence_only.training.settings import TrainingSettings
from results import write_results

STUDY = Path(__file__).parents[1] / "params.yaml"
BATCH = 512
FORMS = {"`include_presences: true`": True, "`include_presences: false`": False}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--beta2", type=float, default=0.95, help="of Adam, as training.beta2")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of training")
    arguments = parser.parse_args()
    use_one_thread()
    lines = [
        f"`maxent` with its default weights, 500 virtual species with 50,000 records, batches of {BATCH}, the encoder "
        f"and the learning rate of `params.yaml`; {arguments.epochs} epochs, beta2 {arguments.beta2:g}. Losses are "
        "means of an epoch in nats.",
        "",
        "| sum over sites | seed | loss of the first epoch | loss of the last epoch | mAP | CPU seconds |",
        "|:--|---:|---:|---:|---:|---:|",
    ]
    for line in rows(arguments.epochs, arguments.beta2, arguments.seeds):
        print(line, flush=True)
        lines.append(line)
    write_results(Path(__file__), lines)


def rows(epochs: int, beta2: float, seeds: Sequence[int]) -> Iterator[str]:
    """The rows of the table, each as soon as it is known; the two forms take turns."""
    params = load_params(STUDY)
    data = DatasetSettings(kind="virtual").build()
    length = {"epochs": epochs, "steps": None, "batch_size": BATCH, "background_batch_size": BATCH}
    length |= {"beta2": beta2, "device": "cpu"}
    training = TrainingSettings.parse(params.training.model_dump() | length, "training")
    for seed in seeds:
        for form, include in FORMS.items():
            loss = parse_variant({"loss": "maxent", "include_presences": include}, "variants.maxent")
            began = process_time()
            model, history = fit(data.training, loss, params.encoder, training, seed)
            seconds = process_time() - began
            scores = evaluate_survey(model, data.survey, data.training.records.species)
            cells = (
                form,
                f"{seed}",
                f"{history.loss[0]:.2f}",
                f"{history.loss[-1]:,.2f}",
                f"{scores.summary['species_map']:.3f}",
                f"{seconds:.0f}",
            )
            yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
