"""A trained run of a study as users ask for it: its models, its records and where its covariates come from.

Shape legend: S species.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from presence_only.common.arrays import Ints
from presence_only.common.errors import DataError
from presence_only.data.added_presences import recorded_alone
from presence_only.data.records import Background, PresenceRecords
from presence_only.data.training import TrainingData
from presence_only.model.files import load_model
from presence_only.model.interface import SpeciesModel
from presence_only.model.range_map import MapError, Sample
from presence_only.study.checksums import check_unaltered
from presence_only.study.paths import CellFiles, DatasetFiles


@dataclass(frozen=True)
class Run:
    """A trained cell of a study.

    Args:
        cell: Data set and variant.
        seeds: Of the models.
        study: Folder of the study's params.yaml.
        one_seed: Whether a single seed was asked for by its folder.
        models: One a seed.
        training: Records with what label propagation added, and background: what the models were trained on.
        recorded: The records without what was added.
        sample: Gives covariates anywhere, for models that read any; None where it was not asked for.
    """

    cell: CellFiles
    seeds: tuple[int, ...]
    study: Path
    one_seed: bool
    models: tuple[SpeciesModel, ...]
    training: TrainingData
    recorded: PresenceRecords
    sample: Sample | None

    @property
    def name(self) -> str:
        """``dataset / variant``, with the seed where only one was asked for."""
        seed = f" / seed {self.seeds[0]}" if self.one_seed else ""
        return f"{self.cell.dataset} / {self.cell.variant}{seed}"

    @property
    def records(self) -> PresenceRecords:
        """The training records, with what label propagation added."""
        return self.training.records

    @property
    def background(self) -> Background:
        """Background sites of the training."""
        return self.training.background

    @property
    def recorded_S(self) -> Ints:
        """Training rows in which each species was recorded, without what was added, int, shape (S,)."""
        return self.recorded.records_per_species()


def load_run(path: Path, *, seed: int | None = None, maps: bool = True) -> Run:
    """Read the encoders of a run folder, ``runs/<dataset>/<variant>`` or one of its seeds.

    Args:
        path: The folder.
        seed: The only seed to read; None: all that the folder has.
        maps: Whether covariates are wanted anywhere, as for a map, and not at the run's own sites alone.

    Raises:
        MapError: If the folder is no run or does not have the seed.
        DamagedError: If the run or its data was altered since it was made.
        DataError: If maps are wanted and the data set has covariates at its own sites only, or the models are not of
            its records.
    """
    folder = path.resolve()
    if folder.name == "encoder.pt":
        folder = folder.parent
    files = sorted(folder.glob("encoder.pt")) or sorted(folder.glob("seed_*/encoder.pt"), key=_seed)
    cell = folder.parent if folder.name.startswith("seed_") else folder
    if not files or cell.parent.parent.name != "runs":
        raise MapError(f"--run {path}: holds no encoder; give a folder runs/<dataset>/<variant>, made by `dvc repro`")
    if seed is not None:
        found = [_seed(file) for file in files]
        files = [file for file in files if _seed(file) == seed]
        if not files:
            raise MapError(f"--seed {seed}: the run has no such seed; it has {', '.join(map(str, found))}")
    study, name = cell.parents[2], CellFiles(cell.parent.name, cell.name)
    files_of = DatasetFiles(name.dataset)
    for made in (name.runs, files_of.training, files_of.survey):
        check_unaltered(made, study)
    models = tuple(load_model(file) for file in files)
    training = TrainingData.load(study / files_of.training)
    n_species, n_covariates = training.records.n_species, len(training.records.covariate_names)
    if (models[0].n_species, models[0].n_covariates) != (n_species, n_covariates):
        raise DataError(
            f"{files[0]}: was trained for {models[0].n_species} species and {models[0].n_covariates} covariates, but "
            f"{study / files_of.training} has {n_species} and {n_covariates}; `dvc repro` trains it anew"
        )
    recorded = recorded_alone(training.records, study / files_of.survey)
    sample = None
    if models[0].reads_covariates and maps:
        # Not at the top: most runs read coordinates alone.
        from presence_only.study.dataset_settings import load_dataset

        sample = load_dataset(name.dataset, study / "params.yaml").covariate_source()
    one = cell != folder or seed is not None
    return Run(name, tuple(map(_seed, files)), study, one, models, training, recorded, sample)


def _seed(file: Path) -> int:
    """The seed of an encoder, by the name of its folder."""
    found = re.fullmatch(r"seed_(\d+)", file.parent.name)
    return int(found[1]) if found else 0
