"""The figures of one study, drawn from its files: records, metrics with their intervals, training loss."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.evaluation.metrics import METRICS
from presence_only.reporting.figures import comparison_figure, records_figure, save_figure, training_figure
from presence_only.study.paths import DatasetFiles
from presence_only.study.results import StudyResults


def draw_study(study: StudyResults, folder: Path) -> None:
    """Draw every figure of a study into ``folder``.

    Raises:
        MissingResultsError: If results of the study are not there.
    """
    for dataset in study.datasets:
        files = DatasetFiles(dataset)
        records, sites_M2 = TrainingData.load(files.training).records, Survey.load(files.survey).sites_M2
        save_figure(records_figure(records, sites_M2, dataset), folder / files.map.name)
        rows = study.table.filter(pl.col("dataset") == dataset)
        for metric, meaning in _drawn(rows):
            save_figure(comparison_figure(rows, metric, meaning), folder / f"{metric}_{dataset}.png")
        curves = {variant: study.losses(dataset, variant) for variant in study.variants}
        save_figure(training_figure(curves, dataset), folder / f"training_loss_{dataset}.png")


def _drawn(rows: pl.DataFrame) -> list[tuple[str, str]]:
    """The metrics of a figure each, with their meaning: those of the survey, and the same of further surveys."""
    names = rows["metric"].unique(maintain_order=True).to_list()
    further = [(name, METRICS[m].meaning) for name in names for m in METRICS if name.endswith(f"_{m}")]
    return [(name, metric.meaning) for name, metric in METRICS.items()] + further
