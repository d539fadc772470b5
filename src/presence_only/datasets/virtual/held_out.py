"""Held-out cells of a virtual world: what a study would test on that has presence records alone.

Cells of the h3 grid are drawn over the whole Earth, whatever is recorded there. Their records leave training and become
a survey: a site is a smaller cell with at least one held-out record, and a species is present where it was recorded and
absent at all other sites. That truth is as biased as the training records, which the complete survey of the same world
is not, so that the two can be compared. ``occurrences.held_out_area`` does a similar thing for users' records.

A smaller cell belongs to the larger cell that h3 makes its parent, and a record to that of its smaller cell: a
checklist is held out as a whole or not at all.

Shape legend: N records, H held-out records, K background sites, M sites of the survey, C covariates, S species,
Q species that the survey asks about, U cells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats, Ints
from presence_only.common.errors import DataError
from presence_only.data.records import Background
from presence_only.data.survey import Survey
from presence_only.data.truth import SurveyTruth
from presence_only.geography.h3_cells import all_cells, cells_of, centres_of, parents_of
from presence_only.occurrences.assemble import Assembled

# Name of the further survey, with which its metrics begin.
HELD_OUT_CELLS = "held_out_cells"


@dataclass(frozen=True, eq=False)
class HeldOutCells:
    """The held-out cells.

    Args:
        cells_U: Their h3 numbers.
        resolution: Their h3 resolution.
        site_resolution: h3 resolution of the survey's sites, at least ``resolution``.
    """

    cells_U: NDArray[np.uint64]
    resolution: int
    site_resolution: int

    @classmethod
    def drawn(cls, share: float, resolution: int, site_resolution: int, generator: np.random.Generator) -> HeldOutCells:
        """A share of all cells of the Earth, drawn alike; those of a smaller share are among those of a larger one."""
        cells_U = all_cells(resolution)
        drawn_U = generator.permutation(len(cells_U))[: round(share * len(cells_U))]
        return cls(np.sort(cells_U[drawn_U]), resolution, site_resolution)

    def contain(self, sites_N2: Floats) -> NDArray[np.bool_]:
        """Whether sites lie in held-out cells, shape (N,)."""
        sites_U, place_N = np.unique(cells_of(sites_N2, self.site_resolution), return_inverse=True)
        held_N: NDArray[np.bool_] = np.isin(parents_of(sites_U, self.resolution), self.cells_U)[place_N]
        return held_N


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Records that have left training.

    Args:
        cells: The cells that they lie in.
        held_N: Whether a record has.
        survey: The survey made of those that have. Sites are in the order of their cells' numbers; the species are
            those with a record outside of held-out cells, and one without a record within is absent everywhere.
    """

    cells: HeldOutCells
    held_N: NDArray[np.bool_]
    survey: Survey


def hold_out(
    cells: HeldOutCells,
    sites_N2: Floats,
    species_N: Ints,
    species: tuple[str, ...],
    *,
    sample: Callable[[Floats], Floats],
    covariate_names: tuple[str, ...],
) -> HeldOut:
    """Take the records of held-out cells, and make a survey of them.

    All of them leave training, except that a species without any record elsewhere keeps its first one, as every species
    must have one. The survey does not ask about such a species.

    Args:
        cells: The held-out cells.
        sites_N2: Site of every record.
        species_N: Its species.
        species: Names of all S species.
        sample: From sites (M, 2) to covariates (M, C).
        covariate_names: Their names.

    Raises:
        DataError: If no record is held out, or no species has a record outside.
    """
    held_N = cells.contain(sites_N2)
    asked_S = np.bincount(species_N[~held_N], minlength=len(species)) > 0
    recorded_S, first_S = np.unique(species_N, return_index=True)
    held_N[first_S[~asked_S[recorded_S]]] = False
    if not held_N.any() or not asked_S.any():
        raise DataError(
            f"held_out_cells: {'all' if held_N.any() else 'none'} of the {len(sites_N2):,} records lie within the "
            f"{len(cells.cells_U):,} held-out cells of resolution {cells.resolution}; some must, to be tested on, and "
            "some not, to be trained on"
        )
    cells_M, site_H = np.unique(cells_of(sites_N2[held_N], cells.site_resolution), return_inverse=True)
    species_H = species_N[held_N]
    order_H = np.argsort(species_H, kind="stable")
    start_S = np.searchsorted(species_H[order_H], np.arange(len(species) + 1))
    asked_Q = np.flatnonzero(asked_S)
    presences = {q: np.unique(site_H[order_H[start_S[s] : start_S[s + 1]]]) for q, s in enumerate(asked_Q)}
    centres_M2 = centres_of(cells_M)
    truth = SurveyTruth.of_presences(len(cells_M), len(asked_Q), presences)
    names = tuple(species[s] for s in asked_Q)
    return HeldOut(cells, held_N, Survey(centres_M2, sample(centres_M2), truth, names, covariate_names))


def without_held_out(made: Assembled, held: HeldOut) -> Assembled:
    """Training data made of the other records, with a background outside of held-out cells, and what was counted.

    A loss would else be taught that nothing lives in a held-out cell.

    Raises:
        DataError: If no background site is left.
    """
    records, background = made.training.records, made.training.background
    kept_K = np.flatnonzero(~held.cells.contain(background.sites_K2))
    groups, week_K = background.groups_K, background.week_K
    outside = Background(
        background.kind,
        background.sites_K2[kept_K],
        background.covariates_KC[kept_K],
        None if groups is None else tuple(groups[k] for k in kept_K),
        None if week_K is None else week_K[kept_K],
    )
    n_held = int(held.held_N.sum())
    filters = (("recorded", len(held.held_N)), ("outside of held-out cells", len(held.held_N) - n_held))
    facts = {
        "held_out_records": n_held,
        "held_out_species_not_asked": records.n_species - len(held.survey.species),
        "held_out_background_sites": len(background.sites_K2) - len(kept_K),
    }
    note = (
        f"{HELD_OUT_CELLS} is a survey made of held-out presence records: a species is present in a cell of h3 "
        f"resolution {held.cells.site_resolution} where it was recorded, and absent in all others with a record. It is "
        "as biased as the training records."
    )
    return replace(
        made,
        training=replace(made.training, background=outside),
        # The funnel of checklists begins with the records that are left.
        filters=(*filters, *made.filters[1:]),
        facts=made.facts | facts,
        notes=(*made.notes, note),
    )
