"""Observers of a virtual world: how much effort they spend at a site, by one of three kinds.

``towns``: observers come from the towns nearby and avoid land that is hard to reach. The towns are synthetic: drawn
from the seed on warm, moist, low and coastal land, with sizes of Zipf's law. They are not the world's towns, of which
the package holds no data. ``countries``: effort differs between countries, within which towns matter less. The
countries are synthetic too: every site belongs to the nearest of random centres on land. ``accessible``: observers
live nowhere in particular and keep to low, flat land with mild winters, above all by the sea.

Effort is relative: only its ratio between sites matters.

Shape legend: N sites, T towns, K cultures or countries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import expit

from presence_only.common.arrays import Floats
from presence_only.datasets.virtual.layers import (
    COLDEST,
    ELEVATION,
    MEAN_TEMPERATURE,
    PRECIPITATION,
    ROUGHNESS,
    SOUTHERN_LIMIT,
    layers_by_name,
)
from presence_only.geography.earth import LAND_SHARE, Earth
from presence_only.geography.sphere import EARTH_RADIUS_KM, unit_vectors

ObserverKind = Literal["towns", "countries", "accessible"]
Layers = Mapping[str, NDArray[np.float64]]

TOWNS, TOWN_REACH_KM, NEAREST_TOWNS = 1500, 60.0, 8
# Effort far from any town, relative to a town of median size.
WILDERNESS_EFFORT = 0.02
# Parts of the world with more or fewer observers; the reach is a chord of the unit sphere.
CULTURES, CULTURE_REACH = 40, 0.35
# Standard deviation of the logarithm of effort between countries, and the power of the towns' effort within them.
COUNTRIES, COUNTRY_SIGMA, TOWN_POWER = 150, 1.5, 1 / 3
# Without towns, access decides alone: it counts by this power, and a coast by this factor.
ACCESS_POWER, COAST_FACTOR = 3.0, 3.0
# A site with sea among the cells around it is near a coast.
COASTAL = 0.95


class Observers(Protocol):
    """What decides where observers go."""

    def effort(self, vectors_N3: Floats, layers: Layers) -> NDArray[np.float64]:
        """Effort at sites, above 0, shape (N,).

        Args:
            vectors_N3: The sites as points on the unit sphere.
            layers: The environment at the sites by the name of the layer.
        """
        ...


@dataclass(frozen=True, eq=False)
class Towns:
    """Observers who come from towns; effort is 1 or so in a town of median size on easy land.

    Args:
        towns_T3: Towns as points on the unit sphere.
        size_T: Observers of every town; the median town has 1.
    """

    towns_T3: NDArray[np.float64]
    size_T: NDArray[np.float64]

    @classmethod
    def found(cls, earth: Earth, generator: np.random.Generator) -> Self:
        """Draw the towns."""
        return cls(*_found_towns(earth, generator))

    def effort(self, vectors_N3: Floats, layers: Layers) -> NDArray[np.float64]:
        """Observers come from the towns nearby and avoid high, rugged and cold land."""
        return self.visitors(vectors_N3) * access(layers)

    def visitors(self, vectors_N3: Floats) -> NDArray[np.float64]:
        """Observers who would come to a site if all land were easy, shape (N,)."""
        nearest = min(NEAREST_TOWNS, len(self.towns_T3))
        chord_NK, town_NK = cKDTree(self.towns_T3).query(vectors_N3, k=nearest)
        visitors_N: NDArray[np.float64] = (
            self.size_T[town_NK] * np.exp(-chord_NK * EARTH_RADIUS_KM / TOWN_REACH_KM)
        ).sum(axis=1)
        return WILDERNESS_EFFORT + visitors_N


@dataclass(frozen=True, eq=False)
class Countries:
    """Observers whose number differs between countries more than between town and wilderness.

    Args:
        towns: The towns, whose effort counts by the power ``TOWN_POWER``.
        centre_K3: Centres of the countries as points on the unit sphere; a site belongs to the nearest.
        intensity_K: Effort of every country, log-normal with median 1.
    """

    towns: Towns
    centre_K3: NDArray[np.float64]
    intensity_K: NDArray[np.float64]

    @classmethod
    def found(cls, earth: Earth, towns: Towns, generator: np.random.Generator) -> Self:
        """Draw the countries, with centres uniform over land."""
        centre_K3 = unit_vectors(earth.land_sites(COUNTRIES, generator, south=SOUTHERN_LIMIT))
        return cls(towns, centre_K3, np.exp(COUNTRY_SIGMA * generator.standard_normal(COUNTRIES)))

    def country(self, vectors_N3: Floats) -> NDArray[np.int64]:
        """The country of every site, shape (N,)."""
        _, country_N = cKDTree(self.centre_K3).query(vectors_N3)
        return np.asarray(country_N, dtype=np.int64)

    def effort(self, vectors_N3: Floats, layers: Layers) -> NDArray[np.float64]:
        """Effort of the country, of its towns nearby, and of land that is easy to reach."""
        effort_N: NDArray[np.float64] = (
            self.intensity_K[self.country(vectors_N3)] * self.towns.visitors(vectors_N3) ** TOWN_POWER * access(layers)
        )
        return effort_N


@dataclass(frozen=True)
class Accessible:
    """Observers who go where it is easy to go, and live nowhere."""

    def effort(self, vectors_N3: Floats, layers: Layers) -> NDArray[np.float64]:
        """Effort on low, flat land without hard winters, and more by the sea."""
        effort_N: NDArray[np.float64] = access(layers) ** ACCESS_POWER
        effort_N *= np.where(layers[LAND_SHARE] < COASTAL, COAST_FACTOR, 1.0)
        return effort_N


def make_observers(
    kind: ObserverKind, earth: Earth, town_generator: np.random.Generator, *, country_generator: np.random.Generator
) -> Observers:
    """Observers of a kind.

    Args:
        kind: What decides where they go.
        earth: The shipped grid.
        town_generator: Draws the towns, which are the same with countries and without.
        country_generator: Draws the countries.
    """
    if kind == "accessible":
        return Accessible()
    towns = Towns.found(earth, town_generator)
    return towns if kind == "towns" else Countries.found(earth, towns, country_generator)


def access(layers: Layers) -> NDArray[np.float64]:
    """How easily a site is reached, from 0 to 1: less on high, rugged and cold land, shape (N,)."""
    access_N: NDArray[np.float64] = np.exp(-np.maximum(layers[ELEVATION], 0) / 2500 - layers[ROUGHNESS] / 500)
    access_N *= expit((layers[COLDEST] + 25) / 5)
    return access_N


def _found_towns(earth: Earth, generator: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Synthetic towns: points on the unit sphere, shape (T, 3), and their observers, shape (T,).

    People settle on mild, moist, low land and by the sea. Observers of a town rise with the square
    root of its people, who follow Zipf's law, and differ between parts of the world.
    """
    drawn_N2 = earth.land_sites(20 * TOWNS, generator, south=SOUTHERN_LIMIT)
    layer = layers_by_name(earth.names, earth.sample(drawn_N2).T)
    attraction_N = np.exp(-(((layer[MEAN_TEMPERATURE] - 15) / 10) ** 2) / 2)
    attraction_N *= np.exp(-((np.log((layer[PRECIPITATION] + 50) / 900) / 0.8) ** 2) / 2)
    attraction_N *= np.exp(-np.maximum(layer[ELEVATION], 0) / 800)
    attraction_N *= np.where(layer[LAND_SHARE] < COASTAL, 2.0, 1.0)
    chosen_T = generator.choice(len(drawn_N2), TOWNS, replace=False, p=attraction_N / attraction_N.sum())
    towns_T3 = unit_vectors(drawn_N2[chosen_T])

    size_T = np.sqrt(TOWNS / 2 / generator.permutation(np.arange(1, TOWNS + 1)))
    centre_K3 = generator.standard_normal((CULTURES, 3))
    centre_K3 /= np.linalg.norm(centre_K3, axis=1, keepdims=True)
    # einsum and sum round alike for any number of threads, matrix products do not.
    bump_TK = np.exp((np.einsum("td,kd->tk", towns_T3, centre_K3) - 1) / CULTURE_REACH**2)
    size_T *= np.exp((bump_TK * generator.standard_normal(CULTURES)).sum(axis=1))
    return towns_T3, size_T
