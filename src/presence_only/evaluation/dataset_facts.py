"""What the evaluation of models needs of a data set, read and computed once for all models that a process scores.

Shape legend: S species.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from presence_only.common.arrays import Ints
from presence_only.data.added_presences import recorded_alone
from presence_only.data.records import Background, PresenceRecords
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.evaluation.observer_effort import SurveyEffort, records_nearby
from presence_only.evaluation.species_lists import ListSites
from presence_only.evaluation.tasks import Task, load_further
from presence_only.evaluation.training_scores import ReadRows, TrainingSites
from presence_only.evaluation.units import TruthUnits

# Of every file of a data set its path, and what changes when it is written again: number, size and times.
Stamp = tuple[tuple[Path, int, int, int, int], ...]


@dataclass(frozen=True, eq=False)
class DatasetFacts:
    """A data set as its models are scored by.

    Args:
        survey: The survey, its species in the order of the models' logits.
        truth: Its truth by species and by site.
        effort: Observer effort at its sites.
        n_records_S: Number of training records per species.
        groups: Taxon group of every species.
        training: Training records and background sites, which thresholds and calibration are fitted to.
        lists: Sites at which lists of species are compared with the survey.
        further: Further evaluations, by name.
    """

    survey: Survey
    truth: TruthUnits
    effort: SurveyEffort
    n_records_S: Ints
    groups: tuple[str, ...]
    training: TrainingSites
    lists: ListSites
    further: Mapping[str, Task]

    @classmethod
    def of(
        cls,
        records: PresenceRecords,
        background: Background,
        survey: Survey,
        further: Mapping[str, Task],
        *,
        read: ReadRows | None = None,
    ) -> DatasetFacts:
        """The facts of a data set at hand; its records tell where observers were.

        Args:
            records: What was recorded, without what label propagation added.
            background: The background sites of its training.
            survey: The survey.
            further: Further evaluations, by name.
            read: Reads rows with their environment and weeks, for records that come without; None: records have them.
        """
        truth = TruthUnits(survey.truth, keep=True)
        effort_M = records_nearby(survey.sites_M2, records.sites_N2, records.row_P)
        return cls(
            survey=survey,
            truth=truth,
            effort=SurveyEffort(effort_M, truth),
            n_records_S=records.records_per_species(),
            groups=records.groups,
            training=TrainingSites.of(records, background, weeks=survey.week_M is not None, read=read),
            lists=ListSites.of(survey),
            further=further,
        )


# The facts of the last data set, with what its files were: a process scores the models of one data set after the other.
_last: tuple[Stamp, DatasetFacts] | None = None


def load_facts(training: Path, survey: Path) -> DatasetFacts:
    """Read a data set, unless it is the one that this process read last and its files are the same.

    Args:
        training: Folder of the records.
        survey: Folder of the survey and of further evaluations.
    """
    global _last
    before = _stamp(training, survey)
    if _last is not None and _last[0] == before:
        return _last[1]
    # The old facts go first: both might not fit into memory.
    _last = None
    # What label propagation added tells nothing of observers.
    records = recorded_alone(TrainingData.load_records(training, covariates=False), survey)
    facts = DatasetFacts.of(
        records,
        TrainingData.load_background(training),
        Survey.load(survey),
        load_further(survey),
        # Of the environment, which may be large, only the rows that count.
        read=partial(TrainingData.load_rows, training),
    )
    if _stamp(training, survey) == before:
        _last = before, facts
    return facts


def _stamp(*folders: Path) -> Stamp:
    """What tells whether a file was written since."""
    files = sorted(path for folder in folders for path in folder.resolve().rglob("*") if path.is_file())
    stats = [(file, file.stat()) for file in files]
    return tuple((file, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for file, s in stats)
