"""The eBird Basic Dataset (EBD): presence records to train on, and complete checklists as the truth.

Without the sampling file, all that the EBD has are presences, and the survey is made of held-out records as for other
records. With it, the complete checklists of held-out years or of a held-out area are the truth: what is on one was
there, every other species of the EBD was not. Training sees no record of these years, nor of this area.

The EBD is read twice then, for the area is made from the records that were cleaned.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Annotated, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag, model_validator

from presence_only.common.arrays import Floats
from presence_only.common.user_paths import user_path
from presence_only.data.dataset import Dataset, DatasetKind
from presence_only.datasets.ebird.effort import EffortSettings, effort_rules
from presence_only.datasets.ebird.evaluation import ChecklistEvaluation
from presence_only.datasets.ebird.held_out import HeldOut
from presence_only.datasets.ebird.observations import (
    OBSERVATIONS,
    Category,
    approved_rule,
    category_rules,
    count_rule,
    standard,
)
from presence_only.datasets.ebird.sampling_file import draw_checklists
from presence_only.datasets.ebird.zero_filling import zero_filled
from presence_only.geography.h3_cells import cells_of, centres_of
from presence_only.occurrences.assemble import (
    SITES_OF_AN_AREA,
    Assembled,
    assemble,
    assemble_outside,
    assemble_training,
)
from presence_only.occurrences.assembly_settings import RecordsSettings, environment_at
from presence_only.occurrences.cleaning import clean
from presence_only.occurrences.cleaning_settings import CleaningSettings
from presence_only.occurrences.held_out_area import Area, EvaluationSettings
from presence_only.occurrences.quality_rules import ReaderRules, Rule
from presence_only.occurrences.records import RecordTable, categories
from presence_only.surveys.assembly import survey_of_rows
from presence_only.surveys.own_survey import SurveyEvaluation
from presence_only.tables.archives import read_tables
from presence_only.tables.unpacking import LIMITS, Limits


def _choice(raw: object) -> str:
    """Which settings of an evaluation are meant."""
    kind = raw.get("kind") if isinstance(raw, dict) else getattr(raw, "kind", None)
    return kind if kind in ("survey", "checklists") else "area"


class DatasetSettings(RecordsSettings, CleaningSettings, DatasetKind):
    """A download of the EBD, and which of its observations to use.

    Args:
        path: The EBD: .txt, .txt.gz, the .zip or .tar that eBird delivers, or a folder of these.
        sampling: The sampling event data in any of these forms, which may be the same archive; null: there is none,
            and the truth is made of held-out records.
        categories: The categories of taxa that count for their species: ``species`` and ``issf`` (identifiable
            subspecies), and ``form``, ``intergrade`` and ``domestic`` if wanted. What is of no single species
            (``spuh``, ``slash``, ``hybrid``) never counts.
        unapproved: What becomes of observations that eBird's reviewers have not confirmed.
        effort: Which checklists are good enough to train on; null: all.
        evaluation: What is held out of training and makes the survey: as of other records; or, with ``sampling``,
            complete checklists (``kind: checklists``).
    """

    kind: Literal["ebird"]
    path: str
    sampling: str | None = None
    categories: Annotated[tuple[Category, ...], Field(strict=False, min_length=1)] = ("species", "issf")
    unapproved: Literal["drop", "keep"] = "drop"
    effort: EffortSettings | None = None
    evaluation: Annotated[
        Annotated[EvaluationSettings, Tag("area")]
        | Annotated[SurveyEvaluation, Tag("survey")]
        | Annotated[ChecklistEvaluation, Tag("checklists")],
        Discriminator(_choice),
    ] = EvaluationSettings()  # type: ignore[assignment]

    @model_validator(mode="before")
    @classmethod
    def _checklists_by_default(cls, raw: object) -> object:
        if isinstance(raw, dict) and raw.get("sampling") is not None and "evaluation" not in raw:
            return {**raw, "evaluation": {"kind": "checklists"}}
        return raw

    @model_validator(mode="after")
    def _checklists_need_the_sampling_file(self) -> Self:
        checklists = isinstance(self.evaluation, ChecklistEvaluation)
        if checklists and self.sampling is None:
            raise ValueError(
                "settings with sampling, the path of the sampling event data, as evaluation.kind is 'checklists'"
            )
        if self.sampling is not None and not checklists:
            raise ValueError(
                "settings with evaluation.kind 'checklists', as sampling is given; what is held out goes into "
                "evaluation.years or evaluation.area"
            )
        return self

    def build(self) -> Dataset:
        """Read, clean and assemble the download."""
        records = read_records(self)
        if isinstance(self.evaluation, ChecklistEvaluation):
            return with_checklists(records, self, self.evaluation)
        return assemble(records, self)


def read_records(settings: DatasetSettings, limits: Limits = LIMITS) -> RecordTable:
    """Read and clean the presences of the EBD that training may see, as far as years say so.

    Args:
        settings: The file and the rules.
        limits: How much a packed file may unpack to.

    Raises:
        DataError: If a file is missing, damaged, unsafe or no such table, or no record is left.
    """
    path = user_path(settings.path)
    columns = replace(OBSERVATIONS, ragged_rows=settings.ragged_rows)
    with closing(read_tables(path, columns, limits)) as batches:
        return clean(map(standard, batches), settings, _rules(settings), settings.weeks, str(path))


def _rules(settings: DatasetSettings) -> ReaderRules:
    """The rules on eBird's own terms, and on held-out years."""
    approved = () if settings.unapproved == "keep" else (approved_rule(),)
    years = settings.evaluation.years if isinstance(settings.evaluation, ChecklistEvaluation) else ()
    held_out = []
    if years:
        keep = pl.col("year").is_not_null() & ~pl.col("year").is_in(list(years))
        name = f"year known and not one of the held-out {', '.join(map(str, years))}"
        held_out.append(Rule(name, keep, "year", always=True))
    return ReaderRules(
        basis=(*approved, *effort_rules(settings.effort)),
        status=(count_rule(),),
        taxon=category_rules(settings.categories),
        last=tuple(held_out),
    )


def with_checklists(records: RecordTable, settings: DatasetSettings, evaluation: ChecklistEvaluation) -> Dataset:
    """Training data from what is not held out, and the truth from complete checklists of what is.

    Args:
        records: What :func:`read_records` gave.
        settings: The files and the rules; with a sampling file.
        evaluation: What is held out.

    Raises:
        DataError: As of :func:`~presence_only.occurrences.assemble.assemble`, or if a file is no such table.
    """
    made, area = _training(records, settings, evaluation)
    held_out = HeldOut(evaluation.years, None if area is None else _within(area, settings), _words(evaluation, area))
    assert settings.sampling is not None
    drawn = draw_checklists(
        user_path(settings.sampling),
        evaluation,
        held_out,
        weeks=settings.weeks,
        sites=settings.evaluation_sites or SITES_OF_AN_AREA,
        seed=settings.seed,
    )
    rows = zero_filled(
        user_path(settings.path),
        drawn,
        evaluation,
        held_out,
        categories=settings.categories,
        unapproved=settings.unapproved == "keep",
        species=categories(records.table["species"]),
    )
    truth = survey_of_rows(
        rows,
        made.training.records.species,
        environment=environment_at(settings),
        weeks=settings.weeks,
        drop_undefined=settings.sea == "drop",
        repeated_visits=evaluation.repeated_visits,
    )
    facts = made.facts | truth.facts | {"evaluation_sites_found": drawn.n_sites}
    return Dataset(
        made.training,
        truth.survey,
        made.filters,
        (*truth.notes, *made.notes),
        facts,
        added=made.added,
        survey_filters=truth.filters,
    )


def _training(
    records: RecordTable, settings: DatasetSettings, evaluation: ChecklistEvaluation
) -> tuple[Assembled, Area | None]:
    """Training data, and the held-out area if there is one."""
    if evaluation.area is None:
        return assemble_training(records, settings), None
    outside = assemble_outside(records, settings, evaluation.area)
    return outside.made, outside.area


def _within(area: Area, settings: DatasetSettings) -> Callable[[Floats], NDArray[np.bool_]]:
    """From sites to whether they lie in the held-out area: with rows that are cells, whether the centres of these do.

    Otherwise a checklist near the border of the area could be in the truth, and its records in a training row of a cell
    whose centre lies outside.
    """
    if settings.rows == "records":
        return area.contains

    def of_cells(sites_N2: Floats) -> NDArray[np.bool_]:
        cells_U, cell_N = np.unique(cells_of(sites_N2, settings.checklist_resolution), return_inverse=True)
        found_N: NDArray[np.bool_] = area.contains(centres_of(cells_U))[cell_N]
        return found_N

    return of_cells


def _words(evaluation: ChecklistEvaluation, area: Area | None) -> str:
    """What is held out, in words."""
    years = f"of the years {', '.join(map(str, evaluation.years))}" if evaluation.years else ""
    return " ".join(filter(None, [years, f"in {area.words}" if area is not None else ""]))
