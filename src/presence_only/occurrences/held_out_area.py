"""Held-out areas: evaluation for users who have presence records only, whose held-out records are the survey.

A site of the survey is one where something was recorded. A species is present where it was recorded,
absent where others of its taxon group were recorded and it was not, and not surveyed elsewhere. So the
absences are assumed, and species are ranked within the footprint of the observers: figures compare
losses with each other, and not with figures of a real survey.

Blocks keep neighbours together, because a record next to a training record tests memory more than
knowledge: Roberts et al. (2017), https://doi.org/10.1111/ecog.02881; sites of the target group in place
of absences: Phillips et al. (2009), https://doi.org/10.1890/07-2153.1

Shape legend: N sites or rows, P positives, M survey sites, S species, B blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator
from scipy.spatial import cKDTree

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError
from presence_only.common.settings import Settings, known_name
from presence_only.common.user_paths import user_path
from presence_only.data.sites import layers_defined, sites_of, weeks_of
from presence_only.data.survey import Survey
from presence_only.data.truth import ABSENT, NOT_SURVEYED, PRESENT, SurveyTruth
from presence_only.geography.geojson import read_polygons
from presence_only.geography.h3_cells import cells_of
from presence_only.geography.polygons import within_polygons
from presence_only.geography.rasters import Environment
from presence_only.geography.sphere import EARTH_RADIUS_KM, unit_vectors
from presence_only.occurrences.folds import deal
from presence_only.occurrences.records import categories, places
from presence_only.occurrences.training_rows import distinct

Longitude = Annotated[float, Field(ge=-180.0, le=180.0)]
Latitude = Annotated[float, Field(ge=-90.0, le=90.0)]

Absences = Literal["groups", "land", "anywhere"]

_FIELDS = {
    "blocks": {"degrees", "folds", "fold"},
    "h3": {"resolution", "folds", "fold"},
    "region": {"box", "polygon"},
}


class EvaluationSettings(Settings):
    """Which area is held out of training and becomes the survey.

    Args:
        kind: ``blocks``: blocks of ``degrees``, dealt to folds; ``h3``: the cells of h3's
            ``resolution``, dealt to folds; ``region``: one ``box`` or ``polygon``.
        degrees: Side of a block in degrees of arc, from north to south and from west to east: towards
            the poles fewer blocks go around the Earth, so that all have about the same area.
        resolution: 0 is cells of 1,100 km, 1 of 420 km, 2 of 160 km.
        folds: Number of folds.
        fold: The one that is held out, counted from 0.
        box: West, south, east, north in degrees; west may be greater than east, across 180 degrees.
        polygon: A GeoJSON file of polygons, of which the union is held out.
        absences: Where a species is taken as absent: ``groups``: where others of its taxon group were recorded;
            ``land`` or ``anywhere``: beside these, at random places of the held-out area, on land or not. Records of a
            single species need one of the latter.
    """

    kind: Literal["blocks", "h3", "region"] = "blocks"
    degrees: Annotated[float, Field(ge=0.1, le=90.0)] = 5.0
    resolution: Annotated[int, Field(ge=0, le=5)] = 1
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    fold: Annotated[int, Field(ge=0)] = 0
    box: Annotated[tuple[Longitude, Latitude, Longitude, Latitude], Field(strict=False)] | None = None
    polygon: str | None = None
    absences: Absences = "groups"

    @field_validator("kind", mode="before")
    @classmethod
    def _known_kind(cls, kind: object) -> object:
        # The settings of a survey are a class of their own, but as good a choice.
        return known_name(kind, (*_FIELDS, "survey")) if isinstance(kind, str) else kind

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        own = _FIELDS[self.kind]
        foreign = sorted(self.model_fields_set - own - {"kind", "absences"})
        if foreign:
            raise ValueError(f"settings without {foreign[0]!r}, as kind {self.kind!r} takes {', '.join(sorted(own))}")
        if self.kind == "region" and (self.box is None) == (self.polygon is None):
            raise ValueError("settings with either box or polygon, and not both, as kind is 'region'")
        if self.fold >= self.folds:
            raise ValueError(f"settings with fold less than folds, which is {self.folds}; folds count from 0")
        if self.box is not None and (self.box[1] >= self.box[3] or self.box[0] == self.box[2]):
            raise ValueError("settings with a box of west, south, east, north, the south less than the north")
        return self


@dataclass(frozen=True, eq=False)
class Area:
    """What is held out of training.

    Args:
        words: What it is, to be told to the reader of the results.
        contains: From sites (N, 2) to whether they lie within, shape (N,).
    """

    words: str
    contains: Callable[[Floats], NDArray[np.bool_]]


def held_out_area(settings: EvaluationSettings, sites_N2: Floats, generator: np.random.Generator) -> Area:
    """The area that ``settings`` describes.

    Blocks with training rows are dealt to folds at random, larger ones first, each to the fold with the
    fewest rows so far. The folds are the same whichever of them is held out.

    Args:
        settings: Blocks, h3 cells or a region.
        sites_N2: Sites of all rows, by which the folds are balanced.
        generator: Deals the blocks.

    Raises:
        DataError: If there are fewer blocks than folds, or none or all of the rows lie within.
    """
    if settings.kind == "region":
        area = _region(settings)
        within = int(area.contains(sites_N2).sum())
        if within in (0, len(sites_N2)):
            raise DataError(
                f"evaluation: {'all' if within else 'none'} of the {len(sites_N2):,} records lie within {area.words}; "
                "some must, to be tested on, and some not, to be trained on"
            )
        return area
    block_of: Callable[[Floats], Ints]
    if settings.kind == "h3":
        block_of = partial(cells_of, resolution=settings.resolution)
        words = f"h3 cells of resolution {settings.resolution}"
    else:
        block_of = partial(blocks_of, degrees=settings.degrees)
        words = f"blocks of {settings.degrees:g} degrees"
    blocks_B, rows_B = np.unique(block_of(sites_N2), return_counts=True)
    if len(blocks_B) < settings.folds:
        raise DataError(
            f"evaluation: the records lie in {len(blocks_B)} {words}, fewer than folds = {settings.folds}; "
            "take smaller blocks or fewer folds"
        )
    held_B = blocks_B[deal(rows_B, settings.folds, generator) == settings.fold]
    return Area(
        f"{words}, fold {settings.fold} of {settings.folds}",
        lambda sites_N2: np.isin(block_of(sites_N2), held_B),
    )


def blocks_of(sites_N2: Floats, degrees: float) -> NDArray[np.int64]:
    """The block of every site, shape (N,): bands of latitude, cut into blocks about as wide as high."""
    bands = max(round(180 / degrees), 1)
    middle = np.radians((np.arange(bands) + 0.5) * 180 / bands - 90)
    columns = np.maximum(np.rint(2 * bands * np.cos(middle)).astype(np.int64), 1)
    band_N = np.minimum((sites_N2[:, 1] + 90) / 180 * bands, bands - 1).astype(np.int64)
    column_N = ((sites_N2[:, 0] + 180) / 360 * columns[band_N]).astype(np.int64) % columns[band_N]
    block_N: NDArray[np.int64] = (np.cumsum(columns) - columns)[band_N] + column_N
    return block_N


def held_out_survey(
    held: pl.DataFrame,
    species: tuple[str, ...],
    groups: tuple[str, ...],
    sites: int,
    generator: np.random.Generator,
    *,
    environment: Environment,
    drop_undefined: bool = False,
    absences_A2: Floats | None = None,
) -> tuple[Survey, dict[str, int | float]]:
    """The truth at the sites of held-out records; with weeks, a site in another week is another one.

    A species that is absent from no site, being alone in its group, counts as not surveyed: it would be
    ranked perfectly by any model.

    Args:
        held: The records of the held-out area.
        species: Species with training records, which the survey asks about, S of them.
        groups: Their taxon groups.
        sites: At most so many are drawn, all alike, among those where a group of the species was recorded.
        generator: Draws the sites.
        environment: Where the sites' covariates come from.
        drop_undefined: Leave out sites where a layer is undefined.
        absences_A2: Further sites, at which all species are taken as absent; their weeks are those of drawn records.

    Returns:
        The survey, and counts: sites that there were to draw from, species that are nowhere absent, and
        with ``drop_undefined`` sites that were left out.

    Raises:
        DataError: If no group of the species was recorded in the area, no species is absent anywhere, or
            no site is left.
    """
    names = categories(held["group"])
    held = held.filter(np.isin(names, groups)[places(held["group"])])
    if len(held) == 0:
        raise DataError(
            "evaluation: no record of the held-out area is of a taxon group that has training records; "
            "hold out another area"
        )
    sites_P2, week_P = sites_of(held), weeks_of(held)
    first_U, place_P = distinct(*sites_P2.T, *([] if week_P is None else [week_P]))
    chosen_M = np.sort(generator.choice(len(first_U), min(sites, len(first_U)), replace=False))
    site_U = np.full(len(first_U), -1)
    site_U[chosen_M] = np.arange(len(chosen_M))
    site_P = site_U[place_P]

    drawn_P = site_P >= 0
    visited = np.zeros((len(chosen_M), len(names)), dtype=bool)
    visited[site_P[drawn_P], places(held["group"])[drawn_P]] = True
    group_S = np.array([names.index(group) for group in groups])
    truth_MS = np.where(visited[:, group_S], np.int8(ABSENT), np.int8(NOT_SURVEYED))
    column_of = {name: column for column, name in enumerate(species)}
    column_P = np.array([column_of.get(name, -1) for name in categories(held["species"])])[places(held["species"])]
    known_P = drawn_P & (column_P >= 0)
    truth_MS[site_P[known_P], column_P[known_P]] = PRESENT
    sites_M2, week_M = sites_P2[first_U[chosen_M]], None if week_P is None else week_P[first_U[chosen_M]]
    if absences_A2 is not None and len(absences_A2):
        truth_MS = np.concatenate([truth_MS, np.full((len(absences_A2), len(species)), np.int8(ABSENT))])
        sites_M2 = np.concatenate([sites_M2, absences_A2])
        if week_M is not None:
            week_M = np.concatenate([week_M, generator.choice(week_M, len(absences_A2))])
    never_absent_S = (truth_MS == PRESENT).any(axis=0) & ~(truth_MS == ABSENT).any(axis=0)
    truth_MS[:, never_absent_S] = NOT_SURVEYED
    if not (truth_MS == PRESENT).any():
        raise DataError(
            "evaluation: no species is present at one held-out site and absent from another; hold out a larger "
            "area, or give wider taxon groups, as a species is absent where others of its group were recorded, or set "
            "evaluation.absences: land, which takes random places as absences"
        )
    counts: dict[str, int | float] = {
        "evaluation_sites_found": len(first_U),
        "species_never_absent": int(never_absent_S.sum()),
    }
    covariates_MC: Floats = environment.sample(sites_M2)
    if drop_undefined:
        defined_M = layers_defined(covariates_MC)
        counts["evaluation_sites_undefined"] = int((~defined_M).sum())
        if not defined_M.any():
            raise DataError(
                "sea: drop leaves no site to evaluate: at every held-out site some layer is undefined; "
                "give layers that cover the held-out area, or sea: keep or nearest"
            )
        sites_M2, covariates_MC, truth_MS = sites_M2[defined_M], covariates_MC[defined_M], truth_MS[defined_M]
        week_M = None if week_M is None else week_M[defined_M]
    truth = SurveyTruth.of_matrix(truth_MS)
    return Survey(sites_M2, covariates_MC, truth, species, environment.names, week_M), counts


def area_near(sites_M2: Floats, km: float) -> Area:
    """The area within a distance of sites, on the great circle.

    Args:
        sites_M2: The sites, at least one.
        km: The distance in kilometres, >= 0; at 0 the sites themselves.
    """
    tree = cKDTree(unit_vectors(sites_M2))
    # A metre, for sites are written to five decimals or so.
    chord = 2 * np.sin(min((km + 1e-3) / EARTH_RADIUS_KM, np.pi) / 2)

    def contains(sites_N2: Floats) -> NDArray[np.bool_]:
        near_N: NDArray[np.bool_] = np.isfinite(tree.query(unit_vectors(sites_N2), distance_upper_bound=chord)[0])
        return near_N

    return Area(f"{km:g} km from the survey's sites", contains)


def within_box(sites_N2: Floats, box: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """Whether sites lie within west, south, east, north, shape (N,); west > east crosses 180 degrees."""
    west, south, east, north = box
    longitude_N, latitude_N = sites_N2[:, 0], sites_N2[:, 1]
    if west < east:
        beside_N = (longitude_N >= west) & (longitude_N <= east)
    else:
        beside_N = (longitude_N >= west) | (longitude_N <= east)
    if west == -180 or east == 180:
        # One meridian with two names.
        beside_N |= np.abs(longitude_N) == 180
    inside_N: NDArray[np.bool_] = beside_N & (latitude_N >= south) & (latitude_N <= north)
    return inside_N


def _region(settings: EvaluationSettings) -> Area:
    """A box or polygons."""
    if settings.box is not None:
        west, south, east, north = settings.box
        words = f"the box west {west:g}, south {south:g}, east {east:g}, north {north:g}"
        return Area(words, partial(within_box, box=settings.box))
    path = user_path(settings.polygon or "")
    found = read_polygons(path, "evaluation.polygon")
    besides = f" (points and lines left out: {found.left_out:,})" if found.left_out else ""
    return Area(f"the polygons of {path.name}{besides}", partial(within_polygons, polygons=found.polygons))
