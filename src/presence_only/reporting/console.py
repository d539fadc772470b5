"""Tables that commands print: the rows that cleaning left, and the leaderboards of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from presence_only.common.shown_names import in_a_line
from presence_only.data.dataset import Dataset
from presence_only.evaluation.metrics import METRICS, in_tables
from presence_only.statistics.across_datasets import PairAcross
from presence_only.statistics.differences import points
from presence_only.statistics.significance import judged
from presence_only.statistics.world_intervals import ALL
from presence_only.study.results import METRIC


def print_summary(name: str, dataset: Dataset, counts: Mapping[str, int | float], seconds: float) -> None:
    """Print what the cleaning dropped, what a reader must know, and the size of a data set.

    Args:
        name: Name of the data set.
        dataset: The data set.
        counts: As :func:`~presence_only.data.summary.summarise` counts it.
        seconds: How long it took to make.
    """
    if dataset.filters:
        Console(width=100).print(funnel(dataset.filters, name))
    if dataset.survey_filters:
        Console(width=100).print(funnel(dataset.survey_filters, f"{name}, survey"))
    for note in dataset.notes:
        print(f"note: {in_a_line(note)}")
    print(
        f"{name}: {counts['records']:,} records of {counts['species']:,} species, "
        f"{counts['survey_sites']:,} survey sites in {seconds:.1f} s",
        flush=True,
    )


def as_text(words: str) -> Text:
    """Words of data for a table of rich: neither its markup nor its names of emoji, which an escape would leave."""
    return Text(in_a_line(words))


def funnel(filters: tuple[tuple[str, int], ...], name: str) -> Table:
    """What each rule of the cleaning left and dropped; percentages are of the rows before the rule."""
    table = Table(title=as_text(f"{name}: rows left by each rule"))
    table.add_column("rule")
    for heading in ("rows left", "dropped", "dropped, %"):
        table.add_column(heading, justify="right")
    before = None
    for rule, left in filters:
        dropped = 0 if before is None else before - left
        share = f"{100 * dropped / before:.2f}" if before else "-"
        table.add_row(as_text(rule), f"{left:,}", "-" if before is None else f"{dropped:,}", share)
        before = left
    return table


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


def leaderboard_across(across: pl.DataFrame, pairs: Sequence[PairAcross]) -> Table:
    """The variants over all data sets, best mAP on top.

    Args:
        across: The table over all data sets.
        pairs: Pairs of variants over all data sets, the best one's first; there may be none.
    """
    rows = across.filter((pl.col("metric") == METRIC) & (pl.col("scenario") == ALL)).sort("rank", "variant")
    against = {pair.second: pair for pair in pairs if pair.first == pairs[0].first}
    table = Table(title=f"over all data sets: {rows['n_worlds'][0]} data sets, intervals of the mean over data sets")
    table.add_column("variant")
    for title in (
        METRICS[METRIC].title,
        "95 % interval",
        "sd",
        "minus the best, points",
        "best above in",
        "difference",
    ):
        table.add_column(title, justify="right")
    for row in rows.iter_rows(named=True):
        pair = against.get(row["variant"])
        behind = above = word = ""
        if pair is not None:
            behind = f"{points(-pair.difference)} ({points(-pair.high)} to {points(-pair.low)})"
            above = f"{pair.share_of_worlds * pair.n_worlds:g} of {pair.n_worlds}"
            word = judged(pair.significant) + ", practically equal" * pair.practically_equal
        interval = f"{row['low']:.4f} to {row['high']:.4f}"
        table.add_row(row["variant"], f"{row['mean']:.4f}", interval, f"{row['sd']:.4f}", behind, above, word)
    return table
