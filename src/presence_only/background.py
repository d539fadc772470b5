"""Background sites: places that a loss may assume empty, drawn in one of three ways.

Shape legend: N sites, K background sites, P positives, C covariates. A site is longitude, latitude
in degrees WGS84.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from presence_only.datasets.earth import Earth
from presence_only.nouns import Background, PresenceRecords

BackgroundKind = Literal["uniform", "land", "target_group"]

Floats = NDArray[np.floating[Any]]


def uniform_sphere_sites(n: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Sites drawn uniformly over the area of the sphere, sea included, shape (n, 2).

    Longitude and the sine of latitude are uniform. This is the background of SINR.

    Source: Cole et al. (2023), https://arxiv.org/abs/2306.02564

    Raises:
        ValueError: If ``n`` is less than 1.
    """
    _check_number(n)
    longitude_N = generator.uniform(-180.0, 180.0, n)
    return np.column_stack([longitude_N, np.degrees(np.arcsin(generator.uniform(-1.0, 1.0, n)))])


def target_group_rows(
    n: int, records: PresenceRecords, generator: np.random.Generator
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Rows of the records' distinct sites, drawn alike, and the taxon groups reported there.

    However many records a site has, it counts once a group: the effort of observers, not the
    abundance of species, is what it stands for. Where observers of a group have been, an unreported
    species of that group is likelier absent than unseen, and the background shares the records' bias.

    Source: Phillips et al. (2009), https://doi.org/10.1890/07-2153.1

    Args:
        n: Number of draws, at least 1; with replacement from the distinct pairs of site and group.
        records: The records whose sites are drawn.
        generator: Source of the draws.

    Returns:
        The row of every draw, shape (n,), and the group of the species reported there.

    Raises:
        ValueError: If ``n`` is less than 1.
    """
    _check_number(n)
    _, group_S = np.unique(records.groups, return_inverse=True)
    site_and_group_P3 = np.column_stack([records.sites_N2[records.row_P], group_S[records.species_P]])
    _, first_Q = np.unique(site_and_group_P3, axis=0, return_index=True)
    positive_K = first_Q[generator.integers(0, len(first_Q), n)]
    groups = tuple(records.groups[species] for species in records.species_P[positive_K])
    return records.row_P[positive_K].astype(np.int64), groups


def make_background(
    kind: str, n: int, generator: np.random.Generator, *, records: PresenceRecords, earth: Earth | None = None
) -> Background:
    """Draw a background of ``n`` sites with the covariates of ``records``.

    Args:
        kind: ``uniform`` on the sphere, ``land`` in proportion to its area, or ``target_group``: the
            records' own sites, with the taxon group that was reported there.
        n: Number of sites, at least 1.
        generator: Source of the draws.
        records: The training records; read for ``target_group`` and for the names of the covariates.
        earth: The environment grid; needed for ``land``, and for ``uniform`` with covariates.

    Raises:
        ValueError: If the kind is unknown, ``n`` is less than 1, or the grid is missing or has not
            the covariates of the records.
    """
    if kind == "target_group":
        rows, groups = target_group_rows(n, records, generator)
        return Background(kind, records.sites_N2[rows], records.covariates_NC[rows], groups)
    if kind not in get_args(BackgroundKind):
        raise ValueError(f"unknown background {kind!r}; known: {', '.join(get_args(BackgroundKind))}")
    _check_number(n)
    if earth is None and (kind == "land" or records.covariate_names):
        raise ValueError(f"background {kind!r} needs the environment grid; give `earth`")
    if kind == "land":
        assert earth is not None
        sites_K2 = earth.land_sites(n, generator)
    else:
        sites_K2 = uniform_sphere_sites(n, generator)
    if not records.covariate_names:
        return Background(kind, sites_K2, np.zeros((n, 0), dtype=np.float32))
    assert earth is not None
    if records.covariate_names != earth.names:
        raise ValueError(f"the records' covariates {records.covariate_names} are not the grid's {earth.names}")
    return Background(kind, sites_K2, earth.sample(sites_K2))


def _check_number(n: int) -> None:
    """Refuse an empty draw."""
    if n < 1:
        raise ValueError(f"n = {n}: a background needs at least 1 site")
