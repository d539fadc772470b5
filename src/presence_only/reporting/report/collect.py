"""The content of a study's report, collected from the study's files.

Shape legend: M survey sites, S species.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from presence_only.data.added_presences import recorded_alone
from presence_only.data.records import PresenceRecords
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.evaluation.breakdown import range_extent
from presence_only.evaluation.metrics import METRICS
from presence_only.evaluation.observer_effort import records_nearby
from presence_only.evaluation.skill_measures import SKILL_MEASURES
from presence_only.geography.earth import Earth
from presence_only.reporting.figures.ranges import SpeciesMap, choose_by_rank
from presence_only.reporting.map_page.packs import DESCRIPTION_FILE, read_description
from presence_only.reporting.report.content import AcrossContent, DatasetContent, PageContent
from presence_only.study.checksums import check_unaltered
from presence_only.study.paths import DatasetFiles
from presence_only.study.results import METRIC, MissingResultsError, StudyResults

PACKAGES = ("presence-only", "torch", "numpy", "scipy", "polars", "matplotlib")
T = TypeVar("T")
# Variants in a row of range maps, beside the records and the truth.
MAPPED = 4


def page_content(study: StudyResults) -> PageContent:
    """All that the page shows.

    Raises:
        MissingResultsError: If a table of the study, or of a variant, is not there.
    """
    return PageContent(
        name=study.name,
        table=study.table,
        datasets=[dataset_content(study, name) for name in study.datasets],
        penalties=study.penalties,
        settings=study.description["variants"],
        common=study.description["common"],
        versions={"Python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        land_share=Earth.load().land_share_grid,
        across=AcrossContent(study.across, study.pairs_across()) if study.over_all else None,
    )


def dataset_content(study: StudyResults, name: str) -> DatasetContent:
    """All that the page shows of one data set: its results, and the truth beside them.

    Raises:
        MissingResultsError: If a table of the study, or of a variant, is not there.
    """
    files, variants = DatasetFiles(name), study.variants
    for path in (files.training, files.survey):
        check_unaltered(path)
    records = recorded_alone(TrainingData.load(files.training).records, files.survey)
    survey = Survey.load(files.survey)
    ap = {variant: study.values(name, variant) for variant in variants}
    site_ap = {variant: study.values(name, variant, "sample_map") for variant in variants}
    prevalence_S = study.prevalence(name, variants[0])
    shown = choose_by_rank(study.ranked(name), MAPPED)
    scores = {variant: study.maps(name, variant) for variant in shown}
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
        maps=species_maps(records, survey, scores, prevalence_S, {v: values[0] for v, values in ap.items()}),
        groups_S=records.groups,
        by_group=by_group(study, name, ap) if len(set(records.groups)) > 1 else {},
        records_png=study.records_map(name),
        added_png=study.map_of_added(name),
        map_page=map_page(study.folder, name),
    )


def map_page(folder: Path, dataset: str) -> str | None:
    """Address of the newest map page of a data set in the study's folder, relative to the report.

    The report's command writes it to ``map_page_<dataset>``; any folder whose name starts with ``map_page`` counts.

    Args:
        folder: Of the study.
        dataset: Name of the data set.
    """
    found = []
    for description in folder.glob(f"map_page*/data/{DESCRIPTION_FILE}"):
        # A page that is damaged, or that another process is replacing, is as good as none.
        with suppress(OSError, ValueError):
            if read_description(description)["title"] == dataset:
                found.append((description.stat().st_mtime, description.parents[1].name))
    return f"../{quote(max(found)[1])}/index.html" if found else None


def by_group(study: StudyResults, name: str, ap: Mapping[str, NDArray[Any]]) -> dict[str, Mapping[str, NDArray[Any]]]:
    """Title of every measure per species to variant to its values (V, S).

    Args:
        study: The study.
        name: Of the data set.
        ap: Average precision, which is at hand.
    """
    measures = {metric.title: key for key, metric in METRICS.items() if metric.unit == "species" and key != METRIC}
    measures |= {key: key for key in SKILL_MEASURES}
    further = {title: {variant: study.values(name, variant, key) for variant in ap} for title, key in measures.items()}
    return {METRICS[METRIC].title: ap, **further}


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
    scores: Mapping[str, Mapping[int, NDArray[Any]]],
    prevalence_S: NDArray[Any],
    ap: Mapping[str, NDArray[Any]],
) -> list[SpeciesMap]:
    """The middle species of each quarter by prevalence, under each variant.

    Args:
        records: Training records.
        survey: The truth.
        scores: Variant to species to scores (M,).
        prevalence_S: Share of surveyed sites where a species is present.
        ap: Variant to average precision (S,).
    """
    found = []
    for s in next(iter(scores.values()), {}):
        found.append(
            SpeciesMap(
                species=records.species[s],
                prevalence=float(prevalence_S[s]),
                sites_P2=records.sites_N2[records.row_P[records.species_P == s]],
                sites_M2=survey.sites_M2,
                truth_M=survey.truth.columns(slice(s, s + 1))[:, 0],
                scores={name: of_species[s] for name, of_species in scores.items()},
                ap={name: float(ap[name][s]) for name in scores},
            )
        )
    return found
