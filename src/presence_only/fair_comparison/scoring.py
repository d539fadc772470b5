"""Scores by the truth: of the models that a search kept, and of runs in worlds that no search saw.

Shape legend: S species.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from presence_only.common.atomic_files import read_json, write_json, write_stream
from presence_only.common.errors import DivergenceError
from presence_only.common.one_thread import keep_denormals, use_one_thread
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.datasets import build_dataset
from presence_only.evaluation.dataset_facts import load_facts
from presence_only.evaluation.metrics import METRICS
from presence_only.evaluation.seed_scores import score_model
from presence_only.evaluation.survey import evaluate_survey
from presence_only.execution.task import Report
from presence_only.fair_comparison.design import World
from presence_only.fair_comparison.tuning import TRIALS, trial_folder
from presence_only.model.files import load_model
from presence_only.search.blocks import split
from presence_only.search.objective import FINISHED, MODEL
from presence_only.search.settings import HeldOutSettings
from presence_only.training.fit import fit_variant
from presence_only.training.variant import Variant

NUMBERS, PER_SPECIES = "numbers.json", "per_species.parquet"


def make_world(world: World, inputs: Mapping[str, Path], output: Path, report: Report) -> None:
    """Make a world's data set: records and background sites in one folder, the survey in another."""
    keep_denormals()
    dataset = build_dataset(world.settings)
    dataset.training.save(output / "training")
    dataset.save_survey(output / "survey")


def score_trials(held_out: HeldOutSettings, inputs: Mapping[str, Path], output: Path, report: Report) -> None:
    """Score the model of every finished trial of a search by the truth of the world that it was searched in.

    The models know the species that have records outside of the held-out fold; the mean is over these.

    Args:
        held_out: How the search held records out.
        inputs: ``world``: folder of the world; ``tuned``: folder that :func:`~.tuning.tune` filled.
        output: Gets ``trials.json``, with the key ``truth`` added to every trial.
        report: Called after every trial.
    """
    use_one_thread()
    training = TrainingData.load(inputs["world"] / "training")
    names = split(training, held_out, 0).fit.records.species
    survey = Survey.load(inputs["world"] / "survey")
    kept = np.flatnonzero(np.isin(survey.species, names))
    survey = Survey(
        survey.sites_M2,
        survey.covariates_MC,
        # The fit's species keep the survey's order.
        survey.truth.of_species(kept),
        names,
        survey.covariate_names,
        survey.week_M,
    )
    trials: list[dict[str, Any]] = read_json(inputs["tuned"] / TRIALS)
    for trial in trials:
        if trial["state"] == FINISHED:
            model = load_model(inputs["tuned"] / trial_folder(trial["trial"]) / MODEL)
            result = evaluate_survey(model, survey, names)
            trial["truth"] = {name: result.summary[name] for name in METRICS}
        report(trial["trial"] + 1, len(trials), trial.get("truth", {}).get("species_map", float("nan")))
    write_json(output / TRIALS, trials)


def score_run(variant: Variant, seed: int, inputs: Mapping[str, Path], output: Path, report: Report) -> None:
    """Train a variant on a world's records, then open the world's survey and score it by every metric.

    Args:
        variant: Loss, encoder and training.
        seed: Fixes every draw of the training.
        inputs: ``world``: folder of the world.
        output: Gets ``numbers.json``, with the CPU seconds and the steps of the training, and ``per_species.parquet``;
            ``numbers.json`` alone, with ``diverged`` in it, if the training diverged.
        report: Called after every epoch.
    """
    use_one_thread()
    data = TrainingData.load(inputs["world"] / "training")
    began = time.process_time()
    try:
        model, histories = fit_variant(data, variant, seed, report)
    except DivergenceError:
        # One run that fails is a result, and no reason to lose all others.
        write_json(output / NUMBERS, {"diverged": 1.0})
        return
    cpu_seconds = time.process_time() - began
    # Only now: nothing that is fitted may depend on it.
    facts = load_facts(inputs["world"] / "training", inputs["world"] / "survey")
    result = score_model(model, facts, seed, first=False)
    cost = {"cpu_seconds": round(cpu_seconds, 3), "steps": sum(history.steps for history in histories)}
    write_json(output / NUMBERS, cost | result.numbers)
    with write_stream(output / PER_SPECIES) as stream:
        result.tables["per_species"].write_parquet(stream)
