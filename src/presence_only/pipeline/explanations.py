"""What the scores of a trained run depend on: tables and figures of importance and response.

Shape legend: Q species.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from presence_only.common.atomic_files import write_folder, write_stream
from presence_only.common.errors import DataError
from presence_only.common.output_folder import check_folder
from presence_only.common.shown_names import in_a_line
from presence_only.data.survey import Survey
from presence_only.evaluation.permutation_importance import (
    MEAN,
    permutation_importance,
    survey_sites,
    training_sites,
)
from presence_only.evaluation.response_curves import response_curves
from presence_only.export.graph import reads
from presence_only.export.trained_run import load_run
from presence_only.pipeline.predictions import find_species
from presence_only.reporting.figures.explanation import importance_figure, response_figure
from presence_only.reporting.figures.style import save_figure
from presence_only.study.paths import DatasetFiles

IMPORTANCE, CURVES = "importance", "response_curves"
FILES = tuple(f"{name}{ending}" for name in (IMPORTANCE, CURVES) for ending in (".csv", ".png"))


def explain(path: Path, asked: tuple[str, ...], out: Path, on: str, seed: int, repeats: int) -> None:
    """Write ``importance`` and, of named species, ``response_curves``, each as .csv and .png.

    Args:
        path: A run's folder.
        asked: Names of species; none: importance is of the mean over all species.
        out: The folder to make, whole or not at all.
        on: ``training`` or ``survey``: where scores are compared with what is known.
        seed: Of permutations and draws.
        repeats: Permutations of every input.

    Raises:
        MapError: If the folder is no run, or does not know a species.
        OutputError: If ``out`` holds something else.
        DataError: If the run reads no covariates, or no species can be scored.
    """
    check_folder(out, FILES)
    run = load_run(path, maps=False)
    if not run.models[0].reads_covariates:
        raise DataError(
            f"--run {path}: reads coordinates alone, and covariates are what is explained; train a variant with "
            "encoder.input: covariates or both"
        )
    records, background = run.records, run.background
    indices = list(dict.fromkeys(find_species(name, records.species) for name in asked))
    species_Q = np.array(indices) if indices else np.arange(records.n_species)
    names_Q = [records.species[index] for index in species_Q]
    if on == "survey":
        at = survey_sites(Survey.load(run.study / DatasetFiles(run.cell.dataset).survey), species_Q, seed)
        where = "sites of the survey"
    else:
        at = training_sites(run.training, species_Q, seed)
        where = "training rows and background sites"
    print(f"{run.name}: permuting each input {repeats} times at {len(at.sites_M2):,} {where}", flush=True)
    importance = permutation_importance(
        run.models,
        at,
        species_Q,
        names_Q,
        records.covariate_names,
        reads_coordinates=reads(run.models).coordinates,
        seed=seed,
        repeats=repeats,
    )
    if not asked:
        importance = importance.head(importance["input"].n_unique())
    with write_folder(out) as folder:
        with write_stream(folder / f"{IMPORTANCE}.csv") as stream:
            importance.write_csv(stream, float_precision=6)
        title = f"{run.name}: at {len(at.sites_M2):,} {where}"
        save_figure(importance_figure(importance, title), folder / f"{IMPORTANCE}.png")
        if asked:
            print(f"{run.name}: response curves of {len(names_Q)} species", flush=True)
            curves = response_curves(run.models, background, species_Q, names_Q, records.covariate_names, seed=seed)
            with write_stream(folder / f"{CURVES}.csv") as stream:
                curves.write_csv(stream, float_precision=6)
            values = dict(zip(records.covariate_names, background.covariates_KC.T, strict=True))
            save_figure(response_figure(curves, values, run.name), folder / f"{CURVES}.png")
    first = importance.row(0, named=True)
    whose = "the mean over all species" if first["species"] == MEAN else first["species"]
    whose, most = in_a_line(whose), in_a_line(first["input"])
    print(f"{whose}: {most} matters most (average precision {first['ap']:.3f}, drop {first['drop']:.3f})")
    print(f"tables and figures: {out}")
