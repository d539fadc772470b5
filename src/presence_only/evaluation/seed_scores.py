"""The scores of one cell of a study: every seed's encoder against the survey, which no training sees.

Shape legend: M survey sites, S species.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from presence_only.common.arrays import mean_where_defined
from presence_only.common.atomic_files import write_json, write_stream
from presence_only.common.one_thread import use_one_thread
from presence_only.evaluation.binary_ranges import RangeReader
from presence_only.evaluation.curves import Calibration, Curve, PrecisionRecall
from presence_only.evaluation.dataset_facts import DatasetFacts, load_facts
from presence_only.evaluation.effort_scores import EffortReader
from presence_only.evaluation.geoscore import ListReader, geoscore_of
from presence_only.evaluation.mapped_species import scores_to_map
from presence_only.evaluation.mean_scores import MeanReader
from presence_only.evaluation.metrics import METRICS, SITES_LIMIT, evaluation_of, formulas
from presence_only.evaluation.observer_bias import numbers_of
from presence_only.evaluation.passes import BlockReader, PartReader, Values, read_sites, read_species
from presence_only.evaluation.record_quarters import ap_of_quarters
from presence_only.evaluation.score_histogram import SCALE_NUMBERS, ScoreHistogram
from presence_only.evaluation.skill_measures import SKILL_MEASURES
from presence_only.evaluation.species_lists import SpeciesLists
from presence_only.evaluation.survey_logits import MeanLogits, SurveyLogits
from presence_only.evaluation.tasks import Task
from presence_only.evaluation.threshold_numbers import LIST_NUMBERS, threshold_number
from presence_only.evaluation.training_fits import fit_to_training
from presence_only.evaluation.units import TruthUnits
from presence_only.model.files import load_model
from presence_only.model.interface import SpeciesModel
from presence_only.training.seed_files import ENCODER

# Of the observer-bias metrics of a trained model, those that are compared.
OBSERVER_NUMBERS = (
    "geoscore",
    "geoscore_f1",
    "geoscore_list_ratio",
    "geoscore_density_ratio",
    "geoscore_density_correlation",
    "effort_correlation",
    "effort_correlation_of_truth",
    "species_map_sparse",
    "species_map_dense",
)
# Length of the species lists at the best common threshold, over that of the true ones.
LIST_RATIO_BEST = "list_ratio_best"
# Every metric of a seed that has no values per species or site.
SEED_NUMBERS = (*OBSERVER_NUMBERS, *SCALE_NUMBERS, LIST_RATIO_BEST, *LIST_NUMBERS)
# Tables of a cell, and the file of its numbers.
TABLES = ("per_species", "per_site", "curves", "maps")
METRICS_FILE = "metrics.json"
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


def score_cell(
    seeds: tuple[int, ...], inputs: Mapping[str, Path], output: Path, report: Callable[[int, int, float], None]
) -> None:
    """Score all seeds of a cell from file to file, in one thread.

    Args:
        seeds: The study's seeds.
        inputs: ``training``: folder of the records, which tell where observers were, and nothing is fitted here;
            ``survey``: folder of the survey and of further evaluations; ``encoder_<seed>``: folder of the weights of
            every seed.
        output: Folder to put ``metrics.json`` and the tables into.
        report: Called after every seed with the seeds done, their number, and the mean average precision over species.
    """
    use_one_thread()
    facts = load_facts(inputs["training"], inputs["survey"])
    mean, results = MeanLogits(facts.survey, len(seeds)), list[SeedResult]()
    for seed in seeds:
        model = load_model(inputs[f"encoder_{seed}"] / ENCODER)
        results.append(score_model(model, facts, seed, first=not results, mean=mean))
        report(len(results), len(seeds), results[-1].numbers["species_map"])
    for name in TABLES:
        parts = [result.tables[name] for result in results if name in result.tables]
        with write_stream(output / f"{name}.parquet") as stream:
            pl.concat(parts).write_parquet(stream)
    summary = summarise([result.numbers for result in results], seeds)
    write_json(output / METRICS_FILE, summary | score_ensemble(mean, facts.truth))


def score_model(
    model: SpeciesModel, facts: DatasetFacts, seed: int, *, first: bool, mean: MeanLogits | None = None
) -> SeedResult:
    """Score one seed.

    Args:
        model: The seed's trained model.
        facts: The data set.
        seed: What stands in the tables.
        first: Whether it is the study's first seed, of which curves and maps are kept.
        mean: What the model's logits are added to, for an ensemble.
    """
    logits = SurveyLogits.of(model, facts.survey)
    n_sites, n_species = facts.truth.shape
    # Of a grid of the world the evaluation keeps no values per site; GeoScore asks for one metric of them.
    of_site = formulas("site") if n_sites <= SITES_LIMIT else [METRICS["sample_map"].formula]
    by_species, by_site = Values(n_species, formulas("species")), Values(n_sites, of_site)
    effort, means, histogram = EffortReader(facts.effort), MeanReader(n_species), ScoreHistogram()
    recall, share = PrecisionRecall(), Calibration()
    rules, calibrated = fit_to_training(model, facts.training)
    ranges = {name: RangeReader(logit_S) for name, logit_S in rules.items()}
    skill = Values(n_species, [measure.formula for measure in SKILL_MEASURES.values()])
    curves: tuple[list[BlockReader], list[PartReader]] = ([recall], [share]) if first else ([], [])
    by_block: list[BlockReader] = [effort, by_species, histogram, skill, *ranges.values(), *curves[0]]
    read_species(logits.matrix, facts.truth, by_block, [means, *curves[1]], in_order=True)
    lists, best_lists = ListReader(n_sites), ListReader.above(n_sites, histogram.best_threshold().logit)
    read_sites(logits.matrix, facts.truth, [by_site, lists, best_lists])

    per_site = by_site.values if n_sites <= SITES_LIMIT else None
    result = evaluation_of(facts.truth, by_species.values, per_site)
    ap_M = by_site.values[of_site.index(METRICS["sample_map"].formula)]
    observed = numbers_of(geoscore_of(lists, ap_M, facts.effort.effort_M), effort)
    further, further_by_species = score_further(model, facts.survey.species, facts.further)
    quarters = ap_of_quarters(result.values("species_map"), facts.n_records_S)
    numbers = result.summary | further | {name: observed[name] for name in OBSERVER_NUMBERS}
    numbers |= histogram.numbers() | {LIST_RATIO_BEST: best_lists.ratio()}
    own = quarters | dict(zip(SKILL_MEASURES, skill.values, strict=True)) | range_columns(ranges)
    numbers |= {name: mean_where_defined(values_S) for name, values_S in own.items()}
    numbers |= SpeciesLists(model, facts.survey, facts.lists, rules, calibrated).numbers()
    species = {"species": np.array(facts.survey.species), "n_records": facts.n_records_S}
    species |= {"mean_score": means.mean_S} | result.per_species | own | further_by_species
    species |= {f"threshold_{name}": expit(logit_S) for name, logit_S in rules.items()}
    species |= {"group": np.array(facts.groups)}
    tables = {"per_species": _table(seed, species), "per_site": _table(seed, result.per_site)}
    if first:
        tables["curves"] = curve_table(seed, recall.curve(), share.curve())
        tables["maps"] = scores_to_map(logits.scores, result.per_species["prevalence"])
    if mean is not None:
        mean.add(logits)
    return SeedResult(numbers, tables)


def range_columns(ranges: Mapping[str, RangeReader]) -> dict[str, NDArray[np.float64]]:
    """The measures of the binary ranges of every rule, as columns per species."""
    return {
        threshold_number(rule, measure): values_S
        for rule, reader in ranges.items()
        for measure, values_S in reader.measures().items()
    }


def score_ensemble(mean: MeanLogits, truth: TruthUnits) -> dict[str, object]:
    """Every metric of the mean of all seeds' logits, as ``ensemble``; nothing for a single seed, which is no ensemble.

    Args:
        mean: To which every seed was added.
        truth: What the survey found.
    """
    if mean.n_models == 1:
        return {}
    (n_sites, n_species), logits = truth.shape, mean.matrix()
    by_species, by_site = Values(n_species, formulas("species")), Values(n_sites, formulas("site"))
    read_species(logits, truth, [by_species])
    if n_sites <= SITES_LIMIT:
        read_sites(logits, truth, [by_site])
    summary = evaluation_of(truth, by_species.values, by_site.values).summary
    return {"ensemble": {name: summary[name] for name in METRICS}}


def curve_table(seed: int, precision_recall: Curve, calibration: Curve) -> pl.DataFrame:
    """Precision against recall and share present against score, of one seed: one row per point."""
    points = {"precision_recall": precision_recall, "calibration": calibration}
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
