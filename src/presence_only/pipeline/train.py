"""Train one data set under one variant: an encoder for every seed."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial

from presence_only.common.atomic_files import content_hash, write_json
from presence_only.data.training import TrainingData
from presence_only.model.files import save_model
from presence_only.pipeline.command import parse_arguments, run_stage
from presence_only.pipeline.workers import Progressed, run_side_by_side
from presence_only.study.params import Params, load_params
from presence_only.study.paths import CellFiles, DatasetFiles
from presence_only.training.fit import History, fit_variant


def main() -> None:
    """Read one cell of params.yaml; write its encoders, their histories, and aside the time they took."""
    arguments = parse_arguments(__doc__, "dataset", "variant")
    params = load_params()
    params.dataset(arguments.dataset)
    params.variant(arguments.variant)
    cell = CellFiles(arguments.dataset, arguments.variant)
    task = partial(train_seed, cell, params)
    label = f"{cell.dataset} / {cell.variant}"
    seconds = run_side_by_side(task, params.study.seeds, label, ", or lower training.batch_size")
    # The hash tells these seconds from those of other results that DVC may restore later.
    rounded = {str(seed): round(taken, 3) for seed, taken in seconds.items()}
    write_json(cell.timing, {"runs": content_hash(cell.runs), "seconds": rounded})


def train_seed(cell: CellFiles, params: Params, seed: int, progressed: Progressed) -> float:
    """Train and save one seed; returns the seconds it took."""

    def report(done: int, epochs: int, loss: float) -> None:
        progressed(done, epochs, f"loss {loss:.5f} after {done} epochs")

    data = TrainingData.load(DatasetFiles(cell.dataset).training)
    model, histories = fit_variant(data, params.variant(cell.variant), seed, report)
    save_model(model, cell.encoder(seed))
    write_json(cell.history(seed), _reproducible(histories))
    return sum(history.seconds for history in histories)


def _reproducible(histories: list[History]) -> dict[str, object]:
    """The history without its time; that of a blend's first member, with the others listed."""
    first, *others = ({k: v for k, v in asdict(history).items() if k != "seconds"} for history in histories)
    return first | ({"other_members": others} if others else {})


if __name__ == "__main__":
    run_stage(main)
