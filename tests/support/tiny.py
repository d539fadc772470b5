"""Data sets small enough for a test, and the settings that go with them."""

import copy

import numpy as np
import torch

from presence_only.data.dataset import Dataset
from presence_only.data.records import Background, PresenceRecords
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.data.truth import SurveyTruth
from presence_only.model.encoder import RangeModel
from presence_only.model.features import Features
from presence_only.model.settings import EncoderSettings

PARAMS = {
    "study": {"name": "tiny", "datasets": ["virtual"], "variants": ["bce", "an_full"], "seeds": [0, 1]},
    "datasets": {
        "virtual": {
            "kind": "virtual",
            "species": 12,
            "records": 600,
            "background_sites": 500,
            "survey_resolution": 1,
        }
    },
    "encoder": {"width": 16, "depth": 1, "dropout": 0.1},
    "training": {"epochs": 2, "batch_size": 128, "background_batch_size": 128, "learning_rate": 1e-3},
    "variants": {"bce": {"loss": "bce"}, "an_full": {"loss": "an_full", "pos_lambda": 16.0}},
}


def params(**changes):
    """A copy of PARAMS; ``training__epochs=3`` replaces one entry."""
    tree = copy.deepcopy(PARAMS)
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = tree
        for parent in parents:
            node = node[parent]
        node[last] = value
    return tree


def dataset(*, rows=60, species=5, covariates=2, seed=0, per_row=1, groups=None):
    """Records of species that live in bands of latitude, a background and a survey."""
    rng = np.random.default_rng(seed)
    sites = np.stack([rng.uniform(-180, 180, rows), rng.uniform(-90, 90, rows)], axis=1)
    band = np.clip(((sites[:, 1] + 90) / 180 * species).astype(int), 0, species - 1)
    band[:species] = np.arange(species)
    sites[:species, 1] = -90 + 180 * (np.arange(species) + 0.5) / species
    row_P = np.repeat(np.arange(rows), per_row)
    species_P = (band[row_P] + np.tile(np.arange(per_row), rows)) % species
    names = tuple(f"covariate_{i} (m)" for i in range(covariates))
    records = PresenceRecords(
        sites_N2=sites,
        covariates_NC=rng.normal(size=(rows, covariates)).astype(np.float32),
        row_P=row_P,
        species_P=species_P,
        species=tuple(f"species_{i}" for i in range(species)),
        groups=groups or ("all",) * species,
        covariate_names=names,
    )
    background_sites = np.stack([rng.uniform(-180, 180, 40), rng.uniform(-90, 90, 40)], axis=1)
    background = Background("uniform", background_sites, rng.normal(size=(40, covariates)).astype(np.float32))
    survey_sites = np.stack([rng.uniform(-180, 180, 50), rng.uniform(-90, 90, 50)], axis=1)
    survey_band = np.clip(((survey_sites[:, 1] + 90) / 180 * species).astype(int), 0, species - 1)
    truth = (survey_band[:, None] == np.arange(species)).astype(np.int8)
    survey = Survey(
        survey_sites,
        rng.normal(size=(50, covariates)).astype(np.float32),
        SurveyTruth.of_matrix(truth),
        records.species,
        names,
    )
    return Dataset(TrainingData(records, background), survey)


def model(data, *, seed=0, weeks=False, start_S=None, **encoder):
    """An untrained encoder of a data set, its features measured, in evaluation mode; it reads all there is."""
    start = "zero" if start_S is None else "balance"
    settings = EncoderSettings(**{"input": "both", "width": 8, "depth": 1, "start": start} | encoder)
    records = data.training.records
    features = Features(settings, len(records.covariate_names), weeks=weeks).fit(data.training)
    torch.manual_seed(seed)
    return RangeModel(features, records.n_species, start_S=start_S).eval()
