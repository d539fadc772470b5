"""Train one data set under one variant: an encoder for every seed."""

from __future__ import annotations

from presence_only.pipeline.command import importing, parse_arguments, run_stage


def main() -> None:
    """Read one cell of params.yaml; write its encoders, their histories, and aside the time they took."""
    arguments = parse_arguments(__doc__, "dataset", "variant")
    with importing():
        from presence_only.pipeline.training_tasks import put_training, training_tasks
        from presence_only.pipeline.workers import run_side_by_side
        from presence_only.study.params import load_variant
        from presence_only.study.paths import CellFiles

    variant, seeds = load_variant(arguments.dataset, arguments.variant)
    cell = CellFiles(arguments.dataset, arguments.variant)
    tasks = training_tasks(cell, variant, seeds, cell.runs)
    put_training(cell, tasks, seeds, run_side_by_side(tasks, f"{cell.dataset} / {cell.variant}"))


if __name__ == "__main__":
    run_stage(main)
