"""Species of a virtual world: homes, niches, dispersal, and where each of them is present.

Shape legend: N sites, M survey sites, S species, A niche axes, F features of a site.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from presence_only.data.truth import ABSENT, PRESENT
from presence_only.datasets.virtual.landscape import Float32s, Sites
from presence_only.datasets.virtual.layers import AXES
from presence_only.datasets.virtual.niches import EDGE, NicheKind, Niches, make_niches
from presence_only.geography.sphere import unit_vectors

PREVALENCE_MEDIAN, PREVALENCE_SIGMA, PREVALENCE_RANGE = 0.015, 1.3, (0.001, 0.2)
# Niche tolerance at the prevalence PREVALENCE_MEDIAN, in standard deviations of the axis over land.
TOLERANCE_MEDIAN, TOLERANCE_SIGMA, TOLERANCE_BY_PREVALENCE = 0.7, 0.4, 0.3
# Dispersal radius as a multiple of the radius of a disc with the area of the range.
DISPERSAL_MEDIAN, DISPERSAL_SIGMA = 1.5, 0.3
MAX_DISPERSAL = 2.5
# The farthest that any species gets from home, and that any gets over sea, as chords of the unit
# sphere: 8,200 km and 2,600 km.
LAND_REACH, SEA_REACH = 1.2, 0.4
# Land without Antarctica is 27 % of the sphere.
LAND_SHARE_OF_SPHERE = 0.27


@dataclass(frozen=True, eq=False)
class World:
    """All species of the virtual world; a species is present where its log suitability reaches ``-EDGE``.

    Args:
        home_S2: Longitude, latitude of every species' home.
        niches: Log suitability within reach.
        landmass_S: Landmass of the home.
        radius_S: Dispersal radius as a chord of the unit sphere.
        prevalence_S: Share of the survey's sites drawn for the range; the range has less where the
            reach holds less land.
    """

    home_S2: NDArray[np.float64]
    niches: Niches
    landmass_S: NDArray[np.int16]
    radius_S: NDArray[np.float64]
    prevalence_S: NDArray[np.float64]

    def log_suitability(self, sites: Sites, species: int) -> Float32s:
        """Log suitability of one species at sites, shape (N,); 0 at home, -inf beyond dispersal.

        Elementwise, on the sites within reach, so that no rounding, hence no record, depends on the number of threads.
        """
        features_NF = sites.features_NF
        x, y, z = unit_vectors(self.home_S2[species : species + 1])[0].astype(np.float32)
        x_N, y_N, z_N = sites.vectors_3N
        cosine_N = x_N * x + y_N * y + z_N * z
        # A chord c has the cosine 1 - c^2 / 2.
        reach = min(MAX_DISPERSAL * self.radius_S[species], LAND_REACH)
        near = np.flatnonzero(cosine_N >= np.float32(1 - reach**2 / 2))
        overseas = sites.landmass_N[near] != self.landmass_S[species]
        # take is several times as fast as features_NF[near]
        log_near = self.niches.log_suitability(features_NF.take(near, axis=0), overseas, species)
        log_near[overseas & (cosine_N[near] < np.float32(1 - SEA_REACH**2 / 2))] = -np.inf
        log_N = np.full(len(features_NF), -np.inf, dtype=np.float32)
        log_N[near] = log_near
        return log_N


def make_world(
    survey_sites: Sites,
    species: int,
    generator: np.random.Generator,
    *,
    niche: NicheKind = "unimodal",
    prevalence_median: float = PREVALENCE_MEDIAN,
    skew_generator: np.random.Generator,
) -> World:
    """Draw the species: home, niche, dispersal and prevalence.

    Args:
        survey_sites: Sites of which the ranges have their shares; homes are among them.
        species: Number of species.
        generator: Draws all that species of every kind of niche have, so that the kinds differ in nothing else.
        niche: Shape of the niches.
        prevalence_median: Median of the share of sites before truncation.
        skew_generator: Draws how skewed niches are.
    """
    # Richness rises with warmth and rain, as that of most taxa does.
    features_MF = survey_sites.features_NF
    richness_M = np.exp(0.5 * features_MF[:, 3] + 0.3 * features_MF[:, 5]).astype(np.float64)
    home_S = generator.choice(len(richness_M), size=species, p=richness_M / richness_M.sum())
    prevalence_S = draw_prevalence(species, generator, prevalence_median)
    wide_S = prevalence_S / PREVALENCE_MEDIAN
    tolerance_SA = TOLERANCE_MEDIAN * np.exp(TOLERANCE_SIGMA * generator.standard_normal((species, AXES)))
    tolerance_SA *= wide_S[:, None] ** TOLERANCE_BY_PREVALENCE
    # The survey's cells have nearly equal areas, so a share of them is an area, and a disc of chord c has
    # the share c^2 / 4 of the sphere.
    share_of_sphere_S = prevalence_S * LAND_SHARE_OF_SPHERE
    radius_S = DISPERSAL_MEDIAN * np.exp(DISPERSAL_SIGMA * generator.standard_normal(species))
    radius_S *= 2 * np.sqrt(share_of_sphere_S)

    home_SF = features_MF[home_S].astype(np.float64)
    niches = make_niches(niche, home_SF, tolerance_SA, radius_S, skew_generator)
    raw = World(
        home_S2=survey_sites.sites_N2[home_S],
        niches=niches,
        landmass_S=survey_sites.landmass_N[home_S],
        radius_S=radius_S,
        prevalence_S=prevalence_S,
    )
    wanted_S = np.maximum(np.rint(prevalence_S * len(richness_M)), 1).astype(np.int64)
    return replace(raw, niches=niches.with_edge(_depth_of_edge(raw, survey_sites, wanted_S)))


def draw_prevalence(
    species: int, generator: np.random.Generator, median: float = PREVALENCE_MEDIAN
) -> NDArray[np.float64]:
    """Shares of the survey's sites, log-normal and truncated to ``PREVALENCE_RANGE``."""
    low, high = ndtr(np.log(np.array(PREVALENCE_RANGE) / median) / PREVALENCE_SIGMA)
    normal_S = ndtri(generator.uniform(low, high, species))
    prevalence_S: NDArray[np.float64] = median * np.exp(PREVALENCE_SIGMA * normal_S)
    return prevalence_S


def survey_all(world: World, survey_sites: Sites, bias: float) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Visit every site and find every species there.

    Returns:
        The truth, shape (M, S), and for every species its suitability times effort to the power
        ``bias``, summed over the sites where it is present, shape (S,).
    """
    species = len(world.home_S2)
    truth_MS = np.full((len(survey_sites.sites_N2), species), ABSENT, dtype=np.int8)
    found_S = np.zeros(species)
    effort_M = survey_sites.effort_N**bias
    for s in range(species):
        log_M = world.log_suitability(survey_sites, s)
        present = np.flatnonzero(log_M >= -EDGE)
        truth_MS[present, s] = PRESENT
        found_S[s] = (np.exp(log_M[present]) * effort_M[present]).sum()
    return truth_MS, found_S


def _depth_of_edge(world: World, survey_sites: Sites, wanted_S: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far below 0 the log suitability is at the edge of a range of ``wanted_S`` sites, shape (S,).

    Halfway between the last site inside and the first outside, so that rounding moves no site.
    """
    depth_S = np.empty(len(wanted_S))
    for s, wanted in enumerate(wanted_S):
        log_M = world.log_suitability(survey_sites, s)
        best_first = -np.sort(-log_M[np.isfinite(log_M)].astype(np.float64))
        inside = min(int(wanted), len(best_first))
        worst = best_first[inside - 1]
        # With all of its reach inside, the edge lies just beyond the worst site, by more than a rounding of float32.
        outside = best_first[inside] if inside < len(best_first) else worst - max(0.1, 1e-6 * abs(worst))
        depth_S[s] = -(worst + outside) / 2
    return depth_S
