"""Which files of a download are which."""

import pytest

from presence_only.common.errors import DataError
from presence_only.datasets.geoplant.folder import Download, side_of, stem


@pytest.fixture
def folder(tmp_path):
    """Empty files of 2024 and 2026, with what comes beside them."""
    for name in (
        "EnvironmentalValues/Climate/PO-train-bioclimatic.csv",
        "EnvironmentalValues/Climate/PA-train-bioclimatic.csv",
        "EnvironmentalValues/Climate/PA-test-iid-bioclimatic.csv",
        "EnvironmentalValues/HumanFootprint/v1/PO-train-human-footprint.csv",
        "EnvironmentalValues/HumanFootprint/v2/PO-train-human_footprint.csv",
        "EnvironmentalValues/HumanFootprint/v2/PA-test-human_footprint.csv",
        "TimeSeries/GLC24-PO-train-bioclimatic-monthly.csv",
        "SatelliteData/AlphaEarth/PO-train-alphaearth.parquet",
        "PresenceAbsenceSurveys/PA_metadata_train.csv",
        "PresenceAbsenceSurveys/PA_metadata_test_iid.csv",
        "PresenceAbsenceSurveys/PA_metadata_test_ood.csv",
        "PresenceAbsenceSurveys/.PA_metadata_train.csv.swp",
        "__MACOSX/PresenceAbsenceSurveys/PA_metadata_train.csv",
        ".cache/PA_metadata_train.csv",
        "SatelitePatches/PA-train/75/85/PA_metadata_train.csv",
        "PresenceOnlyOccurrences/PO_metadata_train.csv.gz",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return Download.under(str(tmp_path))


def below(folder, path):
    return path.relative_to(folder.root).as_posix()


def test_one_table_follows_a_pattern(folder):
    assert below(folder, folder.one(("*PA*metadata*train*",), "surveys", "surveys_file")).startswith("PresenceAbs")
    assert folder.one(("*P[O0]*metadata*train*",), "records", "records_file").name == "PO_metadata_train.csv.gz"
    several = r"2 files could hold the surveys \(\*PA\*metadata\*test\*\{\.csv,.*PA_metadata_test_iid\.csv, .*_ood\.csv"
    with pytest.raises(DataError, match=several):
        folder.one(("*PA*metadata*test*",), "surveys", "surveys_file")
    with pytest.raises(
        DataError, match=r"no file holds the surveys \(\*Absences\*.*; its tables are .* others\. Unpack"
    ):
        folder.one(("*Absences*",), "surveys", "surveys_file")


@pytest.mark.parametrize(
    ("word", "side", "part", "name"),
    [
        ("bioclimatic", "PO", "train", "Climate/PO-train-bioclimatic.csv"),
        ("Bioclimatic", "PA", "test_iid", "Climate/PA-test-iid-bioclimatic.csv"),
        ("bioclimatic_monthly", "PO", "train", "GLC24-PO-train-bioclimatic-monthly.csv"),
        ("v2/*", "PO", "train", "v2/PO-train-human_footprint.csv"),
        ("*human-footprint", "PO", "train", "v1/PO-train-human-footprint.csv"),
        ("human_footprint", "PA", "test_iid", "v2/PA-test-human_footprint.csv"),
        ("alphaearth", "PO", "train", "AlphaEarth/PO-train-alphaearth.parquet"),
    ],
)
def test_a_word_means_one_table_of_predictors(folder, word, side, part, name):
    assert below(folder, folder.predictor(word, side, part)).endswith(name)


@pytest.mark.parametrize(
    ("word", "side", "part", "sentence"),
    [
        (
            "human_footprint",
            "PO",
            "train",
            r"'human_footprint' means 2 tables of PO-train: .*v1/.*, .*v2/.*; give a pat",
        ),
        (
            "soil",
            "PO",
            "train",
            r"there is no table of predictors 'soil' of PO-train; known of PO-train: alphaearth, bio",
        ),
        ("v3/*", "PA", "train", r"no table follows the pattern 'v3/\*' of PA-train; known of PA-train: bioclimatic$"),
        ("elevation", "PA", "test_ood", r"known of PA-test-ood: human_footprint$"),
    ],
)
def test_no_table_or_several_are_one_sentence(folder, word, side, part, sentence):
    with pytest.raises(DataError, match=sentence):
        folder.predictor(word, side, part)


def test_an_empty_or_missing_folder_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="there is no such folder; it must hold the files of GeoPlant"):
        Download.under(str(tmp_path / "x"))
    with pytest.raises(DataError, match="it holds no table at all"):
        Download.under(str(tmp_path)).one(("*",), "records", "records_file")


def test_names_tell_the_side(tmp_path):
    assert side_of(tmp_path / "GLC24-P0-train-elevation.csv") == "PO"
    assert side_of(tmp_path / "PA_elevation.csv.gz") == "PA"
    assert (
        side_of(tmp_path / "elevation.csv")
        is side_of(tmp_path / "PA_of_PO.csv")
        is side_of(tmp_path / "spa.csv")
        is None
    )
    assert stem(tmp_path / "a.b.csv.gz") == "a.b"
