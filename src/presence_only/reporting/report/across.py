"""Section of a study's report over all of its data sets: ranking, comparisons with the best, and their figures."""

from __future__ import annotations

from typing import Any

import polars as pl

from presence_only.common.shown_names import in_a_figure
from presence_only.evaluation.metrics import METRICS, in_tables
from presence_only.reporting.figures.metrics import across_figure
from presence_only.reporting.figures.report import differences_figure
from presence_only.reporting.report.content import AcrossContent
from presence_only.reporting.report.sections import Draw
from presence_only.reporting.report.thresholds import threshold_section
from presence_only.statistics.across_datasets import PairAcross, verdict_across
from presence_only.statistics.differences import points
from presence_only.statistics.significance import judged
from presence_only.statistics.world_intervals import ALL
from presence_only.study.results import METRIC


def across_section(across: AcrossContent, table: pl.DataFrame, draw: Draw) -> dict[str, Any]:
    """Everything the template shows over all data sets of a study.

    Args:
        across: Means and pairs over all data sets; there is a row of the metric that decides.
        table: The comparison table, for the means of the single data sets.
        draw: Puts a figure on the page.
    """
    rows = across.table.filter(pl.col("scenario") == ALL)
    main = rows.filter(pl.col("metric") == METRIC).sort("rank", "variant")
    pairs = [pair for pair in across.pairs if pair.first == across.pairs[0].first]
    against = {pair.second: pair for pair in pairs}
    means = {(row["variant"], row["metric"]): row["mean"] for row in rows.iter_rows(named=True)}
    n_worlds = int(main["n_worlds"][0])
    figures = [
        draw(
            across_figure(_plain(main), _plain(table), METRIC, METRICS[METRIC].meaning),
            f"Mean {METRIC} over {n_worlds} data sets by variant, with its 95 % interval over data sets; "
            "small dots are data sets.",
        )
    ]
    if pairs:
        figures.append(
            draw(
                differences_figure(pairs),
                f"How many points {pairs[0].first} is above each variant over {n_worlds} data sets, with 95 % "
                f"intervals over data sets; {sum(p.significant for p in pairs)} of {len(pairs)} are significant.",
            )
        )
    return {
        "n_worlds": n_worlds,
        "verdict": verdict_across(pairs) if pairs else "There is nothing to compare over all data sets.",
        "pairs": pairs,
        "figures": figures,
        "thresholds": threshold_section(rows, main["variant"].to_list()),
        "leaderboard": [
            {
                "main": row,
                "others": [means.get((row["variant"], metric)) for metric in in_tables() if metric != METRIC],
                "pair": against.get(row["variant"]),
                "behind": _behind(against.get(row["variant"])),
                "words": words(against.get(row["variant"])),
            }
            for row in main.iter_rows(named=True)
        ],
    }


def words(pair: PairAcross | None) -> list[str]:
    """What a pair over all data sets is: significant or not, and whether it is equal for practical purposes."""
    if pair is None:
        return []
    return [judged(pair.significant)] + ["equal for practical purposes"] * pair.practically_equal


def _behind(pair: PairAcross | None) -> str:
    """How far a variant is behind the best, in points, with the interval."""
    return "" if pair is None else f"{points(-pair.difference)} ({points(-pair.high)} to {points(-pair.low)})"


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows with names that are fit to be drawn."""
    return rows.with_columns(pl.col("variant").map_elements(in_a_figure, return_dtype=pl.String))
