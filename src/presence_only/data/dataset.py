"""Data sets: training data, a survey and further evaluations, and the settings that build one.

Shape legend: N training rows, P positives, K background sites, M survey sites, C covariates, S species.
A site is longitude, latitude in degrees WGS84, in that order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from presence_only.common.arrays import Floats
from presence_only.common.errors import DataError
from presence_only.common.settings import Settings
from presence_only.data.added_presences import AddedPresences
from presence_only.data.records import PresenceRecords
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData


class Further(Protocol):
    """Something else that a model is scored by, beside the survey; itself a :class:`Survey`, or of a kind of its own.

    Attributes:
        kind: Its name in ``presence_only.evaluation.tasks.TASKS``, whose class reads what ``save`` wrote, and scores.
    """

    kind: ClassVar[str]

    def save(self, folder: Path) -> None:
        """Write everything that scoring needs into ``folder``, whole or not at all."""


# Where the further evaluations of a data set lie inside of its survey's folder.
FURTHER = "further"


@dataclass(frozen=True)
class Dataset:
    """What a data set module returns: training data, and the survey that training never sees.

    Args:
        filters: What cleaning left: each rule in the order of use with the rows that remained after
            it, the first entry being the rows read. Empty where nothing was cleaned.
        notes: Sentences that whoever reads the results must know, such as the limits of an evaluation.
        facts: Further counts for the summary, such as how much of a published evaluation is covered.
        further: What else a model is scored by, by a name that its metrics begin with, such as ``iucn``.
            A further survey may hold any of the records' species in any order.
        added: Which of the training rows' presences were added by label propagation; None where none was asked for.
        survey_filters: As ``filters``, of the surveys of a file that makes the survey.
    """

    training: TrainingData
    survey: Survey
    filters: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, int | float] = field(default_factory=dict)
    further: Mapping[str, Further] = field(default_factory=dict)
    added: AddedPresences | None = None
    survey_filters: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        records = self.training.records
        if self.survey.species != records.species:
            raise DataError("the survey's species must be the records' species, in the same order")
        if self.survey.covariate_names != records.covariate_names:
            raise DataError("the survey's covariates must be the records' covariates, in the same order")
        for name, task in self.further.items():
            # Counts begin with n_, such as n_sites.
            if not re.fullmatch("(?!n_)[a-z][a-z0-9_]*", name):
                raise DataError(
                    f"further evaluation {name!r}: a name must be of small letters, digits and underscores, "
                    "and not begin with n_"
                )
            if not isinstance(task, Survey):
                continue
            if unknown := set(task.species) - set(records.species):
                raise DataError(
                    f"the further survey {name!r} has species {min(unknown)!r} ({len(unknown)} such species); "
                    "all must be among the records' species"
                )
            if task.covariate_names != records.covariate_names:
                raise DataError(f"the further survey {name!r} must have the records' covariates, in the same order")

    @property
    def recorded(self) -> PresenceRecords:
        """The training records without what label propagation added."""
        records = self.training.records
        return records if self.added is None else self.added.left_out_of(records)

    def save_survey(self, folder: Path) -> None:
        """Write into ``folder`` what training never opens: survey, further evaluations, which presences were added."""
        self.survey.save(folder)
        if self.added is not None:
            self.added.save(folder)
        for name, task in self.further.items():
            task.save(folder / FURTHER / name / task.kind)


class DatasetKind(Settings):
    """The settings of one kind of data set, which build one.

    A subclass declares its name in params.yaml, ``kind: Literal["<name>"]``, and has its line in
    ``presence_only.datasets.KINDS``.
    """

    kind: str

    def build(self) -> Dataset:
        """Read or make the data set.

        Raises:
            DataError: If what the settings name is missing or wrong.
        """
        raise NotImplementedError

    @property
    def may_have_weeks(self) -> bool:
        """Whether its records may have the week of the year: those of a kind without a setting ``weeks`` have none."""
        return bool(getattr(self, "weeks", False))

    def covariate_source(self) -> Callable[[Floats], Floats]:
        """The function from sites (M, 2) to covariates (M, C), for maps.

        Raises:
            DataError: If the environment is known at the sites of the data set only.
        """
        raise DataError(
            f"a data set of kind {self.kind!r} has covariates at its own sites only; none can be sampled elsewhere"
        )
