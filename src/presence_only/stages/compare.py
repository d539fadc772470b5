"""Bring every cell of the study together: the comparison table, its figures and the report."""

from __future__ import annotations

import platform
import re
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl

from presence_only.comparison import CellResult, compare
from presence_only.figures import comparison_figure, save_figure, training_figure
from presence_only.files import read_json, write_folder, write_whole
from presence_only.layout import COMPARISON, FIGURES, REPORT, CellFiles, DatasetFiles
from presence_only.metrics import METRICS
from presence_only.params import Params, load_params
from presence_only.report import render_report
from presence_only.stages._cell import run_stage


def main() -> None:
    """Read the cells that params.yaml names, and no others; write table, figures and report."""
    params = load_params()
    study = params.study
    cells = [read_cell(CellFiles(d, v), study.seeds) for d in study.datasets for v in study.variants]
    table = compare(cells)
    with write_whole(COMPARISON) as temporary:
        table.write_csv(temporary, float_precision=6)
    captions = draw(params, table)
    figures = [(FIGURES / name, text) for name, text in captions.items()]
    figures += [(DatasetFiles(name).map, f"Records and survey sites of {name}.") for name in study.datasets]
    datasets = {name: read_json(DatasetFiles(name).summary) for name in study.datasets}
    versions = {"Python": platform.python_version()} | {p: version(p) for p in ("presence-only", "torch", "numpy")}
    with write_whole(REPORT) as temporary:
        temporary.write_text(render_report(study.name, table, figures, datasets, versions))


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
        per_species={n: _by_seed(species, m.column, seeds) for n, m in METRICS.items() if m.unit == "species"}
        | {name: _by_seed(species, name, seeds) for name in by_species},
        per_site={n: _by_seed(sites, m.column, seeds) for n, m in METRICS.items() if m.unit == "site"},
        n_species=len(species) // len(seeds),
        n_sites=len(sites) // len(seeds),
        per_seed={name: _of_seeds(metrics, name, seeds) for name in further if name not in by_species},
        n_sites_of={name: _sites_of(metrics, name) for name in by_species},
    )


def draw(params: Params, table: pl.DataFrame) -> dict[str, str]:
    """Draw the study's figures; returns file names with the text that describes them."""
    study = params.study
    captions = {}
    with write_folder(FIGURES) as folder:
        for dataset in study.datasets:
            rows = table.filter(pl.col("dataset") == dataset)
            for metric, meaning in _drawn(rows):
                name = f"{metric}_{dataset}.png"
                save_figure(comparison_figure(rows, metric, meaning), folder / name)
                best = rows.filter(pl.col("metric") == metric).sort("mean", descending=True)
                captions[name] = (
                    f"{metric} ({meaning}), {dataset}: from {best['mean'][0]:.3f} ({best['variant'][0]}) "
                    f"down to {best['mean'][-1]:.3f} ({best['variant'][-1]})."
                )
            name = f"training_loss_{dataset}.png"
            curves = {v: _mean_history(CellFiles(dataset, v), study.seeds) for v in study.variants}
            save_figure(training_figure(curves, dataset), folder / name)
            captions[name] = f"Training loss per epoch of every variant on {dataset}, relative to its first epoch."
    return captions


def _drawn(rows: pl.DataFrame) -> list[tuple[str, str]]:
    """The metrics of a figure each, with their meaning: those of the survey, and the same of further surveys."""
    names = rows["metric"].unique(maintain_order=True).to_list()
    further = [(name, METRICS[m].meaning) for name in names for m in METRICS if name.endswith(f"_{m}")]
    return [(name, metric.meaning) for name, metric in METRICS.items()] + further


def _of_seeds(metrics: dict[str, Any], name: str, seeds: tuple[int, ...]) -> np.ndarray:
    """One number of every seed, shape (seeds,); NaN where it was undefined."""
    return np.array([metrics[f"seed_{seed}"][name] for seed in seeds], dtype=np.float64)


def _sites_of(metrics: dict[str, Any], name: str) -> int | None:
    """Number of sites of the further evaluation that a metric comes from, where it counted any."""
    tasks = [key.removeprefix("n_").removesuffix("sites") for key in metrics if re.fullmatch("n_.+_sites", key)]
    task = max((task for task in tasks if name.startswith(task)), key=len, default=None)
    return None if task is None else int(metrics[f"n_{task}sites"])


def _by_seed(table: pl.DataFrame, column: str, seeds: tuple[int, ...]) -> np.ndarray:
    """One column as (seeds, species) or (seeds, sites)."""
    return np.stack([table.filter(pl.col("seed") == seed)[column].to_numpy() for seed in seeds])


def _mean_history(cell: CellFiles, seeds: tuple[int, ...]) -> list[float]:
    """The loss per epoch, averaged over seeds."""
    return [float(x) for x in np.mean([read_json(cell.history(seed))["loss"] for seed in seeds], axis=0)]


if __name__ == "__main__":
    run_stage(main)
