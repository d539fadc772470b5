"""Shapes of virtual species' niches: what each is in closed form, and what all have in common."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from threadpoolctl import threadpool_limits

from presence_only.common.settings import SettingsError
from presence_only.datasets import parse_dataset, virtual
from presence_only.datasets.virtual.layers import AXES
from presence_only.datasets.virtual.niches import EDGE, SEA_STEPS, SKEW_MEDIAN, SKEW_SIGMA, make_niches
from presence_only.datasets.virtual.species import LAND_REACH, MAX_DISPERSAL, SEA_REACH, draw_prevalence
from presence_only.geography.sphere import unit_vectors

SPECIES = 80
KINDS = ("unimodal", "skewed", "threshold")


def create(**changes):
    raw = {"kind": "virtual", "species": SPECIES, "records": 4000, "survey_resolution": 2}
    return virtual.create(parse_dataset(raw | changes, "datasets.virtual"))


@pytest.fixture(scope="module")
def created():
    return {kind: create(niche=kind) for kind in KINDS}


def ranges(landscape, sites, world):
    """Log suitability, shape (species, sites), at the survey's sites."""
    return np.stack([world.log_suitability(sites, s) for s in range(SPECIES)])


@pytest.mark.parametrize("kind", ["skewed", "threshold"])
def test_log_suitability_is_the_documented_formula(created, kind):
    landscape, sites, world = created[kind]
    niches, home = world.niches, landscape.describe(world.home_S2)
    axes = slice(3, 3 + AXES)
    power, cliff = {"skewed": (2, 1), "threshold": (8, 8)}[kind]
    log_suitability, vectors, checked = ranges(*created[kind]), unit_vectors(sites.sites_N2), 0
    for s in range(0, SPECIES, 5):
        reach = min(MAX_DISPERSAL * world.radius_S[s], LAND_REACH)
        for m in range(0, len(vectors), 7):
            chord = np.linalg.norm(vectors[m] - unit_vectors(world.home_S2[s : s + 1])[0])
            overseas = sites.landmass_N[m] != world.landmass_S[s]
            if chord > reach or (overseas and chord > SEA_REACH):
                assert log_suitability[s, m] == -np.inf
                continue
            depth = (chord / world.radius_S[s]) ** power + overseas * SEA_STEPS**power
            for a in range(AXES):
                step = float(sites.features_NF[m, axes][a]) - float(home.features_NF[s, axes][a])
                tolerance = niches.below_SA[s, a] if step < 0 else niches.above_SA[s, a]
                depth += abs(step / float(tolerance)) ** power
            expected = -EDGE * (depth / 2 / float(niches.edge_S[s])) ** cliff
            if expected > -30:
                assert_allclose(log_suitability[s, m], expected, rtol=2e-3, atol=2e-3)
                checked += 1
            else:
                assert log_suitability[s, m] < -29
    assert checked > 100


def test_all_kinds_share_homes_prevalences_and_dispersal(created):
    worlds = [created[kind][2] for kind in KINDS]
    for other in worlds[1:]:
        assert_array_equal(other.home_S2, worlds[0].home_S2)
        assert_array_equal(other.prevalence_S, worlds[0].prevalence_S)
        assert_array_equal(other.radius_S, worlds[0].radius_S)


@pytest.mark.parametrize("kind", KINDS)
def test_ranges_have_the_size_drawn_for_them_where_land_allows(created, kind):
    present = (ranges(*created[kind]) >= -EDGE).sum(axis=1)
    world, sites = created[kind][2], created[kind][1]
    wanted = np.maximum(np.rint(world.prevalence_S * len(sites.sites_N2)), 1)
    assert (present >= 1).all()
    assert (present <= wanted).all()
    assert (present == wanted).mean() > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_home_is_the_best_place(created, kind):
    landscape, _, world = created[kind]
    home = landscape.describe(world.home_S2)
    assert_allclose([world.log_suitability(home, s)[s] for s in range(SPECIES)], 0, atol=5e-3)
    assert ranges(*created[kind]).max() < 5e-3


def test_a_threshold_niche_is_a_plateau_and_the_others_are_not(created):
    near_0 = {}
    for kind in KINDS:
        log_suitability = ranges(*created[kind])
        near_0[kind] = (log_suitability[log_suitability >= -EDGE] > -0.3).mean()
    assert near_0["threshold"] > 0.85
    assert near_0["unimodal"] < 0.2
    assert near_0["skewed"] < 0.2


def test_a_threshold_niche_falls_steeply_outside():
    home_SF = np.zeros((1, 2 * AXES + 4))
    niches = make_niches("threshold", home_SF, np.ones((1, AXES)), np.ones(1), np.random.default_rng(0))
    niches = niches.with_edge(np.array([0.5]))
    steps = np.array([0.0, 0.7, 0.9, 1.0, 1.05, 100.0])
    features = np.zeros((len(steps), 2 * AXES + 4), dtype=np.float32)
    features[:, 5] = steps
    # With one deviation alone the edge is at one tolerance: -EDGE times the step to the power 64.
    log_suitability = niches.log_suitability(features, np.zeros(len(steps), dtype=bool), 0)
    assert_allclose(log_suitability[:5], -EDGE * steps[:5] ** 64, rtol=1e-4, atol=1e-6)
    assert log_suitability[5] == -np.inf


def test_how_skewed_a_skewed_niche_is():
    n = 4000
    tolerance = np.random.default_rng(1).uniform(0.2, 2.0, (n, AXES))
    niches = make_niches("skewed", np.zeros((n, 2 * AXES + 4)), tolerance, np.ones(n), np.random.default_rng(2))
    # Measured by what the niche says, not by its fields: depth at equal steps differs by the ratio squared.
    log = {}
    for step in (-1.0, 1.0):
        features = np.zeros((1, 2 * AXES + 4), dtype=np.float32)
        features[0, 3] = step
        log[step] = [niches.log_suitability(features.copy(), np.array([False]), s)[0] for s in range(n)]
    below, above = (np.sqrt(-0.5 / np.array(log[step])) for step in (-1.0, 1.0))
    assert_allclose(np.sqrt(below * above), tolerance[:, 0], rtol=1e-4)
    # Either side is as likely to be the wider one, and the ratio is log-normal.
    log_ratio = np.log(above / below)
    assert abs((log_ratio > 0).mean() - 0.5) < 0.04
    normal = stats.norm(np.log(SKEW_MEDIAN), SKEW_SIGMA)

    def two_sided(x):
        return (normal.cdf(x) + normal.sf(-x)) / 2

    assert stats.kstest(log_ratio, two_sided).pvalue > 0.01


def test_an_asymmetric_niche_has_asymmetric_ranges(created):
    """Where the tolerance is wider above, the range reaches farther above its optimum than a unimodal one does."""
    axes = slice(3, 3 + AXES)
    landscape, sites, world = created["skewed"]
    home = landscape.describe(world.home_S2).features_NF[:, axes]
    mean_step = {
        kind: np.stack(
            [
                (sites.features_NF[log >= -EDGE, axes] - home[s]).mean(axis=0)
                for s, log in enumerate(ranges(*created[kind]))
            ]
        )
        for kind in ("unimodal", "skewed")
    }
    shift = mean_step["skewed"] - mean_step["unimodal"]
    assert np.corrcoef(shift.ravel(), np.log(world.niches.above_SA / world.niches.below_SA).ravel())[0, 1] > 0.2


@pytest.mark.parametrize("kind", ["skewed", "threshold"])
def test_the_world_does_not_depend_on_the_number_of_threads(created, kind):
    with threadpool_limits(1):
        assert_array_equal(ranges(*create(niche=kind)), ranges(*created[kind]))


def test_a_higher_median_prevalence_means_larger_ranges(created):
    drawn = draw_prevalence(20_000, np.random.default_rng(0), 0.05)
    ends = np.log(np.array([0.001, 0.2]) / 0.05) / 1.3
    assert stats.kstest(np.log(drawn), stats.truncnorm(*ends, loc=np.log(0.05), scale=1.3).cdf).pvalue > 0.01
    wider = (ranges(*create(prevalence_median=0.05)) >= -EDGE).sum(axis=1)
    assert np.median(wider) > 1.5 * np.median((ranges(*created["unimodal"]) >= -EDGE).sum(axis=1))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"niche": "bimodal"}, r"x\.niche = 'bimodal': must be one of 'unimodal', 'skewed' or 'threshold'"),
        ({"prevalence_median": 0.5}, r"x\.prevalence_median = 0\.5: must be less than or equal to 0\.1"),
    ],
)
def test_wrong_settings_are_one_sentence(setting, sentence):
    with pytest.raises(SettingsError, match=f"^{sentence}"):
        parse_dataset({"kind": "virtual"} | setting, "x")
