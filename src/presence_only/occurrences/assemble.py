"""Assembly of training data and a survey from cleaned records: the way that all users' files go.

Training never sees a held-out record: the vocabulary, the background and whatever is measured for
standardisation come from the other records alone. Background sites that are drawn without a look at
any record (``uniform``, ``land``) may lie in the held-out area, as they do when the final map is
made; so may those within the ``range`` of the training records. Those of a given table or raster may not, for
it may know of held-out records.

Label propagation, where it is asked for, comes last: it sees the training rows alone, and the background knows
nothing of it.

Shape legend: N training rows, P positives, K background sites, M survey sites, C covariates, S species.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.common.random_streams import numpy_stream
from presence_only.data.added_presences import AddedPresences
from presence_only.data.dataset import Dataset
from presence_only.data.records import Background, PresenceRecords
from presence_only.data.sites import layers_defined, sites_of, weeks_of
from presence_only.data.training import TrainingData
from presence_only.geography.earth import Earth
from presence_only.geography.rasters import Environment
from presence_only.occurrences.assembly_settings import AssemblySettings, RecordsSettings, environment_at
from presence_only.occurrences.assumed_absences import assumed_absence_sites
from presence_only.occurrences.background import background_notes, is_file, make_background
from presence_only.occurrences.held_out_area import Area, EvaluationSettings, area_near, held_out_area, held_out_survey
from presence_only.occurrences.label_propagation import (
    PropagationSettings,
    propagate_labels,
    propagation_facts,
    propagation_note,
)
from presence_only.occurrences.records import RecordTable, categories, group_places, places
from presence_only.occurrences.training_rows import checklist_rows, record_rows, rows_of
from presence_only.surveys.assembly import survey_of_rows
from presence_only.surveys.own_survey import SurveyEvaluation, read_own_survey

# Sites of a held-out area that make up the survey, unless a setting says so.
SITES_OF_AN_AREA = 10_000


@dataclass(frozen=True, eq=False)
class Assembled:
    """Training data, and what was counted on the way.

    Args:
        filters: The funnel: each rule with the records that remained after it.
        facts: Further counts.
        notes: Sentences that whoever reads the results must know.
        added: Which presences label propagation added; None where it was not asked for.
    """

    training: TrainingData
    filters: tuple[tuple[str, int], ...]
    facts: dict[str, int | float]
    notes: tuple[str, ...] = ()
    added: AddedPresences | None = None


def assemble(records: RecordTable, settings: RecordsSettings) -> Dataset:
    """Training data from the records, and a survey from those of a held-out area or from a file.

    Args:
        records: All records, cleaned.
        settings: How they become rows, and which area is held out or which file is the survey.

    Returns:
        A data set whose notes say what the survey is not, and whose facts count every species, record
        and site that was left out.

    Raises:
        DataError: If weeks are asked for and the records have none, a file of layers, background
            sites or the survey is wrong, or no record is left to train or to test on.
    """
    if isinstance(settings.evaluation, SurveyEvaluation):
        return _with_own_survey(records, settings, settings.evaluation)
    outside = assemble_outside(records, settings, settings.evaluation)
    area, held, made = outside.area, outside.held, outside.made
    absences_A2 = assumed_absence_sites(
        settings.evaluation.absences,
        area,
        sites_of(held),
        numpy_stream(settings.seed, "assumed absences"),
        most=settings.evaluation_sites or SITES_OF_AN_AREA,
    )
    survey, counts = held_out_survey(
        held,
        made.training.records.species,
        made.training.records.groups,
        settings.evaluation_sites or SITES_OF_AN_AREA,
        numpy_stream(settings.seed, "survey"),
        environment=outside.environment,
        drop_undefined=settings.sea == "drop",
        absences_A2=absences_A2,
    )
    without = made.facts["species_without_training_records"]
    notes = [
        f"The survey is made of held-out presence records ({area.words}): where a taxon group was recorded, its "
        "other species are taken as absent. Its figures compare losses with each other within the observers' "
        "footprint; they are not comparable with figures of a survey that looked for absences."
    ]
    if len(absences_A2):
        on_land = " on land" if settings.evaluation.absences == "land" else ""
        counts["evaluation_sites_assumed_absent"] = len(absences_A2)
        notes.append(
            f"All species are taken as absent at {len(absences_A2):,} random places{on_land} of the held-out area too; "
            "some of these are occupied."
        )
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
    facts = made.facts | counts | {"held_out_records": len(held)}
    return Dataset(made.training, survey, made.filters, (*notes, *made.notes), facts, added=made.added)


@dataclass(frozen=True, eq=False)
class Outside:
    """Training data from the records outside of a held-out area.

    Args:
        area: What is held out.
        held: The records within, with their training rows.
        made: The training data and what was counted.
        environment: The layers that sites get their covariates from.
    """

    area: Area
    held: pl.DataFrame
    made: Assembled
    environment: Environment


def assemble_outside(records: RecordTable, settings: AssemblySettings, evaluation: EvaluationSettings) -> Outside:
    """Training data from the records outside of the area that ``evaluation`` holds out.

    Raises:
        DataError: As of :func:`assemble`.
    """
    table, filters = _training_rows(records, settings)
    first_P, _ = rows_of(table)
    area = held_out_area(evaluation, sites_of(table.filter(first_P)), numpy_stream(settings.seed, "folds"))
    held_P = area.contains(sites_of(table))
    held, table = table.filter(held_P), table.filter(~held_P)
    filters += ((f"outside of the held-out area ({area.words})", len(table)),)
    if "suspect" in records.table.columns:
        # The survey was made before: a rule that knows the truth, such as a range model, must not choose it.
        table, _ = _training_rows(_trusted(records), settings)
        table = table.filter(~area.contains(sites_of(table)))
        filters += ((f"{records.training_rule} (training alone)", len(table)),)
    environment = environment_at(settings)
    made = _assemble(table, records, settings, environment, area)
    return Outside(area, held, replace(made, filters=filters + made.filters), environment)


def _with_own_survey(records: RecordTable, settings: RecordsSettings, evaluation: SurveyEvaluation) -> Dataset:
    """Training data from all records, or from those far enough from the survey's sites, and the survey of a file."""
    names, groups = categories(records.table["species"]), categories(records.table["group"])
    group_S = group_places(records.table)
    known = {name: groups[group] for name, group in zip(names, group_S, strict=True) if group >= 0}
    rows = read_own_survey(evaluation, known, weeks=settings.weeks)
    area, facts, left = None, {}, records
    if evaluation.hold_out_near_km is not None:
        area = area_near(rows.sites(), evaluation.hold_out_near_km)
        near_P = area.contains(sites_of(records.table))
        kept = records.table.filter(~near_P)
        filters = records.filters or (("read", len(records.table)),)
        facts["held_out_records"] = int(near_P.sum())
        left = RecordTable(kept, (*filters, (f"farther than {area.words}", len(kept))))
    table, filters = _training_rows(_trusted(left), settings)
    environment = environment_at(settings)
    made = _assemble(table, records, settings, environment, area)
    survey = survey_of_rows(
        rows,
        made.training.records.species,
        environment=environment,
        weeks=settings.weeks,
        drop_undefined=settings.sea == "drop",
        repeated_visits=evaluation.repeated_visits,
        sites=settings.evaluation_sites,
        generator=numpy_stream(settings.seed, "survey"),
    )
    return Dataset(
        made.training,
        survey.survey,
        filters + made.filters,
        (*survey.notes, *made.notes),
        made.facts | facts | survey.facts,
        added=made.added,
        survey_filters=survey.filters,
    )


class RowCovariates(Protocol):
    """Covariates that come with the records, and not from a map.

    Attributes:
        names: Name of every covariate.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Name of every covariate."""

    def of(self, rows: pl.DataFrame) -> Floats:
        """Covariates (N, C) of training rows, a table with the column ``visit``; NaN where unknown."""


def assemble_training(
    records: RecordTable, settings: AssemblySettings, row_covariates: RowCovariates | None = None
) -> Assembled:
    """Training data from all records, for a data set that brings a survey of its own.

    Args:
        records: All records, cleaned.
        settings: How they become rows; with ``row_covariates``, ``records``, and a background of ``target_group``.
        row_covariates: What comes behind the covariates of the environment; None: nothing.

    Raises:
        DataError: As of :func:`assemble`.
    """
    table, filters = _training_rows(_trusted(records), settings)
    made = _assemble(table, records, settings, environment_at(settings), None, row_covariates)
    return replace(made, filters=filters + made.filters)


def _training_rows(
    records: RecordTable, settings: AssemblySettings
) -> tuple[pl.DataFrame, tuple[tuple[str, int], ...]]:
    """The records with their training rows, and the funnel so far."""
    table, filters = records.table.drop("suspect", strict=False), records.filters or (("read", len(records.table)),)
    if settings.weeks and "week" not in table.columns:
        raise DataError("weeks: true: the records have no dates; give a file that has them, or weeks: false")
    if not settings.weeks:
        table = table.drop("week", strict=False)
    if settings.rows == "records":
        return record_rows(table), filters
    table = checklist_rows(table, resolution=settings.checklist_resolution)
    once = "once a cell and week" if settings.weeks else "once a cell"
    return table, (*filters, (f"species {once} (checklists)", len(table)))


def _trusted(records: RecordTable) -> RecordTable:
    """The records that are not suspect, with the funnel; all of them where no reader tells."""
    if "suspect" not in records.table.columns:
        return records
    table = records.table.filter(~pl.col("suspect")).drop("suspect")
    filters = records.filters or (("read", len(records.table)),)
    return replace(records, table=table, filters=(*filters, (f"{records.training_rule} (training alone)", len(table))))


def _assemble(
    table: pl.DataFrame,
    records: RecordTable,
    settings: AssemblySettings,
    environment: Environment,
    area: Area | None,
    row_covariates: RowCovariates | None = None,
) -> Assembled:
    """Training data from a table of rows, those of all ``records`` that lie outside of ``area``."""
    filters: tuple[tuple[str, int], ...] = ()
    first_P, row_P = rows_of(table)
    covariates_NC = environment.sample(sites_of(table.filter(first_P)))
    if settings.sea == "drop":
        defined_N = layers_defined(covariates_NC)
        if not defined_N.any():
            raise DataError(
                "sea: drop leaves no record: at every site some layer is undefined; "
                "give layers that cover the records, or sea: keep or nearest"
            )
        table, covariates_NC = table.filter(defined_N[row_P]), covariates_NC[defined_N]
        first_P, row_P = rows_of(table)
        filters = (("all layers defined (sea: drop)", len(table)),)
    names, groups, group_S = categories(table["species"]), categories(table["group"]), group_places(table)
    trained_S, ever_S = group_S >= 0, group_places(records.table) >= 0
    facts: dict[str, int | float] = {"species_without_training_records": int((ever_S & ~trained_S).sum())}
    rows = table.filter(first_P)
    covariate_names = environment.names
    if row_covariates is not None:
        covariate_names += row_covariates.names
        covariates_NC = np.concatenate([covariates_NC, row_covariates.of(rows)], axis=1, dtype=np.float32)
    training_records = PresenceRecords(
        sites_N2=sites_of(rows),
        covariates_NC=covariates_NC,
        row_P=row_P,
        species_P=(np.cumsum(trained_S) - 1)[places(table["species"])],
        species=tuple(name for name, trained in zip(names, trained_S, strict=True) if trained),
        groups=tuple(groups[group] for group in group_S[trained_S]),
        covariate_names=covariate_names,
        week_N=weeks_of(rows),
    )
    background = make_background(
        settings.background,
        settings.background_sites,
        numpy_stream(settings.seed, "background"),
        records=training_records,
        earth=Earth.load(),
        environment=environment,
    )
    background, left_out = _kept_background(background, settings, area)
    notes = (*environment.notes, *background_notes(settings.background))
    made = Assembled(TrainingData(training_records, background), filters, facts | left_out, notes)
    return made if settings.propagation is None else propagated(made, settings.propagation)


def propagated(made: Assembled, settings: PropagationSettings) -> Assembled:
    """Training data whose rows have received species from each other, with what was counted."""
    records = made.training.records
    added = propagate_labels(records, settings)
    return replace(
        made,
        training=replace(made.training, records=added.joined_to(records)),
        facts=made.facts | propagation_facts(records, added, settings),
        notes=(*made.notes, propagation_note(records, added, settings)),
        added=added,
    )


def _kept_background(
    background: Background, settings: AssemblySettings, area: Area | None
) -> tuple[Background, dict[str, int | float]]:
    """The background without the sites that the settings or the held-out area forbid, and their numbers."""
    left_out: dict[str, int | float] = {}
    if is_file(settings.background) and area is not None:
        held_K = area.contains(background.sites_K2)
        left_out["background_sites_held_out"] = int(held_K.sum())
        background = _take(background, ~held_K, f"all of them lie in the held-out area ({area.words})")
    if settings.sea == "drop":
        defined_K = layers_defined(background.covariates_KC)
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
