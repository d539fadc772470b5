"""Train one data set under one variant: an encoder for every seed."""

from __future__ import annotations

from functools import partial

from presence_only.pipeline.command import importing, parse_arguments, run_stage


def main() -> None:
    """Read one cell of params.yaml; write its encoders, their histories, and aside the time they took."""
    arguments = parse_arguments(__doc__, "dataset", "variant")
    with importing():
        from presence_only.common.atomic_files import content_hash, write_json
        from presence_only.pipeline.progress import of_training
        from presence_only.pipeline.workers import run_side_by_side
        from presence_only.study.params import load_variant
        from presence_only.study.paths import CellFiles, DatasetFiles
        from presence_only.training.seed_run import train_seed

    variant, seeds = load_variant(arguments.dataset, arguments.variant)
    data, cell = DatasetFiles(arguments.dataset), CellFiles(arguments.dataset, arguments.variant)
    task = partial(train_seed, data.training, variant, cell.encoder, cell.history)
    seconds = run_side_by_side(task, seeds, of_training(cell.dataset, cell.variant))
    # The hash tells these seconds from those of other results that DVC may restore later.
    rounded = {str(seed): round(taken, 3) for seed, taken in seconds.items()}
    write_json(cell.timing, {"runs": content_hash(cell.runs), "seconds": rounded})


if __name__ == "__main__":
    run_stage(main)
