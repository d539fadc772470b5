"""Figures of a study, drawn from its files: maps of the records, metrics with their intervals, training loss."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from presence_only.data.added_presences import AddedPresences
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.evaluation.metrics import METRICS
from presence_only.geography.earth import Earth
from presence_only.reporting.figures.learning import training_figure
from presence_only.reporting.figures.maps import added_figure, records_figure
from presence_only.reporting.figures.metrics import across_figure, comparison_figure
from presence_only.reporting.figures.style import save_figure
from presence_only.statistics.world_intervals import ALL
from presence_only.study.checksums import check_unaltered
from presence_only.study.paths import DatasetFiles, added_map
from presence_only.study.results import METRIC, StudyResults


def draw_study(study: StudyResults, main_figures: Path, more_figures: Path) -> None:
    """Draw every figure of a study.

    Args:
        study: What to draw.
        main_figures: Folder of the figures of the metric that decides: one per data set, and one over all.
        more_figures: Folder of all others.

    Raises:
        MissingResultsError: If results of the study are not there.
    """
    if study.over_all:
        across = study.across.filter(pl.col("scenario") == ALL)
        figure = across_figure(across, study.table, METRIC, METRICS[METRIC].meaning)
        save_figure(figure, main_figures / "across.png")
    for dataset in study.datasets:
        draw_maps(dataset, more_figures)
        rows = study.table.filter(pl.col("dataset") == dataset)
        for metric, meaning in _drawn(rows).items():
            folder = main_figures if metric == METRIC else more_figures
            save_figure(comparison_figure(rows, metric, meaning), folder / f"{metric}_{dataset}.png")
        curves = {variant: study.losses(dataset, variant) for variant in study.variants}
        save_figure(training_figure(curves, dataset), more_figures / f"training_loss_{dataset}.png")


def draw_maps(dataset: str, folder: Path) -> None:
    """Draw where the records of a data set lie and, where label propagation added presences, where those lie."""
    files = DatasetFiles(dataset)
    for path in (files.training, files.survey):
        check_unaltered(path)
    records, sites_M2 = TrainingData.load(files.training).records, Survey.load(files.survey).sites_M2
    added = AddedPresences.load(files.survey)
    if added is not None:
        records = added.left_out_of(records)
        figure = added_figure(records.sites_N2, added.per_row(records.n_rows), Earth.load().land_share_grid, dataset)
        save_figure(figure, folder / added_map(dataset).name)
    save_figure(records_figure(records, sites_M2, dataset), folder / files.map.name)


def _drawn(rows: pl.DataFrame) -> dict[str, str]:
    """The metrics that have a figure each, with their meaning: those of the survey, and the same of further surveys."""
    found = {name: metric.meaning for name, metric in METRICS.items()}
    for name in rows["metric"].unique(maintain_order=True):
        # One metric's name may end with another's.
        ends = [metric for metric in METRICS if name.endswith(f"_{metric}")]
        if name not in METRICS and ends:
            found[name] = METRICS[max(ends, key=len)].meaning
    return found
