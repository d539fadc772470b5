"""From cleaned occurrence records to training data and a survey: the way that all users' files go.

Training never sees a held-out record: the vocabulary, the background and whatever is measured for
standardisation come from the other records alone. Background sites that are drawn without a look at
any record (``uniform``, ``land``) may lie in the held-out area, as they do when the final map is
made; so may those within the ``range`` of the training records. Those of a given table may not, for
they may be places of held-out records.

Shape legend: N training rows, P positives, K background sites, M survey sites, C covariates, S species.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError
from presence_only.common.settings import Settings
from presence_only.data.dataset import Dataset
from presence_only.data.records import Background, PresenceRecords
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.geography.earth import Earth
from presence_only.geography.rasters import Environment, Layers, open_environment
from presence_only.occurrences.background import check_kind, is_table, make_background
from presence_only.occurrences.checklists import Rows, checklist_rows, record_rows
from presence_only.occurrences.held_out_area import Area, EvaluationSettings, held_out_area, held_out_survey
from presence_only.occurrences.occurrences import Occurrences


class AssemblySettings(Settings):
    """How occurrence records become training data.

    Args:
        environment: Where covariates come from: ``earth``, the shipped grid of 1 degree, or the path of a
            GeoTIFF, of a folder of GeoTIFFs or of an .npz of layers. Without it sites have none; an encoder
            with ``input: covariates`` or ``both`` needs some, and so do multi-task heads.
        sea: What becomes of a site where a layer is undefined: ``keep`` gives the encoder the layer's
            mean; ``drop`` leaves the site out, and counts it; ``nearest`` takes the nearest cell where
            the layer is defined, within ``nearest_km``, and keeps what has none.
        nearest_km: How far ``nearest`` looks, in kilometres.
        background: How background sites are drawn: ``uniform`` on the sphere, ``land``, ``range``
            (within the convex hull of the training records), ``target_group``, or the path of a table
            (.csv, .tsv or .parquet) with longitude, latitude and, if wanted, group and week.
        background_sites: How many are drawn; a table gives all of its own.
        rows: ``records``: a training row is one record; ``checklists``: it is an h3 cell, or with
            ``weeks`` a cell in a week, with all species recorded there.
        checklist_resolution: h3 resolution of a checklist's cell; 5 is cells of 16 km.
        weeks: Whether the encoder reads the week of the year, 1..48; needs dates.
        seed: Of the background, the folds and the survey's sites.
    """

    environment: str | None = None
    sea: Literal["keep", "drop", "nearest"] = "keep"
    nearest_km: Annotated[float, Field(gt=0.0, le=2000.0)] = 50.0
    background: str = "uniform"
    background_sites: Annotated[int, Field(ge=1, le=100_000_000)] = 50_000
    rows: Literal["records", "checklists"] = "records"
    checklist_resolution: Annotated[int, Field(ge=0, le=9)] = 5
    weeks: bool = False
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @field_validator("background")
    @classmethod
    def _known_background(cls, kind: str) -> str:
        check_kind(kind)
        return kind

    @model_validator(mode="after")
    def _sea_needs_layers(self) -> Self:
        if self.sea != "keep" and self.environment is None:
            raise ValueError(
                f"settings with an environment, as sea is {self.sea!r}; where no layer is read none is undefined"
            )
        return self


class RecordsSettings(AssemblySettings):
    """How occurrence records become training data and, in a held-out area, the survey.

    Args:
        evaluation: Which area is held out of training.
        evaluation_sites: At most so many of its sites make up the survey, drawn alike.
    """

    evaluation: EvaluationSettings = EvaluationSettings()
    evaluation_sites: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000


@dataclass(frozen=True, eq=False)
class Assembled:
    """Training data, and what was counted on the way.

    Args:
        vocabulary: Which of the occurrences' species have a training record, in their order.
        filters: Further steps of the funnel: a rule with the records that remained after it.
        facts: Further counts.
    """

    training: TrainingData
    vocabulary: Ints
    filters: tuple[tuple[str, int], ...]
    facts: dict[str, int | float]


def assemble(occurrences: Occurrences, settings: RecordsSettings) -> Dataset:
    """Training data from the records outside of the held-out area, and a survey from those within.

    Args:
        occurrences: All records, cleaned.
        settings: How they become rows, and which area is held out.

    Returns:
        A data set whose notes say what the survey is not, and whose facts count every species, record
        and site that was left out.

    Raises:
        DataError: If weeks are asked for and the records have none, a file of layers or background
            sites is wrong, or no record is left to train or to test on.
    """
    rows, filters = _rows(occurrences, settings)
    area = held_out_area(settings.evaluation, rows.sites_N2, _stream(settings, "folds"))
    held_N = area.contains(rows.sites_N2)
    held = rows.take(held_N)
    environment = environment_at(settings)
    rows = rows.take(~held_N)
    filters += ((f"outside of the held-out area ({area.words})", len(rows.row_P)),)
    made = _assemble(rows, occurrences, settings, environment, area)
    survey, counts = _survey(held, occurrences, settings, environment, made)
    without = made.facts["species_without_training_records"]
    notes = [
        f"The survey is made of held-out presence records ({area.words}): where a taxon group was recorded, its "
        "other species are taken as absent. Its figures compare losses with each other within the observers' "
        "footprint; they are not comparable with figures of a survey that looked for absences."
    ]
    if without:
        notes.append(
            f"{without:,} species have no record left to train on, most of them because all lie in the held-out "
            "area; they are not scored."
        )
    if counts["species_never_absent"]:
        notes.append(
            f"{counts['species_never_absent']:,} species are not scored, for no other species of their taxon groups "
            "was recorded in the held-out area, which would say where they are absent."
        )
    facts = made.facts | counts | {"held_out_records": len(held.row_P)}
    return Dataset(made.training, survey, filters + made.filters, tuple(notes), facts)


def assemble_training(occurrences: Occurrences, settings: AssemblySettings) -> TrainingData:
    """Training data from all records, for a data set that brings a survey of its own.

    Raises:
        DataError: As of :func:`assemble`.
    """
    return assemble_counted(occurrences, settings).training


def assemble_counted(occurrences: Occurrences, settings: AssemblySettings) -> Assembled:
    """As :func:`assemble_training`, with what was left out on the way."""
    rows, filters = _rows(occurrences, settings)
    made = _assemble(rows, occurrences, settings, environment_at(settings), None)
    return Assembled(made.training, made.vocabulary, filters + made.filters, made.facts)


def environment_at(settings: AssemblySettings) -> Environment:
    """The layers that sites get their covariates from, with the rule for the sea; none where none are read."""
    if settings.environment is None:
        return Layers(())
    return open_environment(settings.environment, settings.nearest_km if settings.sea == "nearest" else None)


def covariate_source(settings: AssemblySettings) -> Callable[[Floats], Floats]:
    """The function from sites to covariates, for maps; a kind of users' records imports it as its own."""
    return environment_at(settings).sample


def _rows(occurrences: Occurrences, settings: AssemblySettings) -> tuple[Rows, tuple[tuple[str, int], ...]]:
    """Training rows, and the funnel so far."""
    week_N = occurrences.week_N if settings.weeks else None
    if settings.weeks and week_N is None:
        raise DataError("weeks: true: the records have no dates; give a file that has them, or weeks: false")
    sites_N2, species_N = occurrences.sites_N2, occurrences.species_N
    filters = occurrences.filters or (("read", len(species_N)),)
    if settings.rows == "records":
        return record_rows(sites_N2, species_N, week_N), filters
    rows = checklist_rows(sites_N2, species_N, week_N, resolution=settings.checklist_resolution)
    once = "once a cell" if week_N is None else "once a cell and week"
    return rows, (*filters, (f"species {once} (checklists)", len(rows.row_P)))


def _assemble(
    rows: Rows, occurrences: Occurrences, settings: AssemblySettings, environment: Environment, area: Area | None
) -> Assembled:
    """Training data from rows, which are those outside of ``area``."""
    filters: tuple[tuple[str, int], ...] = ()
    facts: dict[str, int | float] = {}
    covariates_NC = environment.sample(rows.sites_N2)
    if settings.sea == "drop":
        defined_N = _defined(covariates_NC)
        if not defined_N.any():
            raise DataError(
                "sea: drop leaves no record: at every site some layer is undefined; "
                "give layers that cover the records, or sea: keep or nearest"
            )
        rows, covariates_NC = rows.take(defined_N), covariates_NC[defined_N]
        filters = (("all layers defined (sea: drop)", len(rows.row_P)),)
    counts = np.bincount(rows.species_P, minlength=len(occurrences.species))
    vocabulary = np.flatnonzero(counts)
    index_of = np.full(len(counts), -1)
    index_of[vocabulary] = np.arange(len(vocabulary))
    ever = np.bincount(occurrences.species_N, minlength=len(counts)) > 0
    facts["species_without_training_records"] = int((ever & (counts == 0)).sum())
    records = PresenceRecords(
        sites_N2=rows.sites_N2,
        covariates_NC=covariates_NC,
        row_P=rows.row_P,
        species_P=index_of[rows.species_P],
        species=tuple(occurrences.species[s] for s in vocabulary),
        groups=tuple(occurrences.groups[s] for s in vocabulary),
        covariate_names=environment.names,
        week_N=rows.week_N,
    )
    background = make_background(
        settings.background,
        settings.background_sites,
        _stream(settings, "background"),
        records=records,
        earth=Earth.load(),
        environment=environment,
    )
    background, left_out = _kept_background(background, settings, area)
    training = TrainingData(records, background)
    return Assembled(training, vocabulary, filters, facts | left_out)


def _kept_background(
    background: Background, settings: AssemblySettings, area: Area | None
) -> tuple[Background, dict[str, int | float]]:
    """The background without the sites that the settings or the held-out area forbid, and their numbers."""
    left_out: dict[str, int | float] = {}
    if is_table(settings.background) and area is not None:
        held_K = area.contains(background.sites_K2)
        left_out["background_sites_held_out"] = int(held_K.sum())
        background = _take(background, ~held_K, f"all of them lie in the held-out area ({area.words})")
    if settings.sea == "drop":
        defined_K = _defined(background.covariates_KC)
        left_out["background_sites_undefined"] = int((~defined_K).sum())
        background = _take(background, defined_K, "at all of them some layer is undefined, and sea is 'drop'")
    return background, left_out


def _take(background: Background, kept_K: NDArray[np.bool_], otherwise: str) -> Background:
    """The sites of a mask."""
    if not kept_K.any():
        raise DataError(f"background {background.kind!r} has no site left: {otherwise}; choose another background")
    groups, week_K = background.groups_K, background.week_K
    return Background(
        background.kind,
        background.sites_K2[kept_K],
        background.covariates_KC[kept_K],
        None if groups is None else tuple(groups[k] for k in np.flatnonzero(kept_K)),
        None if week_K is None else week_K[kept_K],
    )


def _survey(
    held: Rows, occurrences: Occurrences, settings: RecordsSettings, environment: Environment, made: Assembled
) -> tuple[Survey, dict[str, int | float]]:
    """The survey of the held-out rows, and what was counted for it."""
    drawn = held_out_survey(
        held, occurrences.groups, made.vocabulary, settings.evaluation_sites, _stream(settings, "survey")
    )
    counts: dict[str, int | float] = {
        "evaluation_sites_found": drawn.found,
        "species_never_absent": drawn.never_absent,
    }
    covariates_MC: Floats = environment.sample(drawn.sites_M2)
    if settings.sea == "drop":
        defined_M = _defined(covariates_MC)
        counts["evaluation_sites_undefined"] = int((~defined_M).sum())
        if not defined_M.any():
            raise DataError(
                "sea: drop leaves no site to evaluate: at every held-out site some layer is undefined; "
                "give layers that cover the held-out area, or sea: keep or nearest"
            )
        drawn, covariates_MC = drawn.take(defined_M), covariates_MC[defined_M]
    species, names = made.training.records.species, made.training.records.covariate_names
    return Survey(drawn.sites_M2, covariates_MC, drawn.truth_MS, species, names, drawn.week_M), counts


def _defined(covariates_NC: Floats) -> NDArray[np.bool_]:
    """Whether all layers are defined, shape (N,)."""
    defined_N: NDArray[np.bool_] = np.logical_not(np.isnan(covariates_NC).any(axis=1))
    return defined_N


def _stream(settings: AssemblySettings, what: str) -> np.random.Generator:
    """A generator of its own for each thing drawn: another background leaves the folds as they are."""
    streams = ("background", "folds", "survey")
    return np.random.default_rng([settings.seed, streams.index(what)])
