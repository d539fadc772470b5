"""From a table of records to training data and survey: what trains, what is surveyed, and what is counted."""

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from presence_only.common.errors import DataError
from presence_only.common.random_streams import numpy_stream
from presence_only.common.settings import SettingsError
from presence_only.data.sites import sites_of
from presence_only.geography.earth import Earth
from presence_only.occurrences.assemble import assemble, assemble_training
from presence_only.occurrences.assembly_settings import AssemblySettings, RecordsSettings, environment_at
from presence_only.occurrences.held_out_area import EvaluationSettings, held_out_area, within_box
from presence_only.occurrences.records import RecordTable, places

SPECIES = ("robin", "wren", "oak", "ash", "elm")
GROUPS = ("bird", "bird", "tree", "tree", "tree")
EAST = EvaluationSettings(kind="region", box=(10.0, 40.0, 20.0, 60.0))


def made_records(n=600, seed=0, weeks=True, box=(0.0, 20.0, 40.0, 60.0), species=5):
    """Records of a part of the Earth, several at some sites."""
    rng = np.random.default_rng(seed)
    west, east, south, north = box
    sites = np.column_stack([rng.uniform(west, east, n), rng.uniform(south, north, n)])
    sites[: n // 5] = sites[n // 5 : 2 * (n // 5)]
    return RecordTable.of(
        sites,
        rng.integers(0, species, n),
        SPECIES,
        GROUPS,
        rng.integers(1, 49, n) if weeks else None,
        (("read", n + 10), ("coordinates", n)),
    )


def arrays(records):
    """Sites and species indices."""
    return sites_of(records.table), places(records.table["species"])


def settings(**changes):
    return RecordsSettings(**{"background_sites": 300, "evaluation": EAST} | changes)


def test_records_in_the_held_out_area_are_surveyed_and_never_trained_on():
    records = made_records()
    sites, species = arrays(records)
    dataset = assemble(records, settings())
    held = sites[:, 0] >= 10
    trained = dataset.training.records
    assert_array_equal(trained.sites_N2, sites[~held])
    assert_array_equal(trained.species_P, species[~held])
    assert_array_equal(trained.row_P, np.arange((~held).sum()))
    assert trained.species == SPECIES
    assert trained.groups == GROUPS
    assert trained.covariates_NC.shape == ((~held).sum(), 0)
    assert trained.week_N is None
    assert {tuple(site) for site in dataset.survey.sites_M2} == {tuple(site) for site in sites[held]}
    index = {tuple(site): i for i, site in enumerate(dataset.survey.sites_M2)}
    truth = np.full((len(index), 5), -1)
    for site, s in zip(sites[held], species[held], strict=True):
        row = truth[index[tuple(site)]]
        row[np.array(GROUPS) == GROUPS[s]] = np.maximum(row[np.array(GROUPS) == GROUPS[s]], 0)
    for site, s in zip(sites[held], species[held], strict=True):
        truth[index[tuple(site)], s] = 1
    assert_array_equal(dataset.survey.truth.matrix(), truth)
    assert dataset.filters[:2] == records.filters
    assert dataset.filters[2] == (
        "outside of the held-out area (the box west 10, south 40, east 20, north 60)",
        (~held).sum(),
    )
    assert dataset.facts["held_out_records"] == held.sum()
    assert "not comparable with figures of a survey" in dataset.notes[0]
    assert len(dataset.notes) == 1


def test_the_vocabulary_is_that_of_training_and_the_rest_is_counted():
    sites, drawn = arrays(made_records())
    held = sites[:, 0] >= 10
    # Robins live in the east alone, ashes in the west; elms nowhere.
    species = np.where(held, np.array([0, 1, 2])[drawn % 3], np.array([1, 2, 3])[drawn % 3])
    dataset = assemble(RecordTable.of(sites, species, SPECIES, GROUPS), settings())
    assert dataset.training.records.species == ("wren", "oak", "ash")
    assert dataset.training.records.groups == ("bird", "tree", "tree")
    assert dataset.survey.species == ("wren", "oak", "ash")
    assert_array_equal(np.bincount(dataset.training.records.species_P), np.bincount(species[~held])[1:])
    # A site where only a robin was seen says that no wren was.
    robins = {tuple(site) for site in sites[held & (species == 0)]}
    wrens = {tuple(site) for site in sites[held & (species == 1)]}
    wren = dict(zip(map(tuple, dataset.survey.sites_M2), dataset.survey.truth.matrix()[:, 0], strict=True))
    assert {wren[site] for site in robins - wrens} == {0}
    assert dataset.facts["species_without_training_records"] == 1
    assert dataset.notes[1].startswith("1 species have no record left to train on")
    assert dataset.filters[0] == ("read", 600)


def test_without_a_held_out_area_all_records_train():
    records = made_records()
    sites, species = arrays(records)
    made = assemble_training(records, AssemblySettings(background_sites=10))
    assert_array_equal(made.training.records.sites_N2, sites)
    assert_array_equal(made.training.records.species_P, species)
    assert made.filters == records.filters
    made = assemble_training(records, AssemblySettings(background_sites=10, rows="checklists"))
    assert made.filters[:2] == records.filters
    assert made.filters[2] == ("species once a cell (checklists)", len(made.training.records.row_P))


@pytest.mark.parametrize("weeks", [False, True])
def test_checklists_are_split_by_their_cells(weeks):
    dataset = assemble(made_records(2000), settings(rows="checklists", checklist_resolution=3, weeks=weeks))
    trained, survey = dataset.training.records, dataset.survey
    assert len(trained.row_P) > trained.n_rows
    assert within_box(survey.sites_M2, EAST.box).all()
    assert not within_box(trained.sites_N2, EAST.box).any()
    assert (trained.week_N is not None) == (survey.week_M is not None) == weeks
    assert (dataset.training.background.week_K is not None) == weeks
    if weeks:
        keys = np.column_stack([survey.sites_M2, survey.week_M])
        assert len(np.unique(keys, axis=0)) == len(keys)


@pytest.mark.parametrize("background", ["uniform", "land", "range", "target_group"])
def test_backgrounds_see_training_records_alone(background):
    records = made_records()
    sites, species = arrays(records)
    week_N, moved = records.table["week"].to_numpy(), sites.copy()
    held = moved[:, 0] >= 10
    moved[held] += [3.0, 0.0]
    moved[held, 0] = np.minimum(moved[held, 0], 19.9)
    other = RecordTable.of(moved, np.where(held, np.arange(600) % 2, species), SPECIES, GROUPS, week_N)
    for weeks in (False, True):
        one = assemble(records, settings(background=background, weeks=weeks)).training.background
        same = assemble(other, settings(background=background, weeks=weeks)).training.background
        assert one.kind == background
        assert_array_equal(one.sites_K2, same.sites_K2)
        assert one.groups_K == same.groups_K
        if weeks:
            assert_array_equal(one.week_K, same.week_K)
            assert set(one.week_K) <= set(week_N)
    if background in ("range", "target_group"):
        assert one.sites_K2[:, 0].max() < 10


def test_a_table_of_background_sites_loses_those_in_the_held_out_area(tmp_path):
    path = tmp_path / "sites.csv"
    pl.DataFrame({"longitude": [5.0, 12.0, 30.0], "latitude": [50.0, 50.0, 50.0]}).write_csv(path)
    dataset = assemble(made_records(), settings(background=str(path)))
    assert_array_equal(dataset.training.background.sites_K2, [[5.0, 50.0], [30.0, 50.0]])
    assert dataset.training.background.kind == "given"
    assert dataset.facts["background_sites_held_out"] == 1
    path.write_text("longitude,latitude\n12,50\n")
    with pytest.raises(DataError, match="has no site left: all of them lie in the held-out area"):
        assemble(made_records(), settings(background=str(path)))


def test_sites_of_a_bias_raster_lose_those_in_the_held_out_area_and_it_is_noted(tmp_path):
    path = tmp_path / "effort.npz"
    # From 0 to 20 east, the eastern half with twice the weight; held out is 10 to 20.
    np.savez(path, names=["effort"], layers=[[[1.0, 2.0, -9999.0]]], bounds=(0.0, 45.0, 30.0, 55.0))
    dataset = assemble(made_records(), settings(background=str(path), background_sites=900))
    background = dataset.training.background
    assert background.kind == "raster"
    assert len(background.sites_K2) + dataset.facts["background_sites_held_out"] == 900
    assert 250 < len(background.sites_K2) < 350
    assert ((background.sites_K2 >= [0, 45]) & (background.sites_K2 <= [10, 55])).all()
    assert [note for note in dataset.notes if "'effort: effort'" in note and "-9999" in note]


def test_notes_on_layers_reach_the_reader(tmp_path):
    path = tmp_path / "layers.npz"
    layer = np.tile(np.arange(36.0), (18, 1))
    layer[:, 30:] = -9999
    np.savez(path, names=["soil"], layers=[layer], bounds=(-180.0, -90.0, 180.0, 90.0))
    dataset = assemble(made_records(), settings(environment=str(path)))
    assert dataset.notes[-1].startswith("Layer 'layers: soil' declares no nodata value. Its cells of -9999 (16.67% of")


def test_covariates_are_sampled_where_there_is_an_environment():
    records = made_records()
    sites, earth = sites_of(records.table), Earth.load()
    own = settings(environment="earth")
    dataset = assemble(records, own)
    for at, covariates in (
        (dataset.training.records.sites_N2, dataset.training.records.covariates_NC),
        (dataset.training.background.sites_K2, dataset.training.background.covariates_KC),
        (dataset.survey.sites_M2, dataset.survey.covariates_MC),
    ):
        assert_array_equal(covariates, earth.sample(at))
    assert dataset.training.records.covariate_names == earth.names == dataset.survey.covariate_names
    assert_array_equal(own.covariate_source()(sites), earth.sample(sites))
    assert environment_at(settings()).names == ()
    assert environment_at(settings()).sample(sites).shape == (600, 0)
    assert environment_at(settings(environment="earth", sea="nearest")).names == earth.names


def test_the_rule_for_the_sea(tmp_path):
    # One layer, known on the northern half of the records' box, and known twice as far by `nearest`.
    layer = np.full((1, 20, 20), np.nan)
    layer[0, :10] = 7.0
    path = tmp_path / "layers.npz"
    np.savez(path, names=["soil (pH)"], layers=layer, bounds=[0.0, 40.0, 20.0, 60.0])
    records = made_records()
    common = {"environment": str(path), "background": "range"}
    keep, drop, near = (
        assemble(records, settings(**common, sea=sea, nearest_km=300.0)) for sea in ("keep", "drop", "nearest")
    )
    unknown = np.isnan(keep.training.records.covariates_NC[:, 0])
    assert 0.3 < unknown.mean() < 0.7
    assert_array_equal(drop.training.records.sites_N2, keep.training.records.sites_N2[~unknown])
    assert drop.filters[-1] == ("all layers defined (sea: drop)", (~unknown).sum())
    # The range shrinks with the records.
    assert drop.training.background.sites_K2[:, 1].min() > 49.4
    assert drop.facts["background_sites_undefined"] == 300 - len(drop.training.background.sites_K2)
    lost = np.isnan(keep.survey.covariates_MC[:, 0])
    assert_array_equal(drop.survey.sites_M2, keep.survey.sites_M2[~lost])
    assert_array_equal(drop.survey.truth.matrix(), keep.survey.truth.matrix()[~lost])
    assert drop.facts["evaluation_sites_undefined"] == lost.sum()
    filled = near.training.records.covariates_NC[:, 0]
    south = near.training.records.sites_N2[:, 1]
    assert_allclose(filled[south > 49.5], 7.0)
    assert_allclose(filled[(south > 48.0) & (south < 49.5)], 7.0)
    assert np.isnan(filled[south < 47.5]).all()
    np.savez(path, names=["soil (pH)"], layers=layer, bounds=[100.0, 40.0, 120.0, 60.0])
    with pytest.raises(DataError, match="sea: drop leaves no record"):
        assemble(records, settings(**common, sea="drop"))


def test_the_survey_has_at_most_the_sites_asked_for():
    dataset = assemble(made_records(), settings(evaluation_sites=25))
    assert len(dataset.survey.sites_M2) == 25
    assert dataset.facts["evaluation_sites_found"] > 100
    other = assemble(made_records(), settings(evaluation_sites=25, seed=1))
    assert not np.array_equal(dataset.survey.sites_M2, other.survey.sites_M2)


def test_folds_do_not_hang_on_the_background():
    records = made_records()
    sites, blocks = sites_of(records.table), EvaluationSettings(degrees=2.0, folds=3)
    one = assemble(records, settings(evaluation=blocks))
    other = assemble(records, settings(evaluation=blocks, background="land", background_sites=7, environment="earth"))
    assert_array_equal(one.survey.sites_M2, other.survey.sites_M2)
    area = held_out_area(blocks, sites, numpy_stream(0, "folds"))
    assert_array_equal(one.training.records.sites_N2, sites[~area.contains(sites)])


def test_weeks_need_dates():
    with pytest.raises(DataError, match="weeks: true: the records have no dates"):
        assemble(made_records(weeks=False), settings(weeks=True))
    assert assemble(made_records(), settings(weeks=False)).training.records.week_N is None
    week_N = assemble(made_records(), settings(weeks=True)).training.records.week_N
    assert_array_equal(week_N, made_records().table.filter(pl.col("longitude") < 10)["week"])


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (
            {"background": "unifrom"},
            "d.background = 'unifrom': must be one of uniform, land, range, target_group, or the path of a table "
            "that ends in .csv, .tsv, .parquet",
        ),
        ({"sea": "drop"}, "must be settings with an environment, as sea is 'drop'"),
        ({"rows": "sites"}, "d.rows = 'sites': must be one of 'records' or 'checklists'"),
        ({"checklist_resolution": 12}, "d.checklist_resolution = 12: must be less than or equal to 9"),
        (
            {"evaluation": {"kind": "blocks", "degree": 3.0}},
            "unknown key 'degree' in d.evaluation; known: absences, box, degrees",
        ),
    ],
)
def test_wrong_settings_are_one_sentence(raw, sentence):
    with pytest.raises(SettingsError) as error:
        RecordsSettings.parse(raw, "d")
    assert sentence in str(error.value)


def test_settings_read_as_yaml_gives_them():
    raw = {"evaluation": {"kind": "region", "box": [170, -20.0, -170.0, 0.0]}, "background": "~/sites.CSV"}
    read = RecordsSettings.parse(raw, "d")
    assert read.evaluation.box == (170.0, -20.0, -170.0, 0.0)
    assert RecordsSettings.parse({}, "d").evaluation == EvaluationSettings(kind="blocks", degrees=5.0, folds=5, fold=0)
