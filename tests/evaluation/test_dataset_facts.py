"""The facts of a data set: read once, and again as soon as a file of it was written."""

import os
from dataclasses import replace

import numpy as np
import pytest
from support import tiny

from presence_only.data.truth import SurveyTruth
from presence_only.evaluation import dataset_facts
from presence_only.evaluation.dataset_facts import load_facts
from presence_only.evaluation.observer_effort import records_nearby


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A data set, and the folders that it lies in; nothing was read before."""
    monkeypatch.setattr(dataset_facts, "_last", None)
    dataset = tiny.dataset(rows=500)
    dataset.training.save(tmp_path / "training")
    replace(dataset, further={"again": dataset.survey}).save_survey(tmp_path / "survey")
    return dataset, tmp_path / "training", tmp_path / "survey"


def test_what_they_are(saved):
    dataset, *folders = saved
    facts, records = load_facts(*folders), dataset.training.records
    effort_M = records_nearby(dataset.survey.sites_M2, records.sites_N2, records.row_P)
    assert effort_M.sum() > 0
    np.testing.assert_array_equal(facts.effort.effort_M, effort_M)
    np.testing.assert_array_equal(facts.n_records_S, records.records_per_species())
    np.testing.assert_array_equal(facts.survey.truth.matrix(), dataset.survey.truth.matrix())
    assert facts.truth.truth is facts.survey.truth
    assert facts.truth.keeps
    assert list(facts.further) == ["again"]


def test_they_are_read_once(saved, monkeypatch):
    _, *folders = saved
    facts = load_facts(*folders)
    monkeypatch.setattr(dataset_facts.Survey, "load", lambda _: pytest.fail("read again"))
    assert load_facts(*folders) is facts
    # By what the folder is, not by what it is called.
    monkeypatch.chdir(folders[0].parent)
    assert load_facts(*(type(folder)(folder.name) for folder in folders)) is facts


def test_they_are_read_again_after_a_change(saved):
    dataset, training, survey = saved
    facts = load_facts(training, survey)
    nobody = replace(dataset.survey, truth=SurveyTruth.of_matrix(np.zeros_like(dataset.survey.truth.matrix())))
    replace(dataset, survey=nobody).save_survey(survey)
    without = load_facts(training, survey)
    assert without is not facts
    assert without.truth.n_presences_S.sum() == 0
    assert without.further == {}
    tiny.dataset(rows=80).training.save(training)
    assert load_facts(training, survey).n_records_S.sum() == 80


def test_a_file_of_the_same_size_and_time_is_another(saved):
    """DVC's links and copies may keep both."""
    _, training, survey = saved
    facts, meta = load_facts(training, survey), survey / "meta.json"
    before = meta.stat()
    meta.write_text(meta.read_text().replace("species_0", "species_9"))
    os.utime(meta, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert meta.stat().st_size == before.st_size
    again = load_facts(training, survey)
    assert again is not facts
    assert again.survey.species[0] == "species_9"


def test_a_file_that_is_written_while_it_is_read_is_not_kept(saved, monkeypatch):
    _, training, survey = saved
    load_further = dataset_facts.load_further

    def slow(folder):
        (folder / "meta.json").touch()
        return load_further(folder)

    monkeypatch.setattr(dataset_facts, "load_further", slow)
    assert load_facts(training, survey) is not load_facts(training, survey)


def test_only_the_last_data_set_is_kept(saved, tmp_path):
    dataset, *folders = saved
    facts = load_facts(*folders)
    dataset.training.save(tmp_path / "other" / "training")
    dataset.save_survey(tmp_path / "other" / "survey")
    other = load_facts(tmp_path / "other" / "training", tmp_path / "other" / "survey")
    assert other is not facts
    assert load_facts(*folders) is not facts


def test_a_missing_folder_is_an_error_each_time(tmp_path):
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            load_facts(tmp_path / "training", tmp_path / "survey")
