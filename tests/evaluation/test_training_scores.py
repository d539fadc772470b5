"""Scores at training records and background sites: which records count, and that nothing else is read."""

from dataclasses import replace

import numpy as np
import pytest
from support import tiny

from presence_only.data.records import Background
from presence_only.data.training import TrainingData
from presence_only.evaluation import training_scores as module
from presence_only.evaluation.training_scores import Places, TrainingSites, training_scores
from presence_only.geography.h3_cells import cells_of


def places_by_loops(records):
    found = [set() for _ in records.species]
    cells = cells_of(records.sites_N2, module.CELL_RESOLUTION)
    rows = [[] for _ in records.species]
    for row, species in zip(records.row_P.tolist(), records.species_P.tolist(), strict=True):
        if cells[row] not in found[species]:
            found[species].add(cells[row])
            rows[species].append(row)
    return rows


def crowded():
    """Records of which many share a cell."""
    dataset = tiny.dataset(rows=300, per_row=2)
    records = dataset.training.records
    near = replace(records, sites_N2=np.clip(np.round(records.sites_N2 / 20) * 20, -80, 80) + 0.001)
    return replace(dataset, training=TrainingData(near, dataset.training.background))


def test_a_species_first_record_in_a_cell_counts():
    records = crowded().training.records
    places, expected = Places.of(records), places_by_loops(records)
    for s, rows in enumerate(expected):
        own = places.row_P[places.start_S1[s] : places.start_S1[s + 1]]
        assert sorted(own.tolist()) == sorted(rows)
        assert 0 < len(rows) < records.records_per_species()[s]


@pytest.mark.parametrize("species", [None, [1, 4]])
def test_scores_are_those_of_the_model_at_places_and_background(species):
    dataset = crowded()
    model, records, background = tiny.model(dataset), dataset.training.records, dataset.training.background
    sites = TrainingSites.of(records, background, weeks=False)
    at_rows = model.predict(records.sites_N2, records.covariates_NC)
    at_background = model.predict(background.sites_K2, background.covariates_KC)
    chosen = list(range(5)) if species is None else species
    found = list(training_scores(model, sites, None if species is None else np.array(species)))
    for s, scores in zip(chosen, found, strict=True):
        np.testing.assert_allclose(scores.places_P, np.sort(at_rows[places_by_loops(records)[s], s]), atol=1e-5)
        np.testing.assert_allclose(scores.background_K, np.sort(at_background[:, s]), atol=1e-5)


def test_background_of_other_groups_does_not_count():
    dataset = tiny.dataset(groups=("a", "a", "b", "b", "c"))
    groups_K = tuple("ab"[k % 2] if k < 30 else "" for k in range(40))
    background = replace(dataset.training.background, groups_K=groups_K)
    model = tiny.model(dataset)
    sites = TrainingSites.of(dataset.training.records, background, weeks=False)
    at_background = model.predict(background.sites_K2, background.covariates_KC)
    for s, scores in enumerate(training_scores(model, sites)):
        own = [k for k, group in enumerate(groups_K) if group in ("aabbc"[s], "")]
        np.testing.assert_allclose(scores.background_K, np.sort(at_background[own, s]), atol=1e-5)


@pytest.mark.parametrize("weeks", [False, True])
def test_weeks_count_where_the_survey_has_them(weeks):
    dataset = tiny.dataset()
    records, background = dataset.training.records, dataset.training.background
    with_weeks = TrainingData(
        replace(records, week_N=np.arange(60) % 48 + 1), replace(background, week_K=np.arange(40) % 48 + 1)
    )
    model = tiny.model(replace(dataset, training=with_weeks), weeks=True)
    sites = TrainingSites.of(with_weeks.records, with_weeks.background, weeks=weeks)
    week_N, week_K = (with_weeks.records.week_N, with_weeks.background.week_K) if weeks else (None, None)
    at_rows = model.predict(records.sites_N2, records.covariates_NC, week_N)
    at_background = model.predict(background.sites_K2, background.covariates_KC, week_K)
    for s, scores in enumerate(training_scores(model, sites)):
        np.testing.assert_allclose(scores.places_P, np.sort(at_rows[places_by_loops(records)[s], s]), atol=1e-5)
        np.testing.assert_allclose(scores.background_K, np.sort(at_background[:, s]), atol=1e-5)


def test_of_many_places_and_background_sites_some_are_drawn_and_always_the_same(monkeypatch):
    for name, number in (("MOST_PLACES", 5), ("FEWEST_PLACES", 7), ("MOST_BACKGROUND", 5), ("FEWEST_BACKGROUND", 11)):
        monkeypatch.setattr(module, name, number)
    dataset = tiny.dataset(rows=300)
    one, two = (TrainingSites.of(dataset.training.records, dataset.training.background, weeks=False) for _ in range(2))
    assert np.diff(one.start_S1).tolist() == [7] * 5
    np.testing.assert_array_equal(one.sites_R2, two.sites_R2)
    assert len(one.background.sites_K2) == 11
    known = {tuple(site) for site in dataset.training.background.sites_K2.tolist()}
    assert {tuple(site) for site in one.background.sites_K2.tolist()} < known
    for scores in training_scores(tiny.model(dataset), one):
        assert (len(scores.places_P), len(scores.background_K)) == (7, 11)


def test_rows_that_are_read_from_files_are_those_of_the_records(tmp_path):
    dataset = crowded()
    weeks = TrainingData(
        replace(dataset.training.records, week_N=np.arange(300) % 48 + 1),
        Background("uniform", np.zeros((3, 2)), np.zeros((3, 2), np.float32), None, np.array([1, 2, 3])),
    )
    weeks.save(tmp_path / "training")
    row_R = np.array([0, 5, 6, 299])
    sites_R2, covariates_RC, week_R = TrainingData.load_rows(tmp_path / "training", row_R)
    np.testing.assert_array_equal(sites_R2, weeks.records.sites_N2[row_R])
    np.testing.assert_array_equal(covariates_RC, weeks.records.covariates_NC[row_R])
    np.testing.assert_array_equal(week_R, weeks.records.week_N[row_R])
    again = TrainingData.load_background(tmp_path / "training")
    np.testing.assert_array_equal(again.week_K, [1, 2, 3])
