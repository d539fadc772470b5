"""Held-out cells of a virtual world against a twin built record by record, and what they leave as it was."""

import h3
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from presence_only.common.errors import DataError
from presence_only.common.matrices import as_matrix
from presence_only.common.settings import SettingsError
from presence_only.data.truth import ABSENT, PRESENT
from presence_only.datasets import build_dataset, parse_dataset
from presence_only.datasets.virtual import dataset as dataset_module
from presence_only.datasets.virtual.held_out import HeldOutCells, hold_out
from presence_only.evaluation.tasks import load_further
from presence_only.geography.earth import Earth
from presence_only.geography.h3_cells import all_cells, cells_of

SMALL = {
    "kind": "virtual",
    "species": 60,
    "records": 2000,
    "background_sites": 400,
    "survey_resolution": 1,
    "held_out_resolution": 2,
    "checklist_resolution": 4,
}
HELD = SMALL | {"held_out_cells": 0.3}
SURVEYED = {"survey_resolution": SMALL["survey_resolution"]}


pytestmark = pytest.mark.usefixtures("fewer_places")


def build(raw, **changes):
    return build_dataset(parse_dataset(raw | changes, "datasets.virtual"))


@pytest.fixture(scope="module")
def whole():
    return build({name: value for name, value in SMALL.items() if not name.endswith("_resolution")} | SURVEYED)


@pytest.fixture(scope="module")
def dataset():
    return build(HELD)


@pytest.fixture(scope="module")
def cells():
    """The held-out cells, as h3 writes them in text."""
    generator = dataset_module.numpy_stream(0, "held_out_cells")
    drawn = HeldOutCells.drawn(0.3, 2, 4, generator).cells_U
    return {h3.int_to_str(int(cell)) for cell in drawn}


def small_cell(site):
    return h3.latlng_to_cell(site[1], site[0], 4)


def is_held_out(site, cells):
    return h3.cell_to_parent(small_cell(site), 2) in cells


@pytest.fixture(scope="module")
def twin(whole, cells):
    """Training records and the survey's presences, from the records of the whole data set, one after another."""
    records = whole.training.records
    pairs = [(tuple(site), int(s)) for site, s in zip(records.sites_N2, records.species_P, strict=True)]
    outside = {s for site, s in pairs if not is_held_out(site, cells)}
    trained, present, visited, kept = [], {}, set(), set()
    for site, s in pairs:
        first_of_a_species_without_others = s not in outside and s not in kept
        if not is_held_out(site, cells) or first_of_a_species_without_others:
            trained.append((site, s))
            kept.add(s)
        else:
            visited.add(small_cell(site))
            present.setdefault(small_cell(site), set()).add(s)
    return trained, present, visited, outside


def test_a_share_of_all_cells_of_the_earth_is_drawn(cells):
    assert len(all_cells(2)) == h3.get_num_cells(2) == len(set(all_cells(2).tolist()))
    assert len(cells) == round(0.3 * h3.get_num_cells(2))
    fewer = HeldOutCells.drawn(0.1, 2, 4, dataset_module.numpy_stream(0, "held_out_cells")).cells_U
    assert {h3.int_to_str(int(cell)) for cell in fewer} < cells


def test_training_and_survey_are_those_of_the_twin(dataset, twin):
    trained, present, visited, outside = twin
    records, survey = dataset.training.records, dataset.further["held_out_cells"]
    assert [(tuple(site), s) for site, s in zip(records.sites_N2, records.species_P.tolist(), strict=True)] == trained
    assert survey.species == tuple(records.species[s] for s in sorted(outside))
    names = [small_cell(site) for site in survey.sites_M2]
    assert sorted(names) == names
    assert set(names) == visited
    truth = survey.truth.matrix()
    for m, name in enumerate(names):
        latitude, longitude = h3.cell_to_latlng(name)
        assert_allclose(survey.sites_M2[m], (longitude, latitude))
        for q, s in enumerate(sorted(outside)):
            assert truth[m, q] == (PRESENT if s in present.get(name, ()) else ABSENT)
    assert_array_equal(survey.covariates_MC, Earth.load().sample(survey.sites_M2))


def test_no_record_and_no_background_site_of_a_held_out_cell_is_trained_on(dataset, twin, cells, whole):
    kept = [s for site, s in twin[0] if is_held_out(site, cells)]
    # One record each of the species that have none elsewhere.
    assert sorted(kept) == sorted(set(range(60)) - twin[3])
    background = [tuple(site) for site in whole.training.background.sites_K2]
    expected = [site for site in background if not is_held_out(site, cells)]
    assert [tuple(site) for site in dataset.training.background.sites_K2] == expected
    assert 0.15 < 1 - len(expected) / 400 < 0.45


def test_the_counts_and_the_note(dataset, twin):
    n_held = 2000 - len(twin[0])
    assert dataset.filters == (("recorded", 2000), ("outside of held-out cells", 2000 - n_held))
    assert dataset.facts == {
        "held_out_records": n_held,
        "held_out_species_not_asked": 60 - len(twin[3]),
        "held_out_background_sites": 400 - len(dataset.training.background.sites_K2),
    }
    assert "as biased as the training records" in dataset.notes[0]


def test_the_world_and_its_survey_stay_as_they_are(dataset, whole):
    assert_array_equal(dataset.survey.truth.matrix(), whole.survey.truth.matrix())
    assert dataset.training.records.species == whole.training.records.species
    assert whole.further == {}


def test_a_species_recorded_in_held_out_cells_alone_keeps_its_first_record(cells):
    inside = [h3.cell_to_latlng(h3.cell_to_center_child(cell, 4))[::-1] for cell in sorted(cells)[:3]]
    others = sorted(set(map(h3.int_to_str, map(int, all_cells(2)))) - cells)[:2]
    outside = [h3.cell_to_latlng(h3.cell_to_center_child(cell, 4))[::-1] for cell in others]
    sites = np.array([inside[0], outside[0], inside[1], inside[2], outside[1], inside[0]])
    species = np.array([0, 1, 1, 0, 2, 0])
    held_cells = HeldOutCells(np.array(sorted(map(h3.str_to_int, cells)), dtype=np.uint64), 2, 4)
    earth = Earth.load()
    held = hold_out(held_cells, sites, species, ("a", "b", "c"), sample=earth.sample, covariate_names=earth.names)
    # Records 3 and 5 of species 0 leave, record 0 stays; nobody asks about the species, though its cells were visited.
    assert held.held_N.tolist() == [False, False, True, True, False, True]
    assert held.survey.species == ("b", "c")
    assert held.survey.truth.shape == (3, 2)
    assert held.survey.truth.presences_per_species().tolist() == [1, 0]


def test_checklists_are_held_out_as_a_whole(cells):
    rows = build(HELD, rows="checklists")
    plain = build(HELD)
    alone = plain.training.records
    pairs = set(zip(cells_of(alone.sites_N2, 4).tolist(), alone.species_P.tolist(), strict=True))
    records = rows.training.records
    row_cells = cells_of(records.sites_N2, 4)
    assert {(int(row_cells[n]), int(s)) for n, s in zip(records.row_P, records.species_P, strict=True)} == pairs
    assert_array_equal(rows.further["held_out_cells"].truth.matrix(), plain.further["held_out_cells"].truth.matrix())
    assert [rule for rule, _ in rows.filters] == [
        "recorded",
        "outside of held-out cells",
        "species once a cell (checklists)",
    ]


def test_propagation_adds_nothing_to_the_survey_and_works_on_the_rows_that_are_left():
    rows = build(HELD, rows="checklists", checklist_resolution=3)
    propagated = build(HELD, rows="checklists", checklist_resolution=3, propagation={"min_species": 3, "cap_km": 800.0})
    assert len(propagated.added) > 0
    assert_array_equal(propagated.recorded.species_P, rows.training.records.species_P)
    assert_array_equal(
        propagated.further["held_out_cells"].truth.matrix(), rows.further["held_out_cells"].truth.matrix()
    )


def test_the_background_of_a_target_group_avoids_held_out_cells_too(cells):
    background = build(HELD, background="target_group", groups=2).training.background
    assert len(background.groups_K) == len(background.sites_K2) > 300
    assert not any(is_held_out(site, cells) for site in background.sites_K2)


def test_a_cap_counts_the_records_that_are_left(dataset):
    capped = build(HELD, cap=20)
    assert_array_equal(
        capped.training.records.records_per_species(),
        np.minimum(dataset.training.records.records_per_species(), 20),
    )
    assert_array_equal(
        capped.further["held_out_cells"].truth.matrix(), dataset.further["held_out_cells"].truth.matrix()
    )


class _Oracle:
    """Scores a site by whether a species was recorded there."""

    def __init__(self, survey, vocabulary):
        place = [vocabulary.index(name) for name in survey.species]
        self.logits_MS = np.zeros((len(survey.sites_M2), len(vocabulary)), dtype=np.float32)
        self.logits_MS[:, place] = survey.truth.matrix()

    def scores(self, sites_M2, covariates_MC, week_M=None, species_Q=None):
        return as_matrix(self.logits_MS if species_Q is None else self.logits_MS[:, species_Q])


def test_it_is_saved_and_scored_as_a_further_survey(dataset, tmp_path):
    dataset.save_survey(tmp_path / "survey")
    task = load_further(tmp_path / "survey")["held_out_cells"]
    vocabulary, survey = dataset.training.records.species, dataset.further["held_out_cells"]
    numbers = task.score(_Oracle(survey, vocabulary), vocabulary)
    presences = dict(zip(survey.species, survey.truth.presences_per_species(), strict=True))
    expected = [1.0 if presences.get(name, 0) else np.nan for name in vocabulary]
    assert_array_equal(numbers["species_map"], expected)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"held_out_cells": 0.6}, r"x\.held_out_cells = 0\.6: must be less than or equal to 0\.5"),
        (
            {"held_out_cells": 0.1, "checklist_resolution": 2},
            r"x: must be settings with held_out_resolution at most checklist_resolution, which is 2, ",
        ),
    ],
)
def test_wrong_settings_are_one_sentence(setting, sentence):
    with pytest.raises(SettingsError, match=f"^{sentence}"):
        parse_dataset({"kind": "virtual"} | setting, "x")


def test_a_share_too_small_to_hold_a_record_is_refused():
    with pytest.raises(DataError, match=r"^held_out_cells: none of the 60 records lie within the 0 held-out cells"):
        build(SMALL, species=60, records=60, held_out_cells=1e-5)
