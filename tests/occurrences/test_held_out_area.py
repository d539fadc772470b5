"""Held-out areas against plain loops, and the surveys made of their records."""

import json

import h3
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from presence_only.common.errors import DataError
from presence_only.common.settings import SettingsError
from presence_only.geography.rasters import Layers, open_environment
from presence_only.occurrences.held_out_area import (
    EvaluationSettings,
    blocks_of,
    held_out_area,
    held_out_survey,
    within_box,
)
from presence_only.occurrences.records import RecordTable


def sphere_sites(n, seed=0):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))])


@pytest.mark.parametrize("degrees", [1.0, 5.0, 7.3, 30.0])
def test_blocks_are_of_the_given_size_and_of_like_area(degrees):
    sites = sphere_sites(100_000)
    block = blocks_of(sites, degrees)
    n_blocks = len(np.unique(blocks_of(sphere_sites(1_000_000, 1), degrees)))
    # A square of k degrees of arc is k^2 of 41,253 square degrees.
    assert abs(n_blocks * degrees**2 / 41_253 - 1) < 0.1
    for latitude in (0.1, 48.0, -70.0, 88.0):
        along = np.column_stack([np.linspace(-180, 180, 20_001), np.full(20_001, latitude)])
        widths = 360 * np.cos(np.radians(latitude)) / len(np.unique(blocks_of(along, degrees)))
        assert widths < 2.1 * degrees
    inside = sites[block == block[0]]
    assert np.ptp(inside[:, 1]) <= 180 / round(180 / degrees)


def test_blocks_have_no_seam_but_their_edges():
    blocks = blocks_of(np.array([[180.0, 10.0], [-180.0, 10.0], [0, 90], [179, 90], [0, -90]]), 5.0)
    assert blocks[0] == blocks[1]
    # A cap of 5 degrees has three blocks.
    assert blocks[4] in (0, 1, 2)
    assert len({*blocks}) == 4


@pytest.mark.parametrize("kind", [{"kind": "blocks", "degrees": 20.0}, {"kind": "h3", "resolution": 0}])
def test_every_record_is_held_out_in_one_fold(kind):
    sites = sphere_sites(2000)
    held = []
    for fold in range(4):
        settings = EvaluationSettings(**kind, folds=4, fold=fold)
        area = held_out_area(settings, sites, np.random.default_rng([7, 1]))
        held.append(area.contains(sites))
        assert f"fold {fold} of 4" in area.words
    assert_array_equal(np.sum(held, axis=0), np.ones(2000))
    assert min(mask.sum() for mask in held) > 400
    if kind["kind"] == "h3":
        cells = np.array([h3.latlng_to_cell(latitude, longitude, 0) for longitude, latitude in sites])
        for mask in held:
            assert not set(cells[mask]) & set(cells[~mask])


def test_a_box_may_cross_180_degrees():
    sites = np.array([[-10.0, 40.0], [10.0, 40.0], [179.0, -17.0], [-179.0, -17.0], [179.0, 17.0]])
    assert_array_equal(within_box(sites, (-20.0, 30.0, 0.0, 50.0)), [True, False, False, False, False])
    assert_array_equal(within_box(sites, (170.0, -20.0, -170.0, 0.0)), [False, False, True, True, False])
    edge = np.array([[180.0, 0.0], [-180.0, 0.0]])
    for box in ((170.0, -1.0, 180.0, 1.0), (-180.0, -1.0, -170.0, 1.0), (170.0, -1.0, -170.0, 1.0)):
        assert within_box(edge, box).all()
    assert not within_box(edge, (-170.0, -1.0, 170.0, 1.0)).any()


def test_the_union_of_polygons_is_held_out(tmp_path):
    square = [[[0.0, 0.0], [8.0, 0.0], [8.0, 8.0], [0.0, 8.0], [0.0, 0.0]]]
    path = tmp_path / "area.geojson"
    geometries = [{"type": "Polygon", "coordinates": square}] * 2 + [{"type": "Point", "coordinates": [0, 0]}]
    path.write_text(json.dumps({"type": "GeometryCollection", "geometries": geometries}))
    sites = np.array([[2.0, 2.0], [6.0, 6.0], [20.0, 20.0]])
    area = held_out_area(EvaluationSettings(kind="region", polygon=str(path)), sites, np.random.default_rng(0))
    assert_array_equal(area.contains(sites), [True, True, False])
    assert area.words == "the polygons of area.geojson (points and lines left out: 1)"


SPECIES, GROUPS = tuple("abcde"), ("bird", "bird", "plant", "plant", "fungus")


def surveyed(sites, species, asked=range(5), n=100, seed=0, weeks=None):
    """The survey of records that are given by the index of their species."""
    sites, weeks = np.array(sites, dtype=float), None if weeks is None else np.array(weeks)
    held = RecordTable.of(sites, np.array(species), SPECIES, GROUPS, weeks).table
    names, groups = (tuple(of[s] for s in asked) for of in (SPECIES, GROUPS))
    return held_out_survey(held, names, groups, n, np.random.default_rng(seed), environment=Layers(()))


def test_the_survey_says_present_absent_or_not_surveyed():
    # Species 1 and 4 have no training record; group fungus is not asked about.
    sites = [[1, 0], [1, 0], [2, 0], [3, 0], [4, 0], [4, 0], [2, 0]]
    survey, counts = surveyed(sites, [0, 2, 1, 3, 4, 0, 1], asked=[0, 2, 3])
    assert survey.species == ("a", "c", "d")
    assert_array_equal(survey.sites_M2, [[1, 0], [2, 0], [3, 0], [4, 0]])
    assert_array_equal(survey.truth.matrix(), [[1, 1, 0], [0, -1, -1], [-1, 0, 1], [1, -1, -1]])
    assert survey.week_M is None
    assert counts == {"evaluation_sites_found": 4, "species_never_absent": 0}


def test_the_survey_of_weeks():
    survey, _ = surveyed([[1, 0], [1, 0], [1, 0], [2, 0]], [0, 2, 1, 3], asked=range(4), weeks=[5, 5, 30, 5])
    assert_array_equal(survey.week_M, [5, 30, 5])
    assert_array_equal(survey.truth.matrix(), [[1, 0, 1, 0], [0, 1, -1, -1], [-1, -1, 0, 1]])


def test_the_survey_draws_its_sites_alike():
    sites, drawn = np.column_stack([np.arange(40.0), np.zeros(40)]), np.zeros(40)
    for seed in range(300):
        survey, counts = surveyed(sites, np.arange(40) % 4, asked=range(4), n=20, seed=seed)
        assert survey.truth.shape == (20, 4)
        assert counts["evaluation_sites_found"] == 40
        site_M = survey.sites_M2[:, 0].astype(int)
        drawn[site_M] += 1
        assert (survey.truth.matrix()[np.arange(20), site_M % 4] == 1).all()
    assert drawn.sum() == 6000
    assert 110 < drawn.min() <= drawn.max() < 190


def test_a_species_that_is_never_absent_is_not_surveyed():
    sites = np.column_stack([np.arange(4.0), np.zeros(4)])
    survey, counts = surveyed(sites, [0, 1, 4, 4])
    assert counts["species_never_absent"] == 1
    truth_MS = survey.truth.matrix()
    assert_array_equal(truth_MS[:, 4], [-1, -1, -1, -1])
    assert_array_equal(truth_MS[:2, :2], [[1, 0], [0, 1]])
    with pytest.raises(DataError, match="no species is present at one held-out site and absent from another"):
        surveyed(sites, [4, 4, 4, 4])


def test_a_site_where_a_layer_is_undefined_is_left_out(tmp_path):
    path = tmp_path / "layers.npz"
    layer = np.array([[[1.0, 2.0, np.nan, np.nan, np.nan, np.nan]]])
    np.savez(path, names=["soil"], layers=layer, bounds=[0, -1, 6, 1])
    held = RecordTable.of(np.array([[0.5, 0.0], [1.5, 0.0], [5.5, 0.0]]), np.array([0, 1, 0]), SPECIES, GROUPS).table
    arguments = held, SPECIES[:2], GROUPS[:2], 9, np.random.default_rng(0)
    survey, counts = held_out_survey(*arguments, environment=open_environment(str(path)), drop_undefined=True)
    assert_array_equal(survey.covariates_MC, [[1.0], [2.0]])
    assert_array_equal(survey.truth.matrix(), [[1, 0], [0, 1]])
    assert counts["evaluation_sites_undefined"] == 1
    nowhere = held_out_survey(*arguments, environment=open_environment(str(path)))[0].covariates_MC
    assert np.isnan(nowhere[2, 0])
    np.savez(path, names=["soil"], layers=np.full((1, 1, 6), np.nan), bounds=[0, -1, 6, 1])
    with pytest.raises(DataError, match="sea: drop leaves no site to evaluate"):
        held_out_survey(*arguments, environment=open_environment(str(path)), drop_undefined=True)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"kind": "block"}, "evaluation.kind = 'block': must be one of 'blocks', 'h3', 'region' or 'survey'"),
        ({"degrees": 0.0}, "evaluation.degrees = 0.0: must be greater than or equal to 0.1"),
        ({"resolution": 2}, "settings without 'resolution', as kind 'blocks' takes degrees, fold, folds"),
        ({"kind": "h3", "box": [0.0, 0.0, 1.0, 1.0]}, "settings without 'box', as kind 'h3' takes"),
        ({"kind": "region"}, "settings with either box or polygon, and not both"),
        ({"folds": 3, "fold": 3}, "settings with fold less than folds, which is 3"),
        ({"kind": "region", "box": [0.0, 10.0, 20.0, 5.0]}, "box of west, south, east, north, the south less"),
        ({"kind": "region", "box": [0.0, 10.0, 20.0, 95.0]}, "must be less than or equal to 90"),
    ],
)
def test_wrong_settings_are_one_sentence(raw, sentence):
    with pytest.raises(SettingsError) as error:
        EvaluationSettings.parse(raw, "datasets.mine.evaluation")
    assert sentence in str(error.value)


def test_areas_that_cannot_be_held_out_are_refused(tmp_path):
    sites = np.array([[10.0, 50.0], [10.1, 50.1], [10.2, 50.2]])

    def refused(sentence, **settings):
        with pytest.raises(DataError, match=sentence):
            held_out_area(EvaluationSettings(**settings), sites, np.random.default_rng(0))

    refused("the records lie in 1 blocks of 5 degrees, fewer than folds = 5; take smaller blocks")
    refused("the records lie in 1 h3 cells of resolution 1", kind="h3")
    refused("none of the 3 records lie within the box west 0", kind="region", box=(0.0, 0.0, 5.0, 5.0))
    refused("all of the 3 records lie within the box", kind="region", box=(0.0, 0.0, 50.0, 60.0))
    refused("cannot be opened; give a GeoJSON file", kind="region", polygon=str(tmp_path / "none.geojson"))
    path = tmp_path / "bad.geojson"
    for text, sentence in (
        ("{", "cannot be read as GeoJSON"),
        ("[1]", "cannot be read as GeoJSON"),
        ('{"type": "Point", "coordinates": [0, 0]}', "has no polygon"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}', "a ring of less than four points"),
        ('{"type": "Polygon", "coordinates": [["a", "b"]]}', "must be a list of two numbers"),
    ):
        path.write_text(text)
        refused(sentence, kind="region", polygon=str(path))
    with pytest.raises(DataError, match="no record of the held-out area is of a taxon group that has training"):
        surveyed(sites, [4, 4, 4], asked=range(4))
