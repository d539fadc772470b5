"""Answers of a fair comparison: means and differences over worlds, what tuning gains, and what quality costs.

Everything is computed from the two tables that the comparison wrote, in which a world is one number per variant and
metric. Worlds are those of :mod:`~presence_only.statistics.world_intervals`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.fair_comparison.design import DEFAULT, TUNED
from presence_only.search.criteria import CRITERIA
from presence_only.search.objective import FINISHED
from presence_only.statistics.across_datasets import across_pairs_table, means_across, means_table, pairs_across
from presence_only.statistics.paired import holm
from presence_only.statistics.significance import is_significant_across
from presence_only.statistics.world_intervals import ALL, mean_over_worlds

# Runs of the first kind of settings in every scenario, with another length in one.
STEPS = "steps_"
# Mean average precision that a cost is told for.
TARGETS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75)


def values_of(
    scores: pl.DataFrame, metric: str, settings: str, scenarios: Sequence[str]
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """One metric as the statistics over worlds take it, as the mean over scenarios in every world.

    Worlds with the same seed have the same species and observers in all scenarios. So it is worlds that are drawn by
    chance, a scenario at a time or as the mean over several, and never the pairs of scenario and world.

    Args:
        scores: The table of scores.
        metric: A column of it.
        settings: Which runs.
        scenarios: Which scenarios.

    Returns:
        World to variant to the value (1, 1), NaN where a run has none.
    """
    own = scores.filter((pl.col("settings") == settings) & pl.col("scenario").is_in(scenarios))
    values: dict[str, dict[str, NDArray[np.float64]]] = {}
    for (world, variant), part in own.group_by("world", "variant", maintain_order=True):
        numbers = part[metric].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        complete = len(numbers) == len(scenarios)
        values.setdefault(str(world), {})[str(variant)] = np.array([[numbers.mean() if complete else np.nan]])
    return values


def full_scenarios(scores: pl.DataFrame, settings: str = TUNED) -> list[str]:
    """The scenarios that have as many variants as the one with the most."""
    counts = (
        scores.filter(pl.col("settings") == settings)
        .group_by("scenario", maintain_order=True)
        .agg(pl.col("variant").n_unique())
    )
    most = counts["variant"].max()
    return [name for name, n_variants in counts.iter_rows() if n_variants == most]


def _blocks(scores: pl.DataFrame, settings: str) -> list[tuple[str, list[str]]]:
    """Name and scenarios of every block of a table: all full scenarios together if there are several, then each."""
    full = full_scenarios(scores, settings)
    return ([(ALL, full)] if len(full) > 1 else []) + [(name, [name]) for name in full]


def means(scores: pl.DataFrame, metrics: Sequence[str], settings: str = TUNED) -> pl.DataFrame:
    """Mean of every metric and variant over worlds: over the full scenarios together, and in every scenario.

    Returns:
        The columns of :class:`~presence_only.statistics.across_datasets.MeanAcross`, after ``metric``.
    """
    found = {}
    full = full_scenarios(scores, settings)
    names = scores.filter(pl.col("settings") == settings)["scenario"].unique(maintain_order=True)
    blocks = _blocks(scores, settings) + [(name, [name]) for name in names if name not in full]
    for metric in metrics:
        found[metric] = [
            replace(row, scenario=name)
            for name, scenarios in blocks
            for row in means_across(values_of(scores, metric, settings, scenarios))
        ]
    return means_table(found)


def pairs(scores: pl.DataFrame, metrics: Sequence[str], settings: str = TUNED) -> pl.DataFrame:
    """Every pair of variants over worlds: over the full scenarios together, and in every full scenario.

    Returns:
        The columns of :class:`~presence_only.statistics.across_datasets.PairAcross`, after ``metric``, but for the
        share of species, as a world is one number here, and the verdict.
    """
    found = {}
    for metric in metrics:
        found[metric] = [
            replace(row, scenario=name)
            for name, scenarios in _blocks(scores, settings)
            for row in pairs_across(values_of(scores, metric, settings, scenarios))
        ]
    return across_pairs_table(found).drop("share_of_species", "verdict")


def differences_from(reference: str, table: pl.DataFrame) -> pl.DataFrame:
    """The rows of one metric's pairs that hold a variant, told as the other variant minus it.

    Args:
        reference: Name of the variant.
        table: Rows of :func:`pairs`.

    Returns:
        A row per scenario and other variant: scenario, variant, difference, low, high, p_holm, significant,
        practically_equal.
    """
    kept = ("p_holm", "significant", "practically_equal")
    rows = []
    for row in table.iter_rows(named=True):
        if reference not in (row["first"], row["second"]):
            continue
        numbers = row["difference"], row["low"], row["high"]
        if row["first"] == reference:
            numbers = -row["difference"], -row["high"], -row["low"]
        other = row["second"] if row["first"] == reference else row["first"]
        own = {"scenario": row["scenario"], "variant": other}
        own |= dict(zip(("difference", "low", "high"), numbers, strict=True))
        rows.append(own | {name: row[name] for name in kept})
    return pl.DataFrame(rows, infer_schema_length=None)


def tuning_gains(scores: pl.DataFrame, metric: str = "species_map") -> pl.DataFrame:
    """What the search gained over the settings of the file, per scenario and variant.

    Returns:
        A row per scenario (``all`` for all that have both) and variant: tuned and default (means), difference, low,
        high, p, p_holm (over variants of the scenario), share_of_worlds, n_worlds, significant.
    """
    both = (
        scores.filter(pl.col("settings").is_in([TUNED, DEFAULT]))
        .pivot("settings", index=["scenario", "world", "variant"], values=metric)
        .drop_nulls()
    )
    scenarios = both["scenario"].unique(maintain_order=True).to_list()
    rows = []
    for scenario in (["all"] if len(scenarios) > 1 else []) + scenarios:
        own = both if scenario == "all" else both.filter(pl.col("scenario") == scenario)
        block = []
        for (variant,), part in own.group_by("variant", maintain_order=True):
            # One number per world: its scenarios share species and observers.
            of_world = part.group_by("world", maintain_order=True).agg(pl.col(TUNED, DEFAULT).mean())
            difference_W = (of_world[TUNED] - of_world[DEFAULT]).to_numpy()
            over = mean_over_worlds(difference_W)
            block.append(
                {
                    "scenario": scenario,
                    "variant": variant,
                    "tuned": of_world[TUNED].mean(),
                    "default": of_world[DEFAULT].mean(),
                    "difference": over.mean,
                    "low": over.low,
                    "high": over.high,
                    "p": over.p,
                    "share_of_worlds": float(np.mean((difference_W > 0) + 0.5 * (difference_W == 0))),
                    "n_worlds": over.n_worlds,
                }
            )
        rows += _judged(block)
    return pl.DataFrame(rows)


def scenario_gains(scores: pl.DataFrame, base: str, other: str, metrics: Sequence[str]) -> pl.DataFrame:
    """Difference of every metric and variant between two scenarios of the same worlds, over worlds.

    Args:
        scores: The table of scores.
        base: Scenario that is subtracted.
        other: The scenario whose gain is meant.
        metrics: Columns.

    Returns:
        A row per metric and variant, and one over all variants (``all``): metric, variant, base, other, difference,
        low, high, p, p_holm (over variants of a metric), n_worlds, significant; by descending difference.
    """
    rows = []
    tuned = scores.filter(pl.col("settings") == TUNED)
    for metric in metrics:
        both = (
            tuned.filter(pl.col("scenario").is_in([base, other]))
            .pivot("scenario", index=["world", "variant"], values=metric)
            .drop_nulls()
        )
        block: list[dict[str, Any]] = []
        groups = [(str(variant), part) for (variant,), part in both.group_by("variant", maintain_order=True)]
        for variant, part in [*groups, (ALL, both.drop("variant").group_by("world", maintain_order=True).mean())]:
            over = mean_over_worlds((part[other] - part[base]).to_numpy())
            row = {"metric": metric, "variant": variant, "base": part[base].mean(), "other": part[other].mean()}
            row |= {"difference": over.mean, "low": over.low, "high": over.high, "p": over.p, "n_worlds": over.n_worlds}
            block.append(row)
        rows += _judged(block)
    return pl.DataFrame(rows, infer_schema_length=None)


def _judged(block: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of one family by descending difference, with Holm's correction over the family and what is significant."""
    for row, p_holm in zip(block, holm([row["p"] for row in block]), strict=True):
        row["p_holm"] = p_holm
        row["significant"] = is_significant_across(row)
    return sorted(block, key=lambda row: -float(row["difference"]))


def costs(scores: pl.DataFrame, scenario: str, metric: str = "species_map") -> pl.DataFrame:
    """Quality against cost: mean metric and CPU seconds of every length of training, with the settings of the file.

    Returns:
        A row per variant and length, shortest first: variant, steps, cpu_seconds, mean (of the metric), n_worlds.
    """
    lengths = scores.filter(
        (pl.col("scenario") == scenario)
        & (pl.col("settings").str.starts_with(STEPS) | (pl.col("settings") == DEFAULT))
        & pl.col(metric).is_not_null()
    )
    worlds = lengths.filter(pl.col("settings") != DEFAULT)["world"].unique().to_list()
    return (
        lengths.filter(pl.col("world").is_in(worlds))
        .group_by("variant", "steps", maintain_order=True)
        .agg(
            pl.col("cpu_seconds").mean(),
            pl.col(metric).mean().alias("mean"),
            pl.col("world").n_unique().alias("n_worlds"),
        )
        .sort("variant", "steps")
    )


def cost_to_reach(curves: pl.DataFrame, targets: Sequence[float] = TARGETS) -> pl.DataFrame:
    """CPU seconds to reach a mean, between lengths on a logarithmic scale of seconds.

    Args:
        curves: What :func:`costs` returns.
        targets: The means.

    Returns:
        A row per variant and target: variant, target, cpu_seconds; null where no length reaches it, and the seconds of
        the shortest length where that one does already.
    """
    rows = []
    for (variant,), curve in curves.group_by("variant", maintain_order=True):
        seconds, mean = curve["cpu_seconds"].to_numpy(), np.maximum.accumulate(curve["mean"].to_numpy())
        for target in targets:
            reached = np.flatnonzero(mean >= target)
            cost = None
            if len(reached):
                i = int(reached[0])
                cost = float(seconds[i])
                if i:
                    share = (target - mean[i - 1]) / (mean[i] - mean[i - 1])
                    cost = float(seconds[i - 1] * (seconds[i] / seconds[i - 1]) ** share)
            rows.append({"variant": variant, "target": target, "cpu_seconds": cost})
    return pl.DataFrame(rows, infer_schema_length=None)


def chosen(trials: pl.DataFrame, criteria: Sequence[str] = tuple(CRITERIA)) -> pl.DataFrame:
    """The settings that each criterion chooses, per scenario and variant, with the cost of the search.

    Args:
        trials: The table of trials.
        criteria: Names of criteria.

    Returns:
        A row per criterion, scenario and variant: chosen_by, scenario, variant, search_cpu_seconds, trials, and the
        chosen trial's criteria, truth and settings.
    """
    cost = trials.group_by("scenario", "variant", maintain_order=True).agg(
        pl.col("cpu_seconds").sum().alias("search_cpu_seconds"), pl.len().alias("trials")
    )
    tables = []
    for criterion in criteria:
        best = (
            trials.filter(pl.col(criterion).is_not_null() & (pl.col("state") == FINISHED))
            .sort(criterion, descending=True, maintain_order=True)
            .group_by("scenario", "variant", maintain_order=True)
            .first()
            .drop("cpu_seconds", "state")
        )
        table = cost.join(best, on=["scenario", "variant"], how="left", maintain_order="left")
        tables.append(table.select(pl.lit(criterion).alias("chosen_by"), pl.all()))
    return pl.concat(tables)
