"""Virtual species on the real Earth: the whole truth is known, the records are biased.

A species has a home, a unimodal niche around the home's environment, and limited dispersal from
it. Its log suitability at a site is, up to a scale of the species::

    - sum over niche axes of ((environment - home's environment) / tolerance)^2 / 2
    - (chord distance from home / dispersal radius)^2 / 2
    - SEA_CROSSING if the site is on another landmass

The scale makes it ``-EDGE`` at the edge of the range. The species is present wherever it is at
least that, and nowhere beyond ``MAX_DISPERSAL`` radii, ``LAND_REACH``, or on another landmass
``SEA_REACH``: a climate analogue on another continent stays empty. The edge is set so that the
species is present at a given share of the survey's sites, its prevalence, which is log-normal
(median 1.5 %) truncated to 0.1 % .. 20 %. A species with too little land in reach has a smaller
share, and at least one site, its home.

Observers favour accessible land near towns. A record is drawn where its species is truly present,
in proportion to suitability times effort to the power ``bias``, and is then displaced. The towns
are synthetic: drawn from the seed on warm, moist, low and coastal land, with sizes of Zipf's law.
They are not the world's towns, of which the package holds no data.

Virtual species in general: Leroy et al. (2016), https://doi.org/10.1111/ecog.01388

Shape legend: M survey sites, Q places that observers may visit, N sites or records, S species,
A niche axes, F features of a site, C covariates, T towns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Self

import h3
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator, model_validator
from rich.progress import track
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import expit, ndtr, ndtri

from presence_only.common.arrays import Floats
from presence_only.common.random_streams import numpy_stream
from presence_only.data.dataset import Dataset, DatasetKind
from presence_only.data.records import PresenceRecords
from presence_only.data.sites import sites_of
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.data.truth import ABSENT, PRESENT, SurveyTruth
from presence_only.geography.earth import (
    COLUMNS,
    LAND_SHARE,
    SITES_PER_SLICE,
    Earth,
    cell_area_km2,
    cell_of,
)
from presence_only.geography.sphere import EARTH_RADIUS_KM, sites_of_vectors, unit_vectors
from presence_only.occurrences.assemble import Assembled, check_propagation, propagated
from presence_only.occurrences.background import BackgroundKind, make_background
from presence_only.occurrences.label_propagation import PropagationSettings
from presence_only.occurrences.propagation_truth import compare_with_truth
from presence_only.occurrences.random_cap import at_most
from presence_only.occurrences.records import RecordTable
from presence_only.occurrences.records import places as species_places
from presence_only.occurrences.training_rows import checklist_rows, rows_of

Float32s = NDArray[np.float32]

ELEVATION, ROUGHNESS = "elevation (m)", "roughness (m)"
MEAN_TEMPERATURE = "annual mean temperature (degrees C)"
TEMPERATURE_SEASONALITY = "temperature seasonality (degrees C)"
COLDEST = "coldest month temperature (degrees C)"
PRECIPITATION = "annual precipitation (mm)"
PRECIPITATION_SEASONALITY = "precipitation seasonality (coefficient of variation)"
AXES = 6

# Antarctica's altitudes in the grid are those of its rock, and hardly a land species lives on it.
SOUTHERN_LIMIT = -60.0
# A survey site or a landmass needs a cell that is mostly land.
LAND = 0.5

PREVALENCE_MEDIAN, PREVALENCE_SIGMA, PREVALENCE_RANGE = 0.015, 1.3, (0.001, 0.2)
# Niche tolerance at the median prevalence, in standard deviations of the axis over land.
TOLERANCE_MEDIAN, TOLERANCE_SIGMA, TOLERANCE_BY_PREVALENCE = 0.7, 0.4, 0.3
# Dispersal radius as a multiple of the radius of a disc with the area of the range.
DISPERSAL_MEDIAN, DISPERSAL_SIGMA = 1.5, 0.3
MAX_DISPERSAL = 2.5
# The farthest that any species gets from home, and that any gets over sea, as chords of the unit
# sphere: 8,200 km and 2,600 km.
LAND_REACH, SEA_REACH = 1.2, 0.4
# Land without Antarctica is 27 % of the sphere.
LAND_SHARE_OF_SPHERE = 0.27
# Nats from the best site to the edge of the range, where suitability is 5 %.
EDGE = 3.0
# Nats of log suitability that another landmass costs, before scaling.
SEA_CROSSING = 2.0
DETECTABILITY_SIGMA, REPORTING = 0.5, 0.7

TOWNS, TOWN_REACH_KM, NEAREST_TOWNS = 1500, 60.0, 8
# Effort far from any town, relative to a town of median size.
WILDERNESS_EFFORT = 0.02
# Parts of the world with more or fewer observers; the reach is a chord of the unit sphere.
CULTURES, CULTURE_REACH = 40, 0.35
PLACES = 200_000
# The numbers that made the worlds of the published studies. A new stream gets none: its name is enough.
STREAMS = {"species": 0, "towns": 1, "places": 2, "records": 3, "background": 4, "cap": 5}


class DatasetSettings(DatasetKind):
    """Settings of the virtual species.

    Attributes:
        species: Number of species; each has at least one record.
        records: Number of records over all species, at least one a species.
        bias: Power of the observers' effort; 0 spreads them evenly over the land.
        noise_km: Standard deviation of a record's displacement to the east and to the north.
        seed: Of the world and of everything drawn in it.
        background: How background sites are drawn.
        background_sites: How many.
        survey_resolution: h3 resolution of the survey; 3 has about 11,000 land cells.
        groups: Number of taxon groups, over which species are dealt in turn.
        cap: At most so many records of a species are kept, drawn alike, as SINR does; 0 keeps all.
        rows: ``records``: a training row is one record; ``checklists``: it is an h3 cell with all species recorded
            there.
        checklist_resolution: h3 resolution of a checklist's cell; 5 is cells of 16 km.
        propagation: Whether checklists with few species receive those of similar ones nearby, and by which rules; see
            :class:`~presence_only.occurrences.label_propagation.PropagationSettings`. None: they do not. The facts of
            the data set then say what share of the added presences is true at the centre of the cell.
    """

    kind: Literal["virtual"]
    species: int = Field(default=500, ge=1, le=100_000)
    records: int = Field(default=50_000, ge=1, le=100_000_000, validate_default=True)
    bias: float = Field(default=1.0, ge=0, le=5)
    noise_km: float = Field(default=5.0, ge=0, le=500)
    seed: int = Field(default=0, ge=0, lt=2**32)
    background: BackgroundKind = "uniform"
    background_sites: int = Field(default=50_000, ge=1, le=100_000_000)
    survey_resolution: int = Field(default=3, ge=1, le=4)
    groups: int = Field(default=1, ge=1, le=1000)
    cap: int = Field(default=0, ge=0)
    rows: Literal["records", "checklists"] = "records"
    checklist_resolution: int = Field(default=5, ge=0, le=9)
    propagation: PropagationSettings | None = None

    @field_validator("records")
    @classmethod
    def _one_record_each(cls, records: int, info: ValidationInfo) -> int:
        species = info.data.get("species", 1)
        if records < species:
            raise ValueError(f"at least the number of species, {species}, as each needs a record")
        return records

    @model_validator(mode="after")
    def _propagation_needs_checklists(self) -> Self:
        check_propagation(self.propagation, self.rows)
        return self

    def build(self) -> Dataset:
        """Make the data set; see :func:`build`."""
        return build(self)

    def covariate_source(self) -> Callable[[Floats], Floats]:
        """Covariates at any site: those of the shipped grid."""
        return Earth.load().sample


@dataclass(frozen=True, eq=False)
class Sites:
    """Sites with all that a species or an observer may respond to.

    Args:
        sites_N2: Longitude, latitude in degrees.
        features_NF: Terms of the log suitability: the point on the unit sphere, every niche axis,
            every axis squared, and one.
        landmass_N: Label of the landmass.
        effort_N: Observers' effort, 1 or so in a town of median size on easy land.
    """

    sites_N2: NDArray[np.float64]
    features_NF: Float32s
    landmass_N: NDArray[np.int16]
    effort_N: NDArray[np.float64]

    @cached_property
    def vectors_3N(self) -> Float32s:
        """The points on the unit sphere by axis, which is read twenty times faster than in rows of features."""
        return np.ascontiguousarray(self.features_NF[:, :3].T)


@dataclass(frozen=True, eq=False)
class World:
    """All species of the virtual world; a species is present where its log suitability reaches ``-EDGE``.

    Args:
        home_S2: Longitude, latitude of every species' home.
        coefficients_SF: Log suitability on the home's landmass is these times the features.
        landmass_S: Landmass of the home.
        crossing_S: What another landmass costs, in nats.
        radius_S: Dispersal radius as a chord of the unit sphere.
        prevalence_S: Share of the survey's sites drawn for the range; the range has less where the
            reach holds less land.
    """

    home_S2: NDArray[np.float64]
    coefficients_SF: Float32s
    landmass_S: NDArray[np.int16]
    crossing_S: Float32s
    radius_S: NDArray[np.float64]
    prevalence_S: NDArray[np.float64]

    def log_suitability(self, sites: Sites, species: int) -> Float32s:
        """Log suitability of one species at sites, shape (N,); 0 at home, -inf beyond dispersal.

        Elementwise, on the sites within reach: a matrix product over all sites and species is slower,
        and its rounding, hence the records, would depend on the number of threads.
        """
        features_NF = sites.features_NF
        x, y, z = unit_vectors(self.home_S2[species : species + 1])[0].astype(np.float32)
        x_N, y_N, z_N = sites.vectors_3N
        cosine_N = x_N * x + y_N * y + z_N * z
        # A chord c has the cosine 1 - c^2 / 2.
        reach = min(MAX_DISPERSAL * self.radius_S[species], LAND_REACH)
        near = np.flatnonzero(cosine_N >= np.float32(1 - reach**2 / 2))
        overseas = sites.landmass_N[near] != self.landmass_S[species]
        terms_NF = features_NF.take(near, axis=0)  # several times as fast as features_NF[near]
        terms_NF *= self.coefficients_SF[species]
        log_near = terms_NF.sum(axis=1)
        log_near -= self.crossing_S[species] * overseas
        log_near[overseas & (cosine_N[near] < np.float32(1 - SEA_REACH**2 / 2))] = -np.inf
        log_N = np.full(len(features_NF), -np.inf, dtype=np.float32)
        log_N[near] = log_near
        return log_N


@dataclass(frozen=True, eq=False)
class Landscape:
    """What land and people make of a site; the same for every species.

    Args:
        earth: The environment grid.
        landmass: Label of every grid cell's landmass, shape (180, 360); that of the nearest
            landmass where the cell is not mostly land.
        mean_A, deviation_A: Of every niche axis over the area of land.
        towns_T3: Towns as points on the unit sphere.
        size_T: Observers of every town; the median town has 1.
    """

    earth: Earth
    landmass: NDArray[np.int16]
    mean_A: NDArray[np.float64]
    deviation_A: NDArray[np.float64]
    towns_T3: NDArray[np.float64]
    size_T: NDArray[np.float64]

    @classmethod
    def make(cls, earth: Earth, generator: np.random.Generator) -> Self:
        """Label the landmasses, standardise the niche axes over land, and found the towns."""
        axes = _niche_axes(earth.names, earth.layers_C.reshape(len(earth.names), -1))
        weight = (earth.land_share_grid * cell_area_km2()[:, None]).ravel()
        weight[: COLUMNS * round(SOUTHERN_LIMIT + 90)] = 0
        land = weight > 0
        mean_A = np.average(axes[:, land], axis=1, weights=weight[land])
        variance_A = np.average((axes[:, land] - mean_A[:, None]) ** 2, axis=1, weights=weight[land])
        towns_T3, size_T = _found_towns(earth, generator)
        return cls(earth, label_landmasses(earth), mean_A, np.sqrt(variance_A), towns_T3, size_T)

    def describe(self, sites_N2: Floats) -> Sites:
        """All that a species or an observer may respond to at sites on land."""
        covariates_CN = self.earth.sample(sites_N2).T
        axes_AN = _niche_axes(self.earth.names, covariates_CN)
        axes_AN = (axes_AN - self.mean_A[:, None]) / self.deviation_A[:, None]
        vectors_N3 = unit_vectors(sites_N2)
        features_NF = np.concatenate([vectors_N3, axes_AN.T, axes_AN.T**2, np.ones((len(sites_N2), 1))], axis=1)
        return Sites(
            sites_N2=np.asarray(sites_N2, dtype=np.float64),
            features_NF=features_NF.astype(np.float32),
            landmass_N=self.landmass[cell_of(sites_N2)],
            effort_N=self._effort(vectors_N3, covariates_CN),
        )

    def _effort(self, vectors_N3: Floats, covariates_CN: Floats) -> NDArray[np.float64]:
        """Observers come from the towns nearby and avoid high, rugged and cold land."""
        layer = dict(zip(self.earth.names, covariates_CN.astype(np.float64), strict=True))
        nearest = min(NEAREST_TOWNS, len(self.towns_T3))
        chord_NK, town_NK = cKDTree(self.towns_T3).query(vectors_N3, k=nearest)
        visitors_N = (self.size_T[town_NK] * np.exp(-chord_NK * EARTH_RADIUS_KM / TOWN_REACH_KM)).sum(axis=1)
        access_N = np.exp(-np.maximum(layer[ELEVATION], 0) / 2500 - layer[ROUGHNESS] / 500)
        access_N *= expit((layer[COLDEST] + 25) / 5)
        effort_N: NDArray[np.float64] = (WILDERNESS_EFFORT + visitors_N) * access_N
        return effort_N


def create(settings: DatasetSettings) -> tuple[Landscape, Sites, World]:
    """The world of a data set, with its survey sites: the truth anywhere, for whoever asks.

    Neither records nor bias, noise or background change it.
    """
    landscape = Landscape.make(Earth.load(), _stream(settings, "towns"))
    survey_sites = landscape.describe(survey_grid(landscape.earth, settings.survey_resolution))
    return landscape, survey_sites, make_world(survey_sites, settings.species, _stream(settings, "species"))


def build(settings: DatasetSettings) -> Dataset:
    """Make the world, survey it completely, and let biased observers loose in it.

    The same settings give the same data set, bit by bit on one machine with any number of threads.
    """
    landscape, survey_sites, world = create(settings)
    earth = landscape.earth
    truth_MS, found_S = survey_all(world, survey_sites, settings.bias)
    places = landscape.describe(earth.land_sites(PLACES, _stream(settings, "places"), south=SOUTHERN_LIMIT))
    record_rng = _stream(settings, "records")
    records_S = share_records(found_S, settings.records, record_rng)
    sites_N2, species_N = observe(world, places, records_S, settings.bias, record_rng)
    sites_N2 = displace(sites_N2, settings.noise_km, record_rng)
    if settings.cap:
        kept_N = at_most(species_N, settings.cap, _stream(settings, "cap"))
        sites_N2, species_N = sites_N2[kept_N], species_N[kept_N]

    records, filters = training_rows(settings, earth, sites_N2, species_N)
    background = make_background(
        settings.background, settings.background_sites, _stream(settings, "background"), records=records, earth=earth
    )
    covariates_MC = earth.sample(survey_sites.sites_N2)
    survey = Survey(survey_sites.sites_N2, covariates_MC, SurveyTruth.of_matrix(truth_MS), records.species, earth.names)
    made = Assembled(TrainingData(records, background), filters, {})
    if settings.propagation is not None:
        made = propagated(made, settings.propagation)
        made = _compared_with_world(made, records, settings.propagation, world, landscape)
    return Dataset(made.training, survey, made.filters, made.notes, made.facts, added=made.added)


def training_rows(
    settings: DatasetSettings, earth: Earth, sites_N2: Floats, species_N: NDArray[np.int64]
) -> tuple[PresenceRecords, tuple[tuple[str, int], ...]]:
    """The records as training rows, with the funnel where they become checklists.

    Args:
        settings: What a row is.
        earth: The shipped grid.
        sites_N2: Site of every record.
        species_N: Its species.
    """
    names = tuple(f"virtual_{i + 1:04d}" for i in range(settings.species))
    groups = tuple(f"group_{i % settings.groups + 1}" for i in range(settings.species))
    row_P: NDArray[np.int64] = np.arange(len(sites_N2))
    filters: tuple[tuple[str, int], ...] = ()
    if settings.rows == "checklists":
        table = checklist_rows(
            RecordTable.of(sites_N2, species_N, names, groups).table, resolution=settings.checklist_resolution
        )
        filters = (("recorded", len(sites_N2)), ("species once a cell (checklists)", len(table)))
        first_P, row_P = rows_of(table)
        sites_N2, species_N = sites_of(table.filter(first_P)), species_places(table["species"])
    records = PresenceRecords(
        sites_N2=sites_N2,
        covariates_NC=earth.sample(sites_N2),
        row_P=row_P,
        species_P=species_N,
        species=names,
        groups=groups,
        covariate_names=earth.names,
    )
    return records, filters


def _compared_with_world(
    made: Assembled, records: PresenceRecords, propagation: PropagationSettings, world: World, landscape: Landscape
) -> Assembled:
    """The data set with what share of the added presences is true; its training rows stay as they are."""
    assert made.added is not None
    sites = landscape.describe(records.sites_N2)
    added, shares = compare_with_truth(
        records, made.added, lambda species: world.log_suitability(sites, species) >= -EDGE, propagation.cap_km
    )
    return replace(made, facts=made.facts | shares, added=added)


def survey_grid(earth: Earth, resolution: int) -> NDArray[np.float64]:
    """Centres of the h3 cells on land north of 60 degrees south, shape (M, 2), in the order of their index."""
    cells = sorted(cell for base in h3.get_res0_cells() for cell in h3.cell_to_children(base, resolution))
    latitude_longitude = np.array([h3.cell_to_latlng(cell) for cell in cells])
    sites_M2 = latitude_longitude[:, ::-1]
    kept = (earth.land_share(sites_M2) >= LAND) & (sites_M2[:, 1] >= SOUTHERN_LIMIT)
    return np.ascontiguousarray(sites_M2[kept])


def displace(sites_N2: Floats, noise_km: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Move sites by normal steps of standard deviation ``noise_km`` to the east and to the north."""
    moved_N2 = np.array(sites_N2, dtype=np.float64)
    if noise_km == 0:
        return moved_N2
    for start in range(0, len(moved_N2), SITES_PER_SLICE):
        part_N2 = moved_N2[start : start + SITES_PER_SLICE]
        steps_N2 = generator.normal(0.0, noise_km / EARTH_RADIUS_KM, part_N2.shape)
        longitude_N = np.radians(part_N2[:, 0])
        up_N3 = unit_vectors(part_N2)
        east_N3 = np.column_stack([-np.sin(longitude_N), np.cos(longitude_N), np.zeros(len(part_N2))])
        north_N3 = np.cross(up_N3, east_N3)
        part_N2[:] = sites_of_vectors(up_N3 + steps_N2[:, :1] * east_N3 + steps_N2[:, 1:] * north_N3)
    return moved_N2


def label_landmasses(earth: Earth) -> NDArray[np.int16]:
    """Label of the landmass of every grid cell, shape (180, 360).

    Cells that are mostly land and share an edge belong together, across 180 degrees too. The other
    cells have the label of the nearest such cell, nearest in degrees.
    """
    solid = earth.land_share_grid >= LAND
    label, _ = ndimage.label(solid)
    for west, east in zip(label[:, 0], label[:, -1], strict=True):
        if west and east:
            label[label == east] = west
    row, column = ndimage.distance_transform_edt(~solid, return_distances=False, return_indices=True)
    labels: NDArray[np.int16] = label[row, column].astype(np.int16)
    return labels


def make_world(survey_sites: Sites, species: int, generator: np.random.Generator) -> World:
    """Draw the species: home, niche, dispersal and prevalence."""
    # Richness rises with warmth and rain, as that of most taxa does.
    features_MF = survey_sites.features_NF
    richness_M = np.exp(0.5 * features_MF[:, 3] + 0.3 * features_MF[:, 5]).astype(np.float64)
    home_S = generator.choice(len(richness_M), size=species, p=richness_M / richness_M.sum())
    prevalence_S = draw_prevalence(species, generator)
    wide_S = prevalence_S / PREVALENCE_MEDIAN
    tolerance_SA = TOLERANCE_MEDIAN * np.exp(TOLERANCE_SIGMA * generator.standard_normal((species, AXES)))
    tolerance_SA *= wide_S[:, None] ** TOLERANCE_BY_PREVALENCE
    # The survey's cells have nearly equal areas, so a share of them is an area, and a disc of chord c has
    # the share c^2 / 4 of the sphere.
    share_of_sphere_S = prevalence_S * LAND_SHARE_OF_SPHERE
    radius_S = DISPERSAL_MEDIAN * np.exp(DISPERSAL_SIGMA * generator.standard_normal(species))
    radius_S *= 2 * np.sqrt(share_of_sphere_S)

    home_SF = features_MF[home_S].astype(np.float64)
    home_S3, optimum_SA = home_SF[:, :3], home_SF[:, 3 : 3 + AXES]
    # Both squared distances are linear in the features, so one product gives log suitability.
    precision_SA = tolerance_SA**-2
    coefficients_SF = np.concatenate(
        [
            home_S3 / radius_S[:, None] ** 2,
            optimum_SA * precision_SA,
            -precision_SA / 2,
            -(radius_S[:, None] ** -2) - (optimum_SA**2 * precision_SA).sum(axis=1, keepdims=True) / 2,
        ],
        axis=1,
    )
    raw = World(
        home_S2=survey_sites.sites_N2[home_S],
        coefficients_SF=coefficients_SF.astype(np.float32),
        landmass_S=survey_sites.landmass_N[home_S],
        crossing_S=np.full(species, SEA_CROSSING, dtype=np.float32),
        radius_S=radius_S,
        prevalence_S=prevalence_S,
    )
    wanted_S = np.maximum(np.rint(prevalence_S * len(richness_M)), 1).astype(np.int64)
    scale_S = (EDGE / _depth_of_edge(raw, survey_sites, wanted_S))[:, None]
    return replace(
        raw,
        coefficients_SF=(coefficients_SF * scale_S).astype(np.float32),
        crossing_S=(SEA_CROSSING * scale_S[:, 0]).astype(np.float32),
    )


def draw_prevalence(species: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Shares of the survey's sites, log-normal and truncated to ``PREVALENCE_RANGE``."""
    low, high = ndtr(np.log(np.array(PREVALENCE_RANGE) / PREVALENCE_MEDIAN) / PREVALENCE_SIGMA)
    normal_S = ndtri(generator.uniform(low, high, species))
    prevalence_S: NDArray[np.float64] = PREVALENCE_MEDIAN * np.exp(PREVALENCE_SIGMA * normal_S)
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


def share_records(found_S: Floats, records: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Number of records of every species: one, and a share of the rest.

    Shares follow what there is to find, though less than in proportion, because observers report the
    tenth sparrow of a walk less readily than the first eagle; and a log-normal detectability.
    """
    share_S = found_S**REPORTING * np.exp(DETECTABILITY_SIGMA * generator.standard_normal(len(found_S)))
    return 1 + generator.multinomial(records - len(found_S), share_S / share_S.sum())


def observe(
    world: World, places: Sites, records_S: NDArray[np.int64], bias: float, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw the records of every species, in random order.

    A record's place is drawn among those where the species is present, with replacement, in
    proportion to suitability times effort to the power ``bias``. A species present at no place is
    seen at its home.

    Returns:
        Sites, shape (N, 2), and species, shape (N,).
    """
    sites_N2 = np.empty((records_S.sum(), 2))
    last_S = np.cumsum(records_S)
    log_effort_Q = (bias * np.log(places.effort_N)).astype(np.float32)
    # The longest part of a large data set; a log file, which is no terminal, has no bar.
    counts_S = track(records_S.tolist(), "species recorded", disable=not sys.stdout.isatty(), transient=True)
    for s, count in enumerate(counts_S):
        log_Q = world.log_suitability(places, s)
        present = np.flatnonzero(log_Q >= -EDGE)
        if len(present) == 0:
            drawn_N2 = np.repeat(world.home_S2[s : s + 1], count, axis=0)
        else:
            log_weight = (log_Q[present] + log_effort_Q[present]).astype(np.float64)
            cumulative = np.cumsum(np.exp(log_weight - log_weight.max()))
            drawn = np.searchsorted(cumulative, generator.random(count) * cumulative[-1], side="right")
            drawn_N2 = places.sites_N2[present[drawn]]
        sites_N2[last_S[s] - count : last_S[s]] = drawn_N2
    order_N = generator.permutation(len(sites_N2))
    return sites_N2[order_N], np.repeat(np.arange(len(records_S)), records_S)[order_N]


def _depth_of_edge(world: World, survey_sites: Sites, wanted_S: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far below 0 the log suitability is at the edge of a range of ``wanted_S`` sites, shape (S,).

    Halfway between the last site inside and the first outside, so that rounding moves no site.
    """
    depth_S = np.empty(len(wanted_S))
    for s, wanted in enumerate(wanted_S):
        log_M = world.log_suitability(survey_sites, s)
        best_first = -np.sort(-log_M[np.isfinite(log_M)].astype(np.float64))
        inside = min(int(wanted), len(best_first))
        # With all of its reach inside, the edge lies just beyond the worst site.
        outside = best_first[inside] if inside < len(best_first) else best_first[inside - 1] - 0.1
        depth_S[s] = -(best_first[inside - 1] + outside) / 2
    return depth_S


def _niche_axes(names: tuple[str, ...], layers_CN: Floats) -> NDArray[np.float64]:
    """What niches are made of: layers, with the skewed ones on a log scale; shape (axes, N)."""
    layer = dict(zip(names, layers_CN.astype(np.float64), strict=True))
    return np.stack(
        [
            layer[MEAN_TEMPERATURE],
            layer[TEMPERATURE_SEASONALITY],
            np.log(layer[PRECIPITATION] + 50),
            layer[PRECIPITATION_SEASONALITY],
            np.log(np.maximum(layer[ELEVATION], 0) + 200),
            np.log(layer[ROUGHNESS] + 20),
        ]
    )


def _found_towns(earth: Earth, generator: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Synthetic towns: points on the unit sphere, shape (T, 3), and their observers, shape (T,).

    People settle on mild, moist, low land and by the sea. Observers of a town rise with the square
    root of its people, who follow Zipf's law, and differ between parts of the world.
    """
    drawn_N2 = earth.land_sites(20 * TOWNS, generator, south=SOUTHERN_LIMIT)
    layer = dict(zip(earth.names, earth.sample(drawn_N2).T.astype(np.float64), strict=True))
    attraction_N = np.exp(-(((layer[MEAN_TEMPERATURE] - 15) / 10) ** 2) / 2)
    attraction_N *= np.exp(-((np.log((layer[PRECIPITATION] + 50) / 900) / 0.8) ** 2) / 2)
    attraction_N *= np.exp(-np.maximum(layer[ELEVATION], 0) / 800)
    # A site with sea among the cells around it is near a coast.
    attraction_N *= np.where(layer[LAND_SHARE] < 0.95, 2.0, 1.0)
    chosen_T = generator.choice(len(drawn_N2), TOWNS, replace=False, p=attraction_N / attraction_N.sum())
    towns_T3 = unit_vectors(drawn_N2[chosen_T])

    size_T = np.sqrt(TOWNS / 2 / generator.permutation(np.arange(1, TOWNS + 1)))
    centre_K3 = generator.standard_normal((CULTURES, 3))
    centre_K3 /= np.linalg.norm(centre_K3, axis=1, keepdims=True)
    # einsum and sum round alike for any number of threads, matrix products do not.
    bump_TK = np.exp((np.einsum("td,kd->tk", towns_T3, centre_K3) - 1) / CULTURE_REACH**2)
    size_T *= np.exp((bump_TK * generator.standard_normal(CULTURES)).sum(axis=1))
    return towns_T3, size_T


def _stream(settings: DatasetSettings, name: str) -> np.random.Generator:
    """A generator of its own for each thing drawn: more records leave the species as they are."""
    return numpy_stream(settings.seed, name, STREAMS)
