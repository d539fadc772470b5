"""What the result files of a study say, for the notebooks; what is missing is told in one sentence.

Shape legend: V seeds, S species, E epochs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.comparison import CellResult, Difference, by_seed, compare, paired_difference
from presence_only.diagnostics.findings import recovered
from presence_only.errors import UserError
from presence_only.files import content_hash, read_json
from presence_only.layout import COMPARISON, PAIRS, CellFiles, DatasetFiles
from presence_only.params import Params, load_params

Bools = NDArray[np.bool_]


class MissingError(UserError):
    """Something that a section of a notebook shows is not there; the message says what, in one sentence."""


@dataclass(frozen=True)
class Study:
    """The result files of one study, read when asked for.

    Args:
        folder: Of its params.yaml.
        committed: Whether to read only what is in git. Every clone has that; the tables per species, the
            curves and the runs are in the cache of whoever ran the study.
    """

    folder: Path
    committed: bool = False

    @cached_property
    def params(self) -> Params:
        """The study's settings."""
        path = self.folder / "params.yaml"
        if not path.is_file():
            raise MissingError(f"{self.folder.name} has no params.yaml: there is no such study here")
        return load_params(path)

    @cached_property
    def table(self) -> pl.DataFrame:
        """Comparison table: the rows of the data sets and variants that params.yaml names."""
        path = self.folder / COMPARISON
        if not path.is_file():
            raise MissingError(f"{self.name} has no results yet; {self._how_to_run()} makes them")
        try:
            table = pl.read_csv(path)
        except pl.exceptions.NoDataError:
            raise MissingError(f"{COMPARISON} of {self.name} is empty; {self._how_to_run()} makes it") from None
        study = self.params.study
        return table.filter(pl.col("dataset").is_in(study.datasets) & pl.col("variant").is_in(study.variants))

    @cached_property
    def _pairs(self) -> pl.DataFrame:
        """Paired differences that are committed; empty where there are none."""
        path = self.folder / PAIRS
        if not path.is_file():
            text = ("dataset", "metric", "first", "second")
            numbers = ("difference", "low", "high")
            return pl.DataFrame(schema=dict.fromkeys(text, pl.String) | dict.fromkeys(numbers, pl.Float64))
        return pl.read_csv(path)

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of its data sets."""
        return self.params.study.datasets

    @property
    def name(self) -> str:
        """Name of the study."""
        return self.params.study.name

    def scores(self, dataset: str, variants: Iterable[str], metric: str = "species_map") -> pl.DataFrame:
        """Rows of the comparison table, in the order of ``variants``; those without results are left out.

        Raises:
            MissingError: If none of them has results.
        """
        wanted = list(variants)
        rows = self.table.filter((pl.col("dataset") == dataset) & (pl.col("metric") == metric))
        have = {name: i for i, name in enumerate(rows["variant"])}
        found = [have[name] for name in wanted if name in have]
        if not found:
            raise MissingError(f"{self.name} has no {metric} of {', '.join(wanted) or 'such variants'} on {dataset}")
        return rows[found]

    def named(self, dataset: str, *losses: str) -> list[str]:
        """Variants of the given losses that have results, in the study's order; there may be none."""
        scored = set(self.table.filter(pl.col("dataset") == dataset)["variant"])
        study = self.params.study.variants
        return [name for name in study if self.params.variants[name].loss.loss in losses and name in scored]

    def settings(self, variant: str) -> dict[str, Any]:
        """A variant's loss and all its parameters, defaults included."""
        return self.params.variants[variant].loss.model_dump()

    def families(self, dataset: str, loss: str, *swept: str) -> list[dict[tuple[Any, ...], str]]:
        """Groups of variants that differ in nothing but the ``swept`` parameters: their values to the variant.

        Network and training are settings too: variants that bring their own form a group of their own.
        The largest group comes first; every one has at least two members, and there may be none.
        """
        groups: dict[str, dict[tuple[Any, ...], str]] = {}
        for name in self.named(dataset, loss):
            variant = self.params.variants[name]
            fixed = variant.loss.model_dump()
            value = tuple(fixed.pop(key) for key in swept)
            rest = repr((sorted(fixed.items(), key=repr), variant.encoder, variant.training))
            groups.setdefault(rest, {}).setdefault(value, name)
        found = [dict(sorted(group.items(), key=_in_order)) for group in groups.values() if len(group) > 1]
        return sorted(found, key=len, reverse=True)

    def difference(
        self, dataset: str, a: str, b: str, metric: str = "species_map", species_S: Bools | None = None
    ) -> Difference:
        """How much variant ``a`` is above variant ``b``, with its 95 % interval.

        Where the values per species are at hand it is paired over seeds and species. A study read as
        committed has it from its table of pairs, which is paired too, and else from the two intervals by
        :func:`~presence_only.diagnostics.findings.recovered`, which are rather too wide for it.

        Args:
            dataset: Name of the data set.
            a: The variant that a positive difference favours.
            b: The variant it is compared with.
            metric: ``species_map`` or ``auc_roc``.
            species_S: Which species to count; None: all. Not for a study read as committed.

        Raises:
            MissingError: If a variant has no results.
        """
        if a == b:
            return Difference(0.0, 0.0, 0.0)
        if not self.committed:
            values = [self.species_values(dataset, name, metric) for name in (a, b)]
            cells = [self._cell(dataset, metric, values_VS, species_S) for values_VS in values]
            return paired_difference(cells[0], cells[1], metric)
        for first, second, sign in ((a, b, 1.0), (b, a, -1.0)):
            found = self._pairs.filter(
                (pl.col("dataset") == dataset)
                & (pl.col("metric") == metric)
                & (pl.col("first") == first)
                & (pl.col("second") == second)
            )
            if len(found):
                row = found.row(0, named=True)
                mean, low, high = (sign * row[name] for name in ("difference", "low", "high"))
                return Difference(mean, min(low, high), max(low, high))
        rows = [self.scores(dataset, [name], metric).row(0, named=True) for name in (a, b)]
        return recovered([(1.0, rows[0]), (-1.0, rows[1])])

    def excess(self, dataset: str, high: tuple[str, str], low: tuple[str, str]) -> Difference:
        """How much more mAP the step from ``high[0]`` to ``high[1]`` brings than that from ``low[0]`` to ``low[1]``.

        It is the interaction of two settings if the four variants are their combinations. Paired, or
        recovered from two differences, as :meth:`difference` says.

        Raises:
            MissingError: If a variant has no results.
        """
        metric = "species_map"
        if self.committed:
            steps = [self.difference(dataset, after, before)._asdict() for before, after in (high, low)]
            return recovered([(1.0, steps[0]), (-1.0, steps[1])])
        value = {name: self.species_values(dataset, name, metric) for name in (*high, *low)}
        up = self._cell(dataset, metric, value[high[1]] + value[low[0]], None)
        down = self._cell(dataset, metric, value[high[0]] + value[low[1]], None)
        return paired_difference(up, down, metric)

    def part(self, dataset: str, variants: Iterable[str], species_S: Bools) -> pl.DataFrame:
        """Rows as of the comparison table, for mAP over some of the species, in the order of ``variants``.

        Raises:
            MissingError: If the values per species are not at hand.
        """
        parts = []
        for name in variants:
            values_VS = self.species_values(dataset, name, "species_map")
            cell = self._cell(dataset, "species_map", values_VS, species_S)
            parts.append(compare([cell]).with_columns(pl.lit(name).alias("variant")))
        return pl.concat(parts)

    def species(self, dataset: str, variant: str) -> pl.DataFrame:
        """One row a seed and species.

        Raises:
            MissingError: If the file is not there.
        """
        return pl.read_parquet(self._there(CellFiles(dataset, variant).per_species))

    def species_values(self, dataset: str, variant: str, metric: str) -> NDArray[np.float64]:
        """A metric of every seed and species, shape (V, S)."""
        column = {"species_map": "ap"}.get(metric, metric)
        table = self.species(dataset, variant)
        seeds = self.params.study.seeds
        try:
            return by_seed(table, column, seeds)
        except ValueError:
            raise MissingError(
                f"{variant} on {dataset} was not evaluated for every seed of {', '.join(map(str, seeds))}"
            ) from None

    def curves(self, dataset: str, variant: str, kind: str) -> pl.DataFrame:
        """One curve's points x, y, n of every seed, in order.

        Args:
            dataset: Name of the data set.
            variant: Name of the variant.
            kind: ``precision_recall`` or ``calibration``.

        Raises:
            MissingError: If they were not recorded.
        """
        path = self._there(Path("results/curves", dataset, f"{variant}.parquet"))
        table = pl.read_parquet(path).filter(pl.col("curve") == kind)
        if not len(table):
            raise MissingError(f"{variant} on {dataset} has no {kind.replace('_', '-')} curve")
        return table

    def probes(self, dataset: str, variant: str) -> dict[str, NDArray[np.float64]]:
        """What was probed after every epoch, mean over seeds: name to values of shape (E,).

        Raises:
            MissingError: If a run is not there, or was made without probes.
        """
        histories = [
            read_json(self._there(CellFiles(dataset, variant).history(seed))) for seed in self.params.study.seeds
        ]
        if not all(history.get("probes") for history in histories):
            raise MissingError(
                f"the runs of {variant} on {dataset} were made without probes; {self._how_to_run()} makes them anew"
            )
        names = histories[0]["probes"]
        return {
            name: np.mean([np.array(history["probes"][name], dtype=np.float64) for history in histories], axis=0)
            for name in names
        }

    def seconds(self, dataset: str, variant: str) -> float:
        """Seconds that one seed's training took, mean over seeds.

        Raises:
            MissingError: If nobody timed the runs that are there.
        """
        cell = CellFiles(dataset, variant)
        timing = read_json(self._there(cell.timing))
        if timing["runs"] != content_hash(self._there(cell.runs)):
            raise MissingError(f"the timing of {variant} on {dataset} is of other runs than those at hand")
        return float(np.mean(list(timing["seconds"].values())))

    def summary(self, dataset: str) -> dict[str, Any]:
        """Counts and prevalence of a data set.

        Raises:
            MissingError: If the file is not there.
        """
        found: dict[str, Any] = read_json(self._there(DatasetFiles(dataset).summary))
        return found

    def _there(self, path: Path) -> Path:
        """``path`` in the study's folder, if it exists."""
        if not (self.folder / path).exists():
            raise MissingError(f"`{path.as_posix()}` is not there; {self._how_to_run()} makes it")
        return self.folder / path

    def _how_to_run(self) -> str:
        if self.folder.parent.name == "experiments":
            return f"`make experiment NAME={self.folder.name}`"
        return "`make study`"

    def _cell(self, dataset: str, metric: str, values_VS: NDArray[Any], species_S: Bools | None) -> CellResult:
        """Values as the comparison takes them."""
        values_VS = values_VS if species_S is None else values_VS[:, species_S]
        return CellResult(
            dataset=dataset,
            variant="contrast",
            seeds=self.params.study.seeds,
            per_species={metric: values_VS},
            per_site={},
            n_species=values_VS.shape[1],
            n_sites=0,
        )


def here() -> Study:
    """The study of the working folder or of the nearest folder above it that has a params.yaml."""
    folder = Path.cwd()
    for candidate in (folder, *folder.parents):
        if (candidate / "params.yaml").is_file():
            return Study(candidate)
    raise MissingError(f"no params.yaml in {folder} or above it; run from a study's folder")


def beside(study: Study, *names: str) -> tuple[list[Study], list[str]]:
    """Studies of experiments/ with committed results, and a sentence for each one without."""
    found, absent = [], []
    for name in names:
        other = Study(study.folder / "experiments" / name, committed=True)
        if (other.folder / COMPARISON).is_file():
            found.append(other)
        else:
            absent.append(f"experiments/{name} has no results here; `make experiment NAME={name}` makes them.")
    return found, absent


def families_of(
    sources: Iterable[Study], losses: Iterable[str], *swept: str
) -> list[tuple[Study, str, dict[tuple[Any, ...], str]]]:
    """Every family of variants that differ in the ``swept`` parameters alone: study, data set, members.

    Of each study the first data set counts; its others are other worlds, not other settings.

    Raises:
        MissingError: If no study has one.
    """
    losses = list(losses)
    found = [
        (source, source.datasets[0], members)
        for source in sources
        for loss in losses
        for members in source.families(source.datasets[0], loss, *swept)
    ]
    if not found:
        what = f"{' and '.join(swept)} of {' or '.join(losses)}"
        raise MissingError(f"no study with results here has variants that differ in {what} alone")
    return found


def family_name(study: Study, members: Mapping[Any, str]) -> str:
    """A short name for a family of variants."""
    names = list(members.values())
    return f"{study.name}: {names[0]} to {names[-1]}"


def _in_order(item: tuple[tuple[Any, ...], str]) -> tuple[tuple[bool, Any], ...]:
    """Sorts by values of any one kind; a value that is not set stands first."""
    return tuple((value is not None, 0 if value is None else value) for value in item[0])
