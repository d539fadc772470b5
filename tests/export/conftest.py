"""A trained study of two seeds whose names try to be more than text, and what its pipeline would have written."""

import dataclasses

import pytest
from ruamel.yaml import YAML
from support import tiny

from presence_only.common.atomic_files import write_json
from presence_only.data.records import PresenceRecords
from presence_only.data.training import TrainingData
from presence_only.model.files import save_model
from presence_only.study.paths import COMPARISON, CellFiles, DatasetFiles
from presence_only.training.fit import fit

SPECIES = ("<script>alert(1)</script>", "Parus | major", "[link](http://x.y) *a*", "$x^2$ `code`", "Säbel & Co.")
COVARIATES = ("elevation (m)", "longitude", "<b>rain</b> | mm")
ROWS = """dataset,variant,metric,mean,sd,low,high,n_seeds,n_species,n_sites,ensemble
virtual,an_full,species_map,0.668492,0.01,0.6123,0.7211,2,5,50,
virtual,an_full,f1_best,0.701029,NaN,NaN,NaN,2,5,50,
virtual,bce,species_map,0.123456,0.01,0.1,0.2,2,5,50,
"""


def studied(folder, **encoder):
    """Train two seeds in a folder of a study, and write the files that its pipeline would."""
    raw = tiny.params(encoder=encoder | {"width": 8, "depth": 1})
    YAML(typ="safe").dump(raw, folder / "params.yaml")
    from presence_only.study.params import Params

    data = tiny.dataset(covariates=len(COVARIATES)).training
    records: PresenceRecords = dataclasses.replace(data.records, species=SPECIES, covariate_names=COVARIATES)
    data = TrainingData(records, data.background)
    data.save(folder / DatasetFiles("virtual").training)
    variant = Params.parse(raw).variant("an_full")
    for seed in (0, 1):
        model, _ = fit(data, variant.loss, variant.encoder, variant.training, seed)
        save_model(model, folder / CellFiles("virtual", "an_full").encoder(seed))
    summary = {
        "species": 5,
        "records": 60,
        "prevalence_median": 0.25,
        "filters": [{"rule": "rows read", "rows_left": 1234}, {"rule": "in <b>range</b>", "rows_left": 60}],
        "notes": ["The survey of <i>Parus | major</i> is small."],
        "facts": {"km_of_noise": 5.0},
    }
    write_json(folder / DatasetFiles("virtual").summary, summary)
    (folder / COMPARISON).write_text(ROWS)
    return folder


@pytest.fixture(scope="package")
def study(tmp_path_factory):
    """A study whose models read coordinates and covariates."""
    return studied(tmp_path_factory.mktemp("study"), input="both", expansion="hinge")
