"""The scores of one cell of a study: every seed's encoder against the survey, which no training sees.

Shape legend: M survey sites, m some of them, S species, V seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from presence_only.common.arrays import mean_where_defined
from presence_only.common.matrices import Matrix
from presence_only.common.one_thread import use_one_thread
from presence_only.data.survey import Survey
from presence_only.evaluation.curves import Calibration, Curve, PrecisionRecall
from presence_only.evaluation.dataset_facts import DatasetFacts, load_facts
from presence_only.evaluation.effort_scores import EffortReader
from presence_only.evaluation.geoscore import ListReader, geoscore_of
from presence_only.evaluation.mapped_species import scores_to_map
from presence_only.evaluation.metrics import METRICS, SITES_LIMIT, evaluation_of, formulas
from presence_only.evaluation.observer_bias import numbers_of
from presence_only.evaluation.passes import BlockReader, PartReader, SpeciesPart, Values, read_sites, read_species, slices
from presence_only.evaluation.survey_logits import MeanLogits, SurveyLogits
from presence_only.evaluation.tasks import Task
from presence_only.evaluation.units import TruthUnits
from presence_only.model.files import load_model
from presence_only.model.interface import SpeciesModel

# Of the observer-bias metrics of a trained model, those that are compared.
OBSERVER_NUMBERS = (
    "geoscore",
    "effort_correlation",
    "effort_correlation_of_truth",
    "species_map_sparse",
    "species_map_dense",
)
# Scores that go through the cache together.
_PAIRS = 2**16
# Prefix of counts (n_sites, n_species), which are not metrics.
COUNT = "n_"


@dataclass(frozen=True)
class SeedResult:
    """The evaluation of one seed's encoder.

    Args:
        numbers: Metrics, observer-bias metrics and counts, by name.
        per_species: One row per species.
        per_site: One row per site of the survey.
        curves: One row per point; of the study's first seed only.
        maps: Scores of the species that the report maps, see
            :func:`~presence_only.evaluation.mapped_species.scores_to_map`; of the study's first seed only.
    """

    numbers: dict[str, float]
    per_species: pl.DataFrame
    per_site: pl.DataFrame
    curves: pl.DataFrame | None = None
    maps: pl.DataFrame | None = None


def score_cell(models: Mapping[int, SpeciesModel], facts: DatasetFacts) -> tuple[list[SeedResult], dict[str, object]]:
    """Score all seeds of a cell and their ensemble; every model's logits are made once.

    Args:
        models: Trained models by seed, the study's first seed first.
        facts: The data set.

    Returns:
        The result of every seed; and the metrics of their ensemble, see :func:`score_ensemble`.
    """
    mean, results = MeanLogits(facts.survey, len(models)), list[SeedResult]()
    for seed, model in models.items():
        logits = SurveyLogits.of(model, facts.survey)
        results.append(score_model(logits, facts, seed, first=not results))
        if len(models) > 1:
            mean.add(logits)
    return results, score_ensemble(mean.matrix(), facts.truth) if len(models) > 1 else {}


def score_model(logits: SurveyLogits, facts: DatasetFacts, seed: int, *, first: bool) -> SeedResult:
    """Score one seed.

    Args:
        logits: Of the seed's model, at the sites of the survey.
        facts: The data set.
        seed: What stands in the tables.
        first: Whether it is the study's first seed, of which curves and maps are kept.
    """
    n_sites, n_species = facts.truth.shape
    # Of a grid of the world the evaluation keeps no values per site; GeoScore asks for one metric of them.
    of_site = formulas("site") if n_sites <= SITES_LIMIT else [METRICS["sample_map"].formula]
    by_species, by_site = Values(n_species, formulas("species")), Values(n_sites, of_site)
    effort, lists, means = EffortReader(facts.effort), ListReader(n_sites), MeanReader(n_species)
    recall, share = PrecisionRecall(), Calibration()
    curves: tuple[list[BlockReader], list[PartReader]] = ([recall], [share]) if first else ([], [])
    read_species(logits.matrix, facts.truth, [effort, by_species, *curves[0]], [means, *curves[1]], in_order=True)
    read_sites(logits.matrix, facts.truth, [by_site, lists])

    per_site = by_site.values if n_sites <= SITES_LIMIT else None
    result = evaluation_of(facts.truth, by_species.values, per_site)
    ap_M = by_site.values[of_site.index(METRICS["sample_map"].formula)]
    observed = numbers_of(geoscore_of(lists, ap_M, facts.effort.effort_M), effort)
    further, further_by_species = score_further(logits.model, facts.survey.species, facts.further)
    numbers = result.summary | further | {name: observed[name] for name in OBSERVER_NUMBERS}
    species = {"species": np.array(facts.survey.species), "n_records": facts.n_records_S}
    species |= {"mean_score": means.mean_S} | result.per_species | further_by_species
    points = curve_table(seed, recall.curve(), share.curve()) if first else None
    maps = scores_to_map(logits.scores, result.per_species["prevalence"]) if first else None
    return SeedResult(numbers, _table(seed, species), _table(seed, result.per_site), points, maps)


def score_ensemble(mean: Matrix, truth: TruthUnits) -> dict[str, object]:
    """Every metric of the mean of all seeds' logits, as ``ensemble``.

    Args:
        mean: The mean (M, S), see :class:`~presence_only.evaluation.survey_logits.MeanLogits`.
        truth: What the survey found.
    """
    n_sites, n_species = truth.shape
    by_species, by_site = Values(n_species, formulas("species")), Values(n_sites, formulas("site"))
    read_species(mean, truth, [by_species])
    if n_sites <= SITES_LIMIT:
        read_sites(mean, truth, [by_site])
    summary = evaluation_of(truth, by_species.values, by_site.values).summary
    return {"ensemble": {name: summary[name] for name in METRICS}}


def evaluate_seed(
    training: Path,
    survey: Path,
    encoder: Callable[[int], Path],
    first_seed: int,
    seed: int,
    report: Callable[[int, int, float], None],
) -> SeedResult:
    """Score one seed from files, in one thread.

    Args:
        training: Folder of the records, which tell where observers were; nothing is fitted here.
        survey: Folder of the survey and of further evaluations.
        encoder: Where the weights of a seed are.
        first_seed: The study's first seed, of which curves and maps are kept.
        seed: The seed to score.
        report: Called at the end with 1, 1 and the mean average precision over species.
    """
    use_one_thread()
    facts = load_facts(training, survey)
    logits = SurveyLogits.of(load_model(encoder(seed)), facts.survey)
    result = score_model(logits, facts, seed, first=seed == first_seed)
    report(1, 1, result.numbers["species_map"])
    return result


def ensemble(encoders: Sequence[Path], survey: Path) -> dict[str, object]:
    """The metrics of all seeds' ensemble, from files; nothing is read for a single seed, which has none.

    Args:
        encoders: Weights, one file per seed.
        survey: Folder of the survey.
    """
    if len(encoders) == 1:
        return {}
    use_one_thread()
    surveyed = Survey.load(survey)
    mean = MeanLogits(surveyed, len(encoders))
    for encoder in encoders:
        mean.add(SurveyLogits.of(load_model(encoder), surveyed))
    return score_ensemble(mean.matrix(), TruthUnits(surveyed.truth, keep=True))


class MeanReader:
    """Reads the mean sigmoid of every species' logits over the survey's sites, shape (S,)."""

    def __init__(self, n_species: int) -> None:
        self.mean_S = np.empty(n_species)

    def read_part(self, part: SpeciesPart) -> None:
        """Read some species."""
        n_sites, n_species = part.scores_Ms.shape
        total_s = np.zeros(n_species)
        # Through the cache; the sums go on where they stand, as if all sites were added one after the other.
        for sites in slices(0, n_sites, max(1, _PAIRS // max(1, n_species))):
            score_ms = expit(part.scores_Ms[sites]).astype(np.float64)
            score_ms[0] += total_s
            total_s = score_ms.sum(axis=0)
        self.mean_S[part.species] = total_s / n_sites


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
