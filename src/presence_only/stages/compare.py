"""Bring every cell of the study together: the comparison table, all paired differences and the main metrics."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import polars as pl

from presence_only.comparison import CellResult, by_seed, compare
from presence_only.files import read_json, write_json, write_whole
from presence_only.layout import COMPARISON, METRICS_OF_STUDY, PAIRS, CellFiles
from presence_only.metrics import METRICS
from presence_only.params import load_params
from presence_only.stages._cell import run_stage
from presence_only.statistics import compare_pairs, pairs_table


def main() -> None:
    """Read the cells that params.yaml names, and no others; write the tables."""
    params = load_params()
    study = params.study
    cells = [read_cell(CellFiles(d, v), study.seeds) for d in study.datasets for v in study.variants]
    table = with_ensembles(compare(cells))
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


def with_ensembles(table: pl.DataFrame) -> pl.DataFrame:
    """The table with the metric of the mean of all seeds' logits, where there is one."""
    cells = table.select("dataset", "variant").unique().iter_rows()
    ensembles = {cell: read_json(CellFiles(*cell).metrics).get("ensemble", {}) for cell in cells}
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


def read_cell(cell: CellFiles, seeds: tuple[int, ...]) -> CellResult:
    """What the evaluation wrote for one cell, as arrays with one row per seed."""
    species, sites = pl.read_parquet(cell.per_species), pl.read_parquet(cell.per_site)
    metrics = read_json(cell.metrics)
    further = [name for name in metrics[f"seed_{seeds[0]}"] if name not in METRICS]
    by_species = [name for name in further if name in species.columns]
    return CellResult(
        dataset=cell.dataset,
        variant=cell.variant,
        seeds=seeds,
        per_species={n: by_seed(species, m.column, seeds) for n, m in METRICS.items() if m.unit == "species"}
        | {name: by_seed(species, name, seeds) for name in by_species},
        per_site={n: by_seed(sites, m.column, seeds) for n, m in METRICS.items() if m.unit == "site"},
        n_species=len(species) // len(seeds),
        n_sites=len(sites) // len(seeds),
        per_seed={name: _of_seeds(metrics, name, seeds) for name in further if name not in by_species},
        n_sites_of={name: _sites_of(metrics, name) for name in by_species},
    )


def _of_seeds(metrics: dict[str, Any], name: str, seeds: tuple[int, ...]) -> np.ndarray:
    """One number of every seed, shape (seeds,); NaN where it was undefined."""
    return np.array([metrics[f"seed_{seed}"][name] for seed in seeds], dtype=np.float64)


def _sites_of(metrics: dict[str, Any], name: str) -> int | None:
    """Number of sites of the further evaluation that a metric comes from, where it counted any."""
    tasks = [key.removeprefix("n_").removesuffix("sites") for key in metrics if re.fullmatch("n_.+_sites", key)]
    task = max((task for task in tasks if name.startswith(task)), key=len, default=None)
    return None if task is None else int(metrics[f"n_{task}sites"])


if __name__ == "__main__":
    run_stage(main)
