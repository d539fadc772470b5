"""Further evaluations: saved with the survey, found again by their kind, scored like the survey."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import tiny

import presence_only.evaluation.survey as survey_module
import presence_only.evaluation.tasks as evaluations
from presence_only.common.errors import DataError
from presence_only.common.registry import resolve
from presence_only.data.survey import Survey
from presence_only.data.truth import SurveyTruth
from presence_only.evaluation import passes
from presence_only.evaluation.geoscore import geoscore
from presence_only.evaluation.metrics import METRICS, evaluate
from presence_only.evaluation.score_histogram import scale_numbers
from presence_only.evaluation.survey import SCALE, FurtherSurvey, evaluate_survey
from presence_only.evaluation.tasks import load_further


def some_species(survey, names):
    """The survey of some species, as lists."""
    index = [survey.species.index(name) for name in names]
    presences = {i: np.flatnonzero(survey.truth.matrix()[:, s] == 1) for i, s in enumerate(index)}
    listed = SurveyTruth.of_presences(len(survey.sites_M2), len(names), presences)
    return replace(survey, truth=listed, species=names)


def test_every_kind_names_its_class():
    for kind, reference in evaluations.TASKS.items():
        task = resolve(reference)
        assert all(callable(getattr(task, name)) for name in ("load", "score")), kind
    assert "survey" in evaluations.kinds()


def test_a_further_survey_has_the_metrics_of_a_survey_by_species_of_the_vocabulary():
    dataset = tiny.dataset()
    model, survey = tiny.model(dataset), dataset.survey
    names = ("species_3", "species_1")
    numbers = FurtherSurvey(some_species(survey, names)).score(model, survey.species)
    logits_MS = model.predict(survey.sites_M2, survey.covariates_MC)[:, [3, 1]]
    expected = evaluate(logits_MS, survey.truth.matrix()[:, [3, 1]])
    for name, metric in METRICS.items():
        if metric.unit == "species":
            assert numbers[name].shape == (5,)
            np.testing.assert_allclose(numbers[name][[3, 1]], expected.values(name), rtol=1e-6)
            assert np.isnan(numbers[name][[0, 2, 4]]).all()
        else:
            assert numbers[name] == pytest.approx(expected.summary[name], rel=1e-6)
    assert (numbers["n_species"], numbers["n_sites"]) == (2, 50)
    truth_MS = survey.truth.matrix()[:, [3, 1]]
    scale = scale_numbers(logits_MS, truth_MS)
    expected = {name: scale[name] for name in ("f1_best", "calibration_error")}
    expected["list_ratio"] = geoscore(logits_MS, truth_MS, np.zeros(50)).raw["list_ratio"]
    assert {name: numbers[name] for name in SCALE} == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="species 'species_3' is not in the model's vocabulary"):
        FurtherSurvey(some_species(survey, names)).score(model, survey.species[:3])


def test_what_a_data_set_saves_is_found_by_name(tmp_path):
    dataset = tiny.dataset()
    further = {"iucn": some_species(dataset.survey, ("species_0",)), "again": dataset.survey}
    replace(dataset, further=further).save_survey(tmp_path / "survey")
    np.testing.assert_array_equal(Survey.load(tmp_path / "survey").truth.matrix(), dataset.survey.truth.matrix())
    tasks = load_further(tmp_path / "survey")
    assert list(tasks) == ["again", "iucn"]
    assert tasks["iucn"].survey.species == ("species_0",)
    np.testing.assert_array_equal(tasks["again"].survey.truth.matrix(), dataset.survey.truth.matrix())

    dataset.save_survey(tmp_path / "survey")
    assert load_further(tmp_path / "survey") == {}
    assert sorted(file.name for file in (tmp_path / "survey").iterdir()) == ["meta.json", "sites.parquet", "truth.npz"]


def test_an_unknown_kind_is_one_sentence(tmp_path):
    (tmp_path / "further" / "other" / "psychic").mkdir(parents=True)
    with pytest.raises(DataError, match=r"unknown kind of evaluation 'psychic'; known: .*survey"):
        load_further(tmp_path)


class Guess:
    """An evaluation that a user adds, in one module of its own."""

    kind = "guess"

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)

    @classmethod
    def load(cls, folder: Path):
        return cls()

    def score(self, model, species):
        return {"luck": 0.5}


def test_a_new_kind_is_its_class_and_one_line(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setitem(evaluations.TASKS, "guess", "test_further_survey:Guess")
    replace(tiny.dataset(), further={"mine": Guess()}).save_survey(tmp_path / "survey")
    assert load_further(tmp_path / "survey")["mine"].score(None, ()) == {"luck": 0.5}


def test_species_that_were_surveyed_nowhere_are_undefined_and_change_no_other():
    dataset = tiny.dataset(species=5)
    survey = dataset.survey
    truth_MS = survey.truth.matrix().copy()
    truth_MS[:, [0, 3]] = -1
    model = tiny.model(dataset)
    some = evaluate_survey(model, replace(survey, truth=SurveyTruth.of_matrix(truth_MS)), survey.species)
    whole = evaluate(model.predict(survey.sites_M2, survey.covariates_MC), truth_MS)
    assert some.summary == pytest.approx(whole.summary, rel=1e-6)
    assert list(some.per_species) == list(whole.per_species)
    for name, values in whole.per_species.items():
        assert some.per_species[name].dtype == values.dtype
        np.testing.assert_allclose(some.per_species[name], values, rtol=1e-6)


def test_a_survey_of_nothing_is_undefined():
    dataset = tiny.dataset(species=5)
    nothing = replace(dataset.survey, truth=SurveyTruth.of_matrix(np.full((50, 5), -1, dtype=np.int8)))
    numbers = FurtherSurvey(nothing).score(tiny.model(dataset), dataset.survey.species)
    assert np.isnan([numbers[name] for name in SCALE]).all()
    assert np.isnan(numbers["species_map"]).all()


def test_a_large_further_survey_in_parts_gives_the_same(monkeypatch):
    dataset = tiny.dataset(species=60, rows=900)
    task, model = FurtherSurvey(dataset.survey), tiny.model(dataset)
    whole = task.score(model, dataset.survey.species)
    for module in (survey_module, passes):
        monkeypatch.setattr(module, "WHOLE", 1)
    monkeypatch.setattr(passes, "_PART", 50 * 20)
    parts = task.score(model, dataset.survey.species)
    assert list(parts) == list(whole)
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-6)
    monkeypatch.setattr(survey_module, "SITES_LIMIT", 49)
    limited = task.score(model, dataset.survey.species)
    assert np.isnan(limited["sample_map"])
    assert limited["list_ratio"] == parts["list_ratio"]
