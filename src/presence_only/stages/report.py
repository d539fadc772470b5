"""Write results/report.html: everything the study found, in one page that opens offline."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.special import expit

from presence_only.comparison import by_seed
from presence_only.datasets.earth import Earth
from presence_only.diagnostics.breakdown import range_extent, records_nearby
from presence_only.diagnostics.findings import penalty_of
from presence_only.encoder import load_model
from presence_only.figures.ranges import SpeciesMap, choose_by_prevalence, choose_by_rank
from presence_only.files import content_hash, read_json, write_whole
from presence_only.layout import COMPARISON, REPORT, SETTINGS, CellFiles, DatasetFiles
from presence_only.losses.elementwise import Penalty
from presence_only.losses.variant import PENALTY_SETTINGS, PenaltySettings
from presence_only.nouns import PresenceRecords, Survey, TrainingData
from presence_only.params import Params, Variant, load_params, save_settings
from presence_only.report.page import render_page
from presence_only.report.results import METRIC, DatasetResults, StudyResults
from presence_only.scores import ScoredModel
from presence_only.stages._cell import run_stage

PACKAGES = ("presence-only", "torch", "numpy", "scipy", "polars", "matplotlib")
# Variants in a row of range maps, beside the records and the truth.
MAPPED = 4


def main() -> None:
    """Read the results that params.yaml names, and no others; write the page."""
    torch.set_num_threads(1)
    params = load_params()
    table = pl.read_csv(COMPARISON)
    study = StudyResults(
        name=params.study.name,
        table=table,
        datasets=[
            read_dataset(name, table, params.study.variants, params.study.seeds) for name in params.study.datasets
        ],
        penalties=penalties(params),
        settings={name: settings_in_words(params.variants[name], params) for name in params.study.variants},
        common=common_settings(params),
        versions={"Python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        land_share=Earth.load().land_share_grid,
    )
    with write_whole(REPORT) as temporary:
        temporary.write_text(render_page(study))
    save_settings(params, SETTINGS)


def read_dataset(name: str, table: pl.DataFrame, variants: tuple[str, ...], seeds: tuple[int, ...]) -> DatasetResults:
    """All results of one data set that the report shows."""
    files, cells = DatasetFiles(name), {variant: CellFiles(name, variant) for variant in variants}
    records, survey = TrainingData.load(files.training).records, Survey.load(files.survey)
    species = {variant: pl.read_parquet(cell.per_species) for variant, cell in cells.items()}
    ap = {variant: by_seed(rows, "ap", seeds) for variant, rows in species.items()}
    site_ap = {variant: by_seed(pl.read_parquet(cell.per_site), "ap", seeds) for variant, cell in cells.items()}
    histories = {v: [read_json(cell.history(seed)) for seed in seeds] for v, cell in cells.items()}
    best_first = table.filter(pl.col("dataset") == name, pl.col("metric") == METRIC).sort("mean", descending=True)
    prevalence_S = by_seed(next(iter(species.values())), "prevalence", seeds[:1])[0]
    shown = choose_by_rank(best_first["variant"].to_list(), MAPPED)
    models = {variant: load_model(cells[variant].encoder(seeds[0])) for variant in shown}
    return DatasetResults(
        name=name,
        summary=read_json(files.summary),
        ap=ap,
        prevalence_S=prevalence_S,
        records_S=records.records_per_species(),
        extent_S=range_extent(survey.sites_M2, survey.truth_MS),
        site_ap={} if any(np.isnan(values).all() for values in site_ap.values()) else site_ap,
        effort_M=records_nearby(survey.sites_M2, records.sites_N2, records.row_P),
        losses={v: np.mean([history["loss"] for history in own], axis=0).tolist() for v, own in histories.items()},
        probes={v: mean_probes(own) for v, own in histories.items() if all("probes" in history for history in own)},
        seconds=seconds_per_run(cells),
        curves=read_curves(cells),
        maps=species_maps(records, survey, models, prevalence_S, {v: values[0] for v, values in ap.items()}),
        records_png=files.map.read_bytes() if files.map.exists() else None,
    )


def species_maps(
    records: PresenceRecords,
    survey: Survey,
    models: Mapping[str, ScoredModel],
    prevalence_S: NDArray[Any],
    ap: dict[str, NDArray[Any]],
) -> list[SpeciesMap]:
    """The middle species of each quarter by prevalence, under each model."""
    found = []
    for s in choose_by_prevalence(prevalence_S):
        one = slice(s, s + 1)
        truth_MS = survey.truth_MS
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
                truth_M=(truth_MS[:, one] if isinstance(truth_MS, np.ndarray) else truth_MS.columns(one))[:, 0],
                scores=scores,
                ap={name: float(ap[name][s]) for name in models},
            )
        )
    return found


def mean_probes(histories: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    """What was probed after every epoch, mean over seeds; what was undefined is NaN."""
    names = histories[0]["probes"]
    return {
        name: np.mean([np.array(history["probes"][name], dtype=np.float64) for history in histories], axis=0)
        for name in names
    }


def seconds_per_run(cells: dict[str, CellFiles]) -> dict[str, float]:
    """Mean training time of the variants whose present results were trained here and not restored."""
    seconds = {}
    for variant, cell in cells.items():
        if cell.timing.exists():
            timing = read_json(cell.timing)
            if timing["runs"] == content_hash(cell.runs):
                seconds[variant] = float(np.mean(list(timing["seconds"].values())))
    return seconds


def read_curves(cells: dict[str, CellFiles]) -> pl.DataFrame | None:
    """The curves of all variants, where every one has them."""
    if not all(cell.curves.exists() for cell in cells.values()):
        return None
    return pl.concat(
        [pl.read_parquet(cell.curves).with_columns(variant=pl.lit(variant)) for variant, cell in cells.items()]
    )


def penalties(params: Params) -> dict[str, Penalty]:
    """How the study's losses penalise one pair; variants that do so alike share an entry."""
    alike: dict[Penalty, list[str]] = {}
    for name in params.study.variants:
        loss = params.variants[name].loss
        if isinstance(loss, PenaltySettings):
            alike.setdefault(loss.build_penalty(), []).append(name)
        elif loss.loss in ("bce", "focal", "asl"):
            alike.setdefault(penalty_of(loss.model_dump()), []).append(name)
    return {
        ", ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} others": penalty
        for penalty, names in alike.items()
    }


def settings_in_words(variant: Variant, params: Params) -> str:
    """The loss with its parameters, and what the variant sets otherwise than the study."""
    loss = variant.loss
    # Parameters of penalties that the loss does not use are no settings of its.
    unused: set[str] = set()
    if isinstance(loss, PenaltySettings):
        unused = set().union(*PENALTY_SETTINGS.values()) - set(PENALTY_SETTINGS[loss.penalty])
    words = [f"{key} {value}" for key, value in loss.model_dump().items() if value is not None and key not in unused]
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
