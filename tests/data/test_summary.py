"""The counts of a data set, and what is told with them."""

from dataclasses import replace

import numpy as np
import pytest
from support import tiny

from presence_only.data.summary import explain, summarise
from presence_only.data.truth import SurveyTruth


def test_a_data_set_is_summed_up():
    dataset = tiny.dataset(rows=50, species=5, per_row=2)
    dataset.survey.truth.matrix()[:10] = -1
    dataset.survey.truth.matrix()[:, 0] = 0
    summary = summarise(dataset)
    assert (summary["species"], summary["rows"], summary["records"]) == (5, 50, 100)
    assert summary["records_per_species_max"] == np.bincount(dataset.training.records.species_P).max()
    assert summary["surveyed_share"] == pytest.approx((40 * 5 + 10) / 250)
    assert summary["species_without_presences"] == 1
    assert summary["prevalence_min"] == 0


def test_a_survey_of_lists_is_summed_up_like_its_matrix():
    dataset = tiny.dataset(species=5)
    truth_MS = dataset.survey.truth.matrix()
    truth_MS[:, 3] = -1
    presences = {s: np.flatnonzero(truth_MS[:, s] == 1) for s in (0, 1, 2, 4)}
    listed = replace(dataset.survey, truth=SurveyTruth.of_presences(50, 5, presences))
    assert summarise(replace(dataset, survey=listed)) == summarise(dataset)


def test_what_is_to_be_known_is_told_only_where_there_is_something():
    plain = tiny.dataset()
    assert explain(plain) == {}
    filters = (("read", 1000), ("coordinates, uncertainty", 900), ("nothing", 900))
    full = replace(plain, filters=filters, notes=("Spatial blocks are no survey.",), facts={"coverage": 0.5})
    assert explain(replace(full, further={"iucn": plain.survey})) == {
        "filters": [
            {"rule": "read", "rows_left": 1000},
            {"rule": "coordinates, uncertainty", "rows_left": 900},
            {"rule": "nothing", "rows_left": 900},
        ],
        "notes": ("Spatial blocks are no survey.",),
        "facts": {"coverage": 0.5},
        "further": {"iucn": "survey"},
    }
