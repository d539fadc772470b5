"""Evaluate one data set under one variant: the stage that scores by the truth, which no training sees."""

from __future__ import annotations

from functools import partial

from presence_only.pipeline.command import importing, parse_arguments, run_stage


def main() -> None:
    """Score every seed's encoder at the survey's sites; write metrics, per-species tables, curves and maps."""
    arguments = parse_arguments(__doc__, "dataset", "variant")
    with importing():
        import polars as pl

        from presence_only.common.atomic_files import write_json, write_whole
        from presence_only.evaluation.seed_scores import ensemble, evaluate_seed, summarise
        from presence_only.pipeline.progress import of_evaluation
        from presence_only.pipeline.workers import run_side_by_side
        from presence_only.study.paths import CellFiles, DatasetFiles
        from presence_only.study.settings import load_study

    study = load_study()
    study.check("dataset", arguments.dataset)
    study.check("variant", arguments.variant)
    data, cell = DatasetFiles(arguments.dataset), CellFiles(arguments.dataset, arguments.variant)
    task = partial(evaluate_seed, data.training, data.survey, cell.encoder, study.seeds[0])
    by_seed = run_side_by_side(task, study.seeds, of_evaluation(cell.dataset, cell.variant))
    results = [by_seed[seed] for seed in study.seeds]
    for path, tables in (
        (cell.per_species, [result.per_species for result in results]),
        (cell.per_site, [result.per_site for result in results]),
        (cell.curves, [result.curves for result in results if result.curves is not None]),
        (cell.maps, [result.maps for result in results if result.maps is not None]),
    ):
        with write_whole(path) as temporary:
            pl.concat(tables).write_parquet(temporary)
    summary = summarise([result.numbers for result in results], study.seeds)
    write_json(cell.metrics, summary | ensemble([cell.encoder(seed) for seed in study.seeds], data.survey))


if __name__ == "__main__":
    run_stage(main)
