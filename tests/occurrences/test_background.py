"""Background sites of every kind, against distributions, and tables of them."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from scipy import stats

from presence_only.common.errors import DataError
from presence_only.data.records import PresenceRecords
from presence_only.data.sites import sites_of
from presence_only.geography.earth import Earth
from presence_only.geography.rasters import Layers
from presence_only.occurrences.background import (
    check_kind,
    make_background,
    read_background,
    target_group_rows,
)


def make_records(covariates: bool) -> PresenceRecords:
    """Three rows, the last a checklist of three species; two groups."""
    earth = Earth.load()
    sites = np.array([[10.0, 50.0], [20.0, 10.0], [-60.0, -10.0]])
    return PresenceRecords(
        sites_N2=sites,
        covariates_NC=earth.sample(sites) if covariates else np.zeros((3, 0)),
        row_P=np.array([0, 1, 2, 2, 2]),
        species_P=np.array([0, 1, 0, 1, 2]),
        species=("a", "b", "c"),
        groups=("birds", "plants", "plants"),
        covariate_names=earth.names if covariates else (),
    )


def test_target_group_draws_every_site_and_group_alike_however_often_it_was_reported():
    records = make_records(covariates=False)
    rows, groups = target_group_rows(6000, records, np.random.default_rng(0))
    # Four pairs of site and group; the last site has two plants, which count once.
    assert stats.chisquare(np.bincount(rows, minlength=3), [1500, 1500, 3000]).pvalue > 0.01
    drawn = set(zip(rows.tolist(), groups, strict=True))
    assert drawn == {(0, "birds"), (1, "plants"), (2, "birds"), (2, "plants")}
    of_checklist = np.array(groups)[rows == 2]
    assert stats.binomtest(int((of_checklist == "birds").sum()), len(of_checklist), 1 / 2).pvalue > 0.01


@pytest.mark.parametrize("covariates", [False, True])
@pytest.mark.parametrize("kind", ["uniform", "land", "range", "target_group"])
def test_every_kind_fits_its_records(kind, covariates):
    records, earth = make_records(covariates), Earth.load()
    before = records.sites_N2.copy()
    background = make_background(kind, 500, np.random.default_rng(3), records=records, earth=earth)
    again = make_background(kind, 500, np.random.default_rng(3), records=records, earth=earth)
    other = make_background(kind, 500, np.random.default_rng(4), records=records, earth=earth)
    assert background.kind == kind
    assert background.sites_K2.shape == (500, 2)
    assert background.covariates_KC.shape == (500, 8 if covariates else 0)
    assert_array_equal(background.sites_K2, again.sites_K2)
    assert not np.array_equal(background.sites_K2, other.sites_K2)
    assert_array_equal(records.sites_N2, before)
    if covariates:
        assert_array_equal(background.covariates_KC, earth.sample(background.sites_K2))
    assert (background.groups_K is not None) == (kind == "target_group")


def test_land_is_on_land_and_uniform_mostly_is_not():
    records, earth = make_records(covariates=True), Earth.load()
    land, uniform = (
        make_background(kind, 2000, np.random.default_rng(0), records=records, earth=earth)
        for kind in ("land", "uniform")
    )
    assert (earth.land_share(land.sites_K2) > 0).all()
    assert 0.25 < (earth.land_share(uniform.sites_K2) > 0.5).mean() < 0.35
    assert np.isnan(uniform.covariates_KC[:, 1:]).any()


def test_wrong_arguments_are_one_sentence():
    plain, generator = make_records(covariates=False), np.random.default_rng(0)
    with pytest.raises(ValueError, match="unknown background 'lan'; known: uniform, land, range, target_group"):
        make_background("lan", 10, generator, records=plain)
    with pytest.raises(ValueError, match="background 'land' needs the environment grid"):
        make_background("land", 10, generator, records=plain)
    with pytest.raises(ValueError, match="background 'uniform' needs the environment grid"):
        make_background("uniform", 10, generator, records=make_records(covariates=True))
    for kind in ("uniform", "land", "range", "target_group"):
        with pytest.raises(ValueError, match="n = 0: a background needs at least 1 site"):
            make_background(kind, 0, generator, records=plain, earth=Earth.load())


def test_foreign_covariates_are_refused():
    records = PresenceRecords(
        np.zeros((1, 2)), np.zeros((1, 1)), np.array([0]), np.array([0]), ("a",), ("g",), ("soil",)
    )
    with pytest.raises(ValueError, match="are not the grid's"):
        make_background("land", 10, np.random.default_rng(0), records=records, earth=Earth.load())


def test_the_draws_of_the_first_kinds_never_change():
    """The default study's data set hangs on them."""
    records, earth = make_records(covariates=False), Earth.load()
    expected = {
        "uniform": [[49.306207, -66.643076], [-82.876783, -75.227241]],
        "land": [[55.81327, 36.040722], [-48.087244, -6.983456]],
        "target_group": [[20.0, 10.0], [10.0, 50.0]],
    }
    for kind, sites in expected.items():
        drawn = make_background(kind, 2, np.random.default_rng(0), records=records, earth=earth)
        np.testing.assert_allclose(drawn.sites_K2, sites, atol=1e-6, err_msg=kind)


def test_range_is_within_the_hull_of_the_records():
    records = replace(
        make_records(covariates=False), sites_N2=np.array([[170.0, -20.0], [-170.0, -20.0], [180.0, 0.0]])
    )
    sites = make_background("range", 2000, np.random.default_rng(0), records=records).sites_K2
    assert (np.abs(sites[:, 0]) >= 170).all()
    # The great circle between the two southern records dips to 20.3 degrees.
    assert sites[:, 1].min() > -20.31
    assert sites[:, 1].max() < 0
    one_place = replace(records, sites_N2=np.zeros((3, 2)))
    with pytest.raises(DataError, match="span no range"):
        make_background("range", 10, np.random.default_rng(0), records=one_place)


@pytest.mark.parametrize("kind", ["uniform", "land", "range", "target_group"])
def test_background_weeks_are_those_of_the_records(kind):
    records = replace(make_records(covariates=False), week_N=np.array([3, 7, 3]))
    plain = make_background(
        kind, 3000, np.random.default_rng(0), records=make_records(covariates=False), earth=Earth.load()
    )
    dated = make_background(kind, 3000, np.random.default_rng(0), records=records, earth=Earth.load())
    assert plain.week_K is None
    assert dated.sites_K2.tolist() == plain.sites_K2.tolist()
    assert (
        stats.binomtest(int((dated.week_K == 7).sum()), 3000, 1 / 4 if kind == "target_group" else 1 / 3).pvalue > 0.01
    )
    if kind == "target_group":
        week_of = dict(zip(map(tuple, records.sites_N2), records.week_N, strict=True))
        assert [week_of[tuple(site)] for site in dated.sites_K2] == dated.week_K.tolist()


def test_a_site_in_another_week_is_another_target_site():
    records = PresenceRecords(
        np.zeros((3, 2)), np.zeros((3, 0)), np.arange(3), np.array([0, 0, 0]), ("a",), ("g",), (), np.array([1, 2, 2])
    )
    rows, _ = target_group_rows(4000, records, np.random.default_rng(0))
    assert stats.chisquare(np.bincount(rows, minlength=3)[:2]).pvalue > 0.01
    assert set(rows) == {0, 1}


@pytest.mark.parametrize("name", ["sites.csv", "sites.tsv", "sites.parquet", "SITES.CSV"])
def test_a_table_gives_all_of_its_sites(tmp_path, name):
    path = tmp_path / name
    table = pl.DataFrame(
        {
            "id": ["x", "y", "z"],
            "Latitude": [10.0, -20.5, 0.0],
            "longitude": [350.0, 180.0, -7.25],
            "group": ["birds", None, "plants"],
            "week": [1, 48, 5],
        }
    )
    if name.endswith("parquet"):
        table.write_parquet(path)
    else:
        table.write_csv(path, separator="\t" if name.endswith("tsv") else ",", line_terminator="\r\n", include_bom=True)
    sites = read_background(path, ("birds", "plants"))
    assert sites.select("longitude", "latitude").rows() == [(-10.0, 10.0), (180.0, -20.5), (-7.25, 0.0)]
    assert sites["group"].to_list() == ["birds", "", "plants"]
    assert sites["week"].to_list() == [1, 48, 5]

    records, earth = make_records(covariates=True), Earth.load()
    background = make_background(str(path), 1, np.random.default_rng(0), records=records, earth=earth)
    assert background.kind == "given"
    assert background.week_K is None
    assert_array_equal(background.covariates_KC, earth.sample(sites_of(sites)))
    dated = replace(records, week_N=np.array([9, 9, 9]))
    assert make_background(str(path), 1, np.random.default_rng(0), records=dated, earth=earth).week_K.tolist() == [
        1,
        48,
        5,
    ]
    undated = tmp_path / "undated.parquet"
    table.drop("week").write_parquet(undated)
    assert set(make_background(str(undated), 1, np.random.default_rng(0), records=dated, earth=earth).week_K) == {9}


def test_a_table_in_the_spellings_of_users(tmp_path):
    path = tmp_path / "sites.csv"
    path.write_text("sep=;\nLon; Lat;group;week\n 10 ;50;Birds;1.0\n20;-5;NA; 2\n30;7; PLANTS ;3\n")
    sites = read_background(path, ("birds", "plants", "birds"))
    assert sites.select("longitude", "latitude").rows() == [(10.0, 50.0), (20.0, -5.0), (30.0, 7.0)]
    assert sites["group"].to_list() == ["birds", "", "plants"]
    assert sites["week"].to_list() == [1, 2, 3]


def test_covariates_come_from_the_environment_given():
    records = make_records(covariates=False)
    background = make_background(
        "land", 5, np.random.default_rng(0), records=records, earth=Earth.load(), environment=Layers(())
    )
    assert background.covariates_KC.shape == (5, 0)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "sites.csv: the file is empty"),
        ("longitude,latitude\n", "sites.csv: has columns but no rows"),
        ("east,north\n1,2\n", "sites.csv: no column 'longitude', 'latitude'"),
        ("longitude,latitude\n1,2\n3,north\n", "row 2 has latitude 'north'; it must be a number"),
        ("longitude,latitude\n1,\n", "row 1 has latitude None; it must be a number"),
        ("longitude,latitude,week\n1,2,3.5\n", "row 1 has week 3.5; it must be a whole number, 1..48"),
        ("longitude,latitude\nnan,1\n", "sites.csv: row 1 has longitude None; it must be a number"),
        (
            "longitude,latitude,group\n1,2,fish\n",
            "none of its groups, such as 'fish', is a taxon group of the records: a",
        ),
        ("longitude,latitude\n1,2,3,4\n", "line 2 has 4 fields, the header 2"),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "sites.csv"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_background(path, ("a",))
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_table_that_is_missing_or_off_the_globe(tmp_path):
    path = tmp_path / "sites.csv"
    with pytest.raises(DataError, match="there is no such file"):
        read_background(tmp_path / "none.csv", ("a",))
    path.write_text("longitude,latitude\n1,95\n")
    with pytest.raises(DataError, match="background site 0 has latitude 95"):
        make_background(str(path), 1, np.random.default_rng(0), records=make_records(covariates=False))


def test_what_is_no_kind_is_refused_with_the_kinds():
    for kind in ("uniform", "land", "range", "target_group", "a.csv", "~/b/c.TSV", "d.parquet"):
        check_kind(kind)
    with pytest.raises(ValueError, match="one of uniform, land, range, target_group, or the path of a table"):
        check_kind("sites.xlsx")
