"""Notebook tables and figures from what only the runner of a study has: values per species, curves and runs.

Shape legend: V seeds, S species.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from presence_only.evaluation.breakdown import mean_by_class, quantile_classes
from presence_only.evaluation.curves import calibration_error, mean_precision_recall, pooled_calibration
from presence_only.losses.expected_scores import expected_score, level_weights
from presence_only.reporting.figures.learning import (
    BELOW,
    calibration_figure,
    margins_of,
    precision_recall_figure,
    silencing_figure,
)
from presence_only.reporting.figures.losses import Floats, prevalence_figure
from presence_only.reporting.figures.report import breakdown_figure
from presence_only.reporting.notebook.display import Shown, code, picture, section, table
from presence_only.reporting.notebook.scores import interval
from presence_only.statistics.differences import compare_steps
from presence_only.statistics.significance import judged
from presence_only.study.results import MissingResultsError, StudyResults


@section
def silencing(study: StudyResults, *losses: str) -> Shown:
    """After every epoch, which unobserved pairs lie below a margin, and how far observed pairs stand out."""
    names = _named(study, losses)
    probes = {name: study.probes(study.datasets[0], name) for name in names}
    return picture(
        silencing_figure(probes),
        "Share of unobserved pairs below a margin, and the gap of mean scores between observed and unobserved pairs, "
        f"after every epoch, for {', '.join(names)}.",
    )


@section
def silenced(study: StudyResults, *losses: str) -> Shown:
    """The first and the last epoch of :func:`silencing`."""
    probes = {name: study.probes(study.datasets[0], name) for name in _named(study, losses)}
    shares = {
        f"at most {margin:g}": [
            f"{probe[f'{BELOW}{margin:g}'][0]:.1%}, {probe[f'{BELOW}{margin:g}'][-1]:.1%}" for probe in probes.values()
        ]
        for margin in margins_of(probes)
    }
    gaps = [probe["observed_score"] - probe["unobserved_score"] for probe in probes.values()]
    gap = {"gap of mean scores": [f"{gap_E[0]:.3f}, {gap_E[-1]:.3f}" for gap_E in gaps]}
    return table({"variant (first, last epoch)": [code(name) for name in probes]} | shares | gap)


@section
def precision_recall(study: StudyResults, *losses: str) -> Shown:
    """Precision against recall, mean over species and seeds."""
    names = _named(study, losses)
    curves = {n: mean_precision_recall(study.curves(study.datasets[0], n, "precision_recall")) for n in names}
    return picture(precision_recall_figure(curves), f"Precision against recall of {', '.join(names)}.")


@section
def calibration(study: StudyResults, *losses: str) -> Shown:
    """Share of pairs where the species is present against their score, over all seeds."""
    names = _named(study, losses)
    curves = {n: pooled_calibration(study.curves(study.datasets[0], n, "calibration")) for n in names}
    return picture(calibration_figure(curves), f"Share of presences against score of {', '.join(names)}.")


@section
def calibration_errors(study: StudyResults, *losses: str) -> Shown:
    """How far scores are from the share of presences, over all pairs."""
    names = _named(study, losses)
    curves = [pooled_calibration(study.curves(study.datasets[0], n, "calibration")) for n in names]
    errors = [calibration_error(curve) for curve in curves]
    return table(
        {
            "variant": [code(name) for name in names],
            "mean distance": [f"{distance:.4f}" for distance, _ in errors],
            "mean of score minus share": [f"{signed:+.4f}" for _, signed in errors],
        }
    )


@section
def by_prevalence(study: StudyResults, *losses: str) -> Shown:
    """Mean average precision over the rarest, middle and commonest third of the species by prevalence."""
    dataset, names = study.datasets[0], _named(study, losses)
    classes = quantile_classes(study.prevalence(dataset, names[0]), 3)
    means = mean_by_class({name: study.values(dataset, name) for name in names}, classes)
    return picture(
        breakdown_figure(means, "prevalence (share of survey sites)", "mAP"),
        f"mAP of {', '.join(names)} for rare, middle and common species.",
    )


@section
def interaction(study: StudyResults, loss: str, first: str, second: str) -> Shown:
    """Whether one setting of a loss changes what another brings, over the widest block of four variants.

    Args:
        study: Its first data set is shown.
        loss: Name of the loss.
        first: Name of one setting.
        second: Name of the setting whose step is compared at two values of the first.
    """
    dataset = study.datasets[0]
    for members in study.families(dataset, loss, first, second):
        blocks = complete_blocks(members)
        if blocks:
            break
    else:
        raise MissingResultsError(f"{study.name} has no four variants of {loss} that cross {first} with {second}")
    (x0, x1), (y0, y1) = blocks[0]
    low, high = (members[x0, y0], members[x0, y1]), (members[x1, y0], members[x1, y1])
    value = {name: study.values(dataset, name) for name in (*low, *high)}
    steps = [study.pair(dataset, low[1], low[0]), study.pair(dataset, high[1], high[0])]
    found = [*steps, compare_steps((value[low[0]], value[low[1]]), (value[high[0]], value[high[1]]))]
    step = f"{second} = {y0:g} to {y1:g}"
    return table(
        {
            "step": [f"{step} at {first} = {x0:g}", f"{step} at {first} = {x1:g}", "second minus first step"],
            "change of mAP (95 % interval)": [interval(pair) for pair in found],
            "judged": [judged(pair.significant) for pair in found],
        }
    )


@section
def expected_scores(study: StudyResults, *losses: str) -> Shown:
    """Mean score of every species against its share of the training rows, beside what theory expects."""
    points = _levels(study, losses)
    return picture(
        prevalence_figure(points),
        f"Mean score of every species against its share of the rows, with the expected curve, for {', '.join(points)}.",
    )


@section
def expected_score_table(study: StudyResults, *losses: str) -> Shown:
    """The mean score of a species over the expected one: median and middle nine tenths of the species."""
    points = _levels(study, losses)
    ratios = [score_S / expected_score(share_S, weight, b) for share_S, score_S, weight, b in points.values()]
    return table(
        {
            "variant": [code(name) for name in points],
            "lambda": [f"{weight:g}" for _, _, weight, _ in points.values()],
            "mean score / expected, median": [f"{np.median(ratio_S):.2f}" for ratio_S in ratios],
            "middle 90 %": [f"{np.quantile(r, 0.05):.2f} to {np.quantile(r, 0.95):.2f}" for r in ratios],
        }
    )


def _named(study: StudyResults, losses: tuple[str, ...]) -> list[str]:
    """Variants of these losses with results."""
    names = study.named(study.datasets[0], *losses)
    if not names:
        raise MissingResultsError(f"{study.name} has no results of {', '.join(losses)}")
    return names


def _levels(study: StudyResults, losses: tuple[str, ...]) -> dict[str, tuple[Floats, Floats, float, float]]:
    """Variants whose level theory gives: share of rows and mean score of every species, lambda, background weight."""
    dataset, found = study.datasets[0], {}
    n_rows = study.summary(dataset)["rows"]
    for name in study.named(dataset, *losses):
        weights = level_weights(study.params.variants[name].loss)
        if weights is None:
            continue
        rows = study.per_species(dataset, name)
        means = rows.group_by("species", maintain_order=True).agg(pl.col("mean_score", "n_records").mean())
        share_S = means["n_records"].to_numpy() / n_rows
        found[name] = (share_S, means["mean_score"].to_numpy(), *weights)
    if not found:
        raise MissingResultsError(f"{study.name} has no variant with plain cross-entropy whose level theory gives")
    return found


def complete_blocks(members: Mapping[tuple[Any, ...], str]) -> Sequence[tuple[tuple[Any, Any], tuple[Any, Any]]]:
    """The largest 2 x 2 blocks of a two-parameter family: (lowest and highest x, lowest and highest y).

    The widest block with all four corners comes first; empty where there is none.
    """
    xs, ys = (sorted({value[i] for value in members}) for i in (0, 1))
    found = []
    for i, x0 in enumerate(xs):
        for j, x1 in enumerate(xs[i + 1 :], i + 1):
            for k, y0 in enumerate(ys):
                for m, y1 in enumerate(ys[k + 1 :], k + 1):
                    if all((x, y) in members for x in (x0, x1) for y in (y0, y1)):
                        found.append(((j - i) + (m - k), ((x0, x1), (y0, y1))))
    return [block for _, block in sorted(found, key=lambda item: -item[0])]
