"""Virtual species as checklists that receive labels: what was added, and how much of it is true in the world."""

import hashlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from presence_only.datasets import build_dataset, parse_dataset, virtual
from presence_only.datasets.virtual import niches
from presence_only.geography.h3_cells import cells_of, centres_of
from presence_only.geography.sphere import EARTH_RADIUS_KM, unit_vectors
from presence_only.occurrences import propagation_truth

SMALL = {
    "kind": "virtual",
    "species": 60,
    "records": 6000,
    "background_sites": 200,
    "survey_resolution": 1,
    "groups": 2,
}
CHECKLISTS = SMALL | {"rows": "checklists", "checklist_resolution": 3}
RULE = {"min_species": 4, "cap_km": 800.0}


pytestmark = pytest.mark.usefixtures("fewer_places")


def build(raw, **changes):
    return build_dataset(parse_dataset(raw | changes, "datasets.virtual"))


@pytest.fixture(scope="module")
def plain():
    return build(SMALL)


@pytest.fixture(scope="module")
def checklists():
    return build(CHECKLISTS)


@pytest.fixture(scope="module")
def propagated():
    return build(CHECKLISTS, propagation=RULE)


@pytest.fixture(scope="module")
def truth(checklists):
    """Where every species is in truth, at the rows: straight from the world, shape (rows, 60)."""
    landscape, _, world = virtual.create(parse_dataset(SMALL, "datasets.virtual"))
    sites = landscape.describe(checklists.training.records.sites_N2)
    return np.stack([world.log_suitability(sites, s) >= -niches.EDGE for s in range(60)], axis=1)


def test_checklists_hold_the_records_of_the_same_world(plain, checklists):
    records, rows = plain.training.records, checklists.training.records
    cells = cells_of(records.sites_N2, 3)
    expected = {(cell, s) for cell, s in zip(cells.tolist(), records.species_P.tolist(), strict=True)}
    row_cells = cells_of(rows.sites_N2, 3)
    assert_array_equal(rows.sites_N2, centres_of(row_cells))
    assert len(rows.row_P) == len(expected)
    assert {(row_cells[row], s) for row, s in zip(rows.row_P, rows.species_P.tolist(), strict=True)} == expected
    assert (rows.species, rows.groups) == (records.species, records.groups)
    assert checklists.filters == (("recorded", 6000), ("species once a cell (checklists)", len(expected)))
    assert plain.filters == ()
    assert_array_equal(plain.survey.truth.matrix(), checklists.survey.truth.matrix())
    assert_array_equal(plain.training.background.sites_K2, checklists.training.background.sites_K2)


def test_how_much_of_what_was_added_is_true(checklists, propagated, truth):
    added, rows = propagated.added, checklists.training.records
    assert len(added) > 500
    assert_array_equal(added.true_A, truth[added.row_A, added.species_A])
    facts = propagated.facts
    true_share = sum(bool(truth[i, s]) for i, s in zip(added.row_A, added.species_A, strict=True)) / len(added)
    assert facts["propagation_added_true_share"] == pytest.approx(true_share, abs=1e-4)
    assert 0.1 < true_share < 1
    recorded = np.mean([truth[i, s] for i, s in zip(rows.row_P, rows.species_P, strict=True)])
    assert facts["propagation_recorded_true_share"] == pytest.approx(recorded, abs=1e-4)
    assert recorded > true_share


@pytest.mark.parametrize("most", [None, 40])
def test_what_chance_would_have_been_true(checklists, propagated, truth, most, monkeypatch):
    rows, added, facts = checklists.training.records, propagated.added, propagated.facts
    received, counts = np.unique(added.row_A, return_counts=True)
    assert len(received) > 100
    if most is not None:
        monkeypatch.setattr(propagation_truth, "MOST_ROWS", most)
        _, facts = propagation_truth.compare_with_truth(rows, added, lambda s: truth[:, s], 800.0)
        taken = [int(step * (len(received) - 1) / 39) for step in range(40)]
        received, counts = received[taken], counts[taken]
    vectors = unit_vectors(rows.sites_N2)
    own = np.zeros((rows.n_rows, 60), dtype=bool)
    own[rows.row_P, rows.species_P] = True
    expected = 0.0
    for row, n in zip(received, counts, strict=True):
        km = EARTH_RADIUS_KM * np.arccos(np.clip(vectors @ vectors[row], -1, 1))
        candidates = [s for s in range(60) if not own[row, s] and km[own[:, s]].min() <= 800.0]
        expected += n * np.mean([truth[row, s] for s in candidates])
    assert facts["propagation_chance_true_share"] == pytest.approx(expected / counts.sum(), abs=1e-4)


def test_only_the_training_rows_change(checklists, propagated):
    assert_array_equal(propagated.recorded.row_P, checklists.training.records.row_P)
    assert_array_equal(propagated.recorded.species_P, checklists.training.records.species_P)
    assert_array_equal(propagated.survey.truth.matrix(), checklists.survey.truth.matrix())
    assert_array_equal(propagated.training.background.sites_K2, checklists.training.background.sites_K2)
    assert propagated.filters == checklists.filters
    assert len(propagated.notes) == 1
    assert checklists.added is None


def test_the_same_settings_give_the_same_bytes(propagated, tmp_path):
    digests = []
    for dataset, name in ((propagated, "one"), (build(CHECKLISTS, propagation=RULE), "two")):
        dataset.training.save(tmp_path / name / "training")
        dataset.save_survey(tmp_path / name / "survey")
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        digests.append([(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files])
    assert digests[0] == digests[1]
    assert "added_presences.parquet" in dict(digests[0])


def test_where_nothing_is_added_no_share_is_given():
    dataset = build(CHECKLISTS, propagation=RULE | {"min_species": 1000})
    assert len(dataset.added) == len(dataset.added.true_A) == 0
    assert dataset.facts["propagation_presences_added"] == 0
    assert not [name for name in dataset.facts if name.endswith("true_share")]
    assert "Label propagation added nothing: only rows with at least 1000 species give" in dataset.notes[0]
