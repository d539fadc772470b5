"""What a report takes from the files of its study."""

import os

import numpy as np
import polars as pl
import pytest
from support.report_files import MAPPED, VARIANTS, write_report_files

from presence_only.common.errors import DataError
from presence_only.data.added_presences import AddedPresences
from presence_only.data.training import TrainingData
from presence_only.reporting.map_page.packs import DESCRIPTION_FILE, write_description
from presence_only.reporting.report.collect import dataset_content, page_content
from presence_only.study.paths import DESCRIPTION, PAIRS, CellFiles, DatasetFiles, added_map
from presence_only.study.results import MissingResultsError, StudyResults


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_report_files()


def test_a_data_set_is_shown_by_its_own_files(study):
    data, scores = study
    found = dataset_content(StudyResults(), "virtual")
    assert found.pairs == StudyResults().pairs("virtual")
    assert found.losses["bce"] == pytest.approx([0.7, 0.55])
    assert found.probes == {}
    assert found.records_png is None
    assert found.added_png is None
    np.testing.assert_array_equal(found.records_S, data.training.records.records_per_species())
    # Every record lies near a site of its own, so that as many are counted somewhere.
    assert found.effort_M.sum() > 0
    assert [own.species for own in found.maps] == [data.survey.species[s] for s in MAPPED]
    for own, s in zip(found.maps, MAPPED, strict=True):
        np.testing.assert_array_equal(own.truth_M, data.survey.truth.matrix()[:, s])
        assert own.prevalence == (data.survey.truth.matrix()[:, s] == 1).mean()
        assert own.scores.keys() == own.ap.keys() == set(VARIANTS)
        for variant in VARIANTS:
            np.testing.assert_array_equal(own.scores[variant], scores[variant][:, s])
            assert own.ap[variant] == StudyResults().values("virtual", variant)[0, s]


def test_the_newest_map_page_of_the_data_set_is_known_by_what_it_says_it_is(study, tmp_path):
    def make(folder, title, time):
        file = tmp_path / folder / "data" / DESCRIPTION_FILE
        file.parent.mkdir(parents=True)
        write_description(file, {"title": title})
        os.utime(file, (time, time))

    assert dataset_content(StudyResults(), "virtual").map_page is None
    make("map_page_other", "other", 3)
    make("map_page_damaged", "virtual", 4)
    (tmp_path / "map_page_damaged/data" / DESCRIPTION_FILE).write_text("presenceOnlyMap({")
    assert dataset_content(StudyResults(), "virtual").map_page is None
    make("map_page", "virtual", 2)
    make("map_page of é", "virtual", 1)
    assert dataset_content(StudyResults(), "virtual").map_page == "../map_page/index.html"
    os.utime(tmp_path / "map_page of é/data" / DESCRIPTION_FILE, (5, 5))
    assert dataset_content(StudyResults(), "virtual").map_page == "../map_page%20of%20%C3%A9/index.html"


def test_what_was_added_is_no_record_and_has_its_map(study):
    data, _ = study
    records, files = data.training.records, DatasetFiles("virtual")
    missing = next(s for s in range(5) if s not in records.species_P[records.row_P == 7])
    added = AddedPresences(np.array([7]), np.array([missing]))
    TrainingData(added.joined_to(records), data.training.background).save(files.training)
    added.save(files.survey)
    added_map("virtual").parent.mkdir(parents=True)
    added_map("virtual").write_bytes(b"a map")
    found = dataset_content(StudyResults(), "virtual")
    np.testing.assert_array_equal(found.records_S, records.records_per_species())
    assert found.added_png == b"a map"


def test_curves_are_those_that_were_kept(study):
    points = pl.DataFrame([{"seed": 0, "curve": "precision_recall", "x": 0.5, "y": 0.25, "n": 5}])
    for kept in (VARIANTS[:1], VARIANTS):
        for variant in kept:
            path = CellFiles("virtual", variant).curves
            path.parent.mkdir(parents=True, exist_ok=True)
            points.write_parquet(path)
        curves = dataset_content(StudyResults(), "virtual").curves
        assert curves["precision_recall"].keys() == set(kept)
        assert curves["calibration"] == {}


def test_the_page_has_the_settings_in_words_and_the_penalties(study):
    page = page_content(StudyResults())
    assert page.settings.keys() == set(VARIANTS)
    assert page.settings["bce"].startswith("loss bce")
    assert page.common["seeds"] == "0, 1"
    assert page.penalties["penalty"].unique().to_list() == ["bce, an_full"]
    assert page.versions.keys() > {"Python", "torch"}


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        (PAIRS, "`results/pairs.csv` is not there; `make study` makes it"),
        (
            CellFiles("virtual", "bce").maps,
            "`results/maps/virtual/bce.parquet` is not there; `make study` makes it",
        ),
    ],
    ids=str,
)
def test_a_file_that_is_missing_is_one_sentence(study, path, sentence):
    path.unlink()
    with pytest.raises(MissingResultsError) as error:
        page_content(StudyResults())
    assert str(error.value) == sentence


def test_a_folder_that_lacks_a_file_was_altered(study):
    DESCRIPTION.unlink()
    with pytest.raises(DataError, match=r"results/description: was altered .*; `make study` makes it again"):
        page_content(StudyResults())
