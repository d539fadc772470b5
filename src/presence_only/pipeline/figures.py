"""Figures of a study: maps of the records, metrics with their intervals, training loss."""

from __future__ import annotations

import polars as pl

from presence_only.common.atomic_files import write_folder
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.evaluation.metrics import METRICS
from presence_only.pipeline.command import run_stage
from presence_only.reporting.figures import comparison_figure, records_figure, save_figure, training_figure
from presence_only.study.paths import FIGURES, MORE_FIGURES, DatasetFiles
from presence_only.study.results import METRIC, StudyResults


def main() -> None:
    """Read the comparison table, the records and the histories; replace both folders of figures."""
    study = StudyResults()
    with write_folder(FIGURES) as main_figures, write_folder(MORE_FIGURES) as more_figures:
        for dataset in study.datasets:
            files = DatasetFiles(dataset)
            records, sites_M2 = TrainingData.load(files.training).records, Survey.load(files.survey).sites_M2
            save_figure(records_figure(records, sites_M2, dataset), more_figures / files.map.name)
            rows = study.table.filter(pl.col("dataset") == dataset)
            for metric, meaning in _drawn(rows).items():
                folder = main_figures if metric == METRIC else more_figures
                save_figure(comparison_figure(rows, metric, meaning), folder / f"{metric}_{dataset}.png")
            curves = {variant: study.losses(dataset, variant) for variant in study.variants}
            save_figure(training_figure(curves, dataset), more_figures / f"training_loss_{dataset}.png")


def _drawn(rows: pl.DataFrame) -> dict[str, str]:
    """The metrics that have a figure each, with their meaning: those of the survey, and the same of further surveys."""
    found = {name: metric.meaning for name, metric in METRICS.items()}
    for name in rows["metric"].unique(maintain_order=True):
        # One metric's name may end with another's.
        ends = [metric for metric in METRICS if name.endswith(f"_{metric}")]
        if name not in METRICS and ends:
            found[name] = METRICS[max(ends, key=len)].meaning
    return found


if __name__ == "__main__":
    run_stage(main)
