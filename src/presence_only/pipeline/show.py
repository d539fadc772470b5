"""Print the comparison table, and where everything is."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from statistics import mean

import polars as pl
from rich.console import Console
from rich.table import Table

from presence_only.pipeline.command import run_stage
from presence_only.pipeline.mlflow_mirror import repository_root, viewing
from presence_only.study.paths import COMPARISON, FIGURES, REPORT
from presence_only.study.results import StudyResults


def main() -> None:
    """Print one table per data set: variants by mAP, with AUC, sample mAP and training time beside it."""
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
    print(f"figures  {FIGURES.resolve()}")
    for label, step in zip_longest(["runs"], viewing(repository_root(Path.cwd())), fillvalue=""):
        print(f"{label:8} {step}")


def leaderboard(rows: pl.DataFrame, dataset: str, seconds: Mapping[str, float]) -> Table:
    """The variants of one data set, best mAP on top.

    Args:
        rows: Of the comparison table.
        dataset: Name of the data set.
        seconds: Variant to the training time of a seed, of those that were trained here.
    """
    best = rows.filter(pl.col("metric") == "species_map").sort("mean", descending=True)
    seeds, sites = best["n_seeds"][0], best["n_sites"][0]
    table = Table(
        title=f"{dataset}: mean of {seeds} seed{'s' * (seeds != 1)}, {best['n_species'][0]} species, "
        f"{sites} site{'s' * (sites != 1)} (0 to 1, higher is better)"
    )
    table.add_column("variant")
    for name in ("mAP", "95 % interval", "sd of seeds", "AUC-ROC", "sample mAP", "seconds a run"):
        table.add_column(name, justify="right")
    others = {(r["variant"], r["metric"]): r["mean"] for r in rows.iter_rows(named=True)}
    for row in best.iter_rows(named=True):
        spread = "-" if row["n_seeds"] == 1 else f"{row['sd']:.4f}"
        name = row["variant"]
        table.add_row(
            name,
            f"{row['mean']:.4f}",
            f"{row['low']:.4f} to {row['high']:.4f}",
            spread,
            f"{others[name, 'auc_roc']:.4f}",
            f"{others[name, 'sample_map']:.4f}",
            f"{seconds[name]:.1f}" if name in seconds else "-",
        )
    return table


if __name__ == "__main__":
    run_stage(main)
