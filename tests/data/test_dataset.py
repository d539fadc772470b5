from dataclasses import replace

import numpy as np
import pytest
from support import tiny

from presence_only.common.errors import DataError
from presence_only.data.dataset import Dataset
from presence_only.data.records import Background
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.data.truth import SurveyTruth


def test_save_and_load_give_the_same_data(tmp_path):
    data = tiny.dataset(per_row=2)
    groups = tuple(["all"] * 39 + [""])
    training = replace(data.training, background=replace(data.training.background, kind="given", groups_K=groups))
    training.save(tmp_path / "training")
    data.survey.save(tmp_path / "survey")
    again, survey = TrainingData.load(tmp_path / "training"), Survey.load(tmp_path / "survey")
    for name in ("sites_N2", "covariates_NC", "row_P", "species_P"):
        np.testing.assert_array_equal(getattr(again.records, name), getattr(training.records, name))
    assert again.records.species == training.records.species
    assert again.records.covariate_names == training.records.covariate_names
    assert again.background.groups_K == groups
    assert again.background.kind == "given"
    np.testing.assert_array_equal(survey.truth.matrix(), data.survey.truth.matrix())
    np.testing.assert_array_equal(survey.covariates_MC, data.survey.covariates_MC)


def test_saving_twice_gives_the_same_bytes(tmp_path):
    data = tiny.dataset()
    for name in ("one", "two"):
        data.training.save(tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def changed(**fields):
    return lambda: replace(tiny.dataset().training.records, **fields)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (changed(sites_N2=np.array([[200.0, 0.0]] * 60)), r"record 0 has longitude 200; it must lie within -180..180"),
        (changed(sites_N2=np.array([[0.0, -91.0]] * 60)), r"record 0 has latitude -91; it must lie within -90..90"),
        (changed(sites_N2=np.full((60, 2), np.nan)), r"record 0 has longitude nan"),
        (changed(sites_N2=np.zeros((0, 2)), row_P=np.zeros(0, int), species_P=np.zeros(0, int)), "no presence records"),
        (changed(species_P=np.zeros(60, int)), r"species 'species_1' has no records \(4 such species\)"),
        (changed(species_P=np.full(60, 5)), "species indices must lie within 0..4"),
        (changed(row_P=np.arange(60)[::-1]), "rows of positives must ascend"),
        (changed(row_P=np.arange(59)), "59 rows for 60 positives"),
        (changed(species=("a",) * 5), "names must be unique"),
        (changed(covariate_names=("a",)), r"covariates have shape \(60, 2\); \(60, 1\) expected"),
        (lambda: Background("given", np.zeros((0, 2)), np.zeros((0, 0))), "background has no sites"),
        (lambda: Background("given", np.array([[0.0, 99.0]]), np.zeros((1, 0))), "background site 0 has latitude 99"),
        (
            lambda: replace(tiny.dataset().survey, truth=SurveyTruth.of_matrix(np.zeros((50, 4), np.int8))),
            "50 sites x 5 species expected",
        ),
        (
            lambda: Dataset(tiny.dataset().training, replace(tiny.dataset().survey, species=tuple("edcba"))),
            "the survey's species must be the records' species",
        ),
    ],
)
def test_wrong_data_is_one_sentence(make, sentence):
    with pytest.raises(DataError, match=sentence):
        make()
