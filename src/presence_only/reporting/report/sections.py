"""Sections of a study's report: what each shows of one data set, and its figures.

Shape legend: V seeds, S species, M survey sites.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from presence_only.common.shown_names import in_a_figure
from presence_only.evaluation.breakdown import Classes, mean_by_class, mean_by_group, quantile_classes
from presence_only.evaluation.curves import mean_precision_recall, pooled_calibration
from presence_only.reporting.figures.learning import (
    calibration_figure,
    margins_of,
    precision_recall_figure,
    silencing_figure,
    training_figure,
)
from presence_only.reporting.figures.metrics import comparison_figure
from presence_only.reporting.figures.ranges import range_maps_figure
from presence_only.reporting.figures.report import (
    breakdown_figure,
    critical_difference_figure,
    differences_figure,
    distribution_figure,
    power_figure,
    short,
)
from presence_only.reporting.report.content import DatasetContent
from presence_only.statistics.average_ranks import groups, rank_variants
from presence_only.statistics.differences import Pair
from presence_only.statistics.power import plan_study
from presence_only.study.results import METRIC

Array = NDArray[Any]

# Half a point, which the study is asked to tell apart.
WANTED = 0.005
# Lines that a figure holds without becoming a tangle.
MOST_LINES = 6


@dataclass(frozen=True)
class Shown:
    """A figure within the page.

    Args:
        svg: The element.
        caption: What it shows; also its alternative text.
    """

    svg: Markup
    caption: str


Draw = Callable[[Figure, str], Shown]


def comparison_section(rows: pl.DataFrame, ap: Mapping[str, Array], pairs: Sequence[Pair], draw: Draw) -> list[Shown]:
    """Means, differences, ranks and spreads.

    Args:
        rows: The data set's rows of the comparison table.
        ap: Variant to average precision (V, S), best variant first.
        pairs: Every pair of them, the best one's first; there may be none.
        draw: Puts a figure on the page.
    """
    best, last = next(iter(ap)), list(ap)[-1]
    safe = rows.with_columns(pl.col("variant", "dataset").map_elements(in_a_figure, return_dtype=pl.String))
    shown = [
        draw(
            comparison_figure(safe, METRIC, "mean AP over species"),
            f"Mean {METRIC} and its 95 % interval by variant: from {best} down to {last}.",
        )
    ]
    if pairs:
        with_best = of_best(pairs)
        ranking = rank_variants(ap)
        alike = groups(ranking.variants, {frozenset((p.first, p.second)) for p in pairs if p.significant})
        named = "; ".join(", ".join(group) for group in alike) or "none"
        shown += [
            draw(
                differences_figure(with_best),
                f"How many points {with_best[0].first} is above each variant, with 95 % intervals by resampling seeds "
                f"and species; {sum(p.significant for p in with_best)} of {len(with_best)} are significant.",
            ),
            draw(
                critical_difference_figure(ranking, alike),
                f"Average rank of the variants over {ranking.n_units} species, 1 is best. A red bar joins variants "
                f"among which no difference is significant ({named}). Friedman's test: {_p(ranking.p_friedman)}; "
                f"Nemenyi's critical difference, which is blind to seeds: {ranking.critical_difference:.2f} ranks.",
            ),
        ]
    shown.append(
        draw(
            distribution_figure(ap, "average precision of a species, mean over seeds (0 to 1)"),
            "Average precision over species: the box holds the middle half, the whiskers nine tenths, "
            "the line is the median and the dot the mean.",
        )
    )
    return shown


def of_best(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """The pairs of the variant with the highest mean; nothing where there are none."""
    return tuple(pair for pair in pairs if pair.first == pairs[0].first)


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def power_section(ap: Mapping[str, Array], pairs: Sequence[Pair], draw: Draw) -> dict[str, Any] | None:
    """What the study can tell apart, from the closest pair with the best."""
    if not pairs:
        return None
    nearest = pairs[0]
    plan = plan_study(ap, nearest.first, nearest.second, WANTED)
    if plan is None:
        return None
    figure = None
    if plan.error > 0:
        figure = draw(
            power_figure(plan),
            f"Smallest difference between {nearest.first} and {nearest.second} that a study finds four times of five, "
            f"against its number of seeds; dashed: {100 * WANTED:g} points.",
        )
    return {"pair": nearest, "plan": plan, "figure": figure}


def breakdown_section(
    dataset: DatasetContent, ap: Mapping[str, Array], some: Sequence[str], draw: Draw
) -> list[dict[str, Any]]:
    """The metric by classes of species, and of sites."""
    asked: list[tuple[str, str, Array | None, Mapping[str, Array], str]] = [
        ("prevalence", "prevalence (share of survey sites)", dataset.prevalence_S, ap, "species"),
        ("records", "training records of the species", dataset.records_S, ap, "species"),
        ("range extent", "range extent (km, median distance from its centre)", dataset.extent_S, ap, "species"),
        ("observer effort", "training records near the site", dataset.effort_M, dataset.site_ap, "sites"),
    ]
    found = []
    for name, quantity, quantity_U, values, unit in asked:
        if quantity_U is None or not values or np.isnan(np.asarray(quantity_U, dtype=np.float64)).all():
            continue
        classes = quantile_classes(quantity_U)
        if len(classes) < 2:
            continue
        table = mean_by_class({variant: values[variant] for variant in ap}, classes)
        metric = "mAP" if unit == "species" else "sample mAP"
        found.append(
            {
                "name": name,
                "quantity": quantity,
                "unit": unit,
                "metric": metric,
                "classes": _headings(classes, table),
                "rows": [
                    (variant, [_shade(mean) for mean in table.filter(pl.col("variant") == variant)["mean"]])
                    for variant in ap
                ],
                "figure": draw(
                    breakdown_figure(table.filter(pl.col("variant").is_in(some)), quantity, metric),
                    f"{metric} by {name}: {len(classes)} classes of about equally many {unit}, for {', '.join(some)}.",
                ),
            }
        )
    return found


def group_section(dataset: DatasetContent, order: Sequence[str]) -> list[dict[str, Any]]:
    """Means of the measures per species by taxon group; nothing for a single group."""
    if len(set(dataset.groups_S)) < 2:
        return []
    found = []
    for title, of_variants in dataset.by_group.items():
        tables = {name: mean_by_group(of_variants[name], dataset.groups_S) for name in order if name in of_variants}
        if not tables:
            continue
        first = next(iter(tables.values()))
        headings = [f"{group} (n = {n:,})" for group, n in first.select("group", "n").iter_rows()]
        rows = [(name, [_shade(mean) for mean in table["mean"]]) for name, table in tables.items()]
        found.append({"metric": title, "groups": headings, "rows": rows})
    return found


def _headings(classes: Classes, table: pl.DataFrame) -> list[str]:
    """What a class holds, such as ``1 to 12 (n = 125)``."""
    n = table.unique("class", maintain_order=True).sort("class")["n"]
    return [
        f"{short(low)} to {short(high)} (n = {size:,})"
        for low, high, size in zip(classes.low, classes.high, n, strict=True)
    ]


def _shade(mean: float) -> tuple[str, int]:
    """A mean as text, and as percent of shading."""
    return ("\N{EN DASH}", 0) if mean != mean else (f"{mean:.3f}", max(0, round(100 * mean)))


def curves_section(dataset: DatasetContent, some: Sequence[str], draw: Draw) -> list[Shown]:
    """Precision-recall and calibration, where they were kept."""
    named = f"of the variants {', '.join(some)}, taken at equal steps of the ranking"
    shown = []
    for kind, pooled, figure, caption in (
        (
            "precision_recall",
            mean_precision_recall,
            precision_recall_figure,
            f"Precision against recall, mean over species and seeds, {named}.",
        ),
        (
            "calibration",
            pooled_calibration,
            calibration_figure,
            f"Share of pairs where the species is present against their score, over all seeds, {named}. Scores of "
            "presence-only losses are no probabilities; the grey line is where they would be.",
        ),
    ):
        curves = dataset.curves.get(kind, {})
        if curves.keys() >= set(some):
            shown.append(draw(figure({in_a_figure(name): pooled(curves[name]) for name in some}), caption))
    return shown


def learning_section(dataset: DatasetContent, order: Sequence[str], some: Sequence[str], draw: Draw) -> list[Shown]:
    """Training loss, and how scores part."""
    shown = []
    if dataset.losses:
        losses = {in_a_figure(name): list(dataset.losses[name]) for name in order if name in dataset.losses}
        shown.append(
            draw(
                training_figure(losses, in_a_figure(dataset.name)),
                "Training loss per epoch of every variant over that of its first epoch, as units differ by loss.",
            )
        )
    probes = {in_a_figure(name): dataset.probes[name] for name in some if name in dataset.probes}
    if probes and margins_of(probes):
        shown.append(
            draw(
                silencing_figure(probes),
                "How many unobserved pairs score below a margin, and how far observed pairs stand out, by epoch.",
            )
        )
    return shown


def maps_section(dataset: DatasetContent, land_share: Array, draw: Draw) -> Shown | None:
    """Some species' ranges."""
    if not dataset.maps:
        return None
    species = ", ".join(own.species for own in dataset.maps)
    return draw(
        range_maps_figure(dataset.maps, land_share),
        f"Records, truth and score under {', '.join(dataset.maps[0].scores)} for {species}. The species are the middle "
        "of each quarter by prevalence, rarest on top; the variants stand at equal steps of the ranking, best first; "
        "models of the first seed.",
    )
