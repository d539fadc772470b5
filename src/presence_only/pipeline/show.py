"""Comparison tables of a study in the terminal, and where its files are."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from statistics import mean

import polars as pl
from rich.console import Console
from rich.table import Table

from presence_only.evaluation.metrics import METRICS, in_tables
from presence_only.pipeline.command import run_stage
from presence_only.pipeline.mlflow_mirror import repository_root, viewing
from presence_only.study.paths import COMPARISON, FIGURES, MORE_FIGURES, REPORT
from presence_only.study.results import METRIC, StudyResults


def main() -> None:
    """Print one table per data set: variants by mAP, with the other metrics and training time beside it."""
    study = StudyResults()
    results = study.comparison
    console = Console(width=120)
    for dataset in results["dataset"].unique(maintain_order=True):
        rows = results.filter(pl.col("dataset") == dataset)
        seconds = {variant: study.seconds_by_seed(dataset, variant) for variant in rows["variant"].unique()}
        means = {variant: mean(taken.values()) for variant, taken in seconds.items() if taken}
        console.print(leaderboard(rows, dataset, means))
    print(f"table    {COMPARISON.resolve()}")
    print(f"report   {REPORT.resolve()}")
    print(f"figures  {FIGURES.resolve()}, and more in {MORE_FIGURES.name} beside it")
    for label, step in zip_longest(["runs"], viewing(repository_root(Path.cwd())), fillvalue=""):
        print(f"{label:8} {step}")


def leaderboard(rows: pl.DataFrame, dataset: str, seconds: Mapping[str, float]) -> Table:
    """The variants of one data set, best mAP on top.

    Args:
        rows: Of the comparison table.
        dataset: Name of the data set.
        seconds: Variant to the training time of a seed, of those that were trained here.
    """
    best = rows.filter(pl.col("metric") == METRIC).sort("mean", descending=True)
    seeds, sites = best["n_seeds"][0], best["n_sites"][0]
    table = Table(
        title=f"{dataset}: mean of {seeds} seed{'s' * (seeds != 1)}, {best['n_species'][0]} species, "
        f"{sites} site{'s' * (sites != 1)} (0 to 1, higher is better)"
    )
    table.add_column("variant")
    others = [(name, metric.title) for name, metric in in_tables().items() if name != METRIC]
    titles = (METRICS[METRIC].title, "95 % interval", "sd of seeds", *(title for _, title in others), "seconds per run")
    for title in titles:
        table.add_column(title, justify="right")
    means = {(r["variant"], r["metric"]): r["mean"] for r in rows.iter_rows(named=True)}
    for row in best.iter_rows(named=True):
        spread = "-" if row["n_seeds"] == 1 else f"{row['sd']:.4f}"
        name = row["variant"]
        table.add_row(
            name,
            f"{row['mean']:.4f}",
            f"{row['low']:.4f} to {row['high']:.4f}",
            spread,
            *(f"{means[name, metric]:.4f}" for metric, _ in others),
            f"{seconds[name]:.1f}" if name in seconds else "-",
        )
    return table


if __name__ == "__main__":
    run_stage(main)
