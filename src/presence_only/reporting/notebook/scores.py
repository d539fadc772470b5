"""Notebook tables and figures from the tables in git: results/comparison.csv and results/pairs.csv."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from presence_only.evaluation.metrics import METRICS
from presence_only.reporting.figures.metrics import comparison_figure
from presence_only.reporting.figures.surfaces import surface_figure, sweep_figure
from presence_only.reporting.notebook.display import Shown, code, picture, score, section, table
from presence_only.statistics.differences import Pair
from presence_only.statistics.significance import judged
from presence_only.study.results import METRIC, MissingResultsError, StudyResults


def interval(pair: Pair) -> str:
    """A difference with its interval, such as ``+0.105 (+0.089 to +0.121)``."""
    return f"{pair.difference:+.3f} ({pair.low:+.3f} to {pair.high:+.3f})"


@section
def comparison(study: StudyResults, *losses: str) -> Shown:
    """Mean average precision with its interval of every variant of these losses, as a figure.

    Args:
        study: Its first data set is shown.
        losses: Names of losses; none: all variants.
    """
    rows = _rows(study, losses)
    figure = comparison_figure(rows, METRIC, METRICS[METRIC].meaning)
    return picture(figure, f"mAP with 95 % intervals of {len(rows)} variants of the study {study.name}.")


@section
def leaderboard(study: StudyResults, *losses: str) -> Shown:
    """The variants of these losses, best mAP first, and whether they differ from the best significantly.

    Args:
        study: Its first data set is shown.
        losses: Names of losses; none: all variants.
    """
    rows = _rows(study, losses)
    best, *others = rows["variant"]
    found = [study.pair(study.datasets[0], name, best) for name in others]
    return table(
        {
            "variant": [code(name) for name in rows["variant"]],
            "loss": [study.settings(name)["loss"] for name in rows["variant"]],
            "mAP (95 % interval)": [score(row) for row in rows.iter_rows(named=True)],
            "minus the best": ["", *map(interval, found)],
            "judged": ["", *(judged(pair.significant) for pair in found)],
        }
    )


@section
def pairs(study: StudyResults, *compared: tuple[str, str], dataset: str | None = None, metric: str = METRIC) -> Shown:
    """Differences of variants: the rows of results/pairs.csv.

    Args:
        study: The study.
        compared: First and second variant of every row; a positive difference favours the first.
        dataset: Name of the data set; None: the study's first.
        metric: ``species_map`` or ``auc_roc``.
    """
    found = [study.pair(dataset or study.datasets[0], first, second, metric) for first, second in compared]
    return table(
        {
            "variants": [f"{code(pair.first)} - {code(pair.second)}" for pair in found],
            "difference (95 % interval)": [interval(pair) for pair in found],
            "share of species higher": [f"{100 * pair.share_higher:.0f} %" for pair in found],
            "judged": [judged(pair.significant) for pair in found],
        }
    )


@section
def surface(study: StudyResults, loss: str, vertical: str, horizontal: str, *references: str) -> Shown:
    """Mean average precision over two settings of a loss: the largest family of variants that differ in both alone.

    Args:
        study: Its first data set is shown.
        loss: Name of the loss.
        vertical: Name of one setting.
        horizontal: Name of the other; ``neg_samples`` 0 stands at the number of species, as it takes all.
        references: Losses whose variants are marked on the colour bar.
    """
    dataset = study.datasets[0]
    grids = [g for g in study.families(dataset, loss, vertical, horizontal) if _crossed(g)]
    if not grids:
        raise MissingResultsError(f"{study.name} has no variants of {loss} that cross {vertical} with {horizontal}")
    at = {(y, _at(study, horizontal, x)): name for (y, x), name in grids[0].items()}
    rows = study.scores(dataset, at.values())
    marked = study.named(dataset, *references)
    marks = dict(study.scores(dataset, marked).select("variant", "mean").rows()) if marked else {}
    figure = surface_figure(at, rows, (vertical, horizontal), marks)
    return picture(
        figure, f"mAP with 95 % intervals of {len(rows)} variants of {loss} over {vertical} and {horizontal}."
    )


@section
def sweep(study: StudyResults, setting: str, *losses: str, log: bool = False) -> Shown:
    """Mean average precision along one setting, a line for each family of variants that differ in it alone.

    Args:
        study: Its first data set is shown.
        setting: Name of the setting; ``neg_samples`` 0 stands at the number of species, as it takes all.
        losses: Names of the losses.
        log: Whether to draw the setting, above 0, on a logarithmic axis.
    """
    dataset, lines = study.datasets[0], {}
    for members in [family for loss in losses for family in study.families(dataset, loss, setting)]:
        ordered = dict(sorted((_at(study, setting, value), name) for (value,), name in members.items()))
        names = list(ordered.values())
        lines[f"{names[0]} to {names[-1]}"] = (list(ordered), study.scores(dataset, names))
    if not lines:
        raise MissingResultsError(
            f"{study.name} has no variants of {' or '.join(losses)} that differ in {setting} alone"
        )
    figure = sweep_figure(lines, setting, log=log)
    return picture(figure, f"mAP with 95 % intervals over {setting}, a line for each of {', '.join(lines)}.")


@section
def worlds(study: StudyResults, setting: str, *, log: bool = False) -> Shown:
    """Mean average precision along one setting of the data sets that differ in it alone, a line for each variant.

    Args:
        study: The study.
        setting: Name of the setting of the data set, such as ``cap`` or ``background``.
        log: Whether to draw it, above 0, on a logarithmic axis.
    """
    sets = _alike(study, setting)
    lines = {name: (list(sets), pl.concat([study.scores(d, [name]) for d in sets.values()])) for name in study.variants}
    return picture(
        sweep_figure(lines, setting, log=log),
        f"mAP with 95 % intervals over {setting}, a line for each of {', '.join(lines)}.",
    )


@section
def worlds_table(study: StudyResults, setting: str) -> Shown:
    """The numbers of :func:`worlds`: a row per variant, a column per data set."""
    sets = _alike(study, setting)
    rows = {
        name: study.scores(name, study.variants).rows_by_key("variant", named=True, unique=True)
        for name in sets.values()
    }
    columns = {
        f"{setting} {value}": [score(rows[dataset][name]) for name in study.variants] for value, dataset in sets.items()
    }
    return table({"variant": [code(name) for name in study.variants]} | columns)


def _rows(study: StudyResults, losses: Sequence[str]) -> pl.DataFrame:
    """Rows of the comparison table of the variants of some losses, best first."""
    dataset = study.datasets[0]
    names = study.named(dataset, *losses) if losses else study.variants
    rows = study.scores(dataset, names)
    order = [name for name in study.ranked(dataset) if name in set(rows["variant"])]
    return study.scores(dataset, order)


def _at(study: StudyResults, setting: str, value: Any) -> Any:
    """Where a setting's value is drawn."""
    return study.summary(study.datasets[0])["species"] if setting == "neg_samples" and value == 0 else value


def _crossed(grid: dict[tuple[Any, ...], str]) -> bool:
    """Whether a family has two values or more of either setting."""
    return all(len({value[i] for value in grid}) > 1 for i in (0, 1))


def _alike(study: StudyResults, setting: str) -> dict[Any, str]:
    """The largest group of data sets that differ in one setting alone: its value to the data set, ascending."""
    groups: dict[str, dict[Any, str]] = {}
    for name in study.datasets:
        fixed = study.params.datasets[name].model_dump()
        if fixed.get(setting):
            value = fixed.pop(setting)
            groups.setdefault(repr(fixed), {}).setdefault(value, name)
    largest = max(groups.values(), key=len, default={})
    if len(largest) < 2:
        raise MissingResultsError(f"{study.name} has no data sets that differ in {setting} alone")
    return dict(sorted(largest.items()))
