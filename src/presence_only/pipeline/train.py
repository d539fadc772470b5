"""Train one data set under one variant: an encoder for every seed."""

from __future__ import annotations

from presence_only.pipeline.command import importing, parse_arguments, run_stage


def main() -> None:
    """Read one cell of params.yaml; write its encoders, their histories, and aside the time they took."""
    arguments = parse_arguments(__doc__, "dataset", "variant")
    with importing():
        from presence_only.common.temporary_names import scratch_folder
        from presence_only.pipeline.together import run_together
        from presence_only.pipeline.training_tasks import put_training, training_tasks
        from presence_only.pipeline.workers import run_side_by_side
        from presence_only.study.params import load_variant
        from presence_only.study.paths import CellFiles
        from presence_only.training.data_parallel import launched_by_torchrun

    variant, seeds = load_variant(arguments.dataset, arguments.variant)
    cell = CellFiles(arguments.dataset, arguments.variant)
    run = run_together if launched_by_torchrun() else run_side_by_side
    # Aside, so that a kill leaves nothing unfinished where the encoders belong.
    with scratch_folder() as folder:
        tasks = training_tasks(cell, variant, seeds, folder)
        if values := run(tasks, f"{cell.dataset} / {cell.variant}"):
            put_training(cell, tasks, seeds, values)


if __name__ == "__main__":
    run_stage(main)
