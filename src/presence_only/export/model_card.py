"""The model card: what a model is, what it was made of, how good it is and what it is not for, in Markdown.

Its headings are those of ODMAP, the protocol for species distribution models: Overview, Data, Model, Assessment,
Prediction.

Source: Zurell et al. (2020), https://doi.org/10.1111/ecog.04960
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import polars as pl

from presence_only.common.errors import UserError
from presence_only.evaluation.meanings import meaning_of
from presence_only.evaluation.metrics import METRICS, in_tables
from presence_only.export.interface import Interface
from presence_only.export.markdown import table, text
from presence_only.export.onnx_file import OPSET, TOLERANCE, Checked
from presence_only.export.trained_run import Run
from presence_only.statistics.world_intervals import ALL
from presence_only.study.results import METRIC, StudyResults

T = TypeVar("T")
# What is known of the rights in the records of a kind of data set.
LICENCES = {
    "ebird": "The records are eBird's, under eBird's terms of use, which forbid to pass them on; cite the "
    "release that was used.",
    "virtual": "The species and their records are simulated by presence_only; nobody has rights in them.",
    "gbif": "Every record has the licence that its publisher gave it (CC0, CC BY or CC BY-NC), in the column `license` "
    "of a download; a download of GBIF is cited by its DOI.",
    "inaturalist_export": "Every observation has the licence that its observer chose, in the column `license` of an "
    "export.",
    "inaturalist": "Every observation has the licence that its observer chose, in the column `license` of an export.",
    "nceas": "See the publication of the data: Elith et al. (2020), https://doi.org/10.17161/bi.v15i2.13384",
    "sinr": "The records are observations of iNaturalist, with the licences that their observers chose; see the "
    "publication of the data: Cole et al. (2023), https://arxiv.org/abs/2306.02564",
}
EARTH = (
    "The environment is that of `environment: earth`, made from ERA5, Terrain Tiles and a Koeppen-Geiger map; their "
    "notices are in `geography/earth_grid/CREDITS.md` of the package."
)
# Settings that name files of whoever trained the model.
_PATHS = ("/", "~", "\\")


@dataclass(frozen=True)
class Card:
    """What the card says, read from the study's files; None where a file is not there.

    Args:
        run: What was trained.
        study: Name of the study.
        settings: Of the variant, every one.
        dataset: Settings of the data set, every one.
        summary: Counts of the data set, its filters and notes.
        metrics: Rows of the comparison table of this data set and variant.
        across: The row of the variant over all data sets of the study.
        licence: Of the records.
    """

    run: Run
    study: str
    settings: Mapping[str, Any]
    dataset: Mapping[str, Any]
    summary: Mapping[str, Any] | None
    metrics: pl.DataFrame | None
    across: pl.DataFrame | None
    licence: str


def card_of(run: Run, licence: str | None = None) -> Card:
    """Read all that the card of a run says.

    Args:
        run: The run.
        licence: Of the records; None: what is known of the kind of data set.

    Raises:
        UserError: If the study has neither settings written by ``dvc repro`` nor a params.yaml.
    """
    results, (dataset, variant) = StudyResults(run.study), (run.cell.dataset, run.cell.variant)
    settings = _found(lambda: results.resolved) or results.params.resolved()
    own = settings["datasets"].get(dataset, {})
    comparison = _found(lambda: results.comparison)
    across = _found(lambda: results.across if results.over_all else None)
    one = (pl.col("dataset") == dataset) & (pl.col("variant") == variant)
    row = (pl.col("variant") == variant) & (pl.col("metric") == METRIC) & (pl.col("scenario") == ALL)
    return Card(
        run=run,
        study=settings["study"]["name"],
        settings=settings["variants"].get(variant, {}),
        dataset=own,
        summary=_found(lambda: results.summary(dataset)),
        metrics=None if comparison is None else comparison.filter(one),
        across=None if across is None else across.filter(row),
        licence=text(licence) if licence else LICENCES.get(own.get("kind", ""), "Not known."),
    )


def _found(read: Callable[[], T]) -> T | None:
    """What a file holds; None where there is none."""
    try:
        return read()
    except (UserError, FileNotFoundError):
        return None


def model_card(card: Card, interface: Interface, checked: Checked) -> str:
    """The card in Markdown; names from data are escaped."""
    run = card.run
    parts = [
        f"# Model card: {text(run.cell.variant)} on {text(run.cell.dataset)}",
        "Species range model by `presence_only`, learned from presence-only records. The headings are those of "
        "[ODMAP](https://doi.org/10.1111/ecog.04960) (Zurell et al. 2020).",
        "## Overview",
        *_overview(card),
        "## Data",
        *_data(card),
        "## Model",
        *_model(card),
        "## Assessment",
        *_assessment(card),
        "## Prediction",
        *_prediction(card, interface, checked),
    ]
    return "\n\n".join(parts) + "\n"


def _overview(card: Card) -> list[str]:
    run = card.run
    seeds = ", ".join(map(str, run.seeds))
    rows = [
        ("Study", text(card.study)),
        ("Data set", text(run.cell.dataset)),
        ("Variant", text(run.cell.variant)),
        ("Loss", text(card.settings.get("loss", "not known"))),
        ("Seeds", seeds),
        ("Species", f"{run.records.n_species:,}"),
        ("Training rows", f"{run.records.n_rows:,}"),
        ("Extent of the records", _extent(run)),
    ]
    return [
        table(("", ""), rows),
        "**Intended use.** To rank places for a species, and species for a place: maps of relative suitability, lists "
        "of candidates for an identification, plans of surveys.",
        "**Not intended.** To tell how many individuals there are, or the probability that a species is present; to "
        "decide on protection or on permits without a survey; to map places or conditions far from those of the "
        "training records.",
    ]


def _extent(run: Run) -> str:
    west, south = run.records.sites_N2.min(axis=0)
    east, north = run.records.sites_N2.max(axis=0)
    return f"longitude {west:.2f} to {east:.2f}, latitude {south:.2f} to {north:.2f} degrees WGS84"


def _data(card: Card) -> list[str]:
    run, parts = card.run, []
    if card.summary is None:
        parts.append("Counts of the data set are not there; `dvc repro` writes them.")
    else:
        counts = [(name, value) for name, value in card.summary.items() if isinstance(value, (int, float))]
        parts.append(
            table(("count", "value"), [(text(name.replace("_", " ")), _number(value)) for name, value in counts])
        )
        for key, whose in (("filters", "the records"), ("survey_filters", "the survey")):
            funnel = [(text(step["rule"]), f"{step['rows_left']:,}") for step in card.summary.get(key, [])]
            if funnel:
                parts += [f"What is left of {whose}, each rule in the order of use:", table(("rule", "left"), funnel)]
        facts = [
            (text(str(name).replace("_", " ")), _number(value)) for name, value in card.summary.get("facts", {}).items()
        ]
        if facts:
            parts.append(table(("fact", "value"), facts))
        parts += [f"* {text(note)}" for note in card.summary.get("notes", [])]
    background = run.background
    parts.append(
        f"Background: {_counted(len(background.sites_K2), 'site')} of kind {text(background.kind)}. The records are of "
        f"{_counted(len(set(run.records.groups)), 'taxon group')}."
    )
    names = run.records.covariate_names
    if names:
        used = "are inputs" if run.models[0].reads_covariates else "are not read by the model"
        parts += [f"Covariates of the data set, which {used}:", "\n".join(f"* {text(name)}" for name in names)]
    parts.append(f"**Licence of the records.** {card.licence}")
    if card.dataset.get("environment") == "earth" or card.dataset.get("kind") == "virtual":
        parts.append(EARTH)
    parts += ["Settings of the data set:", _settings(card.dataset)]
    return parts


def _model(card: Card) -> list[str]:
    size = sum(parameter.numel() for model in card.run.models for parameter in model.parameters())
    n = len(card.run.models)
    several = f"; the score is the mean over {n} seeds" if n > 1 else ""
    return [
        "A location encoder (features of a place, then a network) and one logit per species, linear in the encoder's "
        f"output. {size:,} trained numbers{several}.",
        "Settings of the variant:",
        _settings(card.settings),
    ]


def _assessment(card: Card) -> list[str]:
    parts = []
    if card.metrics is None or card.metrics.is_empty():
        parts.append("The run was not evaluated; `dvc repro` does that.")
    else:
        order = [*in_tables(), *(name for name in card.metrics["metric"] if name not in METRICS)]
        by_name = {row["metric"]: row for row in card.metrics.iter_rows(named=True)}
        found = [by_name[name] for name in dict.fromkeys(order) if name in by_name]
        first = found[0]
        rows = [
            (
                text(row["metric"]),
                _number(row["mean"]),
                _interval(row["low"], row["high"]),
                text(_meaning(row["metric"])),
            )
            for row in found
        ]
        survey = f"{first['n_species']:,} species, {first['n_sites']:,} sites"
        parts += [
            f"Means over {_counted(first['n_seeds'], 'seed')}, against the survey of the data set ({survey}), "
            "which training never sees. Intervals are 95 % intervals.",
            table(("metric", "mean", "95 % interval", "meaning"), rows),
        ]
        if len(card.run.seeds) != first["n_seeds"]:
            parts.append(f"The exported model has {len(card.run.seeds)} of these seeds.")
    if card.across is not None and not card.across.is_empty():
        row = card.across.row(0, named=True)
        parts.append(
            f"Over all {row['n_worlds']} data sets of the study, the variant's mAP is {_number(row['mean'])} "
            f"({_interval(row['low'], row['high'])}), rank {row['rank']:g} of its variants."
        )
    parts.append(
        "**Limits.** Presence-only records say where observers went as well as where species live: where nobody goes, "
        "a low score may mean no visits. Scores of species with few records are uncertain; `species.json` has the "
        "number of each. Metrics against a survey hold for the places, the dates and the species of that survey."
    )
    return parts


def _meaning(metric: str) -> str:
    return meaning_of(metric) or ""


def _prediction(card: Card, interface: Interface, checked: Checked) -> list[str]:
    content = interface.content()
    inputs = [
        (f"`{entry['name']}`", entry["type"], " x ".join(map(str, entry["shape"])), entry["unit"])
        for entry in (*content["inputs"], *content["outputs"])
    ]
    doubled = " Its features are computed in float64, since float32 was not near enough." * (
        checked.precision == "float64"
    )
    week = (
        "The graph needs a week. The MLflow model averages over the year where the column `week` is left out."
        if "week" in interface.inputs
        else ""
    )
    return [
        f"`model.onnx` (ONNX, operators of version {OPSET}) reads places and gives one column per species, in the "
        f"order of `species.json`. At {checked.n_places:,} places of the data set its logits differ from the model's "
        f"by at most {checked.error:.1e} of the largest absolute logit; {TOLERANCE:g} is allowed.{doubled}",
        table(("input or output", "type", "shape", "unit"), inputs),
        *([week] * bool(week)),
        "Scores are relative suitability within 0 to 1: they rank, and are no probabilities of presence. Scores of "
        "losses that weigh presences up are high everywhere; compare scores of one model only.",
        "Coordinates are rounded to float32, which moves a place by less than a metre.",
        *(
            [
                "An unknown covariate (NaN) counts as the mean over the training data. Values beyond those of training "
                "are extrapolation, of which no metric above tells anything."
            ]
            if "covariates" in interface.inputs
            else []
        ),
    ]


def _settings(settings: Mapping[str, Any]) -> str:
    flat = dict(_flat(settings))
    if not flat:
        return "They are not there."
    return table(("setting", "value"), [(f"`{key}`", text(_shown(value))) for key, value in flat.items()])


def _flat(settings: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """Nested settings as ``encoder.width``."""
    found = []
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{above}{key}.")
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            for index, item in enumerate(value, 1):
                found += _flat(item, f"{above}{key}.{index}.")
        else:
            found.append((f"{above}{key}", value))
    return found


def _shown(value: Any) -> str:
    """A value in words; of a path its last part, since the folders are those of whoever trained the model."""
    if isinstance(value, str) and any(mark in value for mark in _PATHS) and "://" not in value:
        return value.replace("\\", "/").rstrip("/").rpartition("/")[2]
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(item) for item in value) or "none"
    return "none" if value is None else str(value)


def _counted(n: int, noun: str) -> str:
    """``1 seed``, ``2 seeds``."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def _number(value: float | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "undefined"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _interval(low: float, high: float) -> str:
    return "none" if any(v is None or math.isnan(v) for v in (low, high)) else f"{low:.4g} to {high:.4g}"
