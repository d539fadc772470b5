"""Evaluate one data set under one variant: the stage that scores by the truth, which no training sees."""

from __future__ import annotations

from presence_only.pipeline.command import importing, parse_arguments, run_stage


def main() -> None:
    """Score every seed's encoder at the survey's sites; write metrics, per-species tables, curves and maps."""
    arguments = parse_arguments(__doc__, "dataset", "variant")
    with importing():
        from presence_only.common.temporary_names import scratch_folder
        from presence_only.pipeline.evaluation_tasks import evaluation_task, put_evaluation
        from presence_only.pipeline.workers import run_side_by_side
        from presence_only.study.paths import CellFiles
        from presence_only.study.settings import load_study

    study = load_study()
    study.check("dataset", arguments.dataset)
    study.check("variant", arguments.variant)
    cell = CellFiles(arguments.dataset, arguments.variant)
    with scratch_folder() as folder:
        task = evaluation_task(cell, study.seeds, folder)
        run_side_by_side([task], f"{cell.dataset} / {cell.variant}")
        put_evaluation(cell, task)


if __name__ == "__main__":
    run_stage(main)
