"""Data sets: saved and loaded, and wrong ones told in one sentence."""

from dataclasses import replace

import numpy as np
import pytest
from support import tiny

from presence_only.common.errors import DataError
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


def test_weeks_survive_the_file(tmp_path):
    records, background = tiny.dataset().training.records, tiny.dataset().training.background
    weeks = np.arange(60) % 48 + 1
    dated = TrainingData(replace(records, week_N=weeks), replace(background, week_K=weeks[:40]))
    dated.save(tmp_path / "training")
    again = TrainingData.load(tmp_path / "training")
    np.testing.assert_array_equal(again.records.week_N, weeks)
    np.testing.assert_array_equal(again.background.week_K, weeks[:40])
    tiny.dataset().training.save(tmp_path / "without")
    assert TrainingData.load(tmp_path / "without").records.week_N is None


SITES = np.zeros((40, 2))
WRONG_RECORDS = [
    ({"sites_N2": np.array([[200.0, 0.0]] * 60)}, r"record 0 has longitude 200; it must lie within -180\.\.180"),
    ({"sites_N2": np.array([[0.0, -91.0]] * 60)}, r"record 0 has latitude -91; it must lie within -90\.\.90"),
    ({"sites_N2": np.full((60, 2), np.nan)}, "record 0 has longitude nan"),
    ({"sites_N2": np.zeros((60, 3))}, r"sites have shape \(60, 3\); expected \(n, 2\)"),
    ({"sites_N2": SITES[:0], "row_P": np.zeros(0, int), "species_P": np.zeros(0, int)}, "no presence records"),
    ({"species_P": np.zeros(60, int)}, r"species 'species_1' has no records \(4 such species\)"),
    ({"species_P": np.full(60, 5)}, r"species indices must lie within 0\.\.4"),
    ({"row_P": np.arange(60)[::-1]}, r"rows of positives must ascend within 0\.\.59"),
    ({"row_P": np.arange(60) + 1}, r"rows of positives must ascend within 0\.\.59"),
    ({"row_P": np.arange(59)}, "59 rows for 60 positives: must agree"),
    ({"species": ("a",) * 5}, "names must be unique and each needs one group"),
    ({"groups": ("all",) * 4}, "5 species names with 4 groups"),
    ({"covariate_names": ("a",)}, r"covariates have shape \(60, 2\); \(60, 1\) expected"),
    ({"week_N": np.where(np.arange(60) == 3, 49, 1)}, r"record 3 has week 49; it must lie within 1\.\.48"),
    ({"week_N": np.ones(3, int)}, r"weeks have shape \(3,\); \(60,\) expected"),
]
WRONG_BACKGROUNDS = [
    ({"sites_K2": SITES[:0]}, "the background has no sites"),
    ({"sites_K2": SITES + np.array([0.0, 99.0])}, "background site 0 has latitude 99"),
    ({"groups_K": ("all",)}, "1 groups for 40 background sites: must agree"),
    ({"week_K": np.zeros(40, int)}, "background site 0 has week 0"),
]
WRONG_SURVEYS = [
    ({"truth": SurveyTruth.of_matrix(np.zeros((50, 4), int))}, r"\(50, 4\); 50 sites x 5 species expected"),
    ({"truth": SurveyTruth.of_presences(51, 5, {})}, r"\(51, 5\); 50 sites x 5 species expected"),
    ({"sites_M2": np.full((50, 2), 91.0)}, "survey site 0 has latitude 91"),
    ({"covariate_names": ("a",)}, r"covariates have shape \(50, 2\); \(50, 1\) expected"),
    ({"week_M": np.full(50, 50)}, "survey site 0 has week 50"),
]
WRONG_FURTHER = [
    ("IUCN", {}, "further evaluation 'IUCN': a name must be of small letters"),
    ("n_iucn", {}, "and not begin with n_"),
    ("iucn", {"species": tuple("abcde")}, r"the further survey 'iucn' has species 'a' \(5 such species\)"),
    ("iucn", {"covariate_names": ("x", "y")}, "the further survey 'iucn' must have the records' covariates"),
]


def refused(sentence, whole, **changes):
    with pytest.raises(DataError, match=sentence):
        replace(whole, **changes)


@pytest.mark.parametrize(("changes", "sentence"), WRONG_RECORDS)
def test_wrong_records_are_one_sentence(changes, sentence):
    refused(sentence, tiny.dataset().training.records, **changes)


@pytest.mark.parametrize(("changes", "sentence"), WRONG_BACKGROUNDS)
def test_a_wrong_background_is_one_sentence(changes, sentence):
    refused(sentence, tiny.dataset().training.background, **changes)


@pytest.mark.parametrize(("changes", "sentence"), WRONG_SURVEYS)
def test_a_wrong_survey_is_one_sentence(changes, sentence):
    refused(sentence, tiny.dataset().survey, **changes)


def test_records_and_background_that_do_not_belong_together_are_one_sentence():
    training = tiny.dataset().training
    dated = replace(training.records, week_N=np.ones(60, int))
    refused("the records have weeks and the background none; both or neither", training, records=dated)
    weekly = replace(training.background, week_K=np.ones(40, int))
    refused("the background have weeks and the records none", training, background=weekly)
    bare = replace(training.background, covariates_KC=np.zeros((40, 0)))
    refused(r"background covariates have shape \(40, 0\); records have 2 covariates", training, background=bare)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"species": tuple("edcba")}, "the survey's species must be the records' species, in the same order"),
        ({"covariate_names": ("x", "y")}, "the survey's covariates must be the records' covariates"),
    ],
)
def test_a_survey_of_other_records_is_one_sentence(changes, sentence):
    dataset = tiny.dataset()
    refused(sentence, dataset, survey=replace(dataset.survey, **changes))


@pytest.mark.parametrize(("name", "changes", "sentence"), WRONG_FURTHER)
def test_a_wrong_further_evaluation_is_one_sentence(name, changes, sentence):
    dataset = tiny.dataset()
    refused(sentence, dataset, further={name: replace(dataset.survey, **changes)})
