"""Bring every cell of the study together: the comparison table and all paired differences."""

from __future__ import annotations

import polars as pl

from presence_only.common.atomic_files import write_json, write_whole
from presence_only.evaluation.metrics import METRICS
from presence_only.pipeline.command import run_stage
from presence_only.statistics.comparison import CellResult, compare
from presence_only.statistics.differences import compare_pairs, pairs_table
from presence_only.study.paths import COMPARISON, METRICS_OF_STUDY, PAIRS
from presence_only.study.results import StudyResults


def main() -> None:
    """Read the cells that params.yaml names, and no others; write the tables."""
    study = StudyResults()
    cells = [study.cell(dataset, variant) for dataset in study.datasets for variant in study.variants]
    table = with_ensembles(compare(cells), study)
    with write_whole(COMPARISON) as temporary:
        table.write_csv(temporary, float_precision=6)
    with write_whole(PAIRS) as temporary:
        all_pairs(cells).write_csv(temporary, float_precision=6)
    write_json(METRICS_OF_STUDY, main_metrics(table))


def main_metrics(table: pl.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Data set -> variant -> metric -> mean over seeds, for `dvc metrics` and `dvc exp show`."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in table.filter(pl.col("metric").is_in(METRICS)).sort("dataset", "variant").iter_rows(named=True):
        found.setdefault(row["dataset"], {}).setdefault(row["variant"], {})[row["metric"]] = round(row["mean"], 6)
    return found


def with_ensembles(table: pl.DataFrame, study: StudyResults) -> pl.DataFrame:
    """The table with the metric of the mean of all seeds' logits, where there is one."""
    cells = table.select("dataset", "variant").unique().iter_rows()
    ensembles = {cell: study.ensemble(*cell) for cell in cells}
    rows = table.select("dataset", "variant", "metric").iter_rows()
    values = [ensembles[dataset, variant].get(metric) for dataset, variant, metric in rows]
    return table.with_columns(pl.Series("ensemble", values, dtype=pl.Float64))


def all_pairs(cells: list[CellResult]) -> pl.DataFrame:
    """Paired differences of all variants of a data set over species and seeds, for every metric per species."""
    tables = []
    for dataset in dict.fromkeys(cell.dataset for cell in cells):
        own = [cell for cell in cells if cell.dataset == dataset]
        for metric in own[0].per_species:
            if metric not in METRICS:
                continue
            values = {cell.variant: cell.per_species[metric] for cell in own}
            pairs = compare_pairs(values, family="all") if len(own) > 1 else []
            tables.append(
                pairs_table(pairs).select(pl.lit(dataset).alias("dataset"), pl.lit(metric).alias("metric"), pl.all())
            )
    return pl.concat(tables)


if __name__ == "__main__":
    run_stage(main)
