"""Tables of encoders and baselines side by side: region x method, and every method against the best encoder.

Shape legend: K methods, V seeds, U species, R resamples, D data sets (regions).

A baseline is fitted once a region: where encoders have several seeds its values stand for every one of
them, so that intervals hold what the encoders' seeds add and nothing of what a forest's own seed would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from models import BaselineFiles
from numpy.typing import NDArray

from presence_only.common.errors import DataError
from presence_only.evaluation.metrics import METRICS
from presence_only.statistics.bootstrap import RESAMPLES, bootstrap_means
from presence_only.statistics.differences import points
from presence_only.statistics.paired import holm, paired_tests
from presence_only.statistics.significance import is_significant, judged
from presence_only.study.results import MissingResultsError, StudyResults
from presence_only.study.timings import timed

METHODS_TABLE = Path("results/methods.csv")
METHODS_PAIRS = Path("results/methods_pairs.csv")
METHODS_TEXT = Path("results/methods.md")

# Of a table's data sets; the mean over the others.
MEAN = "mean"
# Ordered by what the benchmark is ordered by.
_FIRST = "auc_roc"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class MethodResult:
    """One method on one data set.

    Args:
        kind: ``encoder``, a variant of the study, or ``baseline``.
        species: Names of the species, in the order of the values.
        values: Metric to values (V, U), NaN where undefined; V is 1 for a baseline.
        ensemble: Metric of the mean of all seeds' logits, where there is one.
        seconds: Of training one seed, or of a baseline's fits of all species; None where unknown.
    """

    dataset: str
    method: str
    kind: Literal["encoder", "baseline"]
    species: tuple[str, ...]
    values: Mapping[str, NDArray[Any]]
    ensemble: Mapping[str, float]
    seconds: float | None


def read_encoder(study: StudyResults, dataset: str, variant: str) -> MethodResult:
    """What training and evaluation wrote for one variant on one data set.

    Raises:
        MissingResultsError: If the tables of the cell are not there, or lack a seed.
        DataError: If seeds have other species than the first.
    """
    try:
        seconds = study.seconds(dataset, variant)
    except MissingResultsError:
        seconds = None
    return MethodResult(
        dataset=dataset,
        method=variant,
        kind="encoder",
        species=study.species(dataset, variant),
        values={metric: study.values(dataset, variant, metric) for metric in _metrics()},
        ensemble=study.ensemble(dataset, variant),
        seconds=seconds,
    )


def read_baseline(files: BaselineFiles) -> MethodResult:
    """What was written for one baseline on one data set."""
    table = pl.read_parquet(files.scores)
    return MethodResult(
        dataset=files.dataset,
        method=files.name,
        kind="baseline",
        species=tuple(table["species"]),
        values={name: table[METRICS[name].column].to_numpy()[None] for name in _metrics()},
        ensemble={},
        seconds=timed(files.timing, "scores", files.scores),
    )


def methods_table(results: Sequence[MethodResult], *, resamples: int = RESAMPLES, seed: int = 0) -> pl.DataFrame:
    """Region x method: means over species and seeds with their 95 % intervals, ensembles and seconds.

    Intervals are by bootstrap over species, and over seeds where there are several; those of the mean over
    regions resample every region's species apart.

    Args:
        results: Every method on every data set, once.
        resamples: Number of bootstrap resamples, at least 1.
        seed: Seed of the resamples, at least 0.

    Returns:
        One row per data set and method, best AUC first, then those of the data set ``mean``: dataset, method,
        kind, n_seeds, n_species, for every metric of species its mean, _low, _high and ensemble_..., seconds.

    Raises:
        DataError: If a method lacks a data set or is given twice, species differ between methods, or a
            data set has no species with a value for every method.
    """
    grid = _grid(results)
    rows: list[dict[str, Any]] = []
    for dataset, cells in grid.items():
        rows += [
            {
                "dataset": dataset,
                "method": cell.method,
                "kind": cell.kind,
                "n_seeds": next(iter(cell.values.values())).shape[0],
                "n_species": int(_defined(cells, _FIRST).sum()),
                **{f"ensemble_{metric}": cell.ensemble.get(metric) for metric in _metrics()},
                "seconds": cell.seconds,
            }
            for cell in cells
        ]
    n_methods = len(rows) // len(grid)
    if len(grid) > 1:
        rows += [_mean_row(rows[k::n_methods]) for k in range(n_methods)]
    for metric in _metrics():
        mean_DK, mean_DRK = _means(grid, metric, resamples, seed)
        low_DK, high_DK = np.quantile(mean_DRK, [0.025, 0.975], axis=1)
        found = zip(rows, mean_DK.ravel(), low_DK.ravel(), high_DK.ravel(), strict=True)
        for row, mean, low, high in found:
            row |= {metric: float(mean), f"{metric}_low": float(low), f"{metric}_high": float(high)}
    order = {dataset: i for i, dataset in enumerate([*grid, MEAN])}
    rows.sort(key=lambda row: (order[row["dataset"]], -row[_FIRST], row["method"]))
    table = pl.DataFrame(rows, infer_schema_length=None)
    names = [name for metric in _metrics() for name in (metric, f"{metric}_low", f"{metric}_high")]
    ensembles = [f"ensemble_{metric}" for metric in _metrics()]
    floats = [pl.col(name).cast(pl.Float64) for name in [*names, *ensembles, "seconds"]]
    return table.select("dataset", "method", "kind", "n_seeds", "n_species", *floats)


def best_encoder(results: Sequence[MethodResult]) -> str:
    """The variant with the highest mean over data sets of AUC.

    Raises:
        DataError: If there is no encoder.
    """
    grid = _grid(results)
    cells = next(iter(grid.values()))
    mean_K = _means(grid, _FIRST, 1, 0)[0][-1]
    encoders = [(float(mean), cell.method) for mean, cell in zip(mean_K, cells, strict=True) if cell.kind == "encoder"]
    if not encoders:
        raise DataError("there is no encoder to compare with; the study must name at least one variant")
    return max(encoders)[1]


def pairs_with(
    reference: str, results: Sequence[MethodResult], *, resamples: int = RESAMPLES, seed: int = 0
) -> pl.DataFrame:
    """The reference against every other method, species by species and seed by seed.

    Source: Wilcoxon's signed-rank test over species, Demsar (2006),
    https://jmlr.org/papers/v7/demsar06a.html; Holm (1979) over the methods of one data set and metric.

    Args:
        reference: A method of the results.
        results: Every method on every data set, once; at least two methods.
        resamples: Number of bootstrap resamples, at least 1.
        seed: Seed of the resamples, at least 0.

    Returns:
        One row per data set, metric and other method, largest difference last: dataset, metric, reference,
        method, difference (reference - method, of means over seeds and species), and the columns of
        results/pairs.csv: low and high (95 % interval, both drawn alike), p_seeds, p_units (Wilcoxon), holm_units
        (corrected for all methods of the data set and metric), rank_biserial, share_higher and significant;
        and n_species. Those of the data set ``mean`` are means over data sets, and tests over all their species.

    Raises:
        DataError: As :func:`methods_table`, or if the reference is no method or the only one.
    """
    grid = _grid(results)
    names = [cell.method for cell in next(iter(grid.values()))]
    if reference not in names or len(names) < 2:
        raise DataError(f"reference = {reference!r}: must be one of two or more methods; there are: {', '.join(names)}")
    at = names.index(reference)
    rows: list[dict[str, Any]] = []
    for metric in _metrics():
        mean_DK, mean_DRK = _means(grid, metric, resamples, seed)
        values_DKVU = [_stacked(cells, metric) for cells in grid.values()]
        if len(grid) > 1:
            values_DKVU.append(np.concatenate(values_DKVU, axis=2))
        labels = [*grid, MEAN] if len(grid) > 1 else list(grid)
        for dataset, mean_K, mean_RK, values_KVU in zip(labels, mean_DK, mean_DRK, values_DKVU, strict=True):
            found: list[dict[str, Any]] = []
            for k, name in enumerate(names):
                if k == at:
                    continue
                tests = paired_tests(values_KVU[at] - values_KVU[k])
                low, high = np.quantile(mean_RK[:, at] - mean_RK[:, k], [0.025, 0.975])
                found.append(
                    {
                        "dataset": dataset,
                        "metric": metric,
                        "reference": reference,
                        "method": name,
                        "difference": float(mean_K[at] - mean_K[k]),
                        "low": float(low),
                        "high": float(high),
                        "p_seeds": tests["p_seeds"],
                        "p_units": tests["p_units"],
                        "holm_units": 1.0,
                        "rank_biserial": tests["rank_biserial"],
                        "share_higher": tests["share_higher"],
                        "significant": False,
                        "n_species": values_KVU.shape[2],
                    }
                )
            for row, p in zip(found, holm([row["p_units"] for row in found]), strict=True):
                row["holm_units"] = p
                row["significant"] = is_significant(row)
            rows += sorted(found, key=lambda row: (row["difference"], row["method"]))
    return pl.DataFrame(rows)


def methods_text(table: pl.DataFrame, pairs: pl.DataFrame) -> str:
    """Both tables for a reader, as Markdown: methods down, regions across, best mean on top."""
    datasets = table["dataset"].unique(maintain_order=True).to_list()
    methods = table.filter(pl.col("dataset") == datasets[-1])["method"].to_list()
    cells = {(row["method"], row["dataset"]): row for row in table.iter_rows(named=True)}
    parts = ["# Methods", "", *_legend(table)]
    for metric in _metrics():
        parts += ["", f"## {_title(metric)}", ""]
        shown = [[_interval(cells[method, d], metric) for d in datasets] for method in methods]
        parts += _markdown(["method", *datasets], methods, shown)
    ensembles = [[_number(cells[method, d][f"ensemble_{_FIRST}"]) for d in datasets] for method in methods]
    kept = [k for k, row in enumerate(ensembles) if any(row)]
    if kept:
        parts += ["", f"## {_title(_FIRST)} of ensembles", ""]
        parts += _markdown(["method", *datasets], [methods[k] for k in kept], [ensembles[k] for k in kept])
    parts += ["", "## Seconds", ""]
    seconds = [[_number(cells[method, d]["seconds"], 1) for d in datasets] for method in methods]
    parts += _markdown(["method", *datasets], methods, seconds)
    for metric in pairs["metric"].unique(maintain_order=True):
        parts += ["", f"## {pairs['reference'][0]} against every other method, {_title(metric)} in points", ""]
        own = pairs.filter(pl.col("metric") == metric)
        found = {(row["method"], row["dataset"]): row for row in own.iter_rows(named=True)}
        others = own.filter(pl.col("dataset") == datasets[-1])["method"].to_list()
        shown = [[_difference(found[method, d]) for d in datasets] for method in others]
        parts += _markdown(["other method", *datasets], others, shown)
    return "\n".join(parts) + "\n"


def _grid(results: Sequence[MethodResult]) -> dict[str, list[MethodResult]]:
    """Data set to its methods, all in the order of the first data set's."""
    grid: dict[str, dict[str, MethodResult]] = {}
    for result in results:
        if result.method in grid.setdefault(result.dataset, {}):
            raise DataError(f"{result.method} on {result.dataset} is given twice; a method needs a name of its own")
        grid[result.dataset][result.method] = result
    if not grid:
        raise DataError("there are no methods to compare; at least one is needed")
    names = list(next(iter(grid.values())))
    for dataset, cells in grid.items():
        if set(cells) != set(names):
            raise DataError(
                f"{dataset} has the methods {', '.join(cells)}; {', '.join(names)} expected, as other data sets have"
            )
        species = cells[names[0]].species
        for cell in cells.values():
            if cell.species != species:
                raise DataError(f"{cell.method} on {dataset} has other species than {names[0]}; run `dvc repro`")
    return {dataset: [cells[name] for name in names] for dataset, cells in grid.items()}


def _defined(cells: Sequence[MethodResult], metric: str) -> NDArray[np.bool_]:
    """Which species have a value under every method and seed, shape (U,)."""
    defined_U: NDArray[np.bool_] = np.logical_and.reduce([~np.isnan(c.values[metric]).any(axis=0) for c in cells])
    if not defined_U.any():
        raise DataError(f"{cells[0].dataset}: no species has a value of {metric} for every method; at least one must")
    return defined_U


def _stacked(cells: Sequence[MethodResult], metric: str) -> Floats:
    """Values of all methods of a data set at the species that all have, shape (K, V, U)."""
    defined_U = _defined(cells, metric)
    counts = {cell.values[metric].shape[0] for cell in cells if cell.kind == "encoder"}
    if len(counts) > 1:
        raise DataError(f"{cells[0].dataset}: encoders have {sorted(counts)} seeds; all must have the same")
    shape = (max(counts, default=1), int(defined_U.sum()))
    return np.stack([np.broadcast_to(cell.values[metric][:, defined_U], shape) for cell in cells]).astype(np.float64)


def _means(
    grid: Mapping[str, Sequence[MethodResult]], metric: str, resamples: int, seed: int
) -> tuple[Floats, NDArray[np.float64]]:
    """Means (D, K), and those of resamples (D, R, K); of several data sets the last is their mean."""
    means, resampled = [], []
    for i, cells in enumerate(grid.values()):
        values_KVU = _stacked(cells, metric)
        means.append(values_KVU.mean(axis=(1, 2)))
        resampled.append(bootstrap_means(values_KVU, resamples, np.random.default_rng([seed, i])))
    if len(grid) > 1:
        means.append(np.mean(means, axis=0))
        resampled.append(np.mean(resampled, axis=0))
    return np.stack(means), np.stack(resampled)


def _mean_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One method's row of the mean over data sets, before its metrics."""
    of_all = {name: [row[name] for row in rows] for name in rows[0]}
    numbers = [name for name in of_all if name.startswith("ensemble_") or name == "seconds"]
    means = {name: None if None in of_all[name] else float(np.mean(of_all[name])) for name in numbers}
    return {**rows[0], **means, "dataset": MEAN, "n_species": sum(of_all["n_species"])}


def _metrics() -> tuple[str, ...]:
    """The metrics of species, what tables are ordered by first."""
    return (_FIRST, *(name for name, metric in METRICS.items() if metric.unit == "species" and name != _FIRST))


def _title(metric: str) -> str:
    """How the tables call a metric."""
    # Ecologists know the mean over species by the name of what it is the mean of.
    return "Average precision" if metric == "species_map" else METRICS[metric].title


def _legend(table: pl.DataFrame) -> list[str]:
    """What the numbers mean, a sentence a line."""
    encoders = table.filter(pl.col("kind") == "encoder")
    n_seeds = int(encoders["n_seeds"].max()) if len(encoders) else 0  # type: ignore[arg-type]
    return [
        "Made by the stage `methods`. Means over species and, of encoders, over "
        f"{n_seeds} seeds; in brackets the 95 % interval by bootstrap over species and seeds.",
        "An ensemble is the mean of all seeds' logits. Baselines are fitted once a region, one model a species.",
        "Seconds are those of one seed of an encoder and of a baseline's fits of all species; none where they were "
        "taken with other results.",
        "Differences are the encoder's minus the other method's, species by species: in brackets the interval, then "
        "whether they are significant by interval and tests together, corrected for all methods of the column. The "
        "encoder is the one with the highest mean on these very surveys, so its lead over other encoders is flattered.",
    ]


def _markdown(head: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose first column is names."""
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return lines + [f"| `{name}` | {' | '.join(row)} |" for name, row in zip(names, rows, strict=True)]


def _interval(row: Mapping[str, Any], metric: str) -> str:
    """A mean with its interval."""
    return f"{row[metric]:.3f} ({row[f'{metric}_low']:.3f} to {row[f'{metric}_high']:.3f})"


def _difference(row: Mapping[str, Any]) -> str:
    """A difference with its interval, and whether it is significant."""
    interval = f"{points(row['low'])} to {points(row['high'])}"
    return f"{points(row['difference'])} ({interval}), {judged(row['significant'])}"


def _number(value: float | None, digits: int = 3) -> str:
    """A number, or nothing where there is none."""
    return "" if value is None else f"{value:.{digits}f}"
