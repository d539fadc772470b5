"""Evaluate one data set under one variant against the survey: the only stage that opens the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from presence_only.encoder import load_model
from presence_only.evaluations import Task, load_further
from presence_only.evaluations.survey import evaluate_survey
from presence_only.files import write_json, write_whole
from presence_only.layout import CellFiles, DatasetFiles
from presence_only.metrics import mean_where_defined
from presence_only.nouns import Survey
from presence_only.params import load_params
from presence_only.scores import ScoredModel
from presence_only.stages._cell import parse_arguments, run_stage

# What a number's name begins with that counts species, sites or the like, and is no metric.
COUNT = "n_"


def main() -> None:
    """Score every seed's encoder at the survey's sites; write metrics and per-species tables."""
    arguments = parse_arguments(__doc__, "dataset", "variant")
    # One thread, as in training: the same sums on machines with any number of cores.
    torch.set_num_threads(1)
    seeds = load_params().study.seeds
    cell = CellFiles(arguments.dataset, arguments.variant)
    folder = DatasetFiles(arguments.dataset).survey
    survey, further = Survey.load(folder), load_further(folder)
    summaries, species_tables, site_tables = [], [], []
    for seed in seeds:
        model = load_model(cell.encoder(seed))
        result = evaluate_survey(model, survey, survey.species)
        numbers, by_species = score_further(model, survey.species, further)
        summaries.append(result.summary | numbers)
        species = {"species": np.array(survey.species)} | result.per_species | by_species
        species_tables.append(_table(seed, species))
        site_tables.append(_table(seed, result.per_site))
    for path, tables in ((cell.per_species, species_tables), (cell.per_site, site_tables)):
        with write_whole(path) as temporary:
            pl.concat(tables).write_parquet(temporary)
    write_json(cell.metrics, summarise(summaries, seeds))


def score_further(
    model: ScoredModel, species: tuple[str, ...], further: Mapping[str, Task]
) -> tuple[dict[str, float], dict[str, NDArray[Any]]]:
    """Every number of every further evaluation, and the values per species that some of them are means of.

    The number ``species_map`` of ``iucn`` is ``iucn_species_map``, and its count ``n_sites`` is ``n_iucn_sites``.
    """
    numbers: dict[str, float] = {}
    by_species: dict[str, NDArray[Any]] = {}
    for name, task in further.items():
        for number, value in task.score(model, species).items():
            if number.startswith(COUNT):
                numbers[f"{COUNT}{name}_{number.removeprefix(COUNT)}"] = float(np.mean(value))
            elif isinstance(value, np.ndarray):
                by_species[f"{name}_{number}"] = value
                numbers[f"{name}_{number}"] = mean_where_defined(value)
            else:
                numbers[f"{name}_{number}"] = float(value)
    return numbers, by_species


def summarise(summaries: list[dict[str, float]], seeds: tuple[int, ...]) -> dict[str, object]:
    """Means over seeds, and every seed's own metrics; counts are the same for all seeds."""
    means = {key: float(np.mean([summary[key] for summary in summaries])) for key in summaries[0]}
    by_seed: dict[str, object] = {
        f"seed_{seed}": {name: value for name, value in summary.items() if not name.startswith(COUNT)}
        for seed, summary in zip(seeds, summaries, strict=True)
    }
    return means | by_seed


def _table(seed: int, columns: dict[str, np.ndarray]) -> pl.DataFrame:
    """One seed's rows."""
    return pl.DataFrame(columns).insert_column(0, pl.lit(seed, pl.Int64).alias("seed"))


if __name__ == "__main__":
    run_stage(main)
