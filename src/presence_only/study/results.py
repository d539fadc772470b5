"""The results of one study, read from its files when asked for; whatever is missing is told in one sentence.

Report, comparison, notebooks and tables of methods read a study by this class alone.

Shape legend: V seeds, U units (species or sites), E epochs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.errors import DataError, UserError
from presence_only.common.stored_files import DamagedError, reading, stored_json, stored_table
from presence_only.common.yaml_files import read_yaml
from presence_only.evaluation.metrics import METRICS
from presence_only.evaluation.threshold_numbers import SPECIES_NUMBERS
from presence_only.statistics.across_datasets import PairAcross
from presence_only.statistics.comparison_table import CellResult, by_seed
from presence_only.statistics.differences import Pair
from presence_only.statistics.world_intervals import ALL, FEWEST_WORLDS
from presence_only.study.checksums import check_unaltered
from presence_only.study.paths import (
    ACROSS,
    ACROSS_PAIRS,
    COMPARISON,
    DESCRIPTION,
    PAIRS,
    PENALTIES,
    SETTINGS,
    CellFiles,
    DatasetFiles,
    added_map,
)
from presence_only.study.settings import PARAMS, StudySettings, load_study
from presence_only.study.timings import timed

if TYPE_CHECKING:
    from presence_only.study.params import Params

Floats = NDArray[np.float64]
AnyPair = TypeVar("AnyPair", Pair, PairAcross)
# First and second variant of a pair.
Names = tuple[str, str]
# What a table of pairs was asked for, two words, to the pairs.
Kept = dict[tuple[str, str], dict[Names, AnyPair]]

# The metric that decides.
METRIC = "species_map"


class MissingResultsError(UserError):
    """Results that were asked for are not there; the message says what, in one sentence."""


@dataclass(frozen=True)
class StudyResults:
    """All results of one study: settings, tables, values per species and site, curves, runs and times.

    Args:
        folder: Folder of the study's params.yaml.
        committed: Whether to read only what is in git. Every clone has that; the tables per species, the
            curves and the runs are in the cache of whoever ran the study.
    """

    folder: Path = Path()
    committed: bool = False

    @cached_property
    def params(self) -> Params:
        """The study's settings.

        Raises:
            MissingResultsError: If the folder has no params.yaml.
            SettingsError: If params.yaml breaks a rule.
        """
        # Not at the top: the settings of losses need torch, which takes seconds to import.
        from presence_only.study.params import load_params

        return load_params(self._params_file())

    @cached_property
    def study(self) -> StudySettings:
        """The lists of what the study runs.

        Raises:
            MissingResultsError: If the folder has no params.yaml.
            SettingsError: If a list breaks a rule.
        """
        return load_study(self._params_file())

    def _params_file(self) -> Path:
        path = self.folder / PARAMS
        if not path.is_file():
            raise MissingResultsError(f"{path.resolve().parent.name} has no params.yaml: there is no such study here")
        return path

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.study.name

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of its data sets."""
        return self.study.datasets

    @property
    def variants(self) -> tuple[str, ...]:
        """Names of its variants, in the order of params.yaml."""
        return self.study.variants

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of its runs."""
        return self.study.seeds

    # Tables of the whole study, which are in git.

    @cached_property
    def comparison(self) -> pl.DataFrame:
        """The comparison table as the file holds it.

        Raises:
            MissingResultsError: If the file is not there, or empty.
        """
        return self._table(COMPARISON)

    @cached_property
    def table(self) -> pl.DataFrame:
        """Comparison table: the rows of the data sets and variants that params.yaml names."""
        return self.comparison.filter(pl.col("dataset").is_in(self.datasets) & pl.col("variant").is_in(self.variants))

    @cached_property
    def _pairs(self) -> pl.DataFrame:
        """Rows of the table of pairs."""
        return self._table(PAIRS).filter(pl.col("dataset").is_in(self.datasets) & self._of_variants)

    @property
    def _of_variants(self) -> pl.Expr:
        """Pairs whose variants both belong to the study; a table may have rows of former ones."""
        return pl.col("first").is_in(self.variants) & pl.col("second").is_in(self.variants)

    def scores(self, dataset: str, variants: Iterable[str], metric: str = METRIC) -> pl.DataFrame:
        """Rows of the comparison table, in the order of ``variants``; those without results are left out.

        Raises:
            MissingResultsError: If none of them has results.
        """
        rows = self.table.filter((pl.col("dataset") == dataset) & (pl.col("metric") == metric))
        return self._in_order_of(variants, rows, metric, f"on {dataset}")

    def ranked(self, dataset: str, metric: str = METRIC) -> list[str]:
        """The variants with results, best mean first; a mean that is not defined stands last."""
        rows = self.scores(dataset, self.variants, metric)
        return rows.sort(pl.col("mean").fill_nan(None), descending=True, nulls_last=True)["variant"].to_list()

    def pairs(self, dataset: str, metric: str = METRIC) -> tuple[Pair, ...]:
        """Every pair of variants of a data set, in the order of results/pairs.csv: the best one's come first.

        Raises:
            MissingResultsError: If there is no table of pairs.
        """
        return tuple(self._pairs_of(dataset, metric).values())

    def pair(self, dataset: str, first: str, second: str, metric: str = METRIC) -> Pair:
        """How much variant ``first`` is above variant ``second``: the row of results/pairs.csv, from either side.

        Raises:
            MissingResultsError: If the table has no such row.
        """
        found = _from_either_side(self._pairs_of(dataset, metric), first, second)
        if found is None:
            raise MissingResultsError(f"{PAIRS} of {self.name} has no {metric} of {first} and {second} on {dataset}")
        return found

    @property
    def over_all(self) -> bool:
        """Whether the study has data sets enough for tables over all of them, and a mAP on these.

        Raises:
            MissingResultsError: If it has enough, and the table over all of them is not there.
        """
        return len(self.datasets) >= FEWEST_WORLDS and METRIC in self.across["metric"]

    @cached_property
    def across(self) -> pl.DataFrame:
        """Means over all data sets, see :class:`~presence_only.statistics.across_datasets.MeanAcross`.

        There are no rows for a study of fewer than three data sets.

        Raises:
            MissingResultsError: If the file is not there.
        """
        return self._table(ACROSS).filter(pl.col("variant").is_in(self.variants))

    def pairs_across(self, metric: str = METRIC, scenario: str = ALL) -> tuple[PairAcross, ...]:
        """Every pair of variants over all data sets, the best one's first; none for fewer than three data sets.

        Raises:
            MissingResultsError: If the file is not there.
        """
        return tuple(self._pairs_across_of(metric, scenario).values())

    def scores_across(self, variants: Iterable[str], metric: str = METRIC, scenario: str = ALL) -> pl.DataFrame:
        """Rows of the table over all data sets, in the order of ``variants``; those without results are left out.

        Raises:
            MissingResultsError: If none of them has results.
        """
        rows = self.across.filter((pl.col("metric") == metric) & (pl.col("scenario") == scenario))
        return self._in_order_of(variants, rows, metric, "over all data sets")

    def pair_across(self, first: str, second: str, metric: str = METRIC, scenario: str = ALL) -> PairAcross:
        """How much ``first`` is above ``second`` over all data sets: the row of the table, from either side.

        Raises:
            MissingResultsError: If the table has no such row.
        """
        found = _from_either_side(self._pairs_across_of(metric, scenario), first, second)
        if found is None:
            raise MissingResultsError(f"{ACROSS_PAIRS} of {self.name} has no {metric} of {first} and {second}")
        return found

    def _pairs_of(self, dataset: str, metric: str) -> dict[Names, Pair]:
        """Names to the pairs of a data set, in the order of the table."""
        wanted = (pl.col("dataset") == dataset) & (pl.col("metric") == metric)
        return _kept(self._kept_pairs, (dataset, metric), lambda: map(Pair.from_row, _rows(self._pairs, wanted)))

    def _pairs_across_of(self, metric: str, scenario: str) -> dict[Names, PairAcross]:
        """Names to the pairs over all data sets, in the order of the table."""
        wanted = (pl.col("metric") == metric) & (pl.col("scenario") == scenario) & self._of_variants
        table = self._table(ACROSS_PAIRS)
        return _kept(self._kept_across, (metric, scenario), lambda: map(PairAcross.from_row, _rows(table, wanted)))

    # A study with many variants has thousands of pairs and is asked for each of them.

    @cached_property
    def _kept_pairs(self) -> Kept[Pair]:
        return {}

    @cached_property
    def _kept_across(self) -> Kept[PairAcross]:
        return {}

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """Every setting of the study, defaults included, as plain values: ``study``, ``datasets`` and ``variants``.

        The file that holds them is read without the classes of settings, those of the losses among them, which need
        torch.

        Raises:
            MissingResultsError: If the file is not there.
        """
        path = self._there(SETTINGS)
        with reading(path, self._again):
            found: dict[str, Any] = read_yaml(path)
        return found

    @cached_property
    def description(self) -> dict[str, dict[str, str]]:
        """The settings in words: of every variant as ``variants``, and those that all share as ``common``.

        Raises:
            MissingResultsError: If the file is not there.
        """
        found: dict[str, dict[str, str]] = self._json(DESCRIPTION, local=True)
        return found

    @property
    def penalties(self) -> pl.DataFrame:
        """Curves of the losses' penalties, see :func:`~presence_only.losses.penalty_curves.penalty_curves`.

        Raises:
            MissingResultsError: If the file is not there.
        """
        return self._parquet(PENALTIES)

    def summary(self, dataset: str) -> dict[str, Any]:
        """Counts, prevalence and notes of a data set.

        Raises:
            MissingResultsError: If the file is not there.
        """
        found: dict[str, Any] = self._json(DatasetFiles(dataset).summary)
        return found

    def records_map(self, dataset: str) -> bytes | None:
        """A map of a data set's records as PNG; None where it was not drawn."""
        return self._picture(DatasetFiles(dataset).map)

    def map_of_added(self, dataset: str) -> bytes | None:
        """A map of the presences that label propagation added as PNG; None where there is none."""
        return self._picture(added_map(dataset))

    # Variants by their settings.

    def settings(self, variant: str) -> dict[str, Any]:
        """A variant's loss and all its parameters, defaults included."""
        return self.params.variants[variant].loss.model_dump()

    def named(self, dataset: str, *losses: str) -> list[str]:
        """Variants of the given losses that have results, in the study's order; there may be none."""
        scored = set(self.table.filter(pl.col("dataset") == dataset)["variant"])
        return [name for name in self.variants if self.params.variants[name].loss.loss in losses and name in scored]

    def families(self, dataset: str, loss: str, *swept: str) -> list[dict[tuple[Any, ...], str]]:
        """Groups of variants that differ in nothing but the ``swept`` parameters: their values to the variant.

        Network and training are settings too: variants that bring their own form a group of their own.
        The largest group comes first; every one has at least two members, and there may be none.
        """
        groups: dict[str, dict[tuple[Any, ...], str]] = {}
        for name in self.named(dataset, loss):
            variant = self.params.variants[name]
            fixed = variant.loss.model_dump()
            if not set(swept) <= fixed.keys():
                continue
            value = tuple(fixed.pop(key) for key in swept)
            rest = repr((sorted(fixed.items(), key=repr), variant.encoder, variant.training))
            groups.setdefault(rest, {}).setdefault(value, name)
        found = [dict(sorted(group.items(), key=_in_order)) for group in groups.values() if len(group) > 1]
        return sorted(found, key=len, reverse=True)

    # One data set under one variant, which whoever ran the study has.

    def per_species(self, dataset: str, variant: str) -> pl.DataFrame:
        """One row per seed and species.

        Raises:
            MissingResultsError: If the file is not there.
        """
        return self._parquet(CellFiles(dataset, variant).per_species)

    def per_site(self, dataset: str, variant: str) -> pl.DataFrame:
        """One row per seed and survey site.

        Raises:
            MissingResultsError: If the file is not there.
        """
        return self._parquet(CellFiles(dataset, variant).per_site)

    def species(self, dataset: str, variant: str) -> tuple[str, ...]:
        """Names of the species, in the order of their values.

        Raises:
            MissingResultsError: If the file is not there.
            DataError: If seeds have other species than the first.
        """
        table = self.per_species(dataset, variant)
        names = [tuple(table.filter(pl.col("seed") == seed)["species"]) for seed in self.seeds]
        if set(names) != {names[0]}:
            path = CellFiles(dataset, variant).per_species
            raise DataError(f"{path}: seeds {self.seeds} must all have the same species; run `dvc repro`")
        return names[0]

    def values(self, dataset: str, variant: str, metric: str = METRIC) -> NDArray[Any]:
        """A metric of every seed and unit, shape (V, U); NaN where undefined.

        Args:
            dataset: Name of the data set.
            variant: Name of the variant.
            metric: A metric of the package, or a further one that has a column per species of its own.

        Raises:
            MissingResultsError: If the file is not there, or lacks a seed.
        """
        known = METRICS.get(metric)
        by_site = known is not None and known.unit == "site"
        table = self.per_site(dataset, variant) if by_site else self.per_species(dataset, variant)
        return self._by_seed(table, metric if known is None else known.column, dataset, variant)

    def prevalence(self, dataset: str, variant: str) -> Floats:
        """Share of surveyed sites where each species is present, as the table of a variant has it, shape (U,)."""
        prevalence_U: Floats = self._by_seed(self.per_species(dataset, variant), "prevalence", dataset, variant)[0]
        return prevalence_U

    def cell(self, dataset: str, variant: str) -> CellResult:
        """What the evaluation wrote for one cell, as arrays with one row per seed.

        Raises:
            MissingResultsError: If a file is not there, or lacks a seed.
        """
        species, sites = self.per_species(dataset, variant), self.per_site(dataset, variant)
        metrics = self.metrics(dataset, variant)
        further = [name for name in metrics[f"seed_{self.seeds[0]}"] if name not in METRICS]
        by_species = {name: name for name in further if name in species.columns}
        by_species = {n: m.column for n, m in METRICS.items() if m.unit == "species"} | by_species
        by_site = {n: m.column for n, m in METRICS.items() if m.unit == "site"}
        return CellResult(
            dataset=dataset,
            variant=variant,
            seeds=self.seeds,
            per_species={n: self._by_seed(species, column, dataset, variant) for n, column in by_species.items()},
            per_site={n: self._by_seed(sites, column, dataset, variant) for n, column in by_site.items()},
            n_species=len(species) // len(self.seeds),
            n_sites=len(sites) // len(self.seeds),
            per_seed={n: _of_seeds(metrics, n, self.seeds) for n in further if n not in by_species},
            # What else has a value per species is of the study's own survey.
            n_sites_of={n: _sites_of(metrics, n) for n in further if n in by_species and n not in SPECIES_NUMBERS},
        )

    def metrics(self, dataset: str, variant: str) -> dict[str, Any]:
        """Means over seeds, the metrics of every seed as ``seed_<n>``, and those of the seeds' ``ensemble``.

        Raises:
            MissingResultsError: If the file is not there.
        """
        path = CellFiles(dataset, variant).metrics
        found: dict[str, Any] = self._json(path, local=True)
        with reading(self.folder / path, self._again):
            if not all(isinstance(found[f"seed_{seed}"], dict) for seed in self.seeds):
                raise ValueError("not every seed has metrics")
        return found

    def ensemble(self, dataset: str, variant: str) -> dict[str, float]:
        """Metrics of the mean of all seeds' logits; empty where there is none."""
        found: dict[str, float] = self.metrics(dataset, variant).get("ensemble", {})
        return found

    def curves(self, dataset: str, variant: str, kind: str) -> pl.DataFrame:
        """One curve's points x, y, n of every seed, in order.

        Args:
            dataset: Name of the data set.
            variant: Name of the variant.
            kind: ``precision_recall`` or ``calibration``.

        Raises:
            MissingResultsError: If they were not recorded.
        """
        path = CellFiles(dataset, variant).curves
        with reading(self.folder / path, self._again):
            table = self._parquet(path).filter(pl.col("curve") == kind)
        if not len(table):
            raise MissingResultsError(f"{variant} on {dataset} has no {kind.replace('_', '-')} curve")
        return table

    def maps(self, dataset: str, variant: str) -> dict[int, Floats]:
        """Scores, within 0..1, at the survey's sites of the species that are mapped, by their index; of the first seed.

        Raises:
            MissingResultsError: If they were not recorded.
        """
        path = CellFiles(dataset, variant).maps
        with reading(self.folder / path, self._again):
            parts = self._parquet(path).partition_by("species", maintain_order=True)
            return {part["species"][0]: part["score"].to_numpy() for part in parts}

    def history(self, dataset: str, variant: str, seed: int) -> dict[str, Any]:
        """What one run recorded after every epoch: ``loss``, and ``probes`` if they were asked for.

        Raises:
            MissingResultsError: If the run is not there.
        """
        path = CellFiles(dataset, variant).history(seed)
        found: dict[str, Any] = self._json(path, local=True)
        with reading(self.folder / path, self._again):
            np.array(found["loss"], dtype=np.float64)
        return found

    def losses(self, dataset: str, variant: str) -> list[float]:
        """Training loss after every epoch, mean over seeds.

        Raises:
            MissingResultsError: If a run is not there.
        """
        return [float(x) for x in np.mean([self.history(dataset, variant, s)["loss"] for s in self.seeds], axis=0)]

    def probes(self, dataset: str, variant: str) -> dict[str, Floats]:
        """What was probed after every epoch, mean over seeds: name to values (E,), NaN where undefined.

        Raises:
            MissingResultsError: If a run is not there, or was made without probes.
        """
        histories = [self.history(dataset, variant, seed) for seed in self.seeds]
        if not all(history.get("probes") for history in histories):
            raise MissingResultsError(
                f"the runs of {variant} on {dataset} were made without probes; {self._how_to_run()} makes them anew"
            )
        return {
            name: np.mean([np.array(history["probes"][name], dtype=np.float64) for history in histories], axis=0)
            for name in histories[0]["probes"]
        }

    def seconds_by_seed(self, dataset: str, variant: str) -> dict[str, float]:
        """Seconds that each seed's training took; empty where the present runs were restored, and not timed here."""
        cell = CellFiles(dataset, variant)
        return timed(self.folder / cell.timing, "runs", self.folder / cell.runs) or {}

    def seconds(self, dataset: str, variant: str) -> float:
        """Seconds that one seed's training took, mean over seeds.

        Raises:
            MissingResultsError: If nobody timed the runs that are there.
        """
        path = CellFiles(dataset, variant).timing
        if self.committed:
            raise MissingResultsError(f"`{path.as_posix()}` of {self.name} is not in git")
        found = self.seconds_by_seed(dataset, variant)
        if not found:
            raise MissingResultsError(
                f"`{path.as_posix()}` does not have the seconds of the runs at hand, which were trained elsewhere or "
                "not timed; "
                f"`dvc repro --force --single-item train@{dataset}-{variant}` trains and times them again"
            )
        return float(np.mean(list(found.values())))

    def _in_order_of(self, variants: Iterable[str], rows: pl.DataFrame, metric: str, where: str) -> pl.DataFrame:
        """The rows of some variants in their order; those without a row are left out."""
        wanted = list(variants)
        have = {name: i for i, name in enumerate(rows["variant"])}
        found = [have[name] for name in wanted if name in have]
        if not found:
            what = ", ".join(wanted) or "such variants"
            raise MissingResultsError(f"{self.name} has no {metric} of {what} {where}")
        return rows[found]

    def _by_seed(self, table: pl.DataFrame, column: str, dataset: str, variant: str) -> NDArray[Any]:
        with reading(self.folder / CellFiles(dataset, variant).per_species, self._again):
            wanted = table.select("seed", column)
        try:
            return by_seed(wanted, column, self.seeds)
        except ValueError:
            raise MissingResultsError(
                f"{variant} on {dataset} was not evaluated for every seed of {', '.join(map(str, self.seeds))}"
            ) from None

    def _table(self, path: Path) -> pl.DataFrame:
        """A table of the whole study."""
        there = self._there(path)
        try:
            with reading(there, self._again):
                return pl.read_csv(there)
        except DamagedError as error:
            if isinstance(error.__cause__, pl.exceptions.NoDataError):
                raise MissingResultsError(f"{path} is empty; {self._how_to_run()} makes it anew") from None
            raise

    def _json(self, path: Path, *, local: bool = False) -> Any:
        """What a JSON file holds; ``local``: whether it is not in git."""
        return stored_json(self._there(path, local=local), self._again)

    def _picture(self, path: Path) -> bytes | None:
        """A file's bytes; None where there is none."""
        if not (self.folder / path).exists():
            return None
        with reading(self.folder / path, self._again):
            return self._there(path).read_bytes()

    def _parquet(self, path: Path) -> pl.DataFrame:
        """A table that is not in git."""
        return stored_table(self._there(path, local=True), again=self._again)

    def _there(self, path: Path, *, local: bool = False) -> Path:
        """``path`` in the study's folder, if it exists and may be read; ``local``: whether it is not in git."""
        if local and self.committed:
            raise MissingResultsError(f"`{path.as_posix()}` of {self.name} is not in git")
        if not (self.folder / path).exists():
            raise MissingResultsError(f"`{path.as_posix()}` is not there; {self._how_to_run()} makes it")
        if not self.committed:
            check_unaltered(path, self.folder, self._again)
        return self.folder / path

    @property
    def _again(self) -> str:
        """What makes a damaged file again, the end of a sentence."""
        return f"{self._how_to_run()} makes it again"

    def _how_to_run(self) -> str:
        folder = self.folder.resolve()
        if folder.parent.name == "experiments":
            return f"`make experiment NAME={folder.name}`"
        return "`make study`"


def _rows(table: pl.DataFrame, wanted: pl.Expr) -> Iterator[dict[str, Any]]:
    """Rows of a table by the names of its columns."""
    return table.filter(wanted).iter_rows(named=True)


def _kept(kept: Kept[AnyPair], key: tuple[str, str], read: Callable[[], Iterable[AnyPair]]) -> dict[Names, AnyPair]:
    """Names to pairs, read at the first time that they are asked for."""
    if key not in kept:
        kept[key] = {(pair.first, pair.second): pair for pair in read()}
    return kept[key]


def _from_either_side(pairs: Mapping[Names, AnyPair], first: str, second: str) -> AnyPair | None:
    """The pair of two variants as first minus second; None if there is none."""
    if (first, second) in pairs:
        return pairs[first, second]
    return pairs[second, first].turned() if (second, first) in pairs else None


def _of_seeds(metrics: dict[str, Any], name: str, seeds: tuple[int, ...]) -> Floats:
    """One number of every seed, shape (V,); NaN where it was undefined."""
    return np.array([metrics[f"seed_{seed}"][name] for seed in seeds], dtype=np.float64)


def _sites_of(metrics: dict[str, Any], name: str) -> int | None:
    """Number of sites of the further evaluation that a metric comes from, where it counted any."""
    tasks = [key.removeprefix("n_").removesuffix("sites") for key in metrics if re.fullmatch("n_.+_sites", key)]
    task = max((task for task in tasks if name.startswith(task)), key=len, default=None)
    return None if task is None else int(metrics[f"n_{task}sites"])


def _in_order(item: tuple[tuple[Any, ...], str]) -> tuple[tuple[bool, Any], ...]:
    """Sorts by values of any one kind; a value that is not set stands first."""
    return tuple((value is not None, 0 if value is None else value) for value in item[0])
