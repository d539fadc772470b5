"""Niches of virtual species: how suitable the environment and the distance from home are, by one of three shapes.

A species deviates from its optimum by some tolerances along every niche axis, from its home by some dispersal radii,
and by ``SEA_STEPS`` where a site is on another landmass. The depth of a site below the optimum is half the sum of the
absolute deviations to a power. The edge of the range lies where the depth has a value of the species, which the world
sets; log suitability is 0 at home and ``-EDGE`` at the edge.

- ``unimodal``: the power is 2, and tolerances are equal on both sides of the optimum. Log suitability falls in
  proportion to the depth.
- ``skewed``: the same, but along every axis the tolerance is wider on one side, drawn at random, than on the other. The
  ratio of the two is log-normal with median 2; their geometric mean is the tolerance of a unimodal niche.
- ``threshold``: the power is 8, so that the range is a box in the environment with rounded corners, and log suitability
  falls in proportion to the eighth power of the depth: it is a plateau in most of the range, and a cliff at its edge.

Everything is computed element by element, so that no result depends on the number of threads.

Shape legend: N sites, S species, A niche axes, F features of a site.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from presence_only.common.arrays import Floats
from presence_only.datasets.virtual.landscape import Float32s
from presence_only.datasets.virtual.layers import AXES

NicheKind = Literal["unimodal", "skewed", "threshold"]
# Nats from the best site to the edge of the range, where suitability is 5 %.
EDGE = 3.0
# Another landmass counts as a deviation by so many tolerances: 2 nats of depth in a unimodal niche.
SEA_STEPS = 2.0
# Power of the deviations, and of the depth.
THRESHOLD_POWER, CLIFF_POWER = 8, 8
# Of the ratio of a skewed niche's two tolerances along an axis.
SKEW_MEDIAN, SKEW_SIGMA = 2.0, 0.4


class Niches(Protocol):
    """The niches of all species."""

    def log_suitability(self, features_NF: Float32s, overseas_N: NDArray[np.bool_], species: int) -> Float32s:
        """Log suitability of one species at sites, shape (N,).

        Args:
            features_NF: Features of the sites, as of ``Sites``; overwritten.
            overseas_N: Whether a site is on another landmass than the species' home.
            species: Index of the species.
        """
        ...

    def with_edge(self, depth_S: Floats) -> Self:
        """The niches with log suitability ``-EDGE`` where it is minus ``depth_S`` in these, which have no edge yet."""
        ...


@dataclass(frozen=True, eq=False)
class UnimodalNiches:
    """Niches whose log suitability is a sum of squares, which is linear in the features.

    Args:
        coefficients_SF: Log suitability on the home's landmass is these times the features.
        crossing_S: What another landmass costs, in nats.
    """

    coefficients_SF: NDArray[np.float64]
    crossing_S: NDArray[np.float64]

    @classmethod
    def around(cls, home_SF: Floats, tolerance_SA: Floats, radius_S: Floats) -> Self:
        """Niches around the homes.

        Args:
            home_SF: Features of the homes.
            tolerance_SA: Tolerances in standard deviations of the axis over land.
            radius_S: Dispersal radii as chords of the unit sphere.
        """
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
        return cls(coefficients_SF, np.full(len(home_SF), SEA_STEPS**2 / 2))

    def log_suitability(self, features_NF: Float32s, overseas_N: NDArray[np.bool_], species: int) -> Float32s:
        """A matrix product over all species is slower, and its rounding would depend on the number of threads."""
        features_NF *= self.coefficients_SF[species].astype(np.float32)
        log_N: Float32s = features_NF.sum(axis=1)
        log_N -= np.float32(self.crossing_S[species]) * overseas_N
        return log_N

    def with_edge(self, depth_S: Floats) -> Self:
        """The niches with log suitability ``-EDGE`` where it is minus ``depth_S`` in these."""
        scale_S = EDGE / depth_S
        return replace(
            self, coefficients_SF=self.coefficients_SF * scale_S[:, None], crossing_S=self.crossing_S * scale_S
        )


@dataclass(frozen=True, eq=False)
class SidedNiches:
    """Niches with two tolerances along every axis, and any power of the deviations that is a power of 2.

    Args:
        home_SF: Features of the homes.
        below_SA: Tolerance of what is below the optimum, in standard deviations of the axis over land.
        above_SA: Tolerance of what is above it.
        radius_S: Dispersal radii as chords of the unit sphere.
        power: Power of the deviations: 2, 4, 8, ...
        cliff: Power of the depth in proportion to that of the edge: 1, 2, 4, ...
        edge_S: Depth of the edge of the range; None before it is known: log suitability is then minus the depth.
    """

    home_SF: Float32s
    below_SA: Float32s
    above_SA: Float32s
    radius_S: Float32s
    power: int
    cliff: int
    edge_S: Float32s | None = None

    def log_suitability(self, features_NF: Float32s, overseas_N: NDArray[np.bool_], species: int) -> Float32s:
        """Minus the depth until the edge is set; then -inf may stand far beyond the edge, where numbers overflow."""
        place_and_axes = slice(0, 3 + AXES)
        features_NF[:, place_and_axes] -= self.home_SF[species, place_and_axes]
        chord_N = np.sqrt((features_NF[:, :3] ** 2).sum(axis=1))
        steps_NA = features_NF[:, 3 : place_and_axes.stop]
        steps_NA /= np.where(steps_NA < 0, self.below_SA[species], self.above_SA[species])
        depth_N: Float32s = _power(steps_NA, self.power).sum(axis=1)
        depth_N += _power(chord_N / self.radius_S[species], self.power)
        depth_N += np.float32(SEA_STEPS**self.power) * overseas_N
        depth_N /= 2
        if self.edge_S is None:
            return -depth_N
        with np.errstate(over="ignore"):
            log_N: Float32s = np.float32(-EDGE) * _power(depth_N / self.edge_S[species], self.cliff)
        return log_N

    def with_edge(self, depth_S: Floats) -> Self:
        """The niches with log suitability ``-EDGE`` where it is minus ``depth_S`` in these."""
        return replace(self, edge_S=depth_S.astype(np.float32))


def make_niches(
    kind: NicheKind, home_SF: Floats, tolerance_SA: Floats, radius_S: Floats, generator: np.random.Generator
) -> Niches:
    """Niches of a kind around the homes, before the edges of their ranges are set.

    Args:
        kind: Their shape.
        home_SF: Features of the homes.
        tolerance_SA: Tolerances in standard deviations of the axis over land.
        radius_S: Dispersal radii as chords of the unit sphere.
        generator: Draws the skew; the other kinds draw nothing.
    """
    if kind == "unimodal":
        return UnimodalNiches.around(home_SF, tolerance_SA, radius_S)
    below_SA = above_SA = tolerance_SA
    power, cliff = THRESHOLD_POWER, CLIFF_POWER
    if kind == "skewed":
        ratio_SA = SKEW_MEDIAN * np.exp(SKEW_SIGMA * generator.standard_normal(tolerance_SA.shape))
        half_SA = np.where(generator.random(tolerance_SA.shape) < 0.5, ratio_SA, 1 / ratio_SA) ** 0.5
        below_SA, above_SA, power, cliff = tolerance_SA / half_SA, tolerance_SA * half_SA, 2, 1
    return SidedNiches(
        home_SF=home_SF.astype(np.float32),
        below_SA=below_SA.astype(np.float32),
        above_SA=above_SA.astype(np.float32),
        radius_S=radius_S.astype(np.float32),
        power=power,
        cliff=cliff,
    )


def _power(values: Float32s, power: int) -> Float32s:
    """Values to a power of 2, by squaring, which takes a fraction of the time of numpy's power."""
    for _ in range(power.bit_length() - 1):
        values = values * values
    return values
