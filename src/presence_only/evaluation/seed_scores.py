"""The scores of one cell of a study: every seed's encoder against the survey, which no training sees.

Shape legend: M survey sites, C covariates, S species.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from presence_only.common.arrays import mean_where_defined
from presence_only.common.atomic_files import write_json
from presence_only.common.one_thread import use_one_thread
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.evaluation.breakdown import records_nearby
from presence_only.evaluation.curves import calibration, precision_recall
from presence_only.evaluation.mapped_species import scores_to_map
from presence_only.evaluation.metrics import METRICS, SITES_LIMIT
from presence_only.evaluation.observer_bias import observer_numbers
from presence_only.evaluation.survey import evaluate_survey
from presence_only.evaluation.tasks import Task, load_further
from presence_only.model.blend import Blend
from presence_only.model.files import load_model
from presence_only.model.interface import Scores, SpeciesModel
from presence_only.training.seed_files import ENCODER

# Of the observer-bias metrics of a trained model, those that are compared.
OBSERVER_NUMBERS = (
    "geoscore",
    "effort_correlation",
    "effort_correlation_of_truth",
    "species_map_sparse",
    "species_map_dense",
)
SPECIES_AT_ONCE = 256
# Tables of a cell, and the file of a seed's numbers.
TABLES = ("per_species", "per_site", "curves", "maps")
NUMBERS = "numbers.json"
# Prefix of counts (n_sites, n_species), which are not metrics.
COUNT = "n_"


@dataclass(frozen=True)
class SeedResult:
    """The evaluation of one seed's encoder.

    Args:
        numbers: Metrics, observer-bias metrics and counts, by name.
        tables: One row per species in ``per_species``, one per site of the survey in ``per_site``; and of the study's
            first seed only, one per point in ``curves`` and one per site and chosen species in ``maps``, see
            :func:`~presence_only.evaluation.mapped_species.scores_to_map`.
    """

    numbers: dict[str, float]
    tables: dict[str, pl.DataFrame]


def score_seed(
    seed: int,
    first: bool,
    inputs: Mapping[str, Path],
    output: Path,
    report: Callable[[int, int, float], None],
) -> None:
    """Score one seed from file to file, in one thread.

    Args:
        seed: The seed to score.
        first: Whether it is the study's first seed, of which curves and maps are kept.
        inputs: ``training``: folder of the records, which tell where observers were, and nothing is fitted here;
            ``survey``: folder of the survey and of further evaluations; ``encoder``: folder of the seed's weights.
        output: Folder to put numbers and tables into.
        report: Called at the end with 1, 1 and the mean average precision over species.
    """
    use_one_thread()
    result = score(load_model(inputs["encoder"] / ENCODER), inputs["training"], inputs["survey"], seed, first)
    # With all digits: JSON keeps a float64 as it is, NaN and infinity included.
    (output / NUMBERS).write_text(json.dumps(result.numbers))
    for name, table in result.tables.items():
        table.write_parquet(output / f"{name}.parquet")
    report(1, 1, result.numbers["species_map"])


def score(model: SpeciesModel, training: Path, survey: Path, seed: int, first: bool) -> SeedResult:
    """Everything that is written down of one seed's model; see :func:`score_seed`."""
    surveyed, further = Survey.load(survey), load_further(survey)
    records = TrainingData.load(training).records
    effort_M = records_nearby(surveyed.sites_M2, records.sites_N2, records.row_P)
    result = evaluate_survey(model, surveyed, surveyed.species)
    numbers, by_species = score_further(model, surveyed.species, further)
    scores = model.scores(surveyed.sites_M2, surveyed.covariates_MC, surveyed.week_M)
    # Of a grid of the world the evaluation keeps no values per site.
    ap_M = result.values("sample_map") if len(surveyed.sites_M2) <= SITES_LIMIT else None
    observed = observer_numbers(scores, surveyed.truth, effort_M, ap_M=ap_M)
    numbers = result.summary | numbers | {name: observed[name] for name in OBSERVER_NUMBERS}
    species = {"species": np.array(surveyed.species), "n_records": records.records_per_species()}
    species |= {"mean_score": mean_scores(scores)} | result.per_species | by_species
    tables = {"per_species": _table(seed, species), "per_site": _table(seed, result.per_site)}
    if first:
        tables["curves"] = curves(scores, surveyed, seed)
        tables["maps"] = scores_to_map(scores, result.per_species["prevalence"])
    return SeedResult(numbers, tables)


def join_seeds(
    seeds: tuple[int, ...], inputs: Mapping[str, Path], output: Path, report: Callable[[int, int, float], None]
) -> None:
    """Put the scores of a cell's seeds together, with those of their ensemble.

    Args:
        seeds: The study's seeds.
        inputs: ``survey``: its folder; ``scores_<seed>`` and ``encoder_<seed>``: what :func:`score_seed` wrote, and
            the folder of the weights, of every seed.
        output: Folder to put ``metrics.json`` and the tables of all seeds into.
        report: Called at the end.
    """
    folders = [inputs[f"scores_{seed}"] for seed in seeds]
    for name in TABLES:
        parts = [folder / f"{name}.parquet" for folder in folders]
        pl.concat([pl.read_parquet(part) for part in parts if part.exists()]).write_parquet(output / f"{name}.parquet")
    summary = summarise([json.loads((folder / NUMBERS).read_text()) for folder in folders], seeds)
    encoders = [inputs[f"encoder_{seed}"] / ENCODER for seed in seeds]
    write_json(output / "metrics.json", summary | ensemble(encoders, inputs["survey"]))
    report(1, 1, 0.0)


def ensemble(encoders: Sequence[Path], survey: Path) -> dict[str, object]:
    """Metrics of the mean of all seeds' logits, as ``ensemble``; nothing for a single seed.

    Args:
        encoders: Weights, one file per seed.
        survey: Folder of the survey.
    """
    if len(encoders) == 1:
        return {}
    use_one_thread()
    model = Blend([load_model(encoder) for encoder in encoders])
    surveyed = Survey.load(survey)
    summary = evaluate_survey(model, surveyed, surveyed.species).summary
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
