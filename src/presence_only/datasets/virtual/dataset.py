"""Virtual species on the real Earth: the whole truth is known, the records are biased.

A species has a home, a niche around the home's environment, and limited dispersal from it. With a unimodal niche its
log suitability at a site is, up to a scale of the species::

    - sum over niche axes of ((environment - home's environment) / tolerance)^2 / 2
    - (chord distance from home / dispersal radius)^2 / 2
    - SEA_STEPS^2 / 2 if the site is on another landmass

Other shapes of niches are in ``niches.py``. The scale makes it ``-EDGE`` at the edge of the range. The species is
present wherever it is at least that, and nowhere beyond ``MAX_DISPERSAL`` radii, ``LAND_REACH``, or on another landmass
``SEA_REACH``: a climate analogue on another continent stays empty. The edge is set so that the species is present at a
given share of the survey's sites, its prevalence, which is log-normal (median 1.5 %) truncated to 0.1 % .. 20 %. A
species with too little land in reach has a smaller share, and at least one site, its home.

Observers favour accessible land near towns, or follow another rule of ``observers.py``. A record is drawn where its
species is truly present, in proportion to suitability times effort to the power ``bias``, and is then displaced.

Virtual species in general: Leroy et al. (2016), https://doi.org/10.1111/ecog.01388

Shape legend: M survey sites, N sites or records, P positives, S species, C covariates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator, model_validator

from presence_only.common.arrays import Floats
from presence_only.common.memory import Part, check_memory
from presence_only.common.random_streams import numpy_stream
from presence_only.common.settings import Need
from presence_only.data.dataset import Dataset, DatasetKind
from presence_only.data.records import PresenceRecords
from presence_only.data.sites import sites_of
from presence_only.data.survey import Survey
from presence_only.data.training import TrainingData
from presence_only.data.truth import SurveyTruth
from presence_only.datasets.virtual.held_out import (
    HELD_OUT_CELLS,
    HeldOut,
    HeldOutCells,
    hold_out,
    without_held_out,
)
from presence_only.datasets.virtual.landscape import Landscape, Sites, survey_grid
from presence_only.datasets.virtual.layers import SOUTHERN_LIMIT
from presence_only.datasets.virtual.niches import EDGE, NicheKind
from presence_only.datasets.virtual.observers import ObserverKind, make_observers
from presence_only.datasets.virtual.recording import displace, observe, share_records
from presence_only.datasets.virtual.species import PREVALENCE_MEDIAN, World, make_world, survey_all
from presence_only.geography.earth import Earth
from presence_only.occurrences.assemble import Assembled, propagated
from presence_only.occurrences.assembly_settings import check_propagation
from presence_only.occurrences.background import RASTERS, BackgroundKind, background_notes, is_raster, make_background
from presence_only.occurrences.label_propagation import PropagationSettings
from presence_only.occurrences.propagation_truth import compare_with_truth
from presence_only.occurrences.random_cap import at_most
from presence_only.occurrences.records import RecordTable
from presence_only.occurrences.records import places as species_places
from presence_only.occurrences.training_rows import checklist_rows, rows_of

PLACES = 200_000
# The numbers that made the worlds of the published studies. A new stream gets none: its name is enough.
STREAMS = {"species": 0, "towns": 1, "places": 2, "records": 3, "background": 4, "cap": 5}


class DatasetSettings(DatasetKind):
    """Settings of the virtual species.

    Attributes:
        species: Number of species; each has at least one record.
        records: Number of records over all species, at least one a species.
        niche: Shape of the niches: ``unimodal``, ``skewed`` or ``threshold``; see
            :mod:`~presence_only.datasets.virtual.niches`. Homes, prevalences and tolerances are the same for all.
        prevalence_median: Median share of the survey's sites where a species is present, before the truncation to
            0.1 % .. 20 %.
        observers: Where observers go: ``towns``, ``countries`` or ``accessible``; see
            :mod:`~presence_only.datasets.virtual.observers`. The species are the same for all.
        bias: Power of the observers' effort; 0 spreads them evenly over the land.
        noise_km: Standard deviation of a record's displacement to the east and to the north.
        seed: Of the world and of everything drawn in it.
        background: How background sites are drawn: ``uniform``, ``land``, ``range``, ``target_group``, or the path of a
            raster of weights; see :func:`~presence_only.occurrences.background.make_background`.
        background_sites: How many.
        survey_resolution: h3 resolution of the survey; 3 has about 11,000 land cells.
        groups: Number of taxon groups, over which species are dealt in turn.
        cap: At most so many records of a species are kept, drawn alike, as SINR does; 0 keeps all.
        rows: ``records``: a training row is one record; ``checklists``: it is an h3 cell with all species recorded
            there.
        checklist_resolution: h3 resolution of a checklist's cell, and of a site of the survey ``held_out_cells``; 5 is
            cells of 16 km.
        held_out_cells: Share of the Earth's h3 cells whose records and background sites are kept out of training. The
            records become a further survey, ``held_out_cells``; see :mod:`~presence_only.datasets.virtual.held_out`.
            0: training has all records. The share of the records that are held out may differ from that of the cells.
        held_out_resolution: h3 resolution of the held-out cells, at most ``checklist_resolution``; 3 is cells of 60 km
            (edge length).
        propagation: Whether checklists with few species receive those of similar ones nearby, and by which rules; see
            :class:`~presence_only.occurrences.label_propagation.PropagationSettings`. None: they do not. The facts of
            the data set then say what share of the added presences is true at the centre of the cell.
    """

    needs: ClassVar[Mapping[str, Need]] = {
        "checklist_resolution": Need(
            lambda virtual: virtual.rows == "checklists" or virtual.held_out_cells,
            "rows is 'checklists' or held_out_cells is more than 0",
        ),
        "held_out_resolution": Need(lambda virtual: virtual.held_out_cells, "held_out_cells is more than 0"),
    }

    kind: Literal["virtual"]
    species: int = Field(default=500, ge=1, le=100_000)
    records: int = Field(default=50_000, ge=1, le=100_000_000, validate_default=True)
    niche: NicheKind = "unimodal"
    prevalence_median: float = Field(default=PREVALENCE_MEDIAN, ge=0.002, le=0.1)
    observers: ObserverKind = "towns"
    bias: float = Field(default=1.0, ge=0, le=5)
    noise_km: float = Field(default=5.0, ge=0, le=500)
    seed: int = Field(default=0, ge=0, lt=2**32)
    background: str = "uniform"
    background_sites: int = Field(default=50_000, ge=1, le=100_000_000)
    survey_resolution: int = Field(default=3, ge=1, le=4)
    groups: int = Field(default=1, ge=1, le=1000)
    cap: int = Field(default=0, ge=0, le=1_000_000_000)
    rows: Literal["records", "checklists"] = "records"
    checklist_resolution: int = Field(default=5, ge=0, le=9)
    held_out_cells: float = Field(default=0.0, ge=0, le=0.5)
    held_out_resolution: int = Field(default=3, ge=0, le=5)
    propagation: PropagationSettings | None = None

    @field_validator("background")
    @classmethod
    def _known_background(cls, kind: str) -> str:
        if kind not in get_args(BackgroundKind) and not is_raster(kind):
            known = ", ".join(map(repr, get_args(BackgroundKind)))
            raise ValueError(f"one of {known}, or the path of a raster of weights that ends in {', '.join(RASTERS)}")
        return kind

    @field_validator("records")
    @classmethod
    def _one_record_each(cls, records: int, info: ValidationInfo) -> int:
        species = info.data.get("species", 1)
        if records < species:
            raise ValueError(f"at least the number of species, {species}, as each needs a record")
        return records

    @model_validator(mode="after")
    def _held_out_cells_hold_sites(self) -> Self:
        if self.held_out_cells and self.held_out_resolution > self.checklist_resolution:
            raise ValueError(
                f"settings with held_out_resolution at most checklist_resolution, which is "
                f"{self.checklist_resolution}, as held-out cells consist of such cells; "
                f"it is {self.held_out_resolution}"
            )
        return self

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


def create(settings: DatasetSettings) -> tuple[Landscape, Sites, World]:
    """The world of a data set, with its survey sites: the truth anywhere, for whoever asks.

    Neither records nor bias, noise or background change it.
    """
    earth = Earth.load()
    observers = make_observers(
        settings.observers, earth, _stream(settings, "towns"), country_generator=_stream(settings, "countries")
    )
    landscape = Landscape.make(earth, observers)
    survey_sites = landscape.describe(survey_grid(earth, settings.survey_resolution))
    world = make_world(
        survey_sites,
        settings.species,
        _stream(settings, "species"),
        niche=settings.niche,
        prevalence_median=settings.prevalence_median,
        skew_generator=_stream(settings, "skew"),
    )
    return landscape, survey_sites, world


def build(settings: DatasetSettings) -> Dataset:
    """Make the world, survey it completely, and let biased observers loose in it.

    The same settings give the same data set, bit by bit on one machine with any number of threads.
    """
    check_memory("a data set of kind 'virtual'", _memory(settings))
    landscape, survey_sites, world = create(settings)
    earth = landscape.earth
    truth_MS, found_S = survey_all(world, survey_sites, settings.bias)
    places = landscape.describe(earth.land_sites(PLACES, _stream(settings, "places"), south=SOUTHERN_LIMIT))
    record_rng = _stream(settings, "records")
    records_S = share_records(found_S, settings.records, record_rng)
    sites_N2, species_N = observe(world, places, records_S, settings.bias, record_rng)
    sites_N2 = displace(sites_N2, settings.noise_km, record_rng)
    held = _hold_out(settings, earth, sites_N2, species_N) if settings.held_out_cells else None
    if held is not None:
        sites_N2, species_N = sites_N2[~held.held_N], species_N[~held.held_N]
    if settings.cap:
        kept_N = at_most(species_N, settings.cap, _stream(settings, "cap"))
        sites_N2, species_N = sites_N2[kept_N], species_N[kept_N]

    records, filters = training_rows(settings, earth, sites_N2, species_N)
    background = make_background(
        settings.background, settings.background_sites, _stream(settings, "background"), records=records, earth=earth
    )
    covariates_MC = earth.sample(survey_sites.sites_N2)
    survey = Survey(survey_sites.sites_N2, covariates_MC, SurveyTruth.of_matrix(truth_MS), records.species, earth.names)
    made = Assembled(TrainingData(records, background), filters, {}, background_notes(settings.background))
    if held is not None:
        made = without_held_out(made, held)
    if settings.propagation is not None:
        made = propagated(made, settings.propagation)
        made = _compared_with_world(made, records, settings.propagation, world, landscape)
    further = {} if held is None else {HELD_OUT_CELLS: held.survey}
    return Dataset(made.training, survey, made.filters, made.notes, made.facts, further, made.added)


def _memory(settings: DatasetSettings) -> list[Part]:
    """What takes memory while a world is made, each with the least number of bytes."""
    # So many cells has h3, and about so large a share of them is land.
    n_sites = int(0.25 * (2 + 120 * 7**settings.survey_resolution))
    # A site twice and a species twice, and covariates in float32.
    per_record = 2 * (16 + 8) + 4 * len(Earth.load().names)
    return [
        Part(
            f"the truth of {settings.species:,} species at about {n_sites:,} sites of the survey",
            settings.species * n_sites,
            "species or survey_resolution",
        ),
        Part(f"{settings.records:,} records", settings.records * per_record, "records"),
        Part(
            f"{settings.background_sites:,} background sites",
            settings.background_sites * per_record,
            "background_sites",
        ),
    ]


def _hold_out(settings: DatasetSettings, earth: Earth, sites_N2: Floats, species_N: NDArray[np.int64]) -> HeldOut:
    """The records that leave training, and the survey made of them."""
    cells = HeldOutCells.drawn(
        settings.held_out_cells,
        settings.held_out_resolution,
        settings.checklist_resolution,
        _stream(settings, "held_out_cells"),
    )
    return hold_out(
        cells, sites_N2, species_N, species_names(settings), sample=earth.sample, covariate_names=earth.names
    )


def species_names(settings: DatasetSettings) -> tuple[str, ...]:
    """Names of all species: ``virtual_0001``, ``virtual_0002``, ..."""
    return tuple(f"virtual_{i + 1:04d}" for i in range(settings.species))


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
    names = species_names(settings)
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


def _stream(settings: DatasetSettings, name: str) -> np.random.Generator:
    """A generator of its own for each thing drawn: more records leave the species as they are."""
    return numpy_stream(settings.seed, name, STREAMS)
