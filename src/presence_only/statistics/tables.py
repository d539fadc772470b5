"""The tables of a study: paired differences, those over all data sets, main metrics, comparison with ensembles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from presence_only.evaluation.metrics import METRICS
from presence_only.statistics.across_datasets import (
    Values,
    across_pairs_table,
    means_across,
    means_table,
    pairs_across,
)
from presence_only.statistics.comparison_table import CellResult
from presence_only.statistics.differences import compare_pairs, pairs_table
from presence_only.statistics.world_intervals import FEWEST_WORLDS


def main_metrics(table: pl.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Data set -> variant -> metric -> mean over seeds, for `dvc metrics` and `dvc exp show`."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in table.filter(pl.col("metric").is_in(METRICS)).sort("dataset", "variant").iter_rows(named=True):
        found.setdefault(row["dataset"], {}).setdefault(row["variant"], {})[row["metric"]] = round(row["mean"], 6)
    return found


def with_ensembles(table: pl.DataFrame, ensemble: Callable[[str, str], Mapping[str, float]]) -> pl.DataFrame:
    """The comparison table with a column of the metrics of the seeds' ensemble, null where there is none.

    Args:
        table: The comparison table.
        ensemble: From data set and variant to the metrics of the mean of all seeds' logits.
    """
    cells = table.select("dataset", "variant").unique().iter_rows()
    ensembles = {cell: ensemble(*cell) for cell in cells}
    rows = table.select("dataset", "variant", "metric").iter_rows()
    values = [ensembles[dataset, variant].get(metric) for dataset, variant, metric in rows]
    return table.with_columns(pl.Series("ensemble", values, dtype=pl.Float64))


def all_pairs(cells: Sequence[CellResult]) -> pl.DataFrame:
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


def across_tables(
    cells: Sequence[CellResult], *, scenarios: Mapping[str, str] | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Means of every metric, and paired differences of the main ones, over all data sets.

    Args:
        cells: One entry per data set and variant.
        scenarios: Data set to its scenario, see :mod:`~presence_only.statistics.across_datasets`.

    Returns:
        results/across.csv and results/across_pairs.csv; without rows for fewer than three data sets.
    """
    by_dataset: dict[str, list[CellResult]] = {}
    for cell in cells:
        by_dataset.setdefault(cell.dataset, []).append(cell)
    if len(by_dataset) < FEWEST_WORLDS:
        return means_table({}), across_pairs_table({})
    means, pairs = {}, {}
    for metric in dict.fromkeys(name for cell in cells for name in cell.metrics):
        # Data sets may have further evaluations that others lack.
        values: Values = {
            dataset: {cell.variant: cell.values(metric) for cell in own}
            for dataset, own in by_dataset.items()
            if all(metric in cell.metrics for cell in own)
        }
        means[metric] = means_across(values, scenarios=scenarios) if values else ()
        if metric in METRICS and values:
            unit = "sites" if METRICS[metric].unit == "site" else "species"
            pairs[metric] = pairs_across(values, scenarios=scenarios, unit=unit)
    return means_table(means), across_pairs_table(pairs)
