"""Label propagation: rows with few species receive those of similar rows nearby, as presences to train on.

A training row with fewer than ``min_species`` species receives species from the ``k`` rows that are most like it in
environment, among those with at least ``min_species`` species in the same week. A species is given only if the
receiving site lies within ``spread`` times the radius of the species' range, and within ``cap_km``, of the nearest
record of the species. Only what was recorded is given, never what was received: there are no chains, and the order of
the rows does not matter. Nothing here sees a survey: all is measured on the training rows.

Source: Kahl et al. (2026), the BirdNET geomodel, https://github.com/birdnet-team/geomodel. What differs is listed in
``docs/bring_your_own_records.md``.

Shape legend: N training rows, P positives, S species, C covariates, R rows that receive, D rows that give, E pairs of a
row that receives and one that gives, M candidates of a row, A added presences or candidates for them. Distances on the
Earth are chords of the unit sphere where a name says chord, else kilometres.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial import cKDTree

from presence_only.common.arrays import Floats, Ints
from presence_only.common.settings import Settings
from presence_only.data.added_presences import AddedPresences
from presence_only.data.records import PresenceRecords
from presence_only.geography.sphere import EARTH_RADIUS_KM, unit_vectors

Float64s = NDArray[np.float64]
Int64s = NDArray[np.int64]
Bools = NDArray[np.bool_]

# Half of the Earth's circumference: no two places are farther apart.
FARTHEST_KM = 20_016.0
# The radius of a range holds this share of the species' rows, at most all but one.
RANGE_SHARE = 0.9
# The least radius of a range, as in the geomodel: a species with one record would be given to nobody.
LEAST_RADIUS_KM = 50.0
# Rows that receive are served in parts of so many, which bounds the memory.
ROWS_PER_PART = 2000
# Distances held at a time while neighbours are searched.
DISTANCES_PER_PART = 2_000_000


class PropagationSettings(Settings):
    """Which rows receive species, from which rows, and how far a species may go.

    The defaults are those of the geomodel's training command, the rounded best of its authors' search (12, 20, 976 km,
    4.99, 0.93 and 1,471 km).

    Args:
        min_species: Rows with fewer species receive; rows with at least so many give.
        k: How many rows a row receives from.
        radius_km: The farthest that such a row may be, in km on the great circle.
        max_distance: The most that its environment may differ: Euclidean distance of standardised covariates.
        nearest: ``within_radius``: the ``k`` rows are the most similar of those within ``radius_km``; ``anywhere``: of
            all rows, and those beyond ``radius_km`` are then left out, as in the geomodel.
        spread: A species is given within so many times the radius of its range from its nearest record.
        cap_km: And never farther from that record than this, in km.
    """

    min_species: Annotated[int, Field(ge=2, le=100_000)] = 12
    k: Annotated[int, Field(ge=1, le=1000)] = 20
    radius_km: Annotated[float, Field(gt=0.0, le=FARTHEST_KM)] = 1000.0
    max_distance: Annotated[float, Field(gt=0.0)] = 5.0
    nearest: Literal["within_radius", "anywhere"] = "within_radius"
    spread: Annotated[float, Field(gt=0.0)] = 1.0
    cap_km: Annotated[float, Field(gt=0.0, le=FARTHEST_KM)] = 1500.0


def propagate_labels(records: PresenceRecords, settings: PropagationSettings) -> AddedPresences:
    """The presences that training rows receive.

    A row without any known covariate neither gives nor receives. A single unknown covariate counts as the mean, which
    is what an encoder reads there.

    Args:
        records: Training rows as they were recorded, with covariates, and weeks where the data set has them.
        settings: The rules.

    Returns:
        What none of the rows has yet. The same records give the same presences; of rows that are equally similar, the
        first in the order of the training rows gives.
    """
    n_species = records.n_species
    key_P = _distinct(records.row_P.astype(np.int64) * n_species + records.species_P)
    row_P, species_P = np.divmod(key_P, n_species)
    count_N = np.bincount(row_P, minlength=records.n_rows)
    first_N = np.cumsum(count_N) - count_N
    vectors_N3, environment_NC = unit_vectors(records.sites_N2), standardised(records.covariates_NC)
    known_N = ~np.isnan(records.covariates_NC).all(axis=1)
    reach_S = chord(np.minimum(settings.spread * range_radius_km(vectors_N3, row_P, species_P), settings.cap_km))
    places = _RecordPlaces(vectors_N3[row_P], species_P)

    added = []
    for of_week_N in _weeks(records):
        givers_D = np.flatnonzero(of_week_N & known_N & (count_N >= settings.min_species))
        receivers_R = np.flatnonzero(of_week_N & known_N & (count_N < settings.min_species))
        if not len(givers_D):
            continue
        givers = _Givers(environment_NC[givers_D], vectors_N3[givers_D], settings)
        for start in range(0, len(receivers_R), ROWS_PER_PART):
            part_R = receivers_R[start : start + ROWS_PER_PART]
            receiver_E, giver_E = givers.nearest(environment_NC[part_R], vectors_N3[part_R])
            to_E, from_E = part_R[receiver_E], givers_D[giver_E]
            apart_E = _chords(vectors_N3[to_E], vectors_N3[from_E])
            # Every species of every row that gives.
            edge_A = np.repeat(np.arange(len(to_E)), count_N[from_E])
            within_A = np.arange(len(edge_A)) - np.repeat(np.cumsum(count_N[from_E]) - count_N[from_E], count_N[from_E])
            given_A = species_P[first_N[from_E][edge_A] + within_A]
            candidate_A = to_E[edge_A] * n_species + given_A
            # The row that gives has a record of the species, so one that is near enough needs no search.
            near_A = apart_E[edge_A] <= reach_S[given_A]
            found_A = _distinct(candidate_A[near_A])
            open_A = _not_among(_distinct(candidate_A[~near_A]), found_A)
            row_A, kind_A = np.divmod(open_A, n_species)
            far_A = places.nearest(vectors_N3[row_A], kind_A, float(reach_S.max())) > reach_S[kind_A]
            added.append(_not_among(np.concatenate([found_A, open_A[~far_A]]), key_P))
    row_A, species_A = np.divmod(np.sort(np.concatenate([np.empty(0, np.int64), *added])), n_species)
    return AddedPresences(row_A, species_A)


def propagation_facts(
    records: PresenceRecords, added: AddedPresences, settings: PropagationSettings
) -> dict[str, int | float]:
    """Counts for a data set's summary.

    Args:
        records: The training rows as they were recorded.
        added: What they received.
        settings: The rules.
    """
    recorded_N = np.bincount(records.row_P, minlength=records.n_rows)
    gained_S = added.per_species(records.n_species)
    return {
        "propagation_rows_below_min_species": int((recorded_N < settings.min_species).sum()),
        "propagation_rows_that_can_give": int((recorded_N >= settings.min_species).sum()),
        "propagation_rows_that_received": int((added.per_row(records.n_rows) > 0).sum()),
        "propagation_presences_added": len(added),
        "propagation_species_that_gained": int((gained_S > 0).sum()),
        "propagation_added_per_species_min": int(gained_S.min()),
        "propagation_added_per_species_median": float(np.median(gained_S)),
        "propagation_added_per_species_max": int(gained_S.max()),
    }


def propagation_note(records: PresenceRecords, added: AddedPresences, settings: PropagationSettings) -> str:
    """The sentences that a reader of the results must know."""
    n_received = int((added.per_row(records.n_rows) > 0).sum())
    if len(added) == 0:
        most = int(np.bincount(records.row_P, minlength=records.n_rows).max())
        if most < settings.min_species:
            return (
                f"Label propagation added nothing: only rows with at least {settings.min_species} species give, and "
                f"the longest training row has {most}; lower propagation.min_species, or take larger cells by a "
                "smaller checklist_resolution."
            )
        return "Label propagation added nothing: no row lies within all of its limits of a row that can give."
    return (
        f"Label propagation added {len(added):,} presences to {n_received:,} of {records.n_rows:,} training rows, "
        f"beside {len(records.row_P):,} that were recorded. They are copied from rows of similar environment nearby, "
        "and nobody observed them. Training takes them as presences; counts of records and of observers' effort leave "
        "them out, and no survey holds any."
    )


def standardised(covariates_NC: Floats) -> Float64s:
    """Covariates with mean 0 and standard deviation 1 over the rows; 0 where unknown, and where one never varies."""
    values_NC = covariates_NC.astype(np.float64)
    known_NC = ~np.isnan(values_NC)
    n_C = np.maximum(known_NC.sum(axis=0), 1)
    values_NC = np.where(known_NC, values_NC - np.where(known_NC, values_NC, 0.0).sum(axis=0) / n_C, 0.0)
    deviation_C = np.sqrt((values_NC**2).sum(axis=0) / n_C)
    # A constant in float32 has no deviation but that of rounding.
    varies_C = deviation_C > 1e-9 * np.nanmax(np.abs(covariates_NC), axis=0, initial=0.0)
    scaled_NC: Float64s = np.where(varies_C, values_NC / np.where(varies_C, deviation_C, 1.0), 0.0)
    return scaled_NC


def range_radius_km(vectors_N3: Floats, row_P: Ints, species_P: Ints) -> Float64s:
    """Radius of every species' range in km, shape (S,): the distance from its centre that nine tenths of its rows keep.

    The centre is the median of the rows' unit vectors, coordinate by coordinate, and the farthest row never counts, so
    that one misplaced record hardly moves either; half a bounding box, which the geomodel takes, is the outlier's, and
    spans the globe for a range across 180 degrees. The least radius is ``LEAST_RADIUS_KM``.

    Args:
        vectors_N3: Sites of the rows as unit vectors.
        row_P: Row of every positive.
        species_P: Its species; every species has at least one.
    """
    vectors_P3 = vectors_N3[row_P]
    table = pl.DataFrame({"species": species_P, "x": vectors_P3[:, 0], "y": vectors_P3[:, 1], "z": vectors_P3[:, 2]})
    centre_S3 = table.group_by("species").median().sort("species").select("x", "y", "z").to_numpy()
    # Rows all around the globe have no centre; all are then equally far from it.
    centre_S3 = centre_S3 / np.maximum(np.linalg.norm(centre_S3, axis=1, keepdims=True), 1e-12)
    chord_P = _chords(vectors_P3, centre_S3[species_P])
    by_species_P = np.lexsort((chord_P, species_P))
    count_S = np.bincount(species_P)
    place_S = np.cumsum(count_S) - count_S + np.floor(RANGE_SHARE * (count_S - 1)).astype(np.int64)
    radius_S: Float64s = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord_P[by_species_P][place_S] / 2, 1.0))
    return np.maximum(radius_S, LEAST_RADIUS_KM)


def chord(distance_km: Any) -> Any:
    """Chord of the unit sphere that belongs to a distance on the great circle, in km."""
    return 2 * np.sin(np.minimum(np.asarray(distance_km) / (2 * EARTH_RADIUS_KM), np.pi / 2))


class _RecordPlaces:
    """The places of all records, asked for the nearest one of a species.

    One tree for all species: the species is a fourth coordinate, along which two species are farther apart than any two
    places on the sphere.
    """

    def __init__(self, vectors_P3: Float64s, species_P: Ints) -> None:
        self.tree = cKDTree(self._points(vectors_P3, species_P))

    @staticmethod
    def _points(vectors_A3: Float64s, species_A: Ints) -> Float64s:
        return np.column_stack([vectors_A3, 4.0 * species_A])

    def nearest(self, vectors_A3: Float64s, species_A: Ints, farthest: float) -> Float64s:
        """Chord to the nearest record of the species, shape (A,); infinite where it is more than ``farthest``."""
        if not len(species_A):
            return np.empty(0)
        # The bound is exclusive.
        distance_A, _ = self.tree.query(
            self._points(vectors_A3, species_A), distance_upper_bound=np.nextafter(farthest, np.inf)
        )
        found_A: Float64s = distance_A
        return found_A


class _Givers:
    """The rows of one week that may give, asked for those that a row receives from.

    Args:
        environment_DC: Their standardised covariates.
        vectors_D3: Their sites as unit vectors.
        settings: The rules.
    """

    def __init__(self, environment_DC: Float64s, vectors_D3: Float64s, settings: PropagationSettings) -> None:
        self.environment_DC, self.vectors_D3, self.settings = environment_DC, vectors_D3, settings
        self.by_environment, self.by_place = cKDTree(environment_DC), cKDTree(vectors_D3)
        self.radius = float(chord(settings.radius_km))

    def nearest(self, environment_RC: Float64s, vectors_R3: Float64s) -> tuple[Int64s, Int64s]:
        """Pairs of a row that receives and a row that it receives from, as their places here, shape (E,) each."""
        pairs: list[tuple[Int64s, Int64s]] = []
        waiting_R = np.arange(len(environment_RC))
        if self.settings.nearest == "within_radius":
            # With few rows around, all are looked at; with many, the most similar rows anywhere hold enough of them.
            around_R = self.by_place.query_ball_point(vectors_R3, self.radius, return_length=True)
            few_R = around_R <= few(self.settings.k, len(self.vectors_D3))
            for part_R in _parts(np.flatnonzero(few_R & (around_R > 0)), int(around_R[few_R].max(initial=1))):
                pairs.append(self._among_all_around(part_R, environment_RC, vectors_R3))
            waiting_R = np.flatnonzero(~few_R)
        # One more than is wanted tells whether the last one has its like.
        n_looked_at = self.settings.k + 1
        while len(waiting_R):
            unsettled = []
            for part_R in _parts(waiting_R, n_looked_at):
                settled_R, *found = self._among_similar(part_R, environment_RC, vectors_R3, n_looked_at)
                pairs.append((found[0], found[1]))
                unsettled.append(part_R[~settled_R])
            waiting_R, n_looked_at = np.concatenate(unsettled), 4 * n_looked_at
        nothing = np.empty(0, dtype=np.int64)
        return (
            np.concatenate([nothing, *(receiver_E for receiver_E, _ in pairs)]),
            np.concatenate([nothing, *(giver_E for _, giver_E in pairs)]),
        )

    def _among_all_around(
        self, part_R: Int64s, environment_RC: Float64s, vectors_R3: Float64s
    ) -> tuple[Int64s, Int64s]:
        """The pairs of some rows, by a look at all rows within the radius."""
        around = self.by_place.query_ball_point(vectors_R3[part_R], self.radius)
        receiver_E = np.repeat(part_R, [len(places) for places in around])
        giver_E = np.concatenate(around).astype(np.int64)
        distance_E = np.linalg.norm(environment_RC[receiver_E] - self.environment_DC[giver_E], axis=1)
        alike_E = distance_E <= self.settings.max_distance
        return self._first_k(receiver_E[alike_E], giver_E[alike_E], distance_E[alike_E])

    def _among_similar(
        self, part_R: Int64s, environment_RC: Float64s, vectors_R3: Float64s, n_looked_at: int
    ) -> tuple[Bools, Int64s, Int64s]:
        """Which rows are settled by a look at the most similar rows anywhere, and the pairs of those."""
        n_looked_at = min(n_looked_at, len(self.environment_DC))
        distance_RM, giver_RM = self.by_environment.query(environment_RC[part_R], k=n_looked_at)
        distance_RM, giver_RM = distance_RM.reshape(len(part_R), -1), giver_RM.reshape(len(part_R), -1)
        chord_RM = np.linalg.norm(vectors_R3[part_R][:, None] - self.vectors_D3[giver_RM], axis=2)
        fits_RM = (chord_RM <= self.radius) & (distance_RM <= self.settings.max_distance)
        anywhere = self.settings.nearest == "anywhere"
        counts_RM = np.ones_like(fits_RM) if anywhere else fits_RM
        # Rows beyond the last one may be as similar as it, and stand before it.
        last_R1 = distance_RM[:, -1:]
        settled_R = (counts_RM & (distance_RM < last_R1)).sum(axis=1) >= self.settings.k
        settled_R |= (last_R1[:, 0] > self.settings.max_distance) | (n_looked_at == len(self.environment_DC))
        taken_RM = counts_RM & settled_R[:, None]
        receiver_RM = np.broadcast_to(part_R[:, None], giver_RM.shape)
        receiver_E, giver_E, fits_E = self._first_k(
            receiver_RM[taken_RM], giver_RM[taken_RM], distance_RM[taken_RM], fits_RM[taken_RM]
        )
        return settled_R, receiver_E[fits_E], giver_E[fits_E]

    def _first_k(self, receiver_E: Int64s, giver_E: Int64s, distance_E: Float64s, *more_E: Any) -> tuple[Any, ...]:
        """The ``k`` pairs of every row with the least distance; of equal ones, those whose giver comes first."""
        order_E = np.lexsort((giver_E, distance_E, receiver_E))
        sorted_E = receiver_E[order_E]
        start_E = np.searchsorted(sorted_E, sorted_E, side="left")
        kept_E = order_E[np.arange(len(order_E)) - start_E < self.settings.k]
        return tuple(values_E[kept_E] for values_E in (receiver_E, giver_E, *more_E))


def few(k: int, n_givers: int) -> float:
    """Up to how many rows within the radius all of them are looked at.

    With a share f of the rows within the radius, that looks at f D rows, and a search by similarity at some k / f: the
    two are equal at the square root of k D.
    """
    return max(8 * k, float(np.sqrt(k * n_givers)))


def _weeks(records: PresenceRecords) -> Iterator[Bools]:
    """The rows of every week; all rows where there are no weeks."""
    if records.week_N is None:
        yield np.ones(records.n_rows, dtype=bool)
        return
    for week in np.unique(records.week_N):
        yield records.week_N == week


def _parts(rows_R: Int64s, values_per_row: int) -> Iterator[Int64s]:
    """Rows in parts that hold a bounded number of values."""
    size = max(DISTANCES_PER_PART // max(values_per_row, 1), 1)
    for start in range(0, len(rows_R), size):
        yield rows_R[start : start + size]


def _chords(one_A3: Floats, other_A3: Floats) -> Float64s:
    """Distance between points on the unit sphere, straight through it, shape (A,)."""
    distance_A: Float64s = np.linalg.norm(one_A3 - other_A3, axis=1)
    return distance_A


def _distinct(key_A: Int64s) -> Int64s:
    """The distinct keys, ascending; several times as fast as numpy's unique, which hashes them."""
    sorted_A = np.sort(key_A)
    new_A = np.ones(len(sorted_A), dtype=bool)
    new_A[1:] = sorted_A[1:] != sorted_A[:-1]
    return sorted_A[new_A]


def _not_among(key_A: Int64s, sorted_P: Int64s) -> Int64s:
    """The keys that a sorted list does not have."""
    if not len(sorted_P):
        return key_A
    place_A = np.minimum(np.searchsorted(sorted_P, key_A), len(sorted_P) - 1)
    new_A: Int64s = key_A[sorted_P[place_A] != key_A]
    return new_A
