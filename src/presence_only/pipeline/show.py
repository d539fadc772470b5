"""Comparison tables of a study in the terminal, and where its files are."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from statistics import mean

from presence_only.pipeline.command import importing, run_stage


def main() -> None:
    """Print a table per data set, variants by mAP with other metrics and training time, and one over all data sets."""
    with importing():
        import polars as pl
        from rich.console import Console

        from presence_only.pipeline.mlflow_mirror import repository_root, viewing
        from presence_only.reporting.console import leaderboard, leaderboard_across
        from presence_only.statistics.world_intervals import FEWEST_WORLDS
        from presence_only.study.paths import COMPARISON, FIGURES, MORE_FIGURES, REPORT
        from presence_only.study.results import METRIC, StudyResults

    study = StudyResults()
    results = study.comparison
    console = Console(width=120)
    for dataset in results["dataset"].unique(maintain_order=True):
        rows = results.filter(pl.col("dataset") == dataset)
        seconds = {variant: study.seconds_by_seed(dataset, variant) for variant in rows["variant"].unique()}
        means = {variant: mean(taken.values()) for variant, taken in seconds.items() if taken}
        console.print(leaderboard(rows, dataset, means))
    if results["dataset"].n_unique() >= FEWEST_WORLDS and METRIC in study.across["metric"]:
        console.print(leaderboard_across(study.across, study.pairs_across()))
    print(f"table    {COMPARISON.resolve()}")
    print(f"report   {REPORT.resolve()}")
    print(f"figures  {FIGURES.resolve()}, and more in {MORE_FIGURES.name} beside it")
    for label, step in zip_longest(["runs"], viewing(repository_root(Path.cwd())), fillvalue=""):
        print(f"{label:8} {step}")


if __name__ == "__main__":
    run_stage(main, __doc__)
