"""Notebook tables and figures from what only the runner of a study has: values per species, curves and runs.

Each takes all data sets of a study together; an argument ``dataset`` asks for one of them.

Shape legend: V seeds, S species.
"""

from __future__ import annotations

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
from presence_only.study.results import MissingResultsError, StudyResults


@section
def silencing(study: StudyResults, *losses: str, dataset: str | None = None) -> Shown:
    """After every epoch, which unobserved pairs lie below a margin, and how far observed pairs stand out."""
    probes = _probes(study, losses, dataset)
    return picture(
        silencing_figure(probes),
        "Share of unobserved pairs below a margin, and the gap of mean scores between observed and unobserved pairs, "
        f"after every epoch, for {', '.join(probes)}.",
    )


@section
def silenced(study: StudyResults, *losses: str, dataset: str | None = None) -> Shown:
    """The first and the last epoch of :func:`silencing`."""
    probes = _probes(study, losses, dataset)
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
def precision_recall(study: StudyResults, *losses: str, dataset: str | None = None) -> Shown:
    """Precision against recall, mean over species, seeds and data sets."""
    points = _curves(study, losses, "precision_recall", dataset)
    curves = {name: mean_precision_recall(own) for name, own in points.items()}
    return picture(precision_recall_figure(curves), f"Precision against recall of {', '.join(curves)}.")


@section
def calibration(study: StudyResults, *losses: str, dataset: str | None = None) -> Shown:
    """Share of pairs where the species is present against their score, over all seeds and data sets."""
    points = _curves(study, losses, "calibration", dataset)
    curves = {name: pooled_calibration(own) for name, own in points.items()}
    return picture(calibration_figure(curves), f"Share of presences against score of {', '.join(curves)}.")


@section
def calibration_errors(study: StudyResults, *losses: str, dataset: str | None = None) -> Shown:
    """How far scores are from the share of presences, over all pairs of all data sets."""
    points = _curves(study, losses, "calibration", dataset)
    errors = [calibration_error(pooled_calibration(own)) for own in points.values()]
    return table(
        {
            "variant": [code(name) for name in points],
            "mean distance": [f"{distance:.4f}" for distance, _ in errors],
            "mean of score minus share": [f"{signed:+.4f}" for _, signed in errors],
        }
    )


@section
def by_prevalence(study: StudyResults, *losses: str, dataset: str | None = None) -> Shown:
    """Mean average precision over the rarest, middle and commonest third of all species by prevalence."""
    names, sets = _named(study, losses), _sets(study, dataset)
    classes = quantile_classes(np.concatenate([study.prevalence(d, names[0]) for d in sets]), 3)
    # Species of all data sets side by side: each class has those of every one.
    values = {name: np.concatenate([study.values(d, name) for d in sets], axis=1) for name in names}
    return picture(
        breakdown_figure(mean_by_class(values, classes), "prevalence (share of survey sites)", "mAP"),
        f"mAP of {', '.join(names)} for rare, middle and common species.",
    )


@section
def expected_scores(study: StudyResults, *losses: str, dataset: str | None = None) -> Shown:
    """Mean score of every species against its share of the training rows, beside what theory expects."""
    points = _levels(study, losses, dataset)
    return picture(
        prevalence_figure(points),
        f"Mean score of every species against its share of the rows, with the expected curve, for {', '.join(points)}.",
    )


@section
def expected_score_table(study: StudyResults, *losses: str, dataset: str | None = None) -> Shown:
    """The mean score of a species over the expected one: median and middle nine tenths of the species."""
    points = _levels(study, losses, dataset)
    ratios = [score_S / expected_score(share_S, weight, b) for share_S, score_S, weight, b in points.values()]
    return table(
        {
            "variant": [code(name) for name in points],
            "lambda": [f"{weight:g}" for _, _, weight, _ in points.values()],
            "mean score / expected, median": [f"{np.median(ratio_S):.2f}" for ratio_S in ratios],
            "middle 90 %": [f"{np.quantile(r, 0.05):.2f} to {np.quantile(r, 0.95):.2f}" for r in ratios],
        }
    )


def _sets(study: StudyResults, dataset: str | None) -> tuple[str, ...]:
    """The data sets that are shown."""
    return study.datasets if dataset is None else (dataset,)


def _named(study: StudyResults, losses: tuple[str, ...]) -> list[str]:
    """Variants of these losses with results."""
    names = study.named(study.datasets[0], *losses)
    if not names:
        raise MissingResultsError(f"{study.name} has no results of {', '.join(losses)}")
    return names


def _probes(study: StudyResults, losses: tuple[str, ...], dataset: str | None) -> dict[str, dict[str, Floats]]:
    """What was probed after every epoch, mean over data sets, of every variant of these losses."""
    found = {}
    for name in _named(study, losses):
        probes = [study.probes(d, name) for d in _sets(study, dataset)]
        found[name] = {key: np.mean([probe[key] for probe in probes], axis=0) for key in probes[0]}
    return found


def _curves(study: StudyResults, losses: tuple[str, ...], kind: str, dataset: str | None) -> dict[str, pl.DataFrame]:
    """The points of one kind of curve of all seeds and data sets, of every variant of these losses."""
    sets = _sets(study, dataset)
    return {name: pl.concat([study.curves(d, name, kind) for d in sets]) for name in _named(study, losses)}


def _levels(
    study: StudyResults, losses: tuple[str, ...], dataset: str | None
) -> dict[str, tuple[Floats, Floats, float, float]]:
    """Variants whose level theory gives: share of rows and mean score of every species, lambda, background weight."""
    sets, found = _sets(study, dataset), {}
    for name in study.named(study.datasets[0], *losses):
        variant = study.params.variants[name]
        sites_per_row = variant.training.background_batch_size / variant.training.batch_size
        weights = level_weights(variant.loss, sites_per_row)
        if weights is None:
            continue
        points = [_level(study, d, name) for d in sets]
        share_S, score_S = (np.concatenate(parts) for parts in zip(*points, strict=True))
        found[name] = (share_S, score_S, *weights)
    if not found:
        raise MissingResultsError(f"{study.name} has no variant with plain cross-entropy whose level theory gives")
    return found


def _level(study: StudyResults, dataset: str, name: str) -> tuple[Floats, Floats]:
    """Share of rows and mean score of every species of a data set, each the mean over seeds."""
    rows = study.per_species(dataset, name)
    means = rows.group_by("species", maintain_order=True).agg(pl.col("mean_score", "n_records").mean())
    return means["n_records"].to_numpy() / study.summary(dataset)["rows"], means["mean_score"].to_numpy()
