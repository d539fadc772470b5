"""Evaluate one data set under one variant: the stage that scores by the truth, which no training sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.special import expit

from presence_only.common.arrays import mean_where_defined
from presence_only.common.atomic_files import write_json, write_whole
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.evaluation.breakdown import records_nearby
from presence_only.evaluation.curves import calibration, precision_recall
from presence_only.evaluation.metrics import METRICS, SITES_LIMIT
from presence_only.evaluation.observer_bias import observer_numbers
from presence_only.evaluation.survey import evaluate_survey
from presence_only.evaluation.tasks import Task, load_further
from presence_only.model.blend import Blend
from presence_only.model.files import load_model
from presence_only.model.interface import SpeciesModel
from presence_only.model.site_scores import Scores
from presence_only.pipeline.command import parse_arguments, run_stage
from presence_only.pipeline.workers import Progressed, run_side_by_side
from presence_only.study.paths import CellFiles, DatasetFiles
from presence_only.study.settings import load_study

# Of what a run owes to its observers, what is compared.
OBSERVER_NUMBERS = (
    "geoscore",
    "effort_correlation",
    "effort_correlation_of_truth",
    "species_map_sparse",
    "species_map_dense",
)
SPECIES_AT_ONCE = 256
# What a number's name begins with that counts species, sites or the like, and is no metric.
COUNT = "n_"


@dataclass(frozen=True)
class SeedResult:
    """What one seed's encoder is worth.

    Args:
        numbers: Metrics, observer numbers and counts, by name.
        per_species: A row per species.
        per_site: A row per site of the survey.
        curves: A row per point; of the study's first seed only.
    """

    numbers: dict[str, float]
    per_species: pl.DataFrame
    per_site: pl.DataFrame
    curves: pl.DataFrame | None


def main() -> None:
    """Score every seed's encoder at the survey's sites; write metrics, per-species tables and curves."""
    arguments = parse_arguments(__doc__, "dataset", "variant")
    # One thread, as in training: the same sums on machines with any number of cores.
    torch.set_num_threads(1)
    study = load_study()
    study.check("dataset", arguments.dataset)
    study.check("variant", arguments.variant)
    seeds = study.seeds
    cell = CellFiles(arguments.dataset, arguments.variant)
    task = partial(evaluate_seed, cell, seeds[0])
    results = run_side_by_side(task, seeds, f"{cell.dataset} / {cell.variant}")
    for path, tables in (
        (cell.per_species, [result.per_species for result in results.values()]),
        (cell.per_site, [result.per_site for result in results.values()]),
        (cell.curves, [result.curves for result in results.values() if result.curves is not None]),
    ):
        with write_whole(path) as temporary:
            pl.concat(tables).write_parquet(temporary)
    summary = summarise([result.numbers for result in results.values()], seeds)
    write_json(cell.metrics, summary | ensemble(cell, seeds))


def evaluate_seed(cell: CellFiles, first_seed: int, seed: int, progressed: Progressed) -> SeedResult:
    """Score one seed; curves are drawn of the first."""
    files = DatasetFiles(cell.dataset)
    survey, further = Survey.load(files.survey), load_further(files.survey)
    records = TrainingData.load(files.training).records
    effort_M = records_nearby(survey.sites_M2, records.sites_N2, records.row_P)
    model = load_model(cell.encoder(seed))
    result = evaluate_survey(model, survey, survey.species)
    numbers, by_species = score_further(model, survey.species, further)
    scores = model.scores(survey.sites_M2, survey.covariates_MC, survey.week_M)
    # Of a grid of the world the evaluation keeps no values per site.
    ap_M = result.values("sample_map") if len(survey.sites_M2) <= SITES_LIMIT else None
    observed = observer_numbers(scores, survey.truth, effort_M, ap_M=ap_M)
    numbers = result.summary | numbers | {name: observed[name] for name in OBSERVER_NUMBERS}
    species = {"species": np.array(survey.species), "n_records": records.records_per_species()}
    species |= {"mean_score": mean_scores(scores)} | result.per_species | by_species
    points = curves(scores, survey, seed) if seed == first_seed else None
    progressed(1, 1, f"species mAP {numbers['species_map']:.3f}")
    return SeedResult(numbers, _table(seed, species), _table(seed, result.per_site), points)


def ensemble(cell: CellFiles, seeds: Sequence[int]) -> dict[str, object]:
    """Metrics of the mean of all seeds' logits; nothing for a single seed."""
    if len(seeds) == 1:
        return {}
    model = Blend([load_model(cell.encoder(seed)) for seed in seeds])
    survey = Survey.load(DatasetFiles(cell.dataset).survey)
    summary = evaluate_survey(model, survey, survey.species).summary
    return {"ensemble": {name: summary[name] for name in METRICS}}


def mean_scores(scores: Scores) -> NDArray[np.float64]:
    """Mean sigmoid of every species' logits over the survey's sites, shape (S,)."""
    n_species = scores.shape[1]
    parts = [slice(start, start + SPECIES_AT_ONCE) for start in range(0, n_species, SPECIES_AT_ONCE)]
    return np.concatenate([expit(scores.columns(part)).mean(axis=0, dtype=np.float64) for part in parts])


def curves(scores: Scores, survey: Survey, seed: int) -> pl.DataFrame:
    """Precision against recall and share present against score, of one seed: one row per point."""
    points = {
        "precision_recall": precision_recall(scores, survey.truth),
        "calibration": calibration(scores, survey.truth),
    }
    return pl.concat(
        [
            pl.DataFrame({"x": curve.x, "y": curve.y, "n": curve.n}).select(
                pl.lit(seed, pl.Int64).alias("seed"), pl.lit(name).alias("curve"), pl.all()
            )
            for name, curve in points.items()
        ]
    )


def score_further(
    model: SpeciesModel, species: tuple[str, ...], further: Mapping[str, Task]
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
