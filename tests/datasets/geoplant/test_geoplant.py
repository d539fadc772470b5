"""GeoPlant's layouts of 2023 to 2026, written here as published, against what plain loops over the same rows say."""

import gzip
import zipfile

import numpy as np
import pytest
from support.geoplant import COLUMNS, RECORDS, SURVEYS, kind, predictor_path, write_download, write_table

from presence_only.common.errors import DataError
from presence_only.common.settings import SettingsError
from presence_only.datasets import build_dataset, parse_dataset
from presence_only.tables import text_blocks

YEARS = (2023, 2024, 2025, 2026)
ALL = list(COLUMNS)
NAMES = tuple(name for names in COLUMNS.values() for name in names)


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    """A folder and what it says, per year."""
    made = {}
    for year in YEARS:
        folder = tmp_path_factory.mktemp(f"glc{year}")
        made[year] = folder, write_download(folder, year)
    return made


def build(folder, **settings):
    return build_dataset(parse_dataset(kind(folder, **settings), "datasets.x"))


def presences(survey):
    """Species found and species surveyed, by site in degrees."""
    matrix = survey.truth.matrix()
    found = {}
    for site, row in zip(survey.sites_M2.tolist(), matrix, strict=True):
        found[tuple(site)] = {name for name, value in zip(survey.species, row, strict=True) if value == 1}
    return found


@pytest.mark.parametrize("year", YEARS)
def test_records_are_those_of_the_file(downloads, year):
    folder, said = downloads[year]
    records = build(folder).training.records
    expected = sorted((longitude, latitude, name) for _, longitude, latitude, name, _ in said.records)
    sites = records.sites_N2[records.row_P].tolist()
    names = [records.species[s] for s in records.species_P]
    assert sorted((*site, name) for site, name in zip(sites, names, strict=True)) == expected
    assert set(records.groups) == {"plants"}


@pytest.mark.parametrize("year", YEARS)
def test_surveys_are_the_truth(downloads, year):
    folder, said = downloads[year]
    dataset = build(folder)
    known = set(dataset.training.records.species)
    expected = {(x, y): names & known for x, y, _, names in said.surveys["train"].values()}
    assert presences(dataset.survey) == expected
    matrix = dataset.survey.truth.matrix()
    looked_for = {name for *_, names in said.surveys["train"].values() for name in names}
    for name, column in zip(dataset.survey.species, matrix.T, strict=True):
        assert ((column >= 0).all() and (column == 0).any()) == (name in looked_for)
    assert dataset.facts["survey_rows"] == sum(len(names) for *_, names in said.surveys["train"].values())


def test_weeks_are_those_of_records_and_of_surveys_with_dates(downloads):
    folder, said = downloads[2023]
    dataset = build(folder, weeks=True)
    months = {(x, y): month for x, y, month, _ in said.surveys["train"].values()}
    weeks = dict(zip(map(tuple, dataset.survey.sites_M2.tolist()), dataset.survey.week_M, strict=True))
    assert {site: (week - 1) // 4 + 1 for site, week in weeks.items()} == months
    records = dataset.training.records
    expected = {(x, y): month for _, x, y, _, month in said.records}
    weeks = dict(zip(map(tuple, records.sites_N2.tolist()), records.week_N, strict=True))
    assert {site: (week - 1) // 4 + 1 for site, week in weeks.items()} == expected


@pytest.mark.parametrize("year", YEARS[1:])
def test_surveys_without_dates_hold_for_any_week(downloads, year):
    folder, said = downloads[year]
    dataset = build(folder, weeks=True)
    assert dataset.survey.week_M is None
    assert any("no dates" in note for note in dataset.notes)
    records = dataset.training.records
    months = {(x, y): month for _, x, y, _, month in said.records}
    weeks = dict(zip(map(tuple, records.sites_N2.tolist()), records.week_N, strict=True))
    assert {site: (week - 1) // 4 + 1 for site, week in weeks.items()} == months


@pytest.mark.parametrize("year", YEARS[1:])
def test_predictors_are_joined_by_the_ids_of_their_side(downloads, year):
    folder, said = downloads[year]
    dataset = build(folder, predictors=ALL)
    records, survey = dataset.training.records, dataset.survey
    assert records.covariate_names == survey.covariate_names == NAMES
    expected = {(x, y): said.predictors["PO"][visit] for visit, x, y, *_ in said.records}
    for site, row in zip(records.sites_N2.tolist(), records.covariates_NC, strict=True):
        assert row.tolist() == [np.float32(expected[tuple(site)][name]) for name in NAMES]
    expected = {(x, y): said.predictors["train"][i] for i, (x, y, *_) in said.surveys["train"].items()}
    for site, row in zip(survey.sites_M2.tolist(), survey.covariates_MC, strict=True):
        assert row.tolist() == [np.float32(expected[tuple(site)][name]) for name in NAMES]
    background = dataset.training.background
    values = {tuple(site): tuple(row) for site, row in zip(records.sites_N2, records.covariates_NC, strict=True)}
    assert background.kind == "target_group"
    for site, row in zip(background.sites_K2[:500], background.covariates_KC[:500], strict=True):
        assert values[tuple(site)] == tuple(row)
    assert dataset.facts["records_without_predictors"] == dataset.facts["surveys_without_predictors"] == 0


@pytest.mark.parametrize("part", ["test_iid", "test_ood"])
def test_test_surveys_of_2026_have_their_species_in_a_table_of_labels(downloads, part):
    folder, said = downloads[2026]
    dataset = build(folder, truth=part, predictors=["elevation", "human_footprint"])
    known = set(dataset.training.records.species)
    assert presences(dataset.survey) == {(x, y): names & known for x, y, _, names in said.surveys[part].values()}
    expected = {(x, y): said.predictors[part][i]["Elevation"] for i, (x, y, *_) in said.surveys[part].items()}
    for site, row in zip(dataset.survey.sites_M2.tolist(), dataset.survey.covariates_MC, strict=True):
        assert row[0] == np.float32(expected[tuple(site)])


def test_a_table_of_test_surveys_may_name_the_species_itself(downloads, tmp_path):
    write_download(tmp_path, 2026, predictors=False)
    header = ["lon", "lat", "speciesId", "surveyId"]
    rows = [[1.5, 50, "17.0", 1], [1.5, 50, "330.0", 1], [2, 51, "643.0", 2]]
    write_table(tmp_path / "PresenceAbsenceSurveys" / "PA_metadata_test_iid.csv", [header, *rows])
    assert presences(build(tmp_path, truth="test_iid").survey) == {(1.5, 50): {"17", "330"}, (2, 51): {"643"}}


@pytest.mark.parametrize("year", [2024, 2025])
def test_test_surveys_without_species_are_no_truth(downloads, year):
    folder, _ = downloads[year]
    with pytest.raises(DataError, match=r"PA_metadata_test\.csv: has no column 'speciesId' with species: it says what"):
        build(folder, truth="test")


def test_surveys_are_chosen_by_country_region_and_area(downloads):
    folder, said = downloads[2025]
    surveys = list(said.surveys["train"].items())
    site = {i: (x, y) for i, (x, y, *_) in surveys}
    # Every other survey is of Denmark, and every fourth has 100 square metres, but for rows that disagree.
    denmark = {site[i] for place, (i, _) in enumerate(surveys) if place % 2 == 1}
    assert set(presences(build(folder, survey_countries=["denmark"]).survey)) == denmark
    assert set(presences(build(folder, survey_regions=["ATLANTIC"]).survey)) == denmark
    exact = {
        site[i]
        for place, (i, (*_, names)) in enumerate(surveys)
        if place % 4 == 0 and not (place % 8 == 0 and len(names) > 1)
    }
    dataset = build(folder, survey_area_m2=[100, 1000])
    assert set(presences(dataset.survey)) == exact
    several = sum(place % 8 == 0 and len(names) > 1 for place, (_, (*_, names)) in enumerate(surveys))
    assert dataset.facts["surveys_with_several_areas"] == several
    with pytest.raises(DataError, match=r"survey_countries: no survey has the country 'Spain'; they have Denmark, Fr"):
        build(folder, survey_countries=["Spain"])


def test_rows_of_a_survey_that_disagree_in_place_leave_it_out_and_every_row_is_counted(tmp_path):
    said = write_download(tmp_path, 2025, predictors=False)
    rows = [
        ["1.0", "45", 17, 1],
        ["1.000001", "45", 330, 1],
        ["2", "46", 17, 2],
        ["2.1", "46", 330, 2],
        ["3", "47", "", 3],
        ["4", "48", 330, ""],
        ["5", "49", 17.0, 5],
        ["5", "49", 17, "5.0"],
        ["5,5", "49", 17, 6],
        ["7", "NA", 17, 7],
    ]
    write_table(tmp_path / SURVEYS[2025], [["lon", "lat", "speciesId", "surveyId"], *rows])
    dataset = build(tmp_path)
    assert presences(dataset.survey) == {(1, 45): {"17", "330"}, (3, 47): set(), (5, 49): {"17"}}
    assert dataset.survey_filters[:4] == (
        ("surveys read", 6),
        ("rows agree in place", 5),
        ("surveys", 5),
        ("coordinates given and possible", 3),
    )
    facts = dataset.facts
    assert (facts["survey_rows"], facts["survey_rows_without_id"], facts["survey_rows_without_species"]) == (10, 1, 1)
    assert facts["survey_rows_repeated"] == 1
    assert any("'longitude 5,5, latitude 49' (1)" in note for note in dataset.notes)
    assert said.records


def test_repeated_visits_are_kept_or_merged(tmp_path):
    write_download(tmp_path, 2025, predictors=False)
    rows = [["1", "45", 17, 1], ["1", "45", 330, 2], ["2", "46", 643, 3]]
    write_table(tmp_path / SURVEYS[2025], [["lon", "lat", "speciesId", "surveyId"], *rows])
    assert len(build(tmp_path).survey.sites_M2) == 3
    merged = build(tmp_path, repeated_visits="merge").survey
    assert presences(merged) == {(1, 45): {"17", "330"}, (2, 46): {"643"}}


def test_rasters_give_covariates_anywhere_and_stand_before_predictors(downloads):
    folder, _ = downloads[2025]
    settings = kind(folder, environment="earth")
    dataset = build_dataset(parse_dataset(settings, "datasets.x"))
    sample = parse_dataset(settings, "datasets.x").covariate_source()
    records = dataset.training.records
    np.testing.assert_array_equal(records.covariates_NC, sample(records.sites_N2))
    uniform = build(folder, environment="earth", background="uniform", background_sites=50).training.background
    np.testing.assert_array_equal(uniform.covariates_KC, sample(uniform.sites_K2))
    both = build(folder, environment="earth", predictors=["elevation"])
    assert both.training.records.covariate_names == (*records.covariate_names, "Elevation")
    np.testing.assert_array_equal(both.survey.covariates_MC[:, :-1], sample(both.survey.sites_M2))
    with pytest.raises(DataError, match="predictors are known at the places of records and surveys alone"):
        parse_dataset(kind(folder, predictors=["elevation"]), "datasets.x").covariate_source()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"background": "uniform"}, "background 'target_group', as predictors are known at the records and surveys"),
        ({"rows": "checklists"}, "rows 'records', as predictors belong to single records"),
        ({"sea": "drop", "environment": "earth"}, "sea is keep or nearest, as predictors are given"),
        ({"predictors": ["elevation", "elevation"]}, "each of the predictors once"),
        ({"evaluation": {"folds": 3}}, "truth 'evaluation', as evaluation is given; truth is 'train'"),
        ({"truth": "evaluation"}, "settings without predictors, as truth is 'evaluation'"),
        ({"truth": "Test"}, r"truth = 'Test': must be lower-case letters"),
        ({"predictors": [{"records": "a.csv"}]}, r"predictors = .*: must be names or patterns of tables, or pairs"),
        ({"predictors": [3]}, "3 is neither"),
        ({"survey_area_m2": [5]}, "a list of two areas in square metres"),
        ({"survey_area_m2": [5, 1]}, "the least and the most area"),
    ],
)
def test_what_cannot_be_is_one_sentence(settings, sentence):
    with pytest.raises(SettingsError, match=sentence):
        parse_dataset(kind("x", predictors=settings.pop("predictors", ["elevation"]), **settings), "datasets.x")


def test_records_of_higher_ranks_and_without_species_are_dropped_and_counted(tmp_path):
    write_download(tmp_path, 2024, predictors=False)
    header = ["lat", "lon", "taxonRank", "speciesId", "surveyId", "year", "month", "day"]
    rows = [
        [50, 5, "SPECIES", "17.0", 1, 2020, "5.0", "3.0"],
        [50, 5, "SPECIES", "17", 1, "2020.0", 5, 3],
        [51, 5, "GENUS", "17", 2, 2020, 5, 3],
        [52, 5, "VARIETY", "330", 3, 2020, 5, 3],
        [52, 6, "SPECIES", "", 4, 2020, 5, 3],
        ["", 6, "SPECIES", "17", 5, 2020, 5, 3],
    ]
    write_table(tmp_path / RECORDS[2024], [header, *rows])
    dataset = build(tmp_path)
    assert dataset.training.records.sites_N2.tolist() == [[5, 50], [5, 52]]
    left = dict(dataset.filters)
    assert left["read"] == 6
    assert left["taxonRank is not above the species - higher ranks: 'genus' (1)"] == 4
    assert left["duplicates of species, site and date"] == 2


def test_a_caps_of_records_keeps_the_predictors_of_those_that_remain(downloads):
    folder, said = downloads[2024]
    records = build(folder, predictors=["elevation"], max_per_species=10).training.records
    expected = {(x, y): said.predictors["PO"][visit]["Elevation"] for visit, x, y, *_ in said.records}
    assert records.records_per_species().max() == 10
    for site, row in zip(records.sites_N2.tolist(), records.covariates_NC, strict=True):
        assert row[0] == np.float32(expected[tuple(site)])


def test_rows_of_a_survey_may_lie_in_several_batches(downloads, monkeypatch):
    folder, _ = downloads[2025]
    whole = build(folder, predictors=ALL, survey_area_m2=[20, 60])
    monkeypatch.setattr(text_blocks, "BLOCK_BYTES", 300)
    parts = build(folder, predictors=ALL, survey_area_m2=[20, 60])
    assert presences(parts.survey) == presences(whole.survey)
    assert parts.facts == whole.facts
    np.testing.assert_array_equal(parts.survey.covariates_MC, whole.survey.covariates_MC)
    np.testing.assert_array_equal(parts.training.records.covariates_NC, whole.training.records.covariates_NC)


def test_records_and_surveys_without_predictors_are_kept_and_counted(tmp_path):
    said = write_download(tmp_path, 2025)
    for side, keep in (("PO", said.records[0][0]), ("train", next(iter(said.surveys["train"])))):
        path = predictor_path(tmp_path, 2025, "elevation", side)
        header, *lines = path.read_text().splitlines()
        path.write_text("\n".join([header, *(line for line in lines if line.split(",")[0] == str(keep))]))
    dataset = build(tmp_path, predictors=["elevation", "landcover"])
    unknown_NC = np.isnan(dataset.training.records.covariates_NC)
    assert unknown_NC[1:, 0].all()
    assert not unknown_NC[0].any()
    assert not unknown_NC[:, 1:].any()
    assert dataset.facts["records_without_predictors"] == dataset.facts["predictor_values_unknown"] == 399
    assert np.isnan(dataset.survey.covariates_MC).sum() == 59
    assert dataset.facts["surveys_without_predictors"] == dataset.facts["survey_predictor_values_unknown"] == 59


def test_records_alone_are_evaluated_as_any_records(tmp_path):
    write_download(tmp_path, 2025, predictors=False)
    own = write_table(
        tmp_path / "own.csv", [["site", "lon", "lat", "17", "330"], ["a", 5, 41, 1, 0], ["b", 6, 59, 0, 1]]
    )
    (tmp_path / SURVEYS[2025]).unlink()
    blocks = build(tmp_path, truth="evaluation", evaluation={"degrees": 2.0})
    assert 0 < blocks.facts["held_out_records"] < 400
    dataset = build(tmp_path, truth="evaluation", evaluation={"kind": "survey", "path": str(own)})
    assert presences(dataset.survey) == {(5, 41): {"17"}, (6, 59): {"330"}}
    with pytest.raises(DataError, match=r"no file holds the surveys of truth 'train' \(\*PA\*metadata\*train\*"):
        build(tmp_path)


def test_single_files_may_be_packed(tmp_path):
    write_download(tmp_path, 2025)
    whole = build(tmp_path, predictors=["elevation"])
    for path in (tmp_path / SURVEYS[2025], predictor_path(tmp_path, 2025, "elevation", "PO")):
        with zipfile.ZipFile(path.with_suffix(".csv.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, path.name)
        path.unlink()
    records = tmp_path / RECORDS[2025]
    records.with_suffix(".csv.gz").write_bytes(gzip.compress(records.read_bytes()))
    records.unlink()
    packed = build(tmp_path, predictors=["elevation"])
    assert presences(packed.survey) == presences(whole.survey)
    np.testing.assert_array_equal(packed.training.records.covariates_NC, whole.training.records.covariates_NC)


def test_files_are_found_anywhere_or_named(tmp_path):
    write_download(tmp_path / "a" / "b", 2025)
    (tmp_path / "a" / "b" / "GLC25_P0_metadata_train.csv").rename(tmp_path / "mine.csv")
    assert build(tmp_path, records_file="mine.csv").training.records.n_rows == 400
    with pytest.raises(
        DataError, match=r"no file holds the presence-only records \(\*P\[O0\]\*metadata\*train\*.*mine"
    ):
        build(tmp_path)
    with pytest.raises(DataError, match=r"records_file = 'other\.csv': there is no file"):
        build(tmp_path, records_file="other.csv")
    elevation = {
        "records": str(predictor_path(tmp_path / "a" / "b", 2025, "elevation", "PO")),
        "surveys": str(predictor_path(tmp_path / "a" / "b", 2025, "elevation", "train")),
    }
    dataset = build(tmp_path, records_file="mine.csv", predictors=[elevation])
    assert dataset.training.records.covariate_names == ("Elevation",)
    swapped = {"records": elevation["surveys"], "surveys": elevation["surveys"]}
    with pytest.raises(DataError, match=r"predictors\.records = 'GLC25-PA-train-elevation\.csv': is a table of PA"):
        build(tmp_path, records_file="mine.csv", predictors=[swapped])
