"""The study as one self-contained HTML page that opens offline."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined


def render_report(
    study: str,
    table: pl.DataFrame,
    figures: Sequence[tuple[Path, str]],
    datasets: Mapping[str, Mapping[str, float]],
    versions: Mapping[str, str],
) -> str:
    """HTML with every figure inside; names that come from data are escaped.

    Args:
        study: Name of the study.
        table: The comparison table.
        figures: PNG files, each with its alternative text.
        datasets: Summary of every data set.
        versions: Software that made the numbers.
    """
    environment = Environment(loader=PackageLoader("presence_only"), autoescape=True, undefined=StrictUndefined)
    images = [(base64.b64encode(path.read_bytes()).decode(), text) for path, text in figures]
    groups = [
        (dataset, metric, rows.sort("mean", descending=True).to_dicts())
        for (dataset, metric), rows in table.group_by("dataset", "metric", maintain_order=True)
    ]
    return environment.get_template("report.html").render(
        study=study, groups=groups, images=images, datasets=datasets, versions=versions
    )
