import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import stats

from presence_only.background import make_background, target_group_rows, uniform_sphere_sites
from presence_only.datasets.earth import Earth
from presence_only.nouns import PresenceRecords


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


def test_uniform_sites_cover_the_sphere_evenly():
    sites = uniform_sphere_sites(20_000, np.random.default_rng(0))
    assert sites.shape == (20_000, 2)
    assert np.abs(sites[:, 0]).max() <= 180
    assert np.abs(sites[:, 1]).max() <= 90
    assert stats.kstest(np.sin(np.radians(sites[:, 1])), "uniform", (-1, 2)).pvalue > 0.01
    assert stats.kstest(sites[:, 0], "uniform", (-180, 360)).pvalue > 0.01
    # Uniform in latitude, the common mistake, would fail.
    assert stats.kstest(sites[:, 1], "uniform", (-90, 180)).pvalue < 1e-10


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
@pytest.mark.parametrize("kind", ["uniform", "land", "target_group"])
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
    with pytest.raises(ValueError, match="unknown background 'lan'; known: uniform, land, target_group"):
        make_background("lan", 10, generator, records=plain)
    with pytest.raises(ValueError, match="background 'land' needs the environment grid"):
        make_background("land", 10, generator, records=plain)
    with pytest.raises(ValueError, match="background 'uniform' needs the environment grid"):
        make_background("uniform", 10, generator, records=make_records(covariates=True))
    for kind in ("uniform", "land", "target_group"):
        with pytest.raises(ValueError, match="n = 0: a background needs at least 1 site"):
            make_background(kind, 0, generator, records=plain, earth=Earth.load())


def test_foreign_covariates_are_refused():
    records = PresenceRecords(
        np.zeros((1, 2)), np.zeros((1, 1)), np.array([0]), np.array([0]), ("a",), ("g",), ("soil",)
    )
    with pytest.raises(ValueError, match="are not the grid's"):
        make_background("land", 10, np.random.default_rng(0), records=records, earth=Earth.load())
