"""Presences that label propagation added: joined to the records, left out again, and kept beside the survey."""

from dataclasses import replace

import numpy as np
import pytest
from support import tiny

from presence_only.common.errors import DataError
from presence_only.data.added_presences import AddedPresences, recorded_alone
from presence_only.data.summary import explain, summarise
from presence_only.evaluation import dataset_facts
from presence_only.evaluation.observer_effort import records_nearby


@pytest.fixture(scope="module")
def dataset():
    return tiny.dataset()


@pytest.fixture(scope="module")
def added(dataset):
    """Every species that rows 3, 10 and 11 do not have."""
    records = dataset.training.records
    own = {(row, s) for row, s in zip(records.row_P.tolist(), records.species_P.tolist(), strict=True)}
    pairs = [(row, s) for row in (3, 10, 11) for s in range(records.n_species) if (row, s) not in own]
    return AddedPresences(*np.array(pairs).T, np.arange(len(pairs)) % 2 == 0)


def test_joined_and_left_out_again_is_what_was(dataset, added):
    records = dataset.training.records
    joined = added.joined_to(records)
    found = list(zip(joined.row_P.tolist(), joined.species_P.tolist(), strict=True))
    expected = {*zip(records.row_P.tolist(), records.species_P.tolist(), strict=True)}
    expected |= {*zip(added.row_A.tolist(), added.species_A.tolist(), strict=True)}
    assert found == sorted(expected)
    again = added.left_out_of(joined)
    np.testing.assert_array_equal(again.row_P, records.row_P)
    np.testing.assert_array_equal(again.species_P, records.species_P)
    assert added.per_row(records.n_rows).sum() == added.per_species(records.n_species).sum() == len(added)
    assert added.per_row(records.n_rows)[[3, 10, 11]].min() > 0


def test_they_lie_beside_the_survey_and_not_with_the_training_data(dataset, added, tmp_path):
    whole = replace(
        dataset, added=added, training=replace(dataset.training, records=added.joined_to(dataset.training.records))
    )
    whole.training.save(tmp_path / "training")
    whole.save_survey(tmp_path / "survey")
    assert len(list((tmp_path / "training").iterdir())) == 5
    again = AddedPresences.load(tmp_path / "survey")
    for name in ("row_A", "species_A", "true_A"):
        np.testing.assert_array_equal(getattr(again, name), getattr(added, name))
    replace(whole, added=replace(added, true_A=None)).save_survey(tmp_path / "survey")
    assert AddedPresences.load(tmp_path / "survey").true_A is None
    dataset.save_survey(tmp_path / "survey")
    assert AddedPresences.load(tmp_path / "survey") is None
    assert recorded_alone(dataset.training.records, tmp_path / "survey") is dataset.training.records


def test_a_survey_is_written_with_all_that_lies_beside_it_or_not_at_all(dataset, added, tmp_path):
    class Unwritable:
        kind = "unwritable"

        def save(self, folder):
            raise OSError("no space")

    records = added.joined_to(dataset.training.records)
    whole = replace(dataset, added=added, training=replace(dataset.training, records=records))
    for before in (None, whole):
        if before is not None:
            before.save_survey(tmp_path / "survey")
        files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(OSError, match="no space"):
            replace(dataset, further={"mine": Unwritable()}).save_survey(tmp_path / "survey")
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


def test_counts_of_records_and_effort_leave_them_out(dataset, added, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_facts, "_last", None)
    records = dataset.training.records
    whole = replace(dataset, added=added, training=replace(dataset.training, records=added.joined_to(records)))
    assert summarise(whole) == summarise(dataset)
    assert explain(whole) == explain(dataset)
    whole.training.save(tmp_path / "training")
    whole.save_survey(tmp_path / "survey")
    facts = dataset_facts.load_facts(tmp_path / "training", tmp_path / "survey")
    np.testing.assert_array_equal(facts.n_records_S, records.records_per_species())
    effort_M = records_nearby(dataset.survey.sites_M2, records.sites_N2, records.row_P)
    np.testing.assert_array_equal(facts.effort.effort_M, effort_M)


def test_what_cannot_be_is_one_sentence(dataset, added):
    with pytest.raises(DataError, match=r"added presences have shapes \(2,\), \(3,\); they must agree"):
        AddedPresences(np.arange(2), np.arange(3))
    with pytest.raises(DataError, match="must ascend by row and within a row by species, each once"):
        AddedPresences(np.array([1, 1]), np.array([2, 2]))
    with pytest.raises(DataError, match="an added presence is a record already"):
        added.joined_to(added.joined_to(dataset.training.records))
