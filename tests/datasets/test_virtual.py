"""Virtual species: the world, its observers, and what stays the same when settings change."""

from dataclasses import fields

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from threadpoolctl import threadpool_limits

from presence_only import datasets
from presence_only.common import memory
from presence_only.common.errors import UserError
from presence_only.common.settings import SettingsError
from presence_only.data.truth import ABSENT, PRESENT
from presence_only.datasets import virtual
from presence_only.datasets.virtual import dataset as dataset_module
from presence_only.datasets.virtual import landscape as land
from presence_only.datasets.virtual import layers, niches, recording
from presence_only.datasets.virtual import species as species_module
from presence_only.geography.earth import Earth
from presence_only.geography.sphere import EARTH_RADIUS_KM, unit_vectors

# Resolution 2 has about 1,600 survey sites, a seventh of the default's.
SMALL = {"kind": "virtual", "species": 80, "records": 4000, "background_sites": 300, "survey_resolution": 2}


def parse(**changes):
    return datasets.parse_dataset(SMALL | changes, "datasets.virtual")


def build(**changes):
    return datasets.build_dataset(parse(**changes))


pytestmark = pytest.mark.usefixtures("fewer_places")


@pytest.fixture(scope="module")
def dataset():
    return build()


@pytest.fixture(scope="module")
def created():
    return virtual.create(parse())


@pytest.fixture(scope="module")
def places(created):
    landscape = created[0]
    return landscape.describe(landscape.earth.land_sites(20_000, np.random.default_rng(5), south=-60))


def log_suitability_of_all(world, sites):
    """Log suitability, shape (80, sites)."""
    return np.stack([world.log_suitability(sites, s) for s in range(80)])


def assert_same(one, other):
    """Two objects of dataclasses and arrays are equal bit by bit."""
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            assert_array_equal(a, b)
        elif hasattr(a, "__dataclass_fields__"):
            assert_same(a, b)
        else:
            assert a == b


# The data set.


def test_the_worlds_of_the_studies_never_change(dataset):
    """All published results hang on these draws: of species, towns, places, records and background."""
    records, survey = dataset.training.records, dataset.survey
    assert records.records_per_species()[:6].tolist() == [91, 9, 12, 27, 83, 19]
    assert survey.truth.presences_per_species()[:6].tolist() == [56, 23, 26, 63, 18, 51]
    assert_allclose(records.sites_N2[:2], [[14.0106334, -7.7535847], [37.8962014, -11.5138821]], atol=1e-6)
    background = dataset.training.background.sites_K2[:2]
    assert_allclose(background, [[137.9058968, -0.7365824], [-97.7066382, -41.5283516]], atol=1e-6)


def test_same_settings_same_data(dataset):
    assert_same(dataset, build())


def test_another_seed_is_another_world(dataset):
    other = build(seed=1)
    assert not np.array_equal(dataset.survey.truth.matrix(), other.survey.truth.matrix())
    assert not np.array_equal(dataset.training.records.sites_N2, other.training.records.sites_N2)
    assert not np.array_equal(dataset.training.background.sites_K2, other.training.background.sites_K2)


def test_the_world_does_not_depend_on_how_it_is_observed(dataset):
    other = build(records=200, bias=0.0, noise_km=50.0, background="land")
    assert_array_equal(dataset.survey.truth.matrix(), other.survey.truth.matrix())


def test_records_are_as_many_as_asked_one_a_row_and_on_the_globe(dataset):
    records = dataset.training.records
    assert records.n_rows == len(records.row_P) == 4000
    assert_array_equal(records.row_P, np.arange(4000))
    assert records.records_per_species().min() >= 1
    assert records.species[0] == "virtual_0001"
    assert records.species[-1] == "virtual_0080"
    assert np.abs(records.sites_N2[:, 0]).max() <= 180
    assert -61 < records.sites_N2[:, 1].min() < records.sites_N2[:, 1].max() <= 90
    # In random order, so that no stretch of rows belongs to one species.
    assert len(np.unique(records.species_P[:100])) > 20


def test_covariates_come_from_the_grid(dataset):
    earth, training = Earth.load(), dataset.training
    assert training.records.covariate_names == dataset.survey.covariate_names == earth.names
    assert_array_equal(training.records.covariates_NC, earth.sample(training.records.sites_N2))
    assert_array_equal(training.background.covariates_KC, earth.sample(training.background.sites_K2))
    assert_array_equal(dataset.survey.covariates_MC, earth.sample(dataset.survey.sites_M2))
    assert np.isfinite(dataset.survey.covariates_MC).all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_as_few_records_as_species_is_one_record_each(seed):
    records = build(records=80, seed=seed).training.records
    assert_array_equal(records.records_per_species(), np.ones(80))


def test_one_species_is_a_data_set():
    dataset = build(species=1, records=1)
    assert dataset.survey.truth.shape[1] == 1
    assert dataset.training.records.n_rows == 1


def test_records_are_long_tailed(dataset):
    counts = np.sort(dataset.training.records.records_per_species())[::-1]
    assert counts[:8].sum() > 0.3 * counts.sum()
    assert np.median(counts) < 0.7 * counts.mean()


def test_groups_are_dealt_in_turn_and_reach_the_background():
    dataset = build(groups=3, background="target_group")
    records, background = dataset.training.records, dataset.training.background
    assert records.groups[:4] == ("group_1", "group_2", "group_3", "group_1")
    assert set(background.groups_K) == {"group_1", "group_2", "group_3"}
    known = {tuple(site) for site in records.sites_N2}
    assert all(tuple(site) in known for site in background.sites_K2)


def test_settings_reach_the_data_set():
    dataset = build(background="land", background_sites=123)
    assert dataset.training.background.kind == "land"
    assert len(dataset.training.background.sites_K2) == 123


# The survey.


def test_the_survey_is_an_even_grid_over_land_without_antarctica():
    sites = land.survey_grid(Earth.load(), 2)
    assert 1300 < len(sites) < 1900
    assert (Earth.load().land_share(sites) >= 0.5).all()
    assert sites[:, 1].min() > -60
    cosine = unit_vectors(sites) @ unit_vectors(sites).T
    np.fill_diagonal(cosine, -1)
    nearest_km = np.arccos(cosine.max(axis=1)) * EARTH_RADIUS_KM
    assert nearest_km.min() > 200
    # All but a few islands.
    assert np.quantile(nearest_km, 0.99) < 400


def test_the_truth_is_known_everywhere(dataset, created):
    truth = dataset.survey.truth.matrix()
    assert set(np.unique(truth)) == {ABSENT, PRESENT}
    assert (truth == PRESENT).sum(axis=0).min() >= 1
    _, survey_sites, world = created
    log_suitability = log_suitability_of_all(world, survey_sites)
    assert_array_equal(truth == PRESENT, (log_suitability >= -niches.EDGE).T)


def test_ranges_have_the_size_drawn_for_them_where_land_allows(created):
    _, survey_sites, world = created
    truth, _ = species_module.survey_all(world, survey_sites, 1.0)
    present = (truth == PRESENT).sum(axis=0)
    wanted = np.maximum(np.rint(world.prevalence_S * len(truth)), 1)
    assert (present <= wanted).all()
    assert (present == wanted).mean() > 0.8


def test_prevalence_is_a_truncated_log_normal():
    prevalence = species_module.draw_prevalence(20_000, np.random.default_rng(0))
    low, high = species_module.PREVALENCE_RANGE
    assert low <= prevalence.min() < 1.05 * low
    assert 0.95 * high < prevalence.max() <= high
    scale = species_module.PREVALENCE_SIGMA
    ends = np.log(np.array([low, high]) / species_module.PREVALENCE_MEDIAN) / scale
    expected = stats.truncnorm(*ends, loc=np.log(species_module.PREVALENCE_MEDIAN), scale=scale)
    assert stats.kstest(np.log(prevalence), expected.cdf).pvalue > 0.01


def test_true_prevalence_is_long_tailed(dataset):
    share = np.sort((dataset.survey.truth.matrix() == PRESENT).mean(axis=0))
    assert share[-1] > 5 * np.median(share)
    assert np.median(share) > 3 * share[4]


# The niche and dispersal.


def test_log_suitability_is_the_documented_formula(created, places):
    landscape, _, world = created
    home_sites = landscape.describe(world.home_S2)
    axes = slice(3, 3 + layers.AXES)
    log_suitability = log_suitability_of_all(world, places)
    checked = 0
    for s in range(0, 80, 7):
        scale = world.niches.crossing_S[s] / (niches.SEA_STEPS**2 / 2)
        squared = world.niches.coefficients_SF[s, 3 + layers.AXES : 3 + 2 * layers.AXES]
        tolerance = np.sqrt(scale / (-2 * squared))
        for q in range(0, 20_000, 97):
            chord = np.linalg.norm(
                unit_vectors(places.sites_N2[q : q + 1])[0] - unit_vectors(world.home_S2[s : s + 1])[0]
            )
            steps = (places.features_NF[q, axes] - home_sites.features_NF[s, axes]) / tolerance
            overseas = places.landmass_N[q] != home_sites.landmass_N[s]
            expected = -(steps**2).sum() / 2 - (chord / world.radius_S[s]) ** 2 / 2 - 2.0 * overseas
            reach = min(species_module.MAX_DISPERSAL * world.radius_S[s], species_module.LAND_REACH)
            if chord > reach or (overseas and chord > species_module.SEA_REACH):
                assert log_suitability[s, q] == -np.inf
            else:
                assert_allclose(log_suitability[s, q], scale * expected, rtol=1e-3, atol=2e-3)
                checked += 1
    assert checked > 50


def test_home_is_the_best_place(created, places):
    landscape, _, world = created
    at_home = np.diagonal(log_suitability_of_all(world, landscape.describe(world.home_S2)))
    assert_allclose(at_home, 0, atol=5e-3)
    assert log_suitability_of_all(world, places).max() < 5e-3


def test_a_climate_analogue_on_another_continent_is_empty(created, dataset):
    landscape, survey_sites, world = created
    present = dataset.survey.truth.matrix() == PRESENT
    axes = slice(3, 3 + layers.AXES)
    home_axes = landscape.describe(world.home_S2).features_NF[:, axes]
    analogues = 0
    for s in range(80):
        distance = np.linalg.norm(survey_sites.features_NF[:, axes] - home_axes[s], axis=1)
        # As close to home in environment as the median site of the species' own range.
        close = distance <= np.median(distance[present[:, s]])
        chord = np.linalg.norm(unit_vectors(survey_sites.sites_N2) - unit_vectors(world.home_S2[s : s + 1]), axis=1)
        overseas = survey_sites.landmass_N != world.landmass_S[s]
        elsewhere = close & ((chord > species_module.LAND_REACH) | (overseas & (chord > species_module.SEA_REACH)))
        assert not present[elsewhere, s].any()
        analogues += bool(elsewhere.any())
    assert analogues > 20


def test_landmasses_are_the_continents():
    label = land.label_landmasses(Earth.load())
    spots = {"france": (2, 47), "congo": (20, 0), "kansas": (-98, 39), "brazil": (-55, -10), "australia": (135, -25)}
    spots |= {"madagascar": (47, -20), "korea": (128, 37)}
    of = {name: label[latitude + 90, longitude + 180] for name, (longitude, latitude) in spots.items()}
    assert of["france"] == of["congo"] == of["korea"]
    assert len({of[name] for name in ("france", "kansas", "australia", "madagascar")}) == 4
    assert of["brazil"] not in (of["congo"], of["australia"])
    # Chukotka is one land across 180 degrees.
    assert label[157, 0] == label[157, 359]
    assert (label > 0).all()


# The observers.


def test_without_noise_every_record_is_where_the_species_is():
    settings = parse(noise_km=0.0)
    landscape, _, world = virtual.create(settings)
    records = datasets.build_dataset(settings).training.records
    sites = landscape.describe(records.sites_N2)
    log_suitability = log_suitability_of_all(world, sites)[records.species_P, np.arange(4000)]
    assert log_suitability.min() >= -niches.EDGE


def test_noise_has_the_size_asked_for():
    sites = np.array([[0.0, 0.0], [179.99, 60.0], [20.0, 89.9], [-60.0, -45.0]]).repeat(5000, axis=0)
    before = sites.copy()
    moved = recording.displace(sites, 25.0, np.random.default_rng(0))
    assert_array_equal(sites, before)
    assert np.abs(moved[:, 0]).max() <= 180
    chord = np.linalg.norm(unit_vectors(moved) - unit_vectors(sites), axis=1)
    # The length of two normal steps follows a Rayleigh distribution, at every latitude.
    for one in np.split(chord * EARTH_RADIUS_KM, 4):
        assert stats.kstest(one, stats.rayleigh(scale=25.0).cdf).pvalue > 0.01
    assert_array_equal(recording.displace(sites, 0.0, np.random.default_rng(0)), sites)


def test_displacing_in_slices_moves_everything(monkeypatch):
    monkeypatch.setattr(recording, "SITES_PER_SLICE", 30)
    sites = np.tile([[10.0, 10.0]], (100, 1))
    assert (recording.displace(sites, 5.0, np.random.default_rng(0)) != sites).all()


def test_unbiased_observers_follow_suitability_and_biased_ones_effort(created, places):
    _, _, world = created
    counts = np.full(80, 500)
    log_suitability = log_suitability_of_all(world, places)
    weight = np.where(log_suitability >= -niches.EDGE, np.exp(log_suitability), 0.0)
    log_effort = np.log(places.effort_N)
    seen = {}
    for bias in (0.0, 0.5, 1.0):
        sites, species = recording.observe(world, places, counts, bias, np.random.default_rng(7))
        index = {tuple(site): i for i, site in enumerate(places.sites_N2)}
        effort = np.array([log_effort[index[tuple(site)]] if tuple(site) in index else np.nan for site in sites])
        seen[bias] = np.array([np.nanmean(effort[species == s]) for s in range(80) if weight[s].sum() > 0])
        weighted = weight * places.effort_N**bias
        used = weighted.sum(axis=1) > 0
        mean = (weighted[used] @ log_effort) / weighted[used].sum(axis=1)
        square = (weighted[used] @ log_effort**2) / weighted[used].sum(axis=1)
        error = np.sqrt(np.maximum(square - mean**2, 1e-12) / 500)
        # The mean effort of 500 draws, against the mean computed from all weights.
        assert (np.abs(seen[bias] - mean) <= 4.5 * error + 1e-5).all()
    assert seen[0.0].mean() + 0.2 < seen[0.5].mean() < seen[1.0].mean() - 0.2


def test_a_species_seen_nowhere_is_seen_at_home(created, places):
    landscape, _, world = created
    nowhere = landscape.describe(np.array([[-40.0, 73.0], [0.0, 25.0]]))
    present = (log_suitability_of_all(world, nowhere) >= -niches.EDGE).any(axis=1)
    assert not present.all()
    sites, species = recording.observe(world, nowhere, np.full(80, 2), 1.0, np.random.default_rng(0))
    for s in np.flatnonzero(~present):
        assert_array_equal(sites[species == s], np.tile(world.home_S2[s], (2, 1)))


def test_what_there_is_to_find_is_suitability_times_effort_over_the_range(created):
    _, survey_sites, world = created
    log_suitability = log_suitability_of_all(world, survey_sites).astype(np.float64)
    for bias in (0.0, 1.5):
        truth, found = species_module.survey_all(world, survey_sites, bias)
        for s in range(0, 80, 11):
            inside = np.flatnonzero(truth[:, s] == PRESENT)
            expected = sum(np.exp(log_suitability[s, m]) * survey_sites.effort_N[m] ** bias for m in inside)
            assert_allclose(found[s], expected, rtol=1e-5)


def test_a_raster_of_weights_gives_the_background(tmp_path):
    np.savez(tmp_path / "effort.npz", names=["effort"], layers=[[[0.0, 1.0]]], bounds=(0.0, 0.0, 20.0, 10.0))
    background = build(background=str(tmp_path / "effort.npz"), background_sites=50).training.background
    assert background.kind == "raster"
    assert ((background.sites_K2 >= [10, 0]) & (background.sites_K2 <= [20, 10])).all()


def test_land_background_is_drawn_apart_from_the_places_of_the_records():
    training = build(noise_km=0.0, background="land", background_sites=dataset_module.PLACES).training

    def within_cells(sites):
        return set(np.round(sites[:, 0] % 1, 11))

    # One stream for both would put them at the same spots of their cells.
    assert within_cells(training.records.sites_N2).isdisjoint(within_cells(training.background.sites_K2))


def test_the_data_do_not_depend_on_the_number_of_threads(dataset):
    with threadpool_limits(1):
        assert_same(dataset, build())


def test_bias_gathers_the_records_of_the_data_set(dataset):
    def cells(built):
        return len(np.unique(np.floor(built.training.records.sites_N2), axis=0))

    assert cells(build(bias=2.0)) < 0.8 * cells(dataset)
    assert cells(dataset) < 0.8 * cells(build(bias=0.0))


def test_towns_lie_on_hospitable_land(created):
    landscape = created[0]
    assert np.median(landscape.observers.size_T) == pytest.approx(1, rel=0.6)
    assert landscape.observers.size_T.max() > 10 * np.median(landscape.observers.size_T)
    remote = landscape.describe(np.array([[88.0, 33.0], [-40.0, 73.0], [100.0, 73.0]]))
    mild = landscape.describe(landscape.earth.land_sites(3000, np.random.default_rng(0), south=-60))
    assert remote.effort_N.max() < np.median(mild.effort_N)


def test_shares_follow_what_there_is_to_find():
    found = np.array([1e-3, 1.0, 1e3])
    counts = recording.share_records(found, 100_000, np.random.default_rng(0))
    assert counts.sum() == 100_000
    assert 1 <= counts[0] < counts[1] < counts[2]


# The settings.


def test_defaults_are_the_default_study():
    settings = datasets.parse_dataset({"kind": "virtual"}, "datasets.virtual")
    assert isinstance(settings, virtual.DatasetSettings)
    assert (settings.species, settings.records, settings.survey_resolution) == (500, 50_000, 3)


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"kind": "virtual", "bais": 1.0}, r"unknown key 'bais' in datasets\.x; known: background, .*species"),
        ({"kind": "virtual", "bias": -1.0}, r"datasets\.x\.bias = -1\.0: must be greater than or equal to 0"),
        ({"kind": "virtual", "noise_km": float("nan")}, r"datasets\.x\.noise_km = nan: must be "),
        ({"kind": "virtual", "species": "5"}, r"datasets\.x\.species = '5': must be a valid integer"),
        (
            {"kind": "virtual", "background": "sea"},
            r"datasets\.x\.background = 'sea': must be one of 'uniform', 'land'",
        ),
        (
            {"kind": "virtual", "species": 20, "records": 19},
            r"datasets\.x\.records = 19: must be at least the number of species, 20",
        ),
        (
            {"kind": "virtual", "species": 60_000},
            r"datasets\.x\.records = 50000: must be at least the number of species, 60000",
        ),
    ],
)
def test_wrong_settings_are_one_sentence(raw, sentence):
    with pytest.raises(SettingsError, match=f"^{sentence}") as caught:
        datasets.parse_dataset(raw, "datasets.x")
    assert "\n" not in str(caught.value)


def test_a_cap_thins_the_records_of_the_same_world():
    base = {"kind": "virtual", "species": 12, "records": 600, "background_sites": 50, "survey_resolution": 1}
    whole = virtual.build(virtual.DatasetSettings.parse(base, "")).training.records
    thinned = virtual.build(virtual.DatasetSettings.parse(base | {"cap": 20}, "")).training.records
    np.testing.assert_array_equal(thinned.records_per_species(), np.minimum(whole.records_per_species(), 20))
    assert {tuple(site) for site in thinned.sites_N2} <= {tuple(site) for site in whole.sites_N2}


@pytest.mark.parametrize(
    ("sizes", "setting"),
    [
        ({"species": 100_000, "records": 100_000, "survey_resolution": 4}, "species or survey_resolution"),
        ({"records": 100_000_000}, "records"),
        ({"background_sites": 100_000_000}, "background_sites"),
    ],
)
def test_a_world_that_is_too_large_is_refused_before_it_is_made(sizes, setting, monkeypatch):
    monkeypatch.setattr(memory, "memory_of_machine", lambda: 4 * 10**9)
    monkeypatch.setattr(dataset_module, "create", lambda _: pytest.fail("the world was made"))
    with pytest.raises(UserError, match=rf"needs about .* GB of memory, and there are 4.0 GB: .*; change {setting}$"):
        datasets.parse_dataset({"kind": "virtual", **sizes}, "datasets.x").build()
