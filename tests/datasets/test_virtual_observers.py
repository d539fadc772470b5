"""Kinds of observers of a virtual world: their effort in closed form, and where they gather the records."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from presence_only.common.settings import SettingsError
from presence_only.datasets import build_dataset, parse_dataset, virtual
from presence_only.datasets.virtual.observers import ACCESS_POWER, COAST_FACTOR, COUNTRIES, COUNTRY_SIGMA
from presence_only.geography.earth import LAND_SHARE, Earth
from presence_only.geography.sphere import unit_vectors

SMALL = {"kind": "virtual", "species": 80, "records": 4000, "background_sites": 300, "survey_resolution": 2}
KINDS = ("towns", "countries", "accessible")


pytestmark = pytest.mark.usefixtures("fewer_places")


@pytest.fixture(scope="module")
def created():
    return {kind: virtual.create(parse_dataset(SMALL | {"observers": kind}, "x")) for kind in KINDS}


@pytest.fixture(scope="module")
def built():
    return {kind: build_dataset(parse_dataset(SMALL | {"observers": kind}, "x")) for kind in KINDS}


def access_of(sites):
    """How easily every site is reached, one at a time."""
    earth, found = Earth.load(), []
    for row in earth.sample(sites).astype(float):
        layer = dict(zip(earth.names, row, strict=True))
        height = max(layer["elevation (m)"], 0) / 2500 + layer["roughness (m)"] / 500
        warmth = 1 / (1 + np.exp(-(layer["coldest month temperature (degrees C)"] + 25) / 5))
        found.append(np.exp(-height) * warmth)
    return np.array(found)


def test_species_are_the_same_whoever_observes_them(built):
    for kind in KINDS:
        assert_array_equal(built[kind].survey.truth.matrix(), built["towns"].survey.truth.matrix())
        assert built[kind].training.records.n_rows == 4000


def test_towns_are_the_same_with_countries_and_without(created):
    towns, countries = created["towns"][0].observers, created["countries"][0].observers
    assert_array_equal(towns.towns_T3, countries.towns.towns_T3)
    assert_array_equal(towns.size_T, countries.towns.size_T)


def test_effort_of_countries_is_that_of_the_nearest_centre_times_access_and_the_cube_root_of_towns(created):
    landscape, sites, _ = created["countries"]
    observers = landscape.observers
    access = access_of(sites.sites_N2)
    by_towns = created["towns"][1].effort_N
    for m in range(0, len(access), 23):
        vector = unit_vectors(sites.sites_N2[m : m + 1])[0]
        country = int(np.argmax([vector @ centre for centre in observers.centre_K3]))
        expected = observers.intensity_K[country] * (by_towns[m] / access[m]) ** (1 / 3) * access[m]
        assert_allclose(sites.effort_N[m], expected, rtol=1e-5)


def test_countries_differ_as_much_as_documented_and_are_coherent(created):
    landscape, sites, _ = created["countries"]
    observers = landscape.observers
    assert len(observers.intensity_K) == COUNTRIES
    # The standard deviation of 150 normal numbers is within 15 % of the distribution's with probability 0.99.
    assert np.log(observers.intensity_K).std() == pytest.approx(COUNTRY_SIGMA, rel=0.15)
    vectors = unit_vectors(sites.sites_N2)
    country = observers.country(vectors)
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -1)
    assert (country == country[cosine.argmax(axis=1)]).mean() > 0.6
    assert len(np.unique(country)) > 0.9 * COUNTRIES


def test_effort_by_access_needs_no_town(created):
    sites = created["accessible"][1]
    land_share = Earth.load().sample(sites.sites_N2)[:, Earth.load().names.index(LAND_SHARE)]
    expected = access_of(sites.sites_N2) ** ACCESS_POWER * np.where(land_share < 0.95, COAST_FACTOR, 1)
    assert_allclose(sites.effort_N, expected, rtol=1e-5)


def test_every_kind_gathers_the_records_and_bias_is_its_power(built):
    def in_top_cells(dataset):
        cells = np.floor(dataset.training.records.sites_N2).astype(int)
        _, counts = np.unique(cells, axis=0, return_counts=True)
        return np.sort(counts)[::-1][:100].sum() / counts.sum()

    even = in_top_cells(build_dataset(parse_dataset(SMALL | {"bias": 0.0}, "x")))
    for kind in KINDS:
        more = in_top_cells(build_dataset(parse_dataset(SMALL | {"observers": kind, "bias": 2.0}, "x")))
        assert even < in_top_cells(built[kind]) < more


def test_an_unknown_kind_is_one_sentence():
    with pytest.raises(SettingsError, match=r"^x\.observers = 'roads': must be one of 'towns', 'countries' or 'acc"):
        parse_dataset({"kind": "virtual", "observers": "roads"}, "x")
