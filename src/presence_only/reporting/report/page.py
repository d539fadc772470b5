"""HTML page of a study, self-contained and readable offline: what it found, how sure that is, and where.

Shape legend: V seeds, S species, M survey sites.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from numpy.typing import NDArray

from presence_only.evaluation.meanings import meaning_of
from presence_only.evaluation.metrics import METRICS, in_tables
from presence_only.reporting.figures.losses import penalty_figure
from presence_only.reporting.figures.ranges import choose_by_rank
from presence_only.reporting.figures.svg import inline_svg, plain
from presence_only.reporting.report.across import across_section
from presence_only.reporting.report.content import DatasetContent, PageContent
from presence_only.reporting.report.sections import (
    MOST_LINES,
    Draw,
    Shown,
    breakdown_section,
    comparison_section,
    curves_section,
    group_section,
    learning_section,
    maps_section,
    of_best,
    power_section,
)
from presence_only.reporting.report.thresholds import OWN_TABLES, threshold_section
from presence_only.statistics.differences import Pair, points, study_verdict
from presence_only.statistics.significance import judged
from presence_only.study.results import METRIC

Array = NDArray[Any]


def render_page(study: PageContent) -> str:
    """The whole report as HTML; names that come from data are escaped, and nothing is loaded from elsewhere.

    Args:
        study: What it shows; see :class:`PageContent`.

    Raises:
        ValueError: If a data set has no variant.
    """
    numbers = count(1)

    def draw(figure: Figure, caption: str) -> Shown:
        return Shown(inline_svg(figure, f"f{next(numbers)}", caption), caption)

    environment = Environment(
        loader=PackageLoader("presence_only.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    losses = None
    if len(study.penalties):
        names = study.penalties["penalty"].unique(maintain_order=True)
        losses = draw(
            penalty_figure(study.penalties.with_columns(pl.col("penalty").map_elements(plain, return_dtype=pl.String))),
            "What one pair of site and species costs and how hard it pulls, against its logit, for "
            f"{', '.join(names)}: loss above, slope below; recorded left, not recorded right.",
        )
    return environment.get_template("page.html").render(
        study=study,
        across=None if study.across is None else across_section(study.across, study.table, draw),
        sections=[_section(dataset, study, draw) for dataset in study.datasets],
        losses=losses,
        judged=judged,
        metrics=in_tables(),
        main=METRIC,
    )


def _section(dataset: DatasetContent, study: PageContent, draw: Draw) -> dict[str, Any]:
    """Everything the template shows of one data set."""
    if not dataset.ap:
        raise ValueError(f"data set {dataset.name!r} has no variant; a report needs at least one")
    rows = study.table.filter(pl.col("dataset") == dataset.name)
    main = rows.filter(pl.col("metric") == METRIC).sort("mean", descending=True)
    order = main["variant"].to_list()
    ap = {name: dataset.ap[name] for name in order}
    pairs = of_best(dataset.pairs)
    some = choose_by_rank(order, MOST_LINES)
    numbers = {key: v for key, v in dataset.summary.items() if not isinstance(v, (Mapping, list, tuple))}
    return {
        "name": dataset.name,
        "seeds": int(main["n_seeds"][0]),
        "species": int(main["n_species"][0]),
        "sites": int(main["n_sites"][0]),
        "verdict": study_verdict(pairs) if pairs else f"{_alone(ap)}: there is nothing to compare.",
        "pairs": pairs,
        "leaderboard": _leaderboard(rows, order, pairs),
        "further": _further(rows, order),
        "figures": comparison_section(rows, ap, dataset.pairs, draw),
        "power": power_section(ap, pairs, draw),
        "map_page": dataset.map_page,
        "thresholds": threshold_section(rows, order),
        "groups": group_section(dataset, order),
        "breakdowns": breakdown_section(dataset, ap, some, draw),
        "curves": curves_section(dataset, some, draw),
        "learning": learning_section(dataset, order, some, draw),
        "maps": maps_section(dataset, study.land_share, draw),
        "records_png": base64.b64encode(dataset.records_png).decode() if dataset.records_png else "",
        "added_png": base64.b64encode(dataset.added_png).decode() if dataset.added_png else "",
        "numbers": numbers | dict(dataset.summary.get("facts", {})),
        "filters": dataset.summary.get("filters", []),
        "survey_filters": dataset.summary.get("survey_filters", []),
        "notes": dataset.summary.get("notes", []),
    }


def _alone(ap: Mapping[str, Array]) -> str:
    """Why there are no pairs."""
    return "A single variant" if len(ap) == 1 else "No species has a value under every variant"


def _leaderboard(rows: pl.DataFrame, order: Sequence[str], pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """One row per variant, best first."""
    cells = {(row["variant"], row["metric"]): row for row in rows.iter_rows(named=True)}
    against = {pair.second: pair for pair in pairs}
    return [
        {
            "variant": name,
            "main": cells[name, METRIC],
            "others": [_mean_of(cells.get((name, metric))) for metric in in_tables() if metric != METRIC],
            "judged": judged(against[name].significant) if name in against else "",
            "behind": "" if name not in against else _behind(against[name]),
        }
        for name in order
    ]


def _behind(pair: Pair) -> str:
    """How far a variant is behind the best, in points, with the interval."""
    return f"{points(-pair.difference)} ({points(-pair.high)} to {points(-pair.low)})"


def _mean_of(row: Mapping[str, Any] | None) -> float | None:
    mean = None if row is None else row["mean"]
    return None if mean is None or mean != mean else float(mean)


def _further(rows: pl.DataFrame, order: Sequence[str]) -> dict[str, Any]:
    """The means of all numbers beside the main metrics, a column each, and what they mean."""
    apart = METRICS.keys() | OWN_TABLES
    names = [name for name in rows["metric"].unique(maintain_order=True) if name not in apart]
    cells = {(row["variant"], row["metric"]): row for row in rows.iter_rows(named=True)}
    table = [(name, [_mean_of(cells.get((name, metric))) for metric in names]) for name in order]
    meanings = {name: meaning for name in names if (meaning := meaning_of(name))}
    return {"names": names, "rows": table, "meanings": meanings}
