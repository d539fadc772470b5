"""Write results/report.html: everything the study found, in one page that opens offline."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from presence_only.common.atomic_files import write_whole
from presence_only.data.records import PresenceRecords
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.evaluation.breakdown import range_extent, records_nearby
from presence_only.geography.earth import Earth
from presence_only.losses.penalties import Penalty
from presence_only.model.files import load_model
from presence_only.model.interface import SpeciesModel
from presence_only.pipeline.command import run_stage
from presence_only.reporting.figures.ranges import SpeciesMap, choose_by_prevalence, choose_by_rank
from presence_only.reporting.report.content import DatasetContent, PageContent
from presence_only.reporting.report.page import render_page
from presence_only.study.params import Params, save_settings
from presence_only.study.paths import REPORT, SETTINGS, CellFiles, DatasetFiles
from presence_only.study.results import MissingResultsError, StudyResults
from presence_only.training.variant import Variant

PACKAGES = ("presence-only", "torch", "numpy", "scipy", "polars", "matplotlib")
T = TypeVar("T")
# Variants in a row of range maps, beside the records and the truth.
MAPPED = 4


def main() -> None:
    """Read the results that params.yaml names, and no others; write the page."""
    torch.set_num_threads(1)
    study = StudyResults()
    params = study.params
    content = PageContent(
        name=study.name,
        table=study.table,
        datasets=[dataset_content(study, name) for name in study.datasets],
        penalties=penalties(params),
        settings={name: settings_in_words(params.variants[name], params) for name in study.variants},
        common=common_settings(params),
        versions={"Python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        land_share=Earth.load().land_share_grid,
    )
    with write_whole(REPORT) as temporary:
        temporary.write_text(render_page(content))
    save_settings(params, SETTINGS)


def dataset_content(study: StudyResults, name: str) -> DatasetContent:
    """All that the page shows of one data set: its results, and the truth beside them.

    Raises:
        MissingResultsError: If a table of the study, or of a variant, is not there.
    """
    files, variants = DatasetFiles(name), study.variants
    records, survey = TrainingData.load(files.training).records, Survey.load(files.survey)
    ap = {variant: study.values(name, variant) for variant in variants}
    site_ap = {variant: study.values(name, variant, "sample_map") for variant in variants}
    prevalence_S = study.prevalence(name, variants[0])
    shown = choose_by_rank(study.ranked(name), MAPPED)
    models = {variant: load_model(CellFiles(name, variant).encoder(study.seeds[0])) for variant in shown}
    return DatasetContent(
        name=name,
        summary=study.summary(name),
        ap=ap,
        pairs=study.pairs(name),
        prevalence_S=prevalence_S,
        records_S=records.records_per_species(),
        extent_S=range_extent(survey.sites_M2, survey.truth),
        site_ap={} if any(np.isnan(values).all() for values in site_ap.values()) else site_ap,
        effort_M=records_nearby(survey.sites_M2, records.sites_N2, records.row_P),
        losses={variant: study.losses(name, variant) for variant in variants},
        probes=where_there(partial(study.probes, name), variants),
        curves={
            kind: where_there(partial(study.curves, name, kind=kind), variants)
            for kind in ("precision_recall", "calibration")
        },
        maps=species_maps(records, survey, models, prevalence_S, {v: values[0] for v, values in ap.items()}),
        records_png=study.records_map(name),
    )


def where_there(read: Callable[[str], T], variants: tuple[str, ...]) -> dict[str, T]:
    """Variant to what ``read`` finds of it, without the variants of which it is missing."""
    found = {}
    for variant in variants:
        with suppress(MissingResultsError):
            found[variant] = read(variant)
    return found


def species_maps(
    records: PresenceRecords,
    survey: Survey,
    models: Mapping[str, SpeciesModel],
    prevalence_S: NDArray[Any],
    ap: dict[str, NDArray[Any]],
) -> list[SpeciesMap]:
    """The middle species of each quarter by prevalence, under each model."""
    found = []
    for s in choose_by_prevalence(prevalence_S):
        one = slice(s, s + 1)
        scores = {
            name: expit(model.scores(survey.sites_M2, survey.covariates_MC, survey.week_M).columns(one)[:, 0])
            for name, model in models.items()
        }
        found.append(
            SpeciesMap(
                species=records.species[s],
                prevalence=float(prevalence_S[s]),
                sites_P2=records.sites_N2[records.row_P[records.species_P == s]],
                sites_M2=survey.sites_M2,
                truth_M=survey.truth.columns(one)[:, 0],
                scores=scores,
                ap={name: float(ap[name][s]) for name in models},
            )
        )
    return found


def penalties(params: Params) -> dict[str, Penalty]:
    """How the study's losses penalise one pair; variants that do so alike share an entry."""
    alike: dict[Penalty, list[str]] = {}
    for name in params.study.variants:
        penalty = params.variants[name].loss.build_penalty()
        if penalty is not None:
            alike.setdefault(penalty, []).append(name)
    return {
        ", ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} others": penalty
        for penalty, names in alike.items()
    }


def settings_in_words(variant: Variant, params: Params) -> str:
    """The loss with its parameters, and what the variant sets otherwise than the study."""
    words = [f"{key} {value}" for key, value in variant.loss.model_dump().items() if value is not None]
    for own, common in ((variant.encoder, params.encoder), (variant.training, params.training)):
        base = common.model_dump()
        words += [f"{key} {value}" for key, value in own.model_dump().items() if value != base[key]]
    return ", ".join(words)


def common_settings(params: Params) -> dict[str, str]:
    """The study's encoder, training and seeds, name to value."""
    groups = {"encoder": params.encoder.model_dump(), "training": params.training.model_dump()}
    flat = {f"{group} {key}": str(value) for group, values in groups.items() for key, value in values.items()}
    return {"seeds": ", ".join(map(str, params.study.seeds))} | flat


if __name__ == "__main__":
    run_stage(main)
