"""Notebook tables and figures from the tables in git.

A study of three or more data sets is shown by the mean over all of them (results/across.csv and across_pairs.csv), one
of fewer by its first data set (results/comparison.csv and pairs.csv). An argument ``dataset`` asks for one data set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from presence_only.evaluation.metrics import METRICS
from presence_only.reporting.figures.metrics import across_figure, comparison_figure
from presence_only.reporting.figures.surfaces import surface_figure, sweep_figure
from presence_only.reporting.notebook.display import Shown, code, interval, judgement, picture, score, section, table
from presence_only.statistics.across_datasets import PairAcross
from presence_only.statistics.differences import Pair
from presence_only.study.results import METRIC, MissingResultsError, StudyResults


@section
def comparison(study: StudyResults, *losses: str, dataset: str | None = None) -> Shown:
    """Mean average precision with its interval of every variant of these losses, as a figure.

    Args:
        study: The study.
        losses: Names of losses; none: all variants.
        dataset: Name of one data set; None: the mean over all.
    """
    rows = _ranked(study, losses, dataset)
    if _over_all(study, dataset):
        single = study.table.filter(pl.col("dataset").is_in(study.datasets))
        figure = across_figure(rows, single, METRIC, METRICS[METRIC].meaning)
    else:
        figure = comparison_figure(rows, METRIC, METRICS[METRIC].meaning)
    return picture(figure, f"mAP with 95 % intervals of {len(rows)} variants of the study {study.name}.")


@section
def leaderboard(study: StudyResults, *losses: str, dataset: str | None = None) -> Shown:
    """The variants of these losses, best mAP first, and whether they differ from the best significantly.

    Args:
        study: The study.
        losses: Names of losses; none: all variants.
        dataset: Name of one data set; None: the mean over all.
    """
    rows = _ranked(study, losses, dataset)
    best, *others = rows["variant"]
    found = [_pair(study, name, best, METRIC, dataset) for name in others]
    return table(
        {
            "variant": [code(name) for name in rows["variant"]],
            "loss": [study.settings(name)["loss"] for name in rows["variant"]],
            "mAP (95 % interval)": [score(row) for row in rows.iter_rows(named=True)],
            "minus the best": ["", *map(interval, found)],
            "judged": ["", *map(judgement, found)],
        }
    )


@section
def pairs(study: StudyResults, *compared: tuple[str, str], dataset: str | None = None, metric: str = METRIC) -> Shown:
    """Differences of variants: the rows of results/across_pairs.csv, or of results/pairs.csv for one data set.

    Args:
        study: The study.
        compared: First and second variant of every row; a positive difference favours the first.
        dataset: Name of one data set; None: the mean over all.
        metric: Name of the metric.
    """
    found = [_pair(study, first, second, metric, dataset) for first, second in compared]
    return table(
        {
            "variants": [f"{code(pair.first)} - {code(pair.second)}" for pair in found],
            "difference (95 % interval)": [interval(pair) for pair in found],
            "share of species higher": [f"{100 * _share_of_species(pair):.0f} %" for pair in found],
            **_in_worlds(found),
            "judged": [judgement(pair) for pair in found],
        }
    )


@section
def surface(
    study: StudyResults, loss: str, vertical: str, horizontal: str, *references: str, dataset: str | None = None
) -> Shown:
    """Mean average precision over two settings of a loss: the largest family of variants that differ in both alone.

    Args:
        study: The study.
        loss: Name of the loss.
        vertical: Name of one setting.
        horizontal: Name of the other; ``neg_samples`` 0 stands at the number of species, as it takes all.
        references: Losses whose variants are marked on the colour bar.
        dataset: Name of one data set; None: the mean over all.
    """
    grids = [g for g in study.families(study.datasets[0], loss, vertical, horizontal) if _crossed(g)]
    if not grids:
        raise MissingResultsError(f"{study.name} has no variants of {loss} that cross {vertical} with {horizontal}")
    at = {(y, place_of(study, horizontal, x)): name for (y, x), name in grids[0].items()}
    rows = _scores(study, at.values(), dataset)
    marked = study.named(study.datasets[0], *references)
    marks = dict(_scores(study, marked, dataset).select("variant", "mean").rows()) if marked else {}
    figure = surface_figure(at, rows, (vertical, horizontal), marks)
    return picture(
        figure, f"mAP with 95 % intervals of {len(rows)} variants of {loss} over {vertical} and {horizontal}."
    )


@section
def sweep(study: StudyResults, setting: str, *losses: str, log: bool = False, dataset: str | None = None) -> Shown:
    """Mean average precision along one setting, a line for each family of variants that differ in it alone.

    Args:
        study: The study.
        setting: Name of the setting; ``neg_samples`` 0 stands at the number of species, as it takes all.
        losses: Names of the losses.
        log: Whether to draw the setting, above 0, on a logarithmic axis.
        dataset: Name of one data set; None: the mean over all.
    """
    lines = {}
    for members in [family for loss in losses for family in study.families(study.datasets[0], loss, setting)]:
        ordered = dict(sorted((place_of(study, setting, value), name) for (value,), name in members.items()))
        names = list(ordered.values())
        lines[f"{names[0]} to {names[-1]}"] = (list(ordered), _scores(study, names, dataset))
    if not lines:
        raise MissingResultsError(
            f"{study.name} has no variants of {' or '.join(losses)} that differ in {setting} alone"
        )
    figure = sweep_figure(lines, setting, log=log)
    return picture(figure, f"mAP with 95 % intervals over {setting}, a line for each of {', '.join(lines)}.")


def _over_all(study: StudyResults, dataset: str | None) -> bool:
    """Whether the mean over all data sets is shown, and not one data set."""
    return dataset is None and study.over_all


def _scores(study: StudyResults, names: Iterable[str], dataset: str | None) -> pl.DataFrame:
    """Columns variant, mean, low and high, over all data sets or of one."""
    if _over_all(study, dataset):
        return study.scores_across(names)
    return study.scores(dataset or study.datasets[0], names)


def _pair(study: StudyResults, first: str, second: str, metric: str, dataset: str | None) -> Pair | PairAcross:
    """One difference, over all data sets or on one."""
    if _over_all(study, dataset):
        return study.pair_across(first, second, metric)
    return study.pair(dataset or study.datasets[0], first, second, metric)


def _ranked(study: StudyResults, losses: Sequence[str], dataset: str | None) -> pl.DataFrame:
    """Rows of the variants of some losses, best first."""
    shown = dataset or study.datasets[0]
    rows = _scores(study, study.named(shown, *losses) if losses else study.variants, dataset)
    return rows.sort(pl.col("mean").fill_nan(None), descending=True, nulls_last=True, maintain_order=True)


def _share_of_species(pair: Pair | PairAcross) -> float:
    """Share of the species where the first is higher."""
    return pair.share_of_species if isinstance(pair, PairAcross) else pair.share_higher


def _in_worlds(found: Sequence[Pair | PairAcross]) -> dict[str, list[str]]:
    """A column that says in how many data sets the first is higher; none where one data set is shown."""
    shares = [(pair.share_of_worlds, pair.n_worlds) for pair in found if isinstance(pair, PairAcross)]
    return {"higher in data sets": [f"{share * n:g} of {n}" for share, n in shares]} if shares else {}


def place_of(study: StudyResults, setting: str, value: Any) -> Any:
    """Where a setting's value is drawn: ``neg_samples`` 0 at the number of species, as it takes all."""
    return study.summary(study.datasets[0])["species"] if setting == "neg_samples" and value == 0 else value


def _crossed(grid: dict[tuple[Any, ...], str]) -> bool:
    """Whether a family has two values or more of either setting."""
    return all(len({value[i] for value in grid}) > 1 for i in (0, 1))
