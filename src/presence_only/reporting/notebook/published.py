"""Notebook tables and figures of NCEAS: our results beside those that others published for the same regions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from presence_only.evaluation.metrics import METRICS
from presence_only.reporting.figures.surfaces import published_figure
from presence_only.reporting.notebook.display import Shown, code, interval, picture, score, section, table
from presence_only.statistics.significance import judged
from presence_only.study.results import MissingResultsError, StudyResults

# What the benchmark is ordered by.
METRIC = "auc_roc"


@section
def regions(study: StudyResults) -> Shown:
    """AUC-ROC of every variant in every region, best mean over regions first."""
    rows = _ours(study)
    means = rows.group_by("variant", maintain_order=True).agg(pl.col("mean").mean()).sort("mean", descending=True)
    cells = {(row["variant"], row["dataset"]): score(row) for row in rows.iter_rows(named=True)}
    columns = {region: [cells.get((name, region), "") for name in means["variant"]] for region in study.datasets}
    mean = {"mean of the regions": [f"{value:.3f}" for value in means["mean"]]}
    return table({"variant": [code(name) for name in means["variant"]]} | columns | mean)


@section
def against_the_best(study: StudyResults) -> Shown:
    """In every region, each variant minus the best one, and whether that is significant."""
    found = []
    for region in study.datasets:
        best, *others = study.ranked(region, METRIC)
        found += [(region, study.pair(region, name, best, METRIC)) for name in others]
    return table(
        {
            "region": [region for region, _ in found],
            "variants": [f"{code(pair.first)} - {code(pair.second)}" for _, pair in found],
            "AUC-ROC (95 % interval)": [interval(pair) for _, pair in found],
            "judged": [judged(pair.significant) for _, pair in found],
        }
    )


@section
def published(study: StudyResults) -> Shown:
    """AUC-ROC of our variants with intervals, and of published methods, a panel per region."""
    return picture(
        published_figure(_ours(study), _theirs(study), "AUC-ROC, mean over species"),
        f"AUC-ROC of our variants with intervals and of published methods in {', '.join(study.datasets)}.",
    )


@section
def same_loss(study: StudyResults) -> Shown:
    """Published methods with a loss that the study has too, and where they lie of our interval."""
    lines = []
    for row in _theirs(study).filter(pl.col("loss").is_not_null()).iter_rows(named=True):
        for name in study.named(row["dataset"], row["loss"]):
            ours = study.scores(row["dataset"], [name], METRIC).row(0, named=True)
            lines.append(
                (row["dataset"], code(name), score(ours), row["method"], row["value"], _side(row["value"], ours))
            )
    if not lines:
        raise MissingResultsError("no published method has a loss that the study has")
    names = ("region", "variant", "ours (95 % interval)", "published method", "published", "lies ... our interval")
    return table({name: [line[i] for line in lines] for i, name in enumerate(names)})


@section
def sources(study: StudyResults) -> Shown:
    """Where the published figures come from."""
    rows = _theirs(study).select("method", "source", "url").unique(maintain_order=True)
    return table(
        {"method": rows["method"].to_list(), "source": [f"{s}, {u}" for s, u in rows.select("source", "url").rows()]}
    )


def _ours(study: StudyResults) -> pl.DataFrame:
    """Rows of the comparison table."""
    rows = study.table.filter(pl.col("metric") == METRIC)
    if not len(rows):
        raise MissingResultsError(f"{study.name} has no {METRICS[METRIC].column} in its comparison table")
    return rows


def _theirs(study: StudyResults) -> pl.DataFrame:
    """The published figures of the regions that the study has."""
    path = study.folder / "published.csv"
    if not path.is_file():
        raise MissingResultsError(f"published.csv of {study.folder.name} is not there; it is part of the repository")
    rows = pl.read_csv(path).filter((pl.col("metric") == METRIC) & pl.col("dataset").is_in(study.datasets))
    if not len(rows):
        raise MissingResultsError("published.csv has no figure for the regions of the study")
    return rows


def _side(value: float, row: Mapping[str, Any]) -> str:
    """Where a published figure lies of one of our intervals."""
    return "below" if value < row["low"] else "above" if value > row["high"] else "within"
