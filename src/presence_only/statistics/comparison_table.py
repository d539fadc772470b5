"""Bootstrap means per variant and metric, with their intervals over seeds and species.

Shape legend: V seeds, U units (the species or the sites that a metric has one value for).

The same data set, number of seeds, number of units and ``seed`` always give the same resamples. A row
therefore does not depend on which other variants are compared. Differences of variants are the business
of :mod:`presence_only.statistics.differences`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.arrays import mean_where_defined
from presence_only.statistics.bootstrap import RESAMPLES, bootstrap_means

Floats = NDArray[np.float64]

_QUANTILES = (0.025, 0.975)


@dataclass(frozen=True)
class CellResult:
    """What all seeds of one variant on one data set scored.

    Args:
        dataset: Name of the data set.
        variant: Name of the variant.
        seeds: Seed of every run, unique.
        per_species: Metric name to values of shape (V, S), NaN where undefined.
        per_site: Metric name to values of shape (V, M), NaN where undefined.
        n_species: Number of species S.
        n_sites: Number of survey sites M.
        per_seed: Metric name to values of shape (V,), of metrics that have no value per species or site.
        n_sites_of: Number of sites of the metrics per species that come from another survey; None
            where it has none.

    Raises:
        ValueError: If there is no seed, a seed or metric occurs twice, or a shape disagrees.
    """

    dataset: str
    variant: str
    seeds: tuple[int, ...]
    per_species: dict[str, NDArray[Any]]
    per_site: dict[str, NDArray[Any]]
    n_species: int
    n_sites: int
    per_seed: dict[str, NDArray[Any]] = field(default_factory=dict)
    n_sites_of: dict[str, int | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = f"{self.variant} on {self.dataset}"
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"{where} has seeds {self.seeds}: at least one is needed and none twice")
        for unit, tables, size in (
            ("species", self.per_species, self.n_species),
            ("sites", self.per_site, self.n_sites),
        ):
            for metric, values_VU in tables.items():
                if values_VU.shape != (len(self.seeds), size):
                    raise ValueError(
                        f"{where}: {metric} has shape {values_VU.shape}; "
                        f"{len(self.seeds)} seeds x {size} {unit} expected"
                    )
        for metric, values_V in self.per_seed.items():
            if values_V.shape != (len(self.seeds),):
                raise ValueError(f"{where}: {metric} has shape {values_V.shape}; {len(self.seeds)} seeds expected")
        names = [*self.per_species, *self.per_site, *self.per_seed]
        for metric in names:
            if names.count(metric) > 1:
                raise ValueError(f"{where}: {metric} is given twice; it must be per species, per site or per seed")

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics."""
        return (*self.per_species, *self.per_site, *self.per_seed)

    def values(self, metric: str) -> NDArray[Any]:
        """Values of one metric, shape (V, U); U is 1 where a seed has only one.

        Raises:
            ValueError: If the cell does not have the metric.
        """
        tables = self.per_species | self.per_site | {n: v[:, None] for n, v in self.per_seed.items()}
        if metric not in tables:
            raise ValueError(f"{self.variant} on {self.dataset} has no metric {metric!r}; known: {', '.join(tables)}")
        return tables[metric]


def compare(cells: Sequence[CellResult], *, resamples: int = RESAMPLES, seed: int = 0) -> pl.DataFrame:
    """Mean, spread and interval of every metric of every cell.

    The mean of a metric is the mean over seeds of each seed's mean over the units where it is defined.
    The interval is the percentile interval of :func:`~presence_only.statistics.bootstrap.bootstrap_means`,
    the bootstrap of paired differences too: each resample draws seeds and, independently, units with
    replacement, the same units for all seeds, for seeds are scored on the same species. It answers how
    the mean would vary with other seeds and other species of the kind; with one seed, with other species
    alone. A metric without values per species or site is resampled over seeds alone, and has no interval
    with one seed.

    Args:
        cells: One entry per data set and variant.
        resamples: Number of bootstrap resamples, at least 1.
        seed: Seed of the resamples, at least 0.

    Returns:
        One row per data set, metric and variant, in this order, variants by descending mean: dataset,
        variant, metric, mean, sd (of the seeds' means, with divisor V - 1; NaN for one seed), low and
        high (95 % interval), n_seeds, n_species and n_sites. The count of a metric's own unit is that
        of the units where it is defined for at least one seed; a metric without units has no counts.
        Where it is defined for none, mean, sd, low and high are NaN.

    Raises:
        ValueError: If there are no cells, a cell occurs twice, or an argument is out of range.
    """
    _check_bootstrap(resamples, seed)
    if not cells:
        raise ValueError("there are no cells to compare; at least one is needed")
    seen: set[tuple[str, str]] = set()
    for cell in cells:
        if (cell.dataset, cell.variant) in seen:
            raise ValueError(f"{cell.variant} on {cell.dataset} is given twice; every cell must be given once")
        seen.add((cell.dataset, cell.variant))
    rows = [_row(cell, metric, resamples, seed) for cell in cells for metric in cell.metrics]
    table = pl.DataFrame(rows, schema=_SCHEMA)
    # NaN is the largest float to polars; filled with -inf it sorts behind every mean.
    return table.sort(
        "dataset",
        "metric",
        pl.col("mean").fill_nan(-np.inf),
        "variant",
        descending=[False, False, True, False],
    )


_SCHEMA: dict[str, type[pl.DataType]] = {
    "dataset": pl.String,
    "variant": pl.String,
    "metric": pl.String,
    "mean": pl.Float64,
    "sd": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n_seeds": pl.Int64,
    "n_species": pl.Int64,
    "n_sites": pl.Int64,
}


def by_seed(table: pl.DataFrame, column: str, seeds: Sequence[int]) -> NDArray[Any]:
    """One column of a table per species or per site, of every seed.

    Args:
        table: A row per seed and unit, with a column ``seed``.
        column: Its name.
        seeds: All of them have rows.

    Returns:
        Values of shape (V, U).

    Raises:
        ValueError: If a seed has no rows, or seeds differ in their number.
    """
    parts = [table.filter(pl.col("seed") == seed)[column].to_numpy() for seed in seeds]
    lengths = [len(part) for part in parts]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise ValueError(f"{column} has {lengths} rows for the seeds {list(seeds)}: all need as many, and at least one")
    return np.stack(parts)


def _row(cell: CellResult, metric: str, resamples: int, seed: int) -> dict[str, Any]:
    """One row of the table."""
    values_VU = cell.values(metric).astype(np.float64)
    means_V = _seed_means(values_VU)
    defined_V = means_V[~np.isnan(means_V)]
    n_defined = int((~np.isnan(values_VU)).any(axis=0).sum())
    alone = metric in cell.per_seed
    low, high = (np.nan, np.nan) if alone and len(defined_V) < 2 else _interval(values_VU, resamples, seed)
    n_sites = cell.n_sites_of.get(metric, cell.n_sites)
    return {
        "dataset": cell.dataset,
        "variant": cell.variant,
        "metric": metric,
        "mean": mean_where_defined(means_V),
        "sd": float(defined_V.std(ddof=1)) if len(defined_V) > 1 else float("nan"),
        "low": low,
        "high": high,
        "n_seeds": len(cell.seeds),
        "n_species": None if alone else n_defined if metric in cell.per_species else cell.n_species,
        "n_sites": None if alone else n_defined if metric in cell.per_site else n_sites,
    }


def _seed_means(values_VU: Floats) -> Floats:
    """Mean over defined units, shape (V,); NaN where there is none."""
    return np.array([mean_where_defined(values_U) for values_U in values_VU])


def _interval(values_VU: Floats, resamples: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean over resampled seeds and units; NaN without a defined value."""
    defined_VU = ~np.isnan(values_VU)
    values_VU = values_VU[defined_VU.any(axis=1)][:, defined_VU.any(axis=0)]
    if values_VU.size == 0:
        return float("nan"), float("nan")
    means_R = bootstrap_means(values_VU[None], resamples, np.random.default_rng(seed))[:, 0]
    means_R = means_R[~np.isnan(means_R)]
    if not len(means_R):
        return float("nan"), float("nan")
    low, high = np.quantile(means_R, _QUANTILES)
    return float(low), float(high)


def _check_bootstrap(resamples: int, seed: int) -> None:
    """Refuse a bootstrap that cannot be drawn."""
    if resamples < 1:
        raise ValueError(f"resamples = {resamples}: must be at least 1")
    if seed < 0:
        raise ValueError(f"seed = {seed}: must be at least 0")
